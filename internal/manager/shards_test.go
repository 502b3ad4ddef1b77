package manager_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleet/shard"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/member"
)

// shardLease is how long a replica of these tests may be silent.
const shardLease = 4 * time.Second

// division is a fleet that several processes divide.
type division struct {
	*hub
	program  string
	kube     kubernetes.Interface
	clusters []string
	of       map[string]*fleettest.Cluster   // by cluster: alpha, or beta
	remotes  map[string]*fleettest.HTTPProxy // by cluster
	local    map[string]*fleettest.HTTPProxy // by replica
	replicas map[string]*exec.Cmd

	mu     sync.Mutex
	states []stateAt // of the assignment, in order
	made   []made    // of endpoints, in order
}

type stateAt struct {
	at time.Time
	shard.Assignment
}

func divide(t *testing.T, clusters int, replicas ...string) *division {
	t.Helper()
	d := &division{hub: startHub(t), of: map[string]*fleettest.Cluster{}, remotes: map[string]*fleettest.HTTPProxy{}, local: map[string]*fleettest.HTTPProxy{}, replicas: map[string]*exec.Cmd{}}
	d.stop() // processes take its place
	d.cluster.Install(t, "../../config/shards/*.yaml", "../../config/endpoints/*.yaml")
	kube, err := kubernetes.NewForConfig(d.cluster.AdminConfig())
	if err != nil {
		t.Fatal(err)
	}
	d.kube, d.program = kube, binary(t)
	// The name of an earlier test's local cluster: a replica that starts late, when there are clusters, would refuse to take over.
	if err := kube.CoreV1().ConfigMaps(v1alpha1.Namespace).Delete(t.Context(), v1alpha1.ManagerConfigMap, metav1.DeleteOptions{}); client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	d.record()
	for _, r := range replicas {
		d.local[r] = d.cluster.HTTPProxy(t)
		d.launch(r)
	}
	there := []*fleettest.Cluster{fleettest.Use(t, "alpha"), fleettest.Use(t, "beta")}
	for _, c := range there {
		d.member(c, member.Options{Capabilities: []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}})
	}
	for i := range clusters {
		name, c := fmt.Sprintf("c-%d", i), there[i%len(there)]
		d.clusters = append(d.clusters, name)
		d.of[name], d.remotes[name] = c, c.HTTPProxy(t)
		d.input(name, map[string]string{v1alpha1.BearerTokenKey: d.token(c, time.Hour)})
		d.tie(name, d.remotes[name].URL, c.CA(), bearer, func(rc *v1alpha1.RemoteCluster) {
			rc.Spec.Capabilities = []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}
			rc.Spec.EndpointCIDRs = []string{rangeOf(i).String()}
		})
	}
	for _, name := range d.clusters {
		d.ready(name)
	}
	return d
}

// launch runs a replica, under the roles that we ship.
func (d *division) launch(replica string) {
	d.t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: d.local[replica].URL, CertificateAuthorityData: d.cluster.CA()}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: remember(d.cluster.Token(d.t, v1alpha1.Namespace, "hawser", time.Hour))}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "x"
	path := filepath.Join(d.t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		d.t.Fatal(err)
	}
	cmd := exec.Command(d.program, "manager", "--cluster-name", d.hub.local, "--management-only", "--kubeconfig", path,
		"--shards", "--replica-name", replica, "--shard-lease-duration", shardLease.String(), "--endpoints", "--query-bind-address", "0",
		"--probe-interval", "1s", "--metrics-bind-address", "0", "--health-probe-bind-address", "0")
	cmd.Stderr = &process{cmd: cmd} // which keeps its log
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.replicas[replica] = cmd
	d.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGCONT)
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
}

// record follows the assignment until the test ends.
func (d *division) record() {
	fleettest.Background(d.t, "the record of assignments", func(ctx context.Context) error {
		for ctx.Err() == nil {
			w, err := d.kube.CoreV1().ConfigMaps(v1alpha1.Namespace).Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=hawser-shards"})
			if err != nil {
				continue
			}
			for e := range w.ResultChan() {
				cm, ok := e.Object.(*corev1.ConfigMap)
				if !ok {
					continue
				}
				if a, err := shard.Decode(cm); err == nil {
					d.mu.Lock()
					d.states = append(d.states, stateAt{time.Now(), a})
					d.mu.Unlock()
				}
			}
		}
		return nil
	})
}

