// Package bench is what every benchmark needs: real API servers, a member
// install by an admin's hand, and the file that figures are written to.
package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/cli/install"
	"github.com/hawser-io/hawser/internal/kinds"
	"github.com/hawser-io/hawser/member"
)

// File is where figures are added to.
const File = "bench.json"

// Figure is one measured value.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Note  string  `json:"note,omitempty"`
}

// Bench is one run of one benchmark.
type Bench struct {
	Ctx context.Context //nolint:containedctx // the life of a program
	// Fleet is nil where the benchmark names no clusters.
	Fleet *fleettest.Fleet

	name    string
	figures []Figure
}

// Main runs a benchmark on the named clusters, adds its figures to File, and ends the program.
func Main(name string, clusters []string, run func(*Bench) error) {
	MainOn(name, fleettest.Options{Clusters: clusters}, run)
}

// MainOn is Main on a fleet that needs more than names.
func MainOn(name string, fleet fleettest.Options, run func(*Bench) error) {
	ctrl.SetLogger(logr.Discard())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := do(ctx, name, fleet, run)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench %s: %v\n", name, err)
		os.Exit(1)
	}
}

func do(ctx context.Context, name string, of fleettest.Options, run func(*Bench) error) error {
	b := &Bench{Ctx: ctx, name: name}
	if len(of.Clusters) > 0 {
		fleet, err := fleettest.Start(ctx, of)
		if err != nil {
			return err
		}
		defer func() { _ = fleet.Stop(context.WithoutCancel(ctx)) }()
		b.Fleet = fleet
	}
	if err := run(b); err != nil {
		return err
	}
	return b.write()
}

// Say tells a person how far it is.
func (b *Bench) Say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s: %s\n", b.name, fmt.Sprintf(format, args...))
}

// Add records a figure. A name without a slash is put below that of the benchmark.
func (b *Bench) Add(name string, value float64, unit, note string) {
	if !strings.Contains(name, "/") {
		name = b.name + "/" + name
	}
	b.figures = append(b.figures, Figure{name, value, unit, note})
	fmt.Printf("%-36s %14.3f %-8s %s\n", name, value, unit, note)
}

func (b *Bench) write() error {
	var all []Figure
	data, err := os.ReadFile(File)
	if err == nil {
		err = json.Unmarshal(data, &all)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading %s: %w", File, err)
	}
	all = slices.DeleteFunc(all, func(f Figure) bool { // which was measured anew
		return slices.ContainsFunc(b.figures, func(now Figure) bool { return now.Name == f.Name })
	})
	data, err = json.MarshalIndent(append(all, b.figures...), "", "  ")
	if err != nil {
		return fmt.Errorf("encoding %s: %w", File, err)
	}
	if err := os.WriteFile(File, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", File, err)
	}
	return nil
}

// Cluster starts a cluster and returns it with an admin's client.
func (b *Bench) Cluster(name string) (*fleettest.Cluster, client.Client, error) {
	c, err := b.Fleet.Cluster(b.Ctx, name)
	if err != nil {
		return nil, nil, err
	}
	var scheme *runtime.Scheme
	if scheme, err = kinds.Scheme(); err != nil {
		return nil, nil, err
	}
	admin, err := client.New(c.AdminConfig(), client.Options{Scheme: scheme})
	return c, admin, err
}

// Install installs what a manager needs in its cluster: the CRDs, its namespace and its roles. It is run
// in the root of the repository.
func (b *Bench) Install(c *fleettest.Cluster) error {
	return c.ApplyFiles(b.Ctx, "config/crd/*.yaml", "config/rbac/*.yaml")
}

// Member installs the member side.
func (b *Bench) Member(admin client.Client, o member.Options) error {
	return install.Apply(b.Ctx, admin, o, func(client.Object, string) {})
}

// Local is the name of the local cluster of a benchmark.
const Local = "bench"

// Target is a cluster with a member install, and a token of the connection's account.
type Target struct {
	Cluster *fleettest.Cluster
	Admin   client.Client
	Token   credential.Credential
	// Capabilities that it was made ready for, besides that of connecting.
	Capabilities []v1alpha1.Capability
}

// Target starts a cluster and makes it ready to be connected to.
func (b *Bench) Target(name string, capabilities ...v1alpha1.Capability) (Target, error) {
	c, admin, err := b.Cluster(name)
	if err != nil {
		return Target{}, err
	}
	if err := b.Member(admin, member.Options{Local: Local, Capabilities: capabilities}); err != nil {
		return Target{}, err
	}
	token, err := install.Token(b.Ctx, admin, Local, 2*time.Hour)
	return Target{c, admin, token, capabilities}, err
}

// Spec is a connection to the target under a name.
func (t Target) Spec(name string) connection.Spec {
	return connection.Spec{
		Name: name, Local: Local,
		Endpoint: credential.Endpoint{Server: t.Cluster.Server, CAData: t.Cluster.CA()},
		Checks:   member.Checks(Local, t.Capabilities, nil, member.ServiceAccount),
	}
}

// Still is a source with one token that lasts longer than any benchmark.
type Still struct{ Token credential.Credential }

// Obtain implements credential.Source.
func (s Still) Obtain(context.Context) ([]credential.Credential, error) {
	return []credential.Credential{s.Token}, nil
}

// Renew implements credential.Source.
func (s Still) Renew(context.Context, credential.Credential, credential.Link) (credential.Credential, error) {
	return s.Token, nil
}

// Until waits for a condition, and gives up after three minutes.
func Until(ctx context.Context, what string, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	err := fleettest.Until(ctx, 5*time.Millisecond, Done(done))
	if err != nil {
		return fmt.Errorf("waiting for %s: %w", what, err)
	}
	return nil
}

// Done makes of a condition what fleettest.Until asks.
func Done(done func() bool) func() error {
	return func() error {
		if done() {
			return nil
		}
		return errNotYet
	}
}

var errNotYet = errors.New("not yet")
