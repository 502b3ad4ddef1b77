// Package kind is the inventory of clusters that kind runs on this machine, for development and tests. It knows
// kind by the interface of its library and does not import it: hand it in,
//
//	import "sigs.k8s.io/kind/pkg/cluster"
//
//	&kind.Inventory{Provider: cluster.NewProvider()}
//
// kind tells of no changes, so it is asked again and again, for the list and for every kubeconfig:
//
//   - A cluster of the list is a cluster; its name is kind's. One whose name does not begin with Prefix is none of ours.
//   - A kubeconfig that has changed is the same cluster with another Version, as after a renewal of its certificates.
//   - A kubeconfig with another CA is another cluster, made anew under the old name: the old one is gone, and the new
//     one comes. kind makes a CA for each cluster, and never replaces it.
//   - A cluster whose kubeconfig cannot be had or used is a Fault, as while it is being made. What was known
//     of it stands.
//   - A cluster that is no longer on the list is gone. kind cannot rename one.
//   - When the list itself cannot be had, because the container engine is down or does not answer, everything that was
//     known stands, and a Fault with an empty name says why.
package kind

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/credential/kubeconfig"
	"github.com/hawser-io/hawser/inventory"
)

// Defaults of an Inventory.
const (
	DefaultInterval = 2 * time.Second
	DefaultPatience = 10 * time.Second
)

// Provider is kind's library, as far as it is asked: *cluster.Provider of sigs.k8s.io/kind/pkg/cluster.
type Provider interface {
	// List returns the names of the clusters that there are.
	List() ([]string, error)
	// KubeConfig returns a kubeconfig of one, with its address inside or outside of the container network.
	KubeConfig(name string, internal bool) (string, error)
}

// Inventory tells of the clusters of kind.
type Inventory struct {
	Provider Provider
	// Prefix selects clusters by the beginning of their names. It stays part of the name. Empty takes all.
	Prefix string
	// Internal takes the addresses inside of the container network: for programs that run in a container there.
	Internal bool
	// Interval between two questions. Zero means DefaultInterval.
	Interval time.Duration
	// Patience is how long an answer may take until that is a Fault. It is waited for all the same, and not
	// asked for again meanwhile: calls of kind's library cannot be cut short. Zero means DefaultPatience.
	Patience time.Duration
	// Clock for Interval and Patience. Nil means the real one.
	Clock clock.WithTicker
}

// String is what the inventory is called among others.
func (i *Inventory) String() string { return "kind" }

// Run implements inventory.Inventory. When it returns, a call of the provider that hangs is left behind in its
// goroutine, which ends when the provider answers.
func (i *Inventory) Run(ctx context.Context, to inventory.Sink) error {
	if i.Provider == nil {
		return errors.New("asking kind for its clusters: Provider is nil: hand in cluster.NewProvider() of sigs.k8s.io/kind/pkg/cluster")
	}
	clk := i.Clock
	if clk == nil {
		clk = clock.RealClock{}
	}
	p := &poll{
		Inventory: i, clock: clk, to: to,
		lists: make(chan list), kubeconfigs: make(chan answer), known: map[string]*known{},
	}
	interval := cmp.Or(i.Interval, DefaultInterval)
	p.ask(ctx)
	timer := clk.NewTimer(interval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C():
			p.ask(ctx)
			timer.Reset(interval)
		case answer := <-p.lists:
			p.takeList(ctx, answer)
		case answer := <-p.kubeconfigs:
			p.takeKubeconfig(answer)
		}
	}
}

// poll is what one Run knows. It belongs to its goroutine; those that ask the provider only send answers.
type poll struct {
	*Inventory
	clock clock.Clock
	to    inventory.Sink

	lists       chan list
	kubeconfigs chan answer

	asked  time.Time         // when the list was asked for that is awaited; zero: none is
	known  map[string]*known // the clusters of the last list
	fault  string            // of the list
	listed bool
	synced bool
}

// known is a cluster.
type known struct {
	asked   time.Time // when the kubeconfig was asked for that is awaited; zero: none is
	told    bool      // something, be it a Fault
	ca      string
	version string // that was told; empty: none was
	fault   string
}

