package inventorytest

import (
	"fmt"
	"net/http"

	"github.com/hawser-io/hawser/fleettest"
)

func thereBeforeSync(c *trial) {
	a, b := c.add(0), c.add(1)
	r := c.startInSync()
	there := map[string]bool{}
	for _, e := range r.Events() {
		if e.Did == "Synced" {
			break
		}
		there[e.Name] = there[e.Name] || e.Did == "Set"
	}
	for _, name := range []string{a, b} {
		if !there[c.s.Name(name)] {
			c.Errorf("cluster %q was there, and was not told before it was in sync; it told %v", c.s.Name(name), r.Events())
		}
	}
	r.told(a, 0)
	r.told(b, 1)
}

func comesLater(c *trial) {
	a := c.add(0)
	r := c.startInSync()
	b := c.add(1)
	r.told(b, 1)
	r.told(a, 0)
	r.neverRemoved(a, b)
}

func rotates(c *trial) {
	a, b := c.add(0), c.add(1)
	r := c.startInSync()
	r.told(a, 0)
	for _, user := range []int{2, 1, 0} {
		c.s.Rotate(c, a, c.access(user))
		r.told(a, user)
	}
	r.told(b, 1)
	r.neverRemoved(a, b)
}

func breaks(c *trial) {
	a, b := c.add(0), c.add(1)
	r := c.startInSync()
	before := r.told(a, 0)
	r.told(b, 1)

	c.s.Break(c, a)
	r.faulty(a)
	if now, there := r.Clusters()[c.s.Name(a)]; !there || now.Version != before.Version {
		c.Errorf("cluster %q did not stay as it was when its entry became malformed; it told %v", c.s.Name(a), r.Events())
	}
	user := 1
	if canRotate(c.s) { // what is malformed keeps no other from moving on
		user = 2
		c.s.Rotate(c, b, c.access(user))
	}
	r.told(b, user)
	r.faulty(a)

	access := c.access(2)
	c.s.Mend(c, a, access)
	r.told(a, 2)
	r.neverRemoved(a, b)
	r.quotesNot(access.Token)
}

func brokenFromTheBeginning(c *trial) {
	a := c.add(0)
	c.s.Break(c, a)
	b := c.add(1)
	r := c.startInSync()
	r.told(b, 1)
	r.faulty(a)
	if _, there := r.Clusters()[c.s.Name(a)]; there {
		c.Errorf("cluster %q was told though nobody could use it", c.s.Name(a))
	}
	c.s.Mend(c, a, c.access(2))
	r.told(a, 2)
	r.neverRemoved(a, b)
}

func brokenAndRemoved(c *trial) {
	a, b := c.add(0), c.add(1)
	r := c.startInSync()
	c.s.Break(c, a)
	r.faulty(a)
	c.s.Remove(c, a)
	r.gone(a)
	r.told(b, 1)
	r.neverRemoved(b)
}

func goes(c *trial) {
	a, b := c.add(0), c.add(1)
	r := c.startInSync()
	r.told(a, 0)
	c.s.Remove(c, a)
	r.gone(a)
	c.s.Remove(c, a) // as the suite does in the end
	r.told(b, 1)
	r.neverRemoved(b)
	c.addAgain(r, a)
}

// addAgain adds a cluster under a name that was used before, once that is possible.
func (c *trial) addAgain(r *running, name string) {
	c.Helper()
	c.s.Add(c, name, c.access(2))
	r.told(name, 2)
}

func hides(c *trial) {
	a, b := c.add(0), c.add(1)
	r := c.startInSync()
	r.told(a, 0)
	c.s.Hide(c, a)
	r.gone(a)
	r.told(b, 1)
	c.s.Show(c, a)
	r.told(a, 0)
	r.neverRemoved(b)
}

func renames(c *trial) {
	a, b := c.add(0), c.add(1)
	r := c.startInSync()
	r.told(a, 0)
	other := c.name()
	c.s.Rename(c, a, other)
	r.told(other, 0)
	r.gone(a)
	r.told(b, 1)
	r.neverRemoved(b, other)
}

func deadHoldsNobodyUp(c *trial) {
	hole, gone := c.s.Cluster.Proxy(c), c.s.Cluster.Proxy(c)
	hole.BlackHoleTCP()
	gone.Cut()
	dead := c.name()
	access := c.access(0)
	access.Server = hole.URL
	c.s.Add(c, dead, access)
	a := c.add(1)

	r := c.startInSync()
	r.told(a, 1)
	refused := c.name()
	access.Server = gone.URL
	c.s.Add(c, refused, access)
	b := c.add(2)
	r.told(b, 2)
	for _, name := range []string{dead, refused} { // they are there, whether they answer or not
		r.eventually(func() error {
			if _, there := r.Clusters()[c.s.Name(name)]; !there {
				return fmt.Errorf("cluster %q, which is dead, has not been told; it told %v", c.s.Name(name), r.Events())
			}
			return nil
		})
	}
	r.neverRemoved(dead, refused, a, b)
}

func restarts(c *trial) {
	a, b, x := c.add(0), c.add(1), c.add(2)
	r := c.startInSync()
	r.told(a, 0)
	r.told(x, 2)
	r.stop()
	c.s.Remove(c, x)
	y := c.add(2)
	user := 0
	if canRotate(c.s) {
		user = 2
		c.s.Rotate(c, a, c.access(user))
	}
	again := c.startInSync()
	again.told(a, user)
	again.told(b, 1)
	again.told(y, 2)
	again.gone(x)
}

// oldServer refuses watches that begin with what is there, as API servers before 1.32 do.
func oldServer(c *trial) {
	c.s.Account.proxy.Fail(http.StatusUnprocessableEntity, func(r *http.Request) bool { return r.URL.Query().Has("sendInitialEvents") })
	defer c.s.Account.proxy.RestoreHTTP()
	a := c.add(0)
	r := c.startInSync()
	r.told(a, 0)
	b := c.add(1)
	r.told(b, 1)
	c.s.Remove(c, a)
	r.gone(a)
}

func outage(c *trial) {
	stays, goes := c.add(0), c.add(1)
	r := c.startInSync()
	r.told(stays, 0)
	r.told(goes, 1)

	defer c.s.Account.proxy.Restore()
	c.s.Account.proxy.Cut()
	fleettest.Eventually(c, patience, func() error {
		if c.s.Account.proxy.Stats().Open > 0 {
			return fmt.Errorf("connections are still open")
		}
		return nil
	})
	user := 0
	if canRotate(c.s) {
		user = 2
		c.s.Rotate(c, stays, c.access(user))
	}
	c.s.Remove(c, goes)
	comes := c.add(1)
	if n := r.count("Remove", c.s.Name(goes)) + r.count("Remove", c.s.Name(stays)); n > 0 {
		c.Errorf("clusters were removed because the API server was away; it told %v", r.Events())
	}
	c.s.Account.proxy.Restore()
	r.told(comes, 1)
	r.gone(goes)
	r.told(stays, user)
	r.neverRemoved(stays, comes)
	r.eventually(func() error {
		if err := r.Faults()[""]; err != nil {
			return fmt.Errorf("its API server is back, and it is still at fault: %w", err)
		}
		return nil
	})
}
