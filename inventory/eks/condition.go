package eks

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Condition sums up a plan as the condition Ready. Where nothing answered, and all for one reason, it has
// that reason; clusters that are found and not up yet do not make it False.
func (p Plan) Condition() metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.Ready, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSynced}
	said := []string{fmt.Sprintf("%s found", count(p.Clusters, "cluster"))}
	if len(p.Failures) > 0 {
		c.Status, c.Reason = metav1.ConditionFalse, p.reason()
		said = []string{fmt.Sprintf("%d of %s answered, %s found", p.Answered, count(p.Asked, "pair")+" of account and region", count(p.Clusters, "cluster")), first(p.Failures)}
	}
	if len(p.Notes) > 0 {
		said = append(said, "not connected: "+first(p.Notes))
	}
	if len(p.Gone) > 0 {
		said = append(said, "kept although their clusters are gone: "+list(p.Gone))
	}
	if len(p.Unasked) > 0 {
		said = append(said, "kept in accounts or regions that are not looked at: "+list(p.Unasked))
	}
	c.Message = strings.Join(said, "; ")
	return c
}

func (p Plan) reason() string {
	reason := p.Failures[0].Reason
	for _, f := range p.Failures {
		if p.Answered > 0 || f.Reason != reason {
			return v1alpha1.ReasonPartlySynced
		}
	}
	return reason
}

func first(gaps []v1alpha1.InventoryGap) string {
	text := gaps[0].Where + ": " + gaps[0].Message
	if more := len(gaps) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more, see status.gaps)", more)
	}
	return text
}

// list names the first few.
func list(names []string) string {
	const few = 5
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
