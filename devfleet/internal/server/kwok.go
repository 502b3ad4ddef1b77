package server

import (
	"context"
	_ "embed"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/klog/v2"
	kwokconfig "sigs.k8s.io/kwok/pkg/config"
	kwokcmd "sigs.k8s.io/kwok/pkg/kwok/cmd"
	kwoklog "sigs.k8s.io/kwok/pkg/log"

	"github.com/hawser-io/hawser/devfleet/internal/fleet"
)

// kwokTemplate holds kwok's stages (how nodes and pods become ready) and what logs, exec and port-forward reach.
//
//go:embed kwok.yaml
var kwokTemplate string

const podLog = "pod.log"

// startKwok runs kwok, which plays the kubelets of all nodes.
func (c *cluster) startKwok(ctx context.Context) error {
	port, err := c.serveHello(ctx)
	if err != nil {
		return err
	}
	dir, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("finding cluster directory: %w", err)
	}
	logLine := time.Now().UTC().Format(time.RFC3339Nano) + " stdout F a pod of cluster " + c.spec.Name + " says hello\n"
	if err := os.WriteFile(podLog, []byte(logLine), 0o600); err != nil {
		return fmt.Errorf("writing log of pods: %w", err)
	}
	config := strings.NewReplacer(
		"$CLUSTER", c.spec.Name,
		"$LOG", filepath.Join(dir, podLog),
		"$PORT", strconv.Itoa(port),
	).Replace(kwokTemplate)
	if err := os.WriteFile("kwok.yaml", []byte(config), 0o600); err != nil {
		return fmt.Errorf("writing kwok's configuration: %w", err)
	}
	ctx, err = kwokContext(ctx, dir)
	if err != nil {
		return fmt.Errorf("reading kwok's configuration: %w", err)
	}
	cmd := kwokcmd.NewCommand(ctx)
	// Kubernetes has put a --version of its own, of another type, on the process's global flags.
	cmd.Version = ""
	cmd.SetArgs([]string{
		"--kubeconfig=" + filepath.Join(dir, fleet.ConfigFile),
		"--manage-all-nodes=true",
		"--cidr=" + c.spec.PodCIDR,
		"--node-ip=" + fleet.Loopback,
		"--node-port=" + strconv.Itoa(c.spec.KubeletPort),
		"--server-address=" + net.JoinHostPort(fleet.Loopback, strconv.Itoa(c.spec.KubeletPort)),
		"--tls-cert-file=kubelet.crt",
		"--tls-private-key-file=kubelet.key",
		"--node-lease-duration-seconds=0", // nobody looks at the leases: the controller that does is off
	})
	c.start("kwok", func() error { return cmd.ExecuteContext(ctx) })
	return nil
}

// kwokContext puts kwok's configuration where its command looks for it. kwok offers no other way than its own
// flags, which it reads from os.Args, and its default directory, which could be somebody's real one.
func kwokContext(ctx context.Context, dir string) (context.Context, error) {
	args, workDir := os.Args, kwokconfig.WorkDir
	defer func() { os.Args, kwokconfig.WorkDir = args, workDir }()
	os.Args = []string{"kwok", "--config", filepath.Join(dir, "kwok.yaml")}
	kwokconfig.WorkDir = dir

	ctx = kwoklog.NewContext(ctx, kwoklog.NewLogger(os.Stderr, kwoklog.LevelWarn))
	return kwokconfig.InitFlags(ctx, pflag.NewFlagSet("kwok", pflag.ContinueOnError))
}

// serveHello is what a port-forward to any pod reaches: it tells which cluster was entered.
func (c *cluster) serveHello(ctx context.Context) (port int, err error) {
	l, err := net.Listen("tcp", net.JoinHostPort(fleet.Loopback, "0"))
	if err != nil {
		return 0, fmt.Errorf("listening for port-forward: %w", err)
	}
	server := &http.Server{
		ReadHeaderTimeout: 5 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, "hello from a pod of cluster %s\n", c.spec.Name)
		}),
	}
	go func() {
		if err := server.Serve(l); err != http.ErrServerClosed {
			klog.ErrorS(err, "Serving port-forward")
		}
	}()
	context.AfterFunc(ctx, func() { server.Close() })
	return l.Addr().(*net.TCPAddr).Port, nil
}
