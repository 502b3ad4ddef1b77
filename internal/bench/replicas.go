package bench

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleet/shard"
	"github.com/hawser-io/hawser/fleettest"
)

// Replicas are processes of `hawser manager --shards` that share a fleet, under the roles that are shipped. Its methods
// are called from one goroutine.
type Replicas struct {
	bench   *Bench
	admin   client.Client
	dir     string
	args    []string
	running map[string]*replica
}

type replica struct {
	cmd     *exec.Cmd
	metrics string
	ended   chan struct{} // closed when the process has
}

// Replicas builds the program and installs what it needs in the local cluster. args are given to each process, besides
// those that make it a replica. Call End when done.
func (b *Bench) Replicas(local *fleettest.Cluster, admin client.Client, args ...string) (*Replicas, error) {
	if err := errors.Join(b.Install(local), local.ApplyFiles(b.Ctx, "config/shards/*.yaml")); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "hawser-bench")
	if err != nil {
		return nil, fmt.Errorf("making a directory: %w", err)
	}
	r := &Replicas{bench: b, admin: admin, dir: dir, args: args, running: map[string]*replica{}}
	if err := r.build(local); err != nil {
		r.End(false)
		return nil, err
	}
	return r, nil
}

// build makes the program, and the kubeconfig that it runs with.
func (r *Replicas) build(local *fleettest.Cluster) error {
	if out, err := exec.CommandContext(r.bench.Ctx, "go", "build", "-o", r.file("hawser"), "./cmd/hawser").CombinedOutput(); err != nil {
		return fmt.Errorf("building hawser: %w\n%s", err, out)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: local.Server, CertificateAuthorityData: local.CA()}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: AccountToken(r.bench.Ctx, r.admin, v1alpha1.Namespace, "hawser")}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "x"
	if err := clientcmd.WriteToFile(*config, r.file("kubeconfig")); err != nil {
		return fmt.Errorf("writing a kubeconfig: %w", err)
	}
	return nil
}

func (r *Replicas) file(name string) string { return filepath.Join(r.dir, name) }

// Logs is the directory with what each replica has said, in NAME.log.
func (r *Replicas) Logs() string { return r.dir }

// Launch starts a replica, for the first time or again.
func (r *Replicas) Launch(name string) error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(r.file(name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("making a log of %s: %w", name, err)
	}
	p := &replica{metrics: address, ended: make(chan struct{})}
	args := append([]string{
		"manager", "--cluster-name", Local, "--kubeconfig", r.file("kubeconfig"), "--shards", "--replica-name", name,
		"--metrics-bind-address", address, "--health-probe-bind-address", "0",
	}, r.args...)
	p.cmd = exec.CommandContext(r.bench.Ctx, r.file("hawser"), args...)
	p.cmd.Stderr = log
	if err := p.cmd.Start(); err != nil {
		log.Close()
		return fmt.Errorf("starting %s: %w", name, err)
	}
	go func() { // ends with the process
		defer close(p.ended)
		_ = p.cmd.Wait()
		log.Close()
	}()
	r.running[name] = p
	return nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("finding a free port: %w", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}

// Stop ends a replica by a signal, and does not wait for what that takes.
func (r *Replicas) Stop(name string, how syscall.Signal) error {
	p := r.running[name]
	if p == nil {
		return fmt.Errorf("ending %s: it does not run", name)
	}
	delete(r.running, name)
	if err := p.cmd.Process.Signal(how); err != nil {
		return fmt.Errorf("ending %s: %w", name, err)
	}
	return nil
}

// Died fails where a replica has ended that nobody has stopped.
func (r *Replicas) Died() error {
	for name, p := range r.running {
		select {
		case <-p.ended:
			return fmt.Errorf("replica %s has ended: %s", name, p.cmd.ProcessState)
		default:
		}
	}
	return nil
}

// End kills all that run. Of what was made, nothing stays but the logs, where keep says so.
func (r *Replicas) End(keep bool) {
	for _, p := range r.running {
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	clear(r.running)
	if !keep {
		_ = os.RemoveAll(r.dir)
	}
	_ = os.Remove(r.file("hawser"))
	_ = os.Remove(r.file("kubeconfig"))
}

// Metrics is what a replica says of itself, empty where it does not answer.
func (r *Replicas) Metrics(name string) string {
	p := r.running[name]
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

// Owners is which replica has which cluster, as the leader has decided.
func (r *Replicas) Owners() (map[string]string, error) {
	var cm corev1.ConfigMap
	if err := r.admin.Get(r.bench.Ctx, client.ObjectKey{Namespace: v1alpha1.Namespace, Name: shard.ConfigMapName(shard.DefaultName)}, &cm); err != nil {
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

// Leader is the replica that leads.
func (r *Replicas) Leader() (string, error) {
	var lease coordinationv1.Lease
	if err := r.admin.Get(r.bench.Ctx, client.ObjectKey{Namespace: v1alpha1.Namespace, Name: "hawser-manager"}, &lease); err != nil {
		return "", fmt.Errorf("finding the leader: %w", err)
	}
	if lease.Spec.HolderIdentity == nil {
		return "", errors.New("finding the leader: nobody leads")
	}
	name, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_")
	return name, nil
}
