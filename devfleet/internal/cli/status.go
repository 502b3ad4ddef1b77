package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hawser-io/hawser/devfleet/internal/fleet"
)

// clusterStatus is one row of `status`, and its JSON.
type clusterStatus struct {
	Name            string    `json:"name"`
	State           string    `json:"state"`
	Server          string    `json:"server"`
	PID             int       `json:"pid,omitempty"`
	Since           time.Time `json:"since,omitzero"`
	MemoryMegabytes int       `json:"memoryMegabytes,omitempty"`
	Nodes           int       `json:"nodes"`
	Pods            int       `json:"pods"`
	Trusts          []string  `json:"trusts,omitempty"`
	Error           string    `json:"error,omitempty"`
}

func newStatus(get dirFlag) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the clusters of the fleet",
		Example: `  devfleet status
  devfleet status -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := get()
			if err != nil {
				return err
			}
			if output != "" && output != "json" {
				return fmt.Errorf("output format %q: only json is known", output)
			}
			rows, err := statusOf(dir)
			if err != nil {
				return err
			}
			if output == "json" {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				return enc.Encode(rows)
			}
			if len(rows) == 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "no clusters in %s; `devfleet up` makes some\n", dir)
				return nil
			}
			return printTable(cmd.OutOrStdout(), rows)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "json, or nothing for a table")
	return cmd
}

func statusOf(dir fleet.Dir) ([]clusterStatus, error) {
	specs, err := dir.Specs()
	if err != nil {
		return nil, err
	}
	rows := []clusterStatus{}
	for _, spec := range specs {
		row := clusterStatus{Name: spec.Name, Server: spec.Server, Nodes: spec.Nodes, Pods: spec.Pods, State: "stopped"}
		for _, t := range spec.Trusts {
			row.Trusts = append(row.Trusts, t.Cluster)
		}
		state, err := dir.State(spec.Name)
		known := err == nil
		switch row.PID = dir.PID(spec.Name); {
		case row.PID == 0 && known && state.Error != "":
			row.State, row.Error = "failed", state.Error
		case row.PID != 0 && known:
			row.State, row.Since = state.Phase, state.Since
			row.MemoryMegabytes = fleet.ResidentMegabytes(row.PID)
		case row.PID != 0:
			row.State = "starting"
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func printTable(out io.Writer, rows []clusterStatus) error {
	w := tabwriter.NewWriter(out, 0, 4, 3, ' ', 0)
	fmt.Fprintln(w, "CLUSTER\tSTATE\tSERVER\tNODES\tPODS\tMEMORY\tPID\tSINCE")
	for _, r := range rows {
		memory, pid, since := "-", "-", "-"
		if r.PID != 0 {
			memory, pid = fmt.Sprintf("%d MB", r.MemoryMegabytes), fmt.Sprint(r.PID)
		}
		if !r.Since.IsZero() {
			since = time.Since(r.Since).Round(time.Second).String()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\n", r.Name, r.State, r.Server, r.Nodes, r.Pods, memory, pid, since)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, r := range rows {
		if r.Error != "" {
			fmt.Fprintf(out, "%s: %s\n", r.Name, r.Error)
		}
	}
	return nil
}
