package guard

import (
	"context"
	"errors"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Spec is one version of an object of which something is made.
type Spec struct {
	types.NamespacedName
	UID        types.UID
	Generation int64
	// Worked says that something was made of this generation.
	Worked bool
	// Conditions of its status.
	Conditions []metav1.Condition
}

// Verdict is whether something may be made of a spec. The zero Verdict is that all is well.
type Verdict struct {
	// Held is where nothing is to be made of it.
	Held bool
	// Missing is where a policy is not in force now.
	Missing bool
	// Reason is that of the condition Ready, and Message says why. Both are empty where all is well.
	Reason, Message string
}

// Unasked remembers which specs were seen for the first time while nobody kept their authors within their rights:
// admission sees a spec when it is written, and not again, so that of these nothing is made when the policy is back,
// until they are written again. The zero Unasked is ready to use, by several goroutines.
//
// What outlives the process is the reason of the condition Ready, which the leader writes: v1alpha1.ReasonAuthorUnasked,
// or any other, by which it has said that the spec was there while the policy was in force.
type Unasked struct {
	mu   sync.Mutex
	seen map[types.NamespacedName]first
}

// first is how a generation was seen first.
type first struct {
	uid        types.UID
	generation int64
	unasked    bool
}

// Authority says whether authors are kept within their rights: a Policy, or Policies.
type Authority interface {
	// Missing is nil where they are, and otherwise says what to do, or that it could not be found out.
	Missing(ctx context.Context) error
}

// Ask judges a spec by what the authority says now. Where there is none to ask, all is well. An error says that it could not
// be found out whether authors are kept within their rights: ask again.
func (u *Unasked) Ask(ctx context.Context, by Authority, s Spec) (Verdict, error) {
	if by == nil {
		return Verdict{}, nil
	}
	missing := by.Missing(ctx)
	if errors.As(missing, new(notKnown)) {
		return Verdict{}, missing
	}
	unasked := u.judge(missing, s)
	switch {
	case unasked && missing != nil:
		return Verdict{Held: true, Missing: true, Reason: v1alpha1.ReasonAuthorUnasked, Message: unaskedText + ". And " + missing.Error()}, nil //nolint:nilerr // that is the answer
	case unasked:
		return Verdict{Held: true, Reason: v1alpha1.ReasonAuthorUnasked, Message: unaskedText}, nil
	case missing != nil:
		reason := v1alpha1.ReasonAuthorsUnbounded
		if errors.As(missing, new(managerUnbounded)) {
			reason = v1alpha1.ReasonManagerUnbounded
		}
		return Verdict{Held: !s.Worked, Missing: true, Reason: reason, Message: "nothing new is made: " + missing.Error()}, nil
	}
	return Verdict{}, nil
}

const unaskedText = "nothing new is made: this was written while nobody kept authors within their rights. " +
	"Change its spec, or delete it and make it anew, so that its author is asked"

func (u *Unasked) judge(missing error, s Spec) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	was, known := u.seen[s.NamespacedName]
	known = known && was.uid == s.UID && was.generation == s.Generation
	said := meta.FindStatusCondition(s.Conditions, v1alpha1.Ready)
	now := first{s.UID, s.Generation, false}
	switch {
	case s.Worked:
	case said != nil && said.ObservedGeneration == s.Generation:
		now.unasked = said.Reason == v1alpha1.ReasonAuthorUnasked
	case known:
		now.unasked = was.unasked
	default:
		now.unasked = missing != nil && !errors.As(missing, new(managerUnbounded))
	}
	if u.seen == nil {
		u.seen = map[types.NamespacedName]first{}
	}
	u.seen[s.NamespacedName] = now
	return now.unasked
}

// Forget is called for what is gone.
func (u *Unasked) Forget(name types.NamespacedName) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.seen, name)
}