func (d *division) now() shard.Assignment {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.states) == 0 {
		return shard.Assignment{}
	}
	return d.states[len(d.states)-1].Assignment
}

// divided waits until each of some replicas owns as much as its share, rounded, and every cluster is probed by its owner.
func (d *division) divided(replicas ...string) {
	d.t.Helper()
	asked := time.Now()
	eventually(d.t, fmt.Sprintf("the clusters to be divided among %v", replicas), func() error {
		a := d.now()
		owned := a.Owned()
		for _, r := range replicas {
			if least := len(d.clusters) / len(replicas); owned[r] < least {
				return fmt.Errorf("%s owns %d: %v", r, owned[r], owned)
			}
		}
		for _, c := range d.clusters {
			if !d.probedBy(c, a.Owner(c), asked) {
				return fmt.Errorf("%s is not probed by its owner %q", c, a.Owner(c))
			}
		}
		return nil
	})
}

func (d *division) probedBy(cluster, replica string, since time.Time) bool {
	requests := d.remotes[cluster].Requests()
	for _, r := range slices.Backward(requests) {
		if r.Time.Before(since) {
			return false
		}
		if by(r) == replica {
			return true
		}
	}
	return false
}

// by is the replica that made a request.
func by(r fleettest.Request) string {
	return strings.TrimSuffix(r.UserAgent[strings.LastIndexByte(r.UserAgent, '(')+1:], ")")
}

// leader is the replica that leads.
func (d *division) leader() string {
	d.t.Helper()
	lease, err := d.kube.CoordinationV1().Leases(v1alpha1.Namespace).Get(d.t.Context(), "hawser-manager", metav1.GetOptions{})
	if err != nil || lease.Spec.HolderIdentity == nil {
		d.t.Fatalf("finding the leader: %v", err)
	}
	name, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_")
	return name
}

// load asks for renewals all the time.
func (d *division) load() {
	fleettest.Background(d.t, "the load", func(ctx context.Context) error {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
			rc := &v1alpha1.RemoteCluster{}
			rc.Name = d.clusters[rand.IntN(len(d.clusters))]
			patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.RenewAnnotation, time.Now().Add(time.Second).Format(time.RFC3339Nano))
			_ = d.admin.Patch(ctx, rc, client.RawPatch("application/merge-patch+json", []byte(patch)))
		}
	})
}

func (d *division) signal(replica string, s syscall.Signal) {
	d.t.Helper()
	if err := d.replicas[replica].Process.Signal(s); err != nil {
		d.t.Fatal(err)
	}
}

func without(all []string, one string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == one })
}

func TestReplicasThatAreKilledInTurnUnderLoad(t *testing.T) {
	all := []string{"hawser-0", "hawser-1", "hawser-2"}
	d := divide(t, 6, all...)
	d.divided(all...)
	f := d.federate()
	d.load()

	leader := d.leader()
	d.signal(leader, syscall.SIGKILL)
	_ = d.replicas[leader].Wait()
	f.change()
	d.divided(without(all, leader)...)
	f.agrees()
	d.launch(leader)
	d.divided(all...)

	leader = d.leader()
	d.signal(leader, syscall.SIGTERM)
	f.change()
	if err := d.replicas[leader].Wait(); err != nil {
		t.Errorf("a graceful stop ended with %v", err)
	}
	d.divided(without(all, leader)...)
	f.agrees()
	d.launch(leader)
	d.divided(all...)

	leader = d.leader()
	d.signal(leader, syscall.SIGSTOP)
	f.change()
	d.divided(without(all, leader)...)
	f.agrees()
	f.change()
	woken := time.Now()
	d.signal(leader, syscall.SIGCONT)
	d.divided(all...)
	f.agrees()

	d.onlyOwnersWrite()
	d.oneAtATime(leader, woken)
	for _, name := range d.clusters {
		d.keptTokenWorks(name)
	}
	f.isToldOf()
}

// slack is what lies between what a replica, a proxy and the record of assignments see of the same moment.
const slack = 150 * time.Millisecond

// mayWorkFor reports whether a replica had a cluster at any time around a moment.
func (d *division) mayWorkFor(replica, cluster string, at time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, s := range d.states {
		until := time.Now()
		if i+1 < len(d.states) {
			until = d.states[i+1].at
		}
		if until.Add(slack).Before(at) || s.at.Add(-slack).After(at) {
			continue
		}
		for _, sh := range s.Shards {
			if _, ends := sh.Ends[cluster]; sh.Replica == replica && (ends || slices.Contains(sh.Owns, cluster)) {
				return true
			}
		}
	}
	return false
}

