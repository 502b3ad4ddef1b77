package fleet

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/hawser-io/hawser/devfleet/internal/pki"
)

// Loopback is the only address that a fleet listens on.
const Loopback = "127.0.0.1"

// Ports are taken from below the range that Linux and macOS hand out for outgoing connections, so that a
// stopped cluster finds its port free when it starts again.
const (
	firstPort = 20000
	lastPort  = 31999
)

// maxClusters bounds Index, which is a byte of the clusters' address ranges (10.64/16 … for pods, 10.128/16 … for services).
const maxClusters = 64

// Options are what `up` sets for the clusters that it names.
type Options struct {
	Clusters      []string
	Pods          int
	Nodes         int
	Kwok          bool
	Audit         bool
	Trust         map[string][]string // cluster → the clusters that it believes
	APIServerArgs map[string][]string // cluster, or "*" → arguments
	BasePort      int                 // 0: free ports
}

// Prepare makes the directory of each named cluster, or brings it up to date, and writes the fleet's kubeconfig.
// Keys, ports and data of a cluster that exists are kept.
func Prepare(dir Dir, opts Options) ([]Spec, error) {
	if err := os.MkdirAll(string(dir), 0o700); err != nil {
		return nil, fmt.Errorf("making fleet directory: %w", err)
	}
	unlock, err := exclusive(filepath.Join(string(dir), prepareLock))
	if err != nil {
		return nil, err
	}
	defer unlock()

	all, err := dir.Specs()
	if err != nil {
		return nil, err
	}
	names := slices.Clone(opts.Clusters)
	for _, issuers := range opts.Trust {
		names = append(names, issuers...) // a trusted cluster may start later, but its keys are needed now
	}
	for _, name := range names {
		if slices.ContainsFunc(all, func(s Spec) bool { return s.Name == name }) {
			continue
		}
		spec, err := newSpec(name, all, opts.BasePort)
		if err != nil {
			return nil, err
		}
		if err := writeCluster(dir, spec); err != nil {
			return nil, err
		}
		all = append(all, spec)
	}
	var prepared []Spec
	for _, name := range opts.Clusters {
		i := slices.IndexFunc(all, func(s Spec) bool { return s.Name == name })
		spec, err := configure(dir, all[i], opts)
		if err != nil {
			return nil, err
		}
		if err := writeCluster(dir, spec); err != nil {
			return nil, err
		}
		all[i] = spec
		prepared = append(prepared, spec)
	}
	return prepared, writeFleetKubeconfig(dir, all)
}

// exclusive waits for its turn; two programs may prepare clusters in one directory at the same time.
func exclusive(path string) (func(), error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking fleet directory: %w", err)
	}
	if err := flock(f, syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

func newSpec(name string, others []Spec, basePort int) (Spec, error) {
	if err := CheckName(name); err != nil {
		return Spec{}, err
	}
	index := 0
	for slices.ContainsFunc(others, func(s Spec) bool { return s.Index == index }) {
		index++
	}
	if index >= maxClusters {
		return Spec{}, fmt.Errorf("cluster %q would be number %d of this fleet; there can be %d", name, index+1, maxClusters)
	}
	spec := Spec{
		Name:           name,
		Index:          index,
		PodCIDR:        fmt.Sprintf("10.%d.0.0/16", 64+index),
		ServiceCIDR:    fmt.Sprintf("10.%d.0.0/16", 128+index),
		CertificateDNS: name + ".devfleet.local",
	}
	if basePort != 0 {
		spec.Port, spec.KubeletPort = basePort+2*index, basePort+2*index+1
	} else {
		taken := map[int]bool{}
		for _, s := range others {
			taken[s.Port], taken[s.KubeletPort] = true, true
		}
		var err error
		if spec.Port, err = freePort(taken); err != nil {
			return Spec{}, err
		}
		if spec.KubeletPort, err = freePort(taken); err != nil {
			return Spec{}, err
		}
	}
	return spec, nil
}

// freePort starts at random: fleets of tests that start at the same time must not fight for the same ports.
func freePort(taken map[int]bool) (int, error) {
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if !taken[port] && CheckPort(port) == nil {
			taken[port] = true
			return port, nil
		}
	}
	return 0, fmt.Errorf("finding a free port between %d and %d: all that were tried are taken", firstPort, lastPort)
}

// CheckPort says whether a port of the loopback address can be listened on.
func CheckPort(port int) error {
	l, err := net.Listen("tcp", net.JoinHostPort(Loopback, strconv.Itoa(port)))
	if err != nil {
		return fmt.Errorf("trying port %d: %w", port, err)
	}
	return l.Close()
}

