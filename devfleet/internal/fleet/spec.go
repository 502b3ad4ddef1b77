// Package fleet owns the directory of a fleet: what is in it, which clusters it names, and the processes that
// run them. It knows nothing of what goes on inside a cluster's process; that is package server.
package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"time"
)

// Files of a cluster's directory that others read as well. fleettest relies on these names.
const (
	SpecFile   = "cluster.json"
	StateFile  = "state.json"
	LockFile   = "lock"
	LogFile    = "log"
	AuditFile  = "audit.log"
	ConfigFile = "kubeconfig"

	// OwnerLock lies in the fleet's directory and is held by the program that the clusters live and die with.
	OwnerLock = "owner.lock"

	prepareLock = "prepare.lock"
)

// Spec is what cluster.json says of one cluster. Everything in it outlives a stop and a start.
type Spec struct {
	Name   string `json:"name"`
	Server string `json:"server"`
	Port   int    `json:"port"`
	// KubeletPort is where kwok serves logs, exec and port-forward.
	KubeletPort int `json:"kubeletPort"`
	// Index keeps the address ranges of the clusters of one fleet apart.
	Index          int    `json:"index"`
	ServiceIssuer  string `json:"serviceAccountIssuer"`
	PodCIDR        string `json:"podCIDR"`
	ServiceCIDR    string `json:"serviceCIDR"`
	CertificateDNS string `json:"certificateDNS"`

	Pods          int      `json:"pods,omitempty"`
	Nodes         int      `json:"nodes,omitempty"`
	Kwok          bool     `json:"kwok,omitempty"`
	Audit         bool     `json:"audit,omitempty"`
	Trusts        []Trust  `json:"trusts,omitempty"`
	APIServerArgs []string `json:"apiserverArgs,omitempty"`
}

// Trust says that a cluster believes the service-account tokens of another one of the fleet.
type Trust struct {
	Cluster        string `json:"cluster"`
	Issuer         string `json:"issuer"`
	CAData         string `json:"caData"`
	Audience       string `json:"audience"`
	UsernamePrefix string `json:"usernamePrefix"`
}

// State is what state.json says of a cluster's process, for whoever waits for it.
type State struct {
	Phase string    `json:"phase"`
	Ready bool      `json:"ready"`
	Error string    `json:"error,omitempty"`
	Since time.Time `json:"since"`
	PID   int       `json:"pid"`
}

// A Dir is the directory of a fleet.
type Dir string

// Cluster is the directory of one cluster.
func (d Dir) Cluster(name string) string { return filepath.Join(string(d), name) }

// Kubeconfig is the file with a context for each cluster.
func (d Dir) Kubeconfig() string { return filepath.Join(string(d), ConfigFile) }

// OwnerLock is the lock of the program in the foreground.
func (d Dir) OwnerLock() string { return filepath.Join(string(d), OwnerLock) }

// clusterName is narrow because names become file names, contexts, DNS labels and user name prefixes.
var clusterName = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$`)

// CheckName refuses what cannot be the name of a cluster.
func CheckName(name string) error {
	if !clusterName.MatchString(name) {
		return fmt.Errorf("cluster name %q: use lower-case letters, digits and '-', starting with a letter, at most 40 characters", name)
	}
	return nil
}

// Specs reads every cluster of the directory, ordered by index.
func (d Dir) Specs() ([]Spec, error) {
	entries, err := os.ReadDir(string(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading fleet: %w", err)
	}
	var specs []Spec
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		spec, err := d.Spec(e.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		specs = append(specs, spec)
	}
	sort.Slice(specs, func(i, j int) bool { return specs[i].Index < specs[j].Index })
	return specs, nil
}

// Spec reads one cluster's cluster.json; fs.ErrNotExist if there is no such cluster.
func (d Dir) Spec(name string) (Spec, error) {
	var spec Spec
	err := readJSON(filepath.Join(d.Cluster(name), SpecFile), &spec)
	return spec, err
}

// State reads what a cluster's process last said of itself.
func (d Dir) State(name string) (State, error) {
	var state State
	err := readJSON(filepath.Join(d.Cluster(name), StateFile), &state)
	return state, err
}

// WriteState replaces the state of the cluster whose directory is given.
func WriteState(clusterDir string, state State) error {
	state.PID = os.Getpid()
	state.Since = time.Now()
	return writeJSON(filepath.Join(clusterDir, StateFile), state)
}

func readJSON(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading %s: %w", filepath.Base(path), err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("parsing %s: %w", path, err)
	}
	return nil
}

func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding %s: %w", filepath.Base(path), err)
	}
	return writeFile(path, append(data, '\n'))
}

// writeFile replaces a file at once, because others read these files while we write.
func writeFile(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return fmt.Errorf("writing %s: %w", filepath.Base(path), err)
	}
	defer os.Remove(tmp.Name()) // a no-op after the rename
	_, err = tmp.Write(data)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", filepath.Base(path), err)
	}
	return nil
}

// Log is the log of one cluster.
func (d Dir) Log(name string) string { return filepath.Join(d.Cluster(name), LogFile) }

// OwnFiles are the files that lie beside the clusters' directories.
func (d Dir) OwnFiles() []string {
	return []string{d.Kubeconfig(), d.OwnerLock(), filepath.Join(string(d), prepareLock)}
}