type list struct {
	names []string
	err   error
}

type answer struct {
	name string
	of   *known // whoever is known under the name by now, the answer is of this one
	text string
	err  error
}

// ask asks for the list, and says whose answers are overdue.
func (p *poll) ask(ctx context.Context) {
	now, patience := p.clock.Now(), cmp.Or(p.Patience, DefaultPatience)
	overdue := func(asked time.Time) bool { return !asked.IsZero() && now.Sub(asked) >= patience }
	for name, k := range p.known {
		if overdue(k.asked) {
			p.tell(name, k, fmt.Errorf("asking kind for the kubeconfig of cluster %q: no answer within %s", name, patience))
		}
	}
	p.tellSynced()
	if overdue(p.asked) {
		p.tellOfList(fmt.Errorf("asking kind for its clusters: no answer within %s", patience))
	}
	if !p.asked.IsZero() {
		return
	}
	p.asked = now
	go func() { // ends when the provider answers
		names, err := p.Provider.List()
		select {
		case p.lists <- list{names, err}:
		case <-ctx.Done():
		}
	}()
}

// takeList drops the clusters that are gone, and asks for the kubeconfig of each that there is.
func (p *poll) takeList(ctx context.Context, l list) {
	p.asked = time.Time{}
	if l.err != nil {
		p.tellOfList(fmt.Errorf("asking kind for its clusters: %w", l.err))
		return
	}
	p.tellOfList(nil)
	p.listed = true
	there := map[string]bool{}
	for _, name := range l.names {
		if !strings.HasPrefix(name, p.Prefix) {
			continue
		}
		there[name] = true
		if p.known[name] == nil {
			p.known[name] = &known{}
		}
		p.askFor(ctx, name, p.known[name])
	}
	for name, k := range p.known {
		if !there[name] {
			p.forget(name, k)
		}
	}
	p.tellSynced()
}

func (p *poll) askFor(ctx context.Context, name string, k *known) {
	if !k.asked.IsZero() {
		return // it is still being waited for
	}
	k.asked = p.clock.Now()
	go func() { // ends when the provider answers
		text, err := p.Provider.KubeConfig(name, p.Internal)
		select {
		case p.kubeconfigs <- answer{name, k, text, err}:
		case <-ctx.Done():
		}
	}()
}

func (p *poll) forget(name string, k *known) {
	delete(p.known, name)
	p.to.Remove(name)
	if k.fault != "" {
		p.to.Fault(name, nil)
	}
}

// takeKubeconfig tells of a cluster.
func (p *poll) takeKubeconfig(a answer) {
	k := a.of
	if p.known[a.name] != k { // it is gone
		return
	}
	k.asked = time.Time{}
	if a.err != nil {
		p.tell(a.name, k, fmt.Errorf("asking kind for the kubeconfig of cluster %q: %w", a.name, a.err))
		return
	}
	c, err := kubeconfig.Parse([]byte(a.text), "")
	if err != nil {
		p.tell(a.name, k, fmt.Errorf("reading the kubeconfig that kind has for cluster %q: %w", a.name, err))
		return
	}
	ca := credential.Fingerprint(c.Endpoint.CAData)
	if k.version != "" && k.ca != ca {
		p.to.Remove(a.name)
		k.version = ""
	}
	if k.version != c.Origin {
		p.to.Set(inventory.FromKubeconfig(a.name, c))
	}
	k.ca, k.version = ca, c.Origin
	p.tell(a.name, k, nil)
}

// tell tells of a fault of a cluster, if it is another than before.
func (p *poll) tell(name string, k *known, err error) {
	k.told = true
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != k.fault {
		k.fault = text
		p.to.Fault(name, err)
	}
	p.tellSynced()
}

func (p *poll) tellOfList(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != p.fault {
		p.fault = text
		p.to.Fault("", err)
	}
}

func (p *poll) tellSynced() {
	if p.synced || !p.listed {
		return
	}
	for _, k := range p.known {
		if !k.told {
			return
		}
	}
	p.synced = true
	p.to.Synced()
}