// configure applies what may change from one `up` to the next.
func configure(dir Dir, spec Spec, opts Options) (Spec, error) {
	if opts.BasePort != 0 {
		spec.Port, spec.KubeletPort = opts.BasePort+2*spec.Index, opts.BasePort+2*spec.Index+1
	}
	spec.Pods = opts.Pods
	spec.Nodes = opts.Nodes
	if spec.Pods > 0 && spec.Nodes == 0 {
		spec.Nodes = 1
	}
	spec.Kwok = opts.Kwok || spec.Nodes > 0
	spec.Audit = opts.Audit
	spec.APIServerArgs = append(slices.Clone(opts.APIServerArgs["*"]), opts.APIServerArgs[spec.Name]...)
	spec.Trusts = nil
	for _, issuer := range opts.Trust[spec.Name] {
		trust, err := trustIn(dir, spec.Name, issuer)
		if err != nil {
			return Spec{}, err
		}
		spec.Trusts = append(spec.Trusts, trust)
	}
	return spec, nil
}

func trustIn(dir Dir, cluster, issuer string) (Trust, error) {
	if cluster == issuer {
		return Trust{}, fmt.Errorf("cluster %q already believes its own tokens", cluster)
	}
	other, err := dir.Spec(issuer)
	if err != nil {
		return Trust{}, err
	}
	ca, err := os.ReadFile(filepath.Join(dir.Cluster(issuer), "ca.crt"))
	if err != nil {
		return Trust{}, fmt.Errorf("reading CA of cluster %q: %w", issuer, err)
	}
	return Trust{
		Cluster:        issuer,
		Issuer:         other.ServiceIssuer,
		CAData:         base64.StdEncoding.EncodeToString(ca),
		Audience:       "hawser:" + cluster,
		UsernamePrefix: issuer + ":",
	}, nil
}

func writeCluster(dir Dir, spec Spec) error {
	spec.Server = fmt.Sprintf("https://%s:%d", Loopback, spec.Port)
	spec.ServiceIssuer = spec.Server
	path := dir.Cluster(spec.Name)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("making directory of cluster %q: %w", spec.Name, err)
	}
	if err := writeIdentity(path, spec); err != nil {
		return fmt.Errorf("preparing cluster %q: %w", spec.Name, err)
	}
	return writeJSON(filepath.Join(path, SpecFile), spec)
}

// writeIdentity makes the keys and certificates of a cluster. Three roots, as in a real cluster: what clients
// verify servers by, what the API server verifies clients by, and what it believes front proxies by.
func writeIdentity(path string, spec Spec) error {
	serving, err := pki.EnsureCA(path, "ca")
	if err != nil {
		return err
	}
	client, err := pki.EnsureCA(path, "client-ca")
	if err != nil {
		return err
	}
	front, err := pki.EnsureCA(path, "front-proxy-ca")
	if err != nil {
		return err
	}
	ip := []net.IP{net.ParseIP(Loopback)}
	masters := []string{"system:masters"}
	leaves := []struct {
		ca   *pki.CA
		name string
		leaf pki.Leaf
	}{
		{serving, "serving", pki.Leaf{
			CommonName: "kube-apiserver", IPs: ip, Server: true,
			DNSNames: []string{"localhost", spec.CertificateDNS, "kubernetes.default.svc"},
		}},
		{serving, "kubelet", pki.Leaf{CommonName: "kwok", IPs: ip, Server: true, DNSNames: []string{"localhost"}}},
		{client, "admin", pki.Leaf{CommonName: "devfleet-admin", Organizations: masters, Client: true}},
		// system:masters, because the controllers share one identity here: an account for each costs memory.
		{client, "controller-manager", pki.Leaf{CommonName: "system:kube-controller-manager", Organizations: masters, Client: true}},
		{client, "kubelet-client", pki.Leaf{CommonName: "kube-apiserver-kubelet-client", Client: true}},
		{front, "front-proxy-client", pki.Leaf{CommonName: "front-proxy-client", Client: true}},
	}
	for _, l := range leaves {
		if err := l.ca.EnsureLeaf(path, l.name, l.leaf); err != nil {
			return err
		}
	}
	if err := pki.EnsureRSAKey(filepath.Join(path, "sa.key")); err != nil {
		return err
	}
	return writeClusterKubeconfigs(path, spec)
}

// PortProblem explains in words which port of a cluster is taken, and what to do; nil when all are free.
func PortProblem(spec Spec) error {
	ports := map[string]int{"the API server": spec.Port}
	if spec.Kwok {
		ports["kwok's kubelet"] = spec.KubeletPort
	}
	for what, port := range ports {
		if err := CheckPort(port); errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("port %s:%d, which %s of cluster %q needs, cannot be used (%w)\n"+
				"Stop the program that has it, or choose other ports with --base-port N "+
				"(cluster i takes N+2i and N+2i+1; tokens issued for the old address become invalid)",
				Loopback, port, what, spec.Name, err)
		}
	}
	return nil
}
