// Package inventorytest holds an inventory of clusters to its contract, on real API servers: anyone's.
//
//	func TestConformance(t *testing.T) {
//		cluster := fleettest.Use(t, "primary")
//		namespace := cluster.Namespace(t)
//		account := inventorytest.NewAccount(t, cluster, namespace, myinventory.Role)
//		inventorytest.Run(t, inventorytest.Subject{
//			Cluster: cluster,
//			Account: account,
//			New:     func(testing.TB) inventory.Inventory { return &myinventory.Inventory{Config: account.Config()} },
//			Add:     func(t testing.TB, name string, access inventorytest.Access) { … },
//			…
//		})
//	}
//
// The suite moves what the inventory reads by the functions of a [Subject], and looks at what the inventory
// tells a [Recorder]: that each cluster is told under a name of its own with a credential that works; that a
// rotated credential never removes a cluster; that what is malformed harms nothing that runs; that what is
// gone, or no longer meant, is removed; that it is in sync once, also beside clusters that are dead; that a new
// run tells the same; and that the end of its context ends all that it started. With an [Account] it runs under
// exactly the role that it asks for, has to need every verb of it, and has to outlast its API server.
package inventorytest

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/inventory"
)

// patience is how long the suite waits for what takes a second or two. Only the tests of the suite change it.
var patience = 30 * time.Second

// Subject is an inventory, and the hands that move what it reads. The names that the suite gives are DNS labels
// of at most 20 characters. A function returns when the change is made, with admin rights; that the inventory
// has seen it is the suite's business. What is nil and not required is not tested.
type Subject struct {
	// Cluster is what the kubeconfigs lead to. Required.
	Cluster *fleettest.Cluster
	// Account is what New runs as. Nil where the inventory asks no API server.
	Account *Account
	// New makes an inventory of the one place that the functions below change. It is called for each test, so
	// every test is a restart as well. Required.
	New func(t testing.TB) inventory.Inventory
	// Name is what the inventory calls a cluster that was added under a name. Nil means the same.
	Name func(name string) string
	// SharedCredential says that clusters have the credential that they have, whatever Access says.
	SharedCredential bool

	// Add adds a cluster that is reached by access. Required.
	Add func(t testing.TB, name string, access Access)
	// Remove removes a cluster, whatever state it is in; it is no error if it is gone. Required.
	Remove func(t testing.TB, name string)
	// Rotate gives another credential to a cluster.
	Rotate func(t testing.TB, name string, access Access)
	// Break makes the entry of a cluster malformed, so that nobody could use it.
	Break func(t testing.TB, name string)
	// Mend makes the entry good again. Nil means that Rotate does.
	Mend func(t testing.TB, name string, access Access)
	// Hide takes away what marks a cluster as one for the inventory, a label for example; Show puts it back.
	Hide, Show func(t testing.TB, name string)
	// Rename gives another name to the same entry.
	Rename func(t testing.TB, from, to string)
}

// Run holds the inventory to its contract, in subtests.
func Run(t *testing.T, s Subject) {
	t.Helper()
	if s.Name == nil {
		s.Name = func(name string) string { return name }
	}
	if s.Mend == nil {
		s.Mend = s.Rotate
	}
	users := newUsers(t, s.Cluster)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.needs != nil && !c.needs(s) {
				t.Skip("this inventory has no such thing")
			}
			c.run(&trial{T: t, s: s, users: users})
		})
	}
	if s.Account != nil {
		t.Run("every verb of its role is needed", s.Account.checkRole)
	}
}

// cases in the order in which they run.
var cases = []struct {
	name  string
	needs func(Subject) bool
	run   func(*trial)
}{
	{"clusters that are there are told before it is in sync", nil, thereBeforeSync},
	{"a cluster that comes later is told", nil, comesLater},
	{"a rotated credential replaces the old one in place", canRotate, rotates},
	{"a malformed cluster is a fault that harms nothing", canBreak, breaks},
	{"a cluster that is malformed from the beginning is a fault until it is mended", canBreak, brokenFromTheBeginning},
	{"a malformed cluster that is removed leaves no fault", canBreak, brokenAndRemoved},
	{"a cluster that is gone is removed, and its name can be used again", nil, goes},
	{"a cluster that is no longer meant is gone", func(s Subject) bool { return s.Hide != nil && s.Show != nil }, hides},
	{"a renamed cluster is one gone and another one come", func(s Subject) bool { return s.Rename != nil }, renames},
	{"a dead cluster holds nobody up", func(s Subject) bool { return !s.SharedCredential }, deadHoldsNobodyUp},
	{"a new run tells what there is now", nil, restarts},
	{"an API server without streamed lists will do", hasAccount, oldServer},
	{"while its API server is away nothing is lost", hasAccount, outage},
}

func canRotate(s Subject) bool  { return s.Rotate != nil && !s.SharedCredential }
func canBreak(s Subject) bool   { return s.Break != nil && s.Mend != nil }
func hasAccount(s Subject) bool { return s.Account != nil }

// trial is one test of a subject.
type trial struct {
	*testing.T
	s     Subject
	users []string // service accounts of Cluster, as namespace/name
}

var names atomic.Int32

// add adds a cluster under a name of its own, by the credential of a user, until the test ends.
func (c *trial) add(user int) (name string) {
	c.Helper()
	name = c.name()
	c.s.Add(c, name, c.access(user))
	return name
}

// name returns a new name; what comes under it is removed in the end.
func (c *trial) name() string {
	name := fmt.Sprintf("conf-%d", names.Add(1))
	c.Cleanup(func() { c.s.Remove(outliving{c.T}, name) })
	return name
}
