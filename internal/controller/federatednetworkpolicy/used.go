package federatednetworkpolicy

import (
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/calico"
	"github.com/hawser-io/hawser/endpoint/policy"
	"github.com/hawser-io/hawser/endpoint/publish"
)

// last is what a policy, the one of that UID, was when its selector could be used last: as this process has seen it, or as
// what is there tells.
func (r *LeaderReconciler) last(key publish.Key, uid types.UID, local policy.Local) policy.Last {
	if last, ok := r.used.last(key, uid); ok {
		return last
	}
	text, kinds := r.Objects.Closing(key, uid)
	last := policy.Last{Selector: text, Local: local}
	switch ofCalico := slices.Contains(kinds, calico.NetworkPolicies.GVK().GroupKind()); {
	case ofCalico:
		last.Target = v1alpha1.TargetCalico
	case len(kinds) > 0:
		last.Target = v1alpha1.TargetNetworkPolicy
	}
	if slices.ContainsFunc(kinds, func(k schema.GroupKind) bool { return k != kinds[0] }) {
		last.Selector = "" // one of them may not be complete
	}
	return last
}

// used is what policies were when their selectors could be used last.
type used struct {
	mu  sync.Mutex
	all map[publish.Key]usedBy
}

type usedBy struct {
	uid  types.UID
	last policy.Last
}

func (u *used) last(key publish.Key, uid types.UID) (policy.Last, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	by, ok := u.all[key]
	return by.last, ok && by.uid == uid
}

func (u *used) note(key publish.Key, uid types.UID, last policy.Last) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.all == nil {
		u.all = map[publish.Key]usedBy{}
	}
	u.all[key] = usedBy{uid, last}
}

func (u *used) forget(key publish.Key) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.all, key)
}
