package publish

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Cluster is what the leader knows of one: what its RemoteCluster says.
type Cluster struct {
	Name   string
	Labels map[string]string
	// Local says that it is the local one.
	Local bool
	// Gone says that nothing may be left of it: it is being deleted.
	Gone bool
	// Answering says that the connection to it works.
	Answering bool
}

// Statement is a reason with what there is to say.
type Statement struct{ Reason, Message string }

// Asked is an item as the leader sees it.
type Asked struct {
	Key        Key
	Owner      metav1.OwnerReference
	Generation int64
	Scope      v1alpha1.ClusterScope
	// Status is what was read last.
	Status v1alpha1.FederationStatus
	// Clusters are all RemoteClusters. Local is the name of the local cluster, which may be none of them.
	Clusters []Cluster
	Local    string
	// Refused says why the item, or a part of it, is not done as it is asked; Warned what is hardly meant so.
	Refused, Warned []Statement
	// Looked says that what matches nothing is among Warned, or that no endpoints are asked for, as by a policy of addresses
	// alone: that there are none says no more.
	Looked bool
	// Held says that nothing is made of the spec as it is: the objects of no cluster stay, and so do those of every cluster
	// that is not gone.
	Held bool
	// Stays says that it is not known which objects of no cluster are wanted: what is there stays, and lets nothing through.
	Stays bool
}

// selected are the clusters that endpoints are to be taken from, by name.
func (a *Asked) selected() map[string]*Cluster {
	all := map[string]*Cluster{}
	for i := range a.Clusters {
		if c := &a.Clusters[i]; !c.Gone && Selects(a.Scope, c.Name, c.Labels, c.Local) {
			all[c.Name] = c
		}
	}
	return all
}

// kept are those whose objects are not swept: those that are selected. Where nothing is made of the spec as it is, whoever makes them follows
// another one, which is not known here: these may be all.
func (a *Asked) kept() map[string]*Cluster {
	if !a.Held {
		return a.selected()
	}
	all := map[string]*Cluster{}
	for i := range a.Clusters {
		if c := &a.Clusters[i]; !c.Gone {
			all[c.Name] = c
		}
	}
	return all
}

// summary is what the leader says of an item.
type summary struct {
	conditions           []metav1.Condition
	endpoints, addresses int64
}

// summarize decides what to say. refused is what the leader itself could not write.
func summarize(a *Asked, refused []string, now time.Time) summary {
	selected := a.selected()
	var s summary
	for _, e := range a.Status.Clusters {
		if selected[e.Name] != nil {
			s.endpoints += e.Endpoints
			s.addresses += e.Addresses
		}
	}
	s.conditions = slices.Clone(a.Status.Conditions)
	for _, c := range []metav1.Condition{a.complete(selected), a.ready(selected, refused, s.endpoints)} {
		c.ObservedGeneration, c.LastTransitionTime = a.Generation, metav1.NewTime(now.Truncate(time.Second))
		c.Message = bounded(c.Message)
		meta.SetStatusCondition(&s.conditions, c)
	}
	return s
}

// bounded cuts a message to what a condition may hold.
func bounded(text string) string {
	const long = 32 << 10
	if len(text) <= long {
		return text
	}
	return strings.ToValidUTF8(text[:long-len("…")], "") + "…"
}

func (a *Asked) entry(name string) *v1alpha1.FederatedCluster {
	for i := range a.Status.Clusters {
		if a.Status.Clusters[i].Name == name {
			return &a.Status.Clusters[i]
		}
	}
	return nil
}

// ready says whether what is asked is written, as far as clusters are heard of.
func (a *Asked) ready(selected map[string]*Cluster, refused []string, endpoints int64) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.Ready, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonWritten}
	pending, notWritten, objects := a.written(selected)
	all := slices.Sorted(slices.Values(slices.Concat(refused, notWritten)))
	switch {
	case len(a.Refused) > 0:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, a.Refused[0].Reason, messages(a.Refused)
		if len(all) > 0 {
			c.Message += "\n" + strings.Join(all, "; ")
		}
	case len(all) > 0:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, v1alpha1.ReasonOutputsRefused, strings.Join(all, "; ")
	case len(pending) > 0:
		c.Status, c.Reason, c.Message = metav1.ConditionUnknown, v1alpha1.ReasonPending, "waiting for "+strings.Join(pending, ", ")
	case len(a.Warned) > 0:
		c.Reason, c.Message = a.Warned[0].Reason, messages(a.Warned)
	case endpoints == 0 && len(selected) > 0 && !a.Looked:
		c.Reason, c.Message = v1alpha1.ReasonSelectsNothing, fmt.Sprintf("nothing matches, in none of %d clusters: is the selector meant so?", len(selected))
	default:
		c.Message = fmt.Sprintf("%d objects of %d clusters are written", objects, len(selected))
	}
	return c
}

// written is what is written of the clusters: those of which something is still to be expected, what was refused, and
// how many objects there are.
func (a *Asked) written(selected map[string]*Cluster) (pending, refused []string, objects int32) {
	for name, cluster := range selected {
		e := a.entry(name)
		switch {
		case cluster.Answering && (e == nil || e.ObservedGeneration < a.Generation && e.StaleSince == nil && !e.Expired):
			pending = append(pending, name)
		case e != nil && e.ObservedGeneration > 0 && e.ObservedGeneration < a.Generation: // it may be less than what was made
			pending = append(pending, fmt.Sprintf("%s (it is not heard of, and generation %d was the last that something was made of it by)", name, e.ObservedGeneration))
		}
		if e == nil {
			continue
		}
		objects += e.Objects
		for _, r := range e.Refused {
			refused = append(refused, fmt.Sprintf("%s: %s", name, r))
		}
	}
	slices.Sort(pending)
	return pending, refused, objects
}

func messages(all []Statement) string {
	var texts []string
	for _, s := range all {
		texts = append(texts, s.Message)
	}
	return strings.Join(texts, "\n")
}