// writes reports whether a request changes anything. A probe posts reviews, which are questions.
func writes(r fleettest.Request) bool {
	return r.Method != http.MethodGet && !strings.HasSuffix(r.Path, "reviews")
}

// onlyOwnersWrite holds every write against the assignment at that time.
func (d *division) onlyOwnersWrite() {
	d.t.Helper()
	seen := 0
	wrote := func(replica, cluster, what string, at time.Time) {
		seen++
		if !d.mayWorkFor(replica, cluster, at) {
			d.t.Errorf("%s wrote for %s at %s, when that was not its own: %s", replica, cluster, at.Format(time.StampMilli), what)
		}
	}
	check := func(r fleettest.Request, replica, cluster string) {
		wrote(replica, cluster, r.Method+" "+r.Path, r.Time)
	}
	for cluster, proxy := range d.remotes {
		for _, r := range proxy.Requests() {
			if writes(r) {
				check(r, by(r), cluster)
			}
		}
	}
	for replica, proxy := range d.local {
		for _, r := range proxy.Requests() {
			if r.Method == http.MethodGet {
				continue
			}
			for _, cluster := range d.clusters {
				if strings.HasSuffix(r.Path, "/remoteclusters/"+cluster+"/status") || strings.HasSuffix(r.Path, "/secrets/hawser-credential-"+cluster) {
					check(r, replica, cluster)
				}
			}
		}
	}
	if seen < 50 {
		d.t.Errorf("there were only %d writes: the load was no load", seen)
	}
	writers := map[string]map[string]bool{} // of what is made of endpoints, by cluster
	for _, m := range d.whatWasMade() {
		wrote(m.replica, m.cluster, m.what, m.at)
		if writers[m.cluster] == nil {
			writers[m.cluster] = map[string]bool{}
		}
		writers[m.cluster][m.replica] = true
	}
	several := 0
	for _, cluster := range d.clusters {
		if len(writers[cluster]) > 1 {
			several++
		}
	}
	if several < 2 {
		d.t.Errorf("what is made of endpoints was made by %v: too few clusters have changed hands", writers)
	}
}

// oneAtATime fails where requests of two replicas come in turns: a connection lives in one at a time. One that was stopped
// may look once more before it notices.
func (d *division) oneAtATime(stopped string, woken time.Time) {
	d.t.Helper()
	for _, cluster := range d.clusters {
		changes, last := 0, ""
		for _, r := range d.remotes[cluster].Requests() {
			if by(r) == stopped && r.Time.After(woken) && r.Time.Before(woken.Add(shardLease)) && !writes(r) {
				continue
			}
			if by(r) != last {
				changes, last = changes+1, by(r)
			}
		}
		if owners := d.owners(cluster); changes > owners {
			d.t.Errorf("%s was reached by another replica %d times, and had another owner %d times", cluster, changes, owners)
		}
	}
}

// owners counts how often a cluster was given to somebody.
func (d *division) owners(cluster string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, last := 0, ""
	for _, s := range d.states {
		if owner := s.Owner(cluster); owner != "" && owner != last {
			n, last = n+1, owner
		}
	}
	return n
}

// keptTokenWorks shows what is kept for a restart to the cluster that it is for.
func (d *division) keptTokenWorks(name string) {
	d.t.Helper()
	d.ready(name)
	d.is(name, v1alpha1.CredentialFresh, metav1.ConditionTrue, v1alpha1.ReasonFresh)
	var kept corev1.Secret
	if err := d.admin.Get(d.t.Context(), client.ObjectKey{Namespace: v1alpha1.Namespace, Name: v1alpha1.CredentialSecretName(name)}, &kept); err != nil {
		d.t.Fatal(err)
	}
	remember(string(kept.Data[v1alpha1.BearerTokenKey]))
	remote, err := kubernetes.NewForConfig(d.of[name].TokenConfig(string(kept.Data[v1alpha1.BearerTokenKey])))
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err := remote.AuthenticationV1().SelfSubjectReviews().Create(d.t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{}); err != nil {
		d.t.Errorf("the token that is kept for %s: %v", name, errors.Unwrap(err))
	}
}
