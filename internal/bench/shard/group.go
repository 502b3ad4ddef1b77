package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleet/shard"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/bench"
)

// group is some processes of `hawser manager --shards`.
type group struct {
	*bench.Bench
	n       int
	admin   client.Client
	kube    kubernetes.Interface
	dir     string
	running map[string]*process
}

type process struct {
	cmd     *exec.Cmd
	metrics string
}

func (g *group) set() error {
	local, admin, err := g.Cluster("primary")
	if err != nil {
		return err
	}
	g.admin = admin
	if g.kube, err = kubernetes.NewForConfig(local.AdminConfig()); err != nil {
		return err
	}
	if err := g.Install(local); err != nil {
		return err
	}
	if err := local.ApplyFiles(g.Ctx, "config/shards/*.yaml"); err != nil {
		return err
	}
	if err := g.Declare(admin, g.n, "alpha", "beta"); err != nil {
		return err
	}
	if g.dir, err = os.MkdirTemp("", "hawser-bench"); err != nil {
		return fmt.Errorf("making a directory: %w", err)
	}
	if out, err := exec.CommandContext(g.Ctx, "go", "build", "-o", filepath.Join(g.dir, "hawser"), "./cmd/hawser").CombinedOutput(); err != nil {
		return fmt.Errorf("building hawser: %w\n%s", err, out)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: local.Server, CertificateAuthorityData: local.CA()}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: bench.AccountToken(g.Ctx, admin, v1alpha1.Namespace, "hawser")}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "x"
	return clientcmd.WriteToFile(*config, filepath.Join(g.dir, "kubeconfig"))
}

func (g *group) launch(replica string) error {
	address, err := free()
	if err != nil {
		return err
	}
	p := &process{metrics: address}
	p.cmd = exec.CommandContext(g.Ctx, filepath.Join(g.dir, "hawser"), "manager", "--cluster-name", bench.Local, "--management-only",
		"--kubeconfig", filepath.Join(g.dir, "kubeconfig"), "--shards", "--replica-name", replica, "--probe-interval", interval.String(),
		"--metrics-bind-address", address, "--health-probe-bind-address", "0")
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", replica, err)
	}
	g.running[replica] = p
	return nil
}

func free() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("finding a free port: %w", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}

// stop ends a replica, and does not wait for what that takes.
func (g *group) stop(replica string, how syscall.Signal) error {
	p := g.running[replica]
	delete(g.running, replica)
	if err := p.cmd.Process.Signal(how); err != nil {
		return fmt.Errorf("ending %s: %w", replica, err)
	}
	go func() { _ = p.cmd.Wait() }() // ends with the process
	return nil
}

func (g *group) end() {
	for _, p := range g.running {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
	_ = os.RemoveAll(g.dir)
}

// look is how often the metrics of the replicas are read, which costs them and this machine more than they do meanwhile.
const look = 250 * time.Millisecond

// up waits until every connection is up in one of some replicas, and each of these has about its share.
func (g *group) up(replicas []string) error {
	ctx, cancel := context.WithTimeout(g.Ctx, 3*time.Minute)
	defer cancel()
	return fleettest.Until(ctx, look, bench.Done(func() bool {
		total := 0
		for _, r := range replicas {
			up := len(isUp.FindAllString(g.metrics(r), -1))
			if up < g.n*9/(10*len(replicas)) {
				return false
			}
			total += up
		}
		return total >= g.n
	}))
}

var (
	isUp   = regexp.MustCompile(`(?m)^hawser_cluster_up\{[^}]*\} 1$`)
	probed = regexp.MustCompile(`(?m)^hawser_probe_duration_seconds_count\{[^}]*result="ok"\} (\S+)$`)
)

// probes is how many there were at the connections that some replicas have now.
func (g *group) probes(replicas []string) (n float64) {
	for _, r := range replicas {
		for _, m := range probed.FindAllStringSubmatch(g.metrics(r), -1) {
			k, _ := strconv.ParseFloat(m[1], 64) // the pattern holds it to a number
			n += k
		}
	}
	return n
}

func (g *group) metrics(replica string) string {
	p := g.running[replica]
	if p == nil {
		return ""
	}
	c := http.Client{Timeout: 5 * time.Second}
	resp, err := c.Get("http://" + p.metrics + "/metrics")
	if err != nil {
		return ""
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(resp.Body)
	return string(text)
}

func (g *group) owners() (map[string]string, error) {
	var cm corev1.ConfigMap
	if err := g.admin.Get(g.Ctx, client.ObjectKey{Namespace: v1alpha1.Namespace, Name: shard.ConfigMapName(shard.DefaultName)}, &cm); err != nil {
		return nil, fmt.Errorf("reading the assignment: %w", err)
	}
	a, err := shard.Decode(&cm)
	if err != nil {
		return nil, err
	}
	owner := map[string]string{}
	for _, s := range a.Shards {
		for _, c := range s.Owns {
			owner[c] = s.Replica
		}
	}
	return owner, nil
}

func (g *group) leader() (string, error) {
	var lease coordinationv1.Lease
	if err := g.admin.Get(g.Ctx, client.ObjectKey{Namespace: v1alpha1.Namespace, Name: "hawser-manager"}, &lease); err != nil || lease.Spec.HolderIdentity == nil {
		return "", fmt.Errorf("finding the leader: %w", err)
	}
	name, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_")
	return name, nil
}

// leaseWrites counts the changes of all Leases for some time.
func (g *group) leaseWrites(during time.Duration) (perSecond float64, err error) {
	list, err := g.kube.CoordinationV1().Leases(v1alpha1.Namespace).List(g.Ctx, metav1.ListOptions{})
	if err != nil {
		return 0, fmt.Errorf("listing Leases: %w", err)
	}
	w, err := g.kube.CoordinationV1().Leases(v1alpha1.Namespace).Watch(g.Ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		return 0, fmt.Errorf("watching Leases: %w", err)
	}
	defer w.Stop()
	end, n := time.After(during), 0
	for {
		select {
		case <-end:
			return float64(n) / during.Seconds(), nil
		case _, open := <-w.ResultChan():
			if !open {
				return 0, errors.New("watching Leases: it ended")
			}
			n++
		}
	}
}
