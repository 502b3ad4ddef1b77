package cli

import (
	"cmp"
	"context"
	"fmt"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/advice"
	"github.com/hawser-io/hawser/internal/cli/install"
)

// cutOIDC takes the connection's grant away: its account, or what its user is bound to.
func (r *revoking) cutOIDC(ctx context.Context, list *changes) error {
	if err := install.CutGrants(ctx, r.there.Client, r.local, list.report); err != nil {
		return err
	}
	if list.count == 0 {
		return fmt.Errorf("there is no AccessGrant that join made for the connection from %q: find out what lets %s in with hawser grants explain, and delete that",
			r.local, cmp.Or(subjectOf(r.rc), "it"))
	}
	return nil
}

func subjectOf(rc *v1alpha1.RemoteCluster) string {
	if rc.Status.Credential == nil {
		return ""
	}
	return rc.Status.Credential.Subject
}

// aftermathOIDC says what is left and what can be done next.
func (r *revoking) aftermathOIDC() {
	out := r.d.out
	fmt.Fprintf(out, "RemoteCluster %q is still here, and so is the TrustedIssuer there: who is believed may do nothing without a grant.\n", r.name)
	if mend := advice.Of(r.rc, r.local); mend.Release == nil {
		fmt.Fprintf(out, "Join again:               %s\n", mend.Rejoin())
	} else {
		fmt.Fprintln(out, "Let it in again:          write its AccessGrant over there anew (docs/trust.md)")
	}
	r.sayForGood()
}
