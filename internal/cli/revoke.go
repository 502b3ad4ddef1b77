package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/internal/advice"
	"github.com/hawser-io/hawser/internal/cli/install"
	"github.com/hawser-io/hawser/internal/kinds"
	"github.com/hawser-io/hawser/member"
)

type revokeFlags struct {
	remote    remoteFlags
	localName string
	entry     leaveEKSFlags
}

// revokedWithin is how long an API server may go on to accept a dead credential: it caches a good
// token for ten seconds (--authentication-token-webhook-cache and the service-account token cache).
const revokedWithin = 15 * time.Second

func newRevoke(d *deps) *cobra.Command {
	var f revokeFlags
	cmd := &cobra.Command{
		Use:     "revoke NAME",
		GroupID: groupLook,
		Short:   "Cut a connection off in the remote cluster, at once",
		Long: `Cut a connection off in the remote cluster: whoever has its credential, or a token that was
minted with it, is refused from then on. The manager closes what runs over the connection.

Tokens die with their account, which is deleted (and, with --remote-context, made anew).
Certificates cannot be revoked: their user loses its rights instead. So does the group of an
identity in AWS, and with --access-entry the cluster forgets that identity.

With --remote-context it is done by your own rights. Without, by the connection's own
right to remove itself, which takes a credential that still works.

It then asks the remote cluster until the credential is refused, and says how long that took.`,
		Example: `  hawser revoke alpha
  hawser revoke alpha --remote-context alpha-admin`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: d.completeClusters(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := within(cmd, time.Minute)
			defer cancel()
			r := &revoking{d: d, name: args[0], flags: f}
			if err := r.run(ctx); err != nil {
				return fmt.Errorf("revoking the credential of cluster %q: %w", args[0], err)
			}
			return nil
		},
	}
	f.remote.add(cmd, "to cut it off by your own rights there")
	cmd.Flags().StringVar(&f.localName, "local-name", "", "name of the local cluster (default: what the manager was started with)")
	f.entry.add(cmd)
	return cmd
}

// revoking is one run of revoke.
type revoking struct {
	d     *deps
	name  string
	flags revokeFlags

	here     *cluster
	there    *cluster // nil without --remote-context
	rc       *v1alpha1.RemoteCluster
	local    string
	identity member.Identity
	conn     *connection.Connection // nil where the credential at rest is no good
	connErr  error
	entry    *entryToLeave    // of an identity in AWS
	release  *install.Release // that the member install is of
}

func (r *revoking) run(ctx context.Context) error {
	if err := r.prepare(ctx); err != nil {
		return err
	}
	cut := r.d.clock.Now()
	if err := r.cut(ctx); err != nil {
		return err
	}
	if err := annotate(ctx, r.here.Client, r.rc, v1alpha1.RevokedAnnotation, cut); err != nil {
		return fmt.Errorf("it is cut off in the remote cluster, but the manager could not be told to close what runs: %w", err)
	}
	err := r.confirm(ctx, cut)
	r.aftermath()
	return err
}

// prepare finds out whose credential it is.
func (r *revoking) prepare(ctx context.Context) error {
	var err error
	if r.here, err = r.d.local(); err != nil {
		return err
	}
	if r.rc, err = getCluster(ctx, r.here.Client, r.name); err != nil {
		return err
	}
	if r.local, err = r.d.localName(ctx, r.here.Client, r.flags.localName); err != nil {
		return err
	}
	if r.flags.remote.given() {
		if r.there, err = r.d.remoteOf(ctx, r.flags.remote, r.rc); err != nil {
			return err
		}
	}
	if r.entry, err = r.d.entryToLeave(ctx, r.here, r.rc, r.local, r.flags.entry); err != nil {
		return err
	}
	if err := r.refuseHalf(); err != nil {
		return err
	}
	if r.rc.Spec.Auth.OIDC != nil && r.there == nil {
		return usageError("an identity of a trusted issuer has no right to cut itself off: use your own with --remote-context CONTEXT")
	}
	r.conn, r.connErr = r.d.open(ctx, r.here, r.rc, r.local)
	return r.identify()
}

// identify finds out which identity of ours the credential is of.
func (r *revoking) identify() error {
	if r.entry != nil || r.rc.Spec.Auth.OIDC != nil {
		r.identity = member.Foreign
		return nil
	}
	subject := ""
	switch {
	case r.conn != nil:
		subject = r.conn.State().Subject
	case r.there == nil:
		return fmt.Errorf("its credential is of no use to cut itself off: %w. Use your own rights: hawser revoke %s --remote-context CONTEXT", r.connErr, r.name)
	case r.rc.Status.Credential != nil:
		subject = r.rc.Status.Credential.Subject
	}
	identity, own := ownSubject(subject, r.local)
	if subject != "" && !own {
		return fmt.Errorf("%s is no identity that Hawser made: revoke it where it was made", subject)
	}
	if own && identity != member.ServiceAccount && !r.rc.Spec.Auth.RenewsByCSR() {
		identity = member.Certificate
	}
	if !own {
		identity = member.IdentityOf(r.rc.Spec.Auth)
	}
	r.identity = identity
	return nil
}

// remoteOf reaches the remote cluster by the person's rights, and makes sure that it is the right one.
func (d *deps) remoteOf(ctx context.Context, f remoteFlags, rc *v1alpha1.RemoteCluster) (*cluster, error) {
	there, err := d.remote(f)
	if err != nil {
		return nil, err
	}
	id, err := kubeSystemUID(ctx, there.Client)
	if err != nil {
		return nil, fmt.Errorf("asking cluster %q who it is: %w", rc.Name, d.unanswered(f, there, err))
	}
	if known := clusterID(rc); known != "" && known != id {
		return nil, fmt.Errorf("RemoteCluster %q is cluster %s, and this context is cluster %s: name the right one with --remote-context", rc.Name, known, id)
	}
	return there, nil
}

func (r *revoking) cut(ctx context.Context) error {
	list := changes{d: r.d, title: "In the remote cluster:"}
	if r.there != nil {
		r.release, _ = install.ReleaseOf(ctx, r.there.Client, r.local) // only for words: nothing keeps it from being cut
	}
	if r.entry != nil {
		return r.cutEKS(ctx, &list)
	}
	if r.rc.Spec.Auth.OIDC != nil {
		return r.cutOIDC(ctx, &list)
	}
	if r.there != nil {
		if r.identity == member.ServiceAccount || r.identity == member.Foreign {
			return install.CutAccount(ctx, r.there.Client, r.local, list.report)
		}
		return install.CutBindings(ctx, r.there.Client, r.local, list.report)
	}
	scheme, err := kinds.Scheme()
	if err != nil {
		return err
	}
	c, err := client.New(r.conn.Config(), client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	r.release, _ = install.ReleaseOf(ctx, c, r.local) // as above
	if r.identity == member.ServiceAccount {
		account := install.Account(r.local)
		if err := c.Delete(ctx, account); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("deleting %s by the connection's own right: %w", install.Describe(account), err)
		}
		list.report(account, install.Deleted)
		return nil
	}
	return install.Teardown(ctx, c, r.local, r.identity, list.report)
}

// confirm asks the remote cluster with the credential until it is refused: 401 for a token, 403 for a certificate.
func (r *revoking) confirm(ctx context.Context, cut time.Time) error {
	if r.conn == nil {
		fmt.Fprintf(r.d.err, "Not confirmed, since there was no working credential to ask with: %s\n", r.connErr)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, revokedWithin)
	defer cancel()
	httpClient := r.conn.HTTPClient()
	err := poll(ctx, func() (bool, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+r.name+"/api/v1/namespaces/"+member.SystemNamespace, nil)
		if err != nil {
			return false, err
		}
		resp, err := httpClient.Do(req)
		if err != nil {
			return false, err
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden, nil
	})
	switch {
	case errors.Is(err, context.DeadlineExceeded) && r.entry != nil:
		return timeoutError("the remote cluster still accepts the identity after %s: it has rights, or an access entry, that did not come from Hawser here: hawser aws check %s", revokedWithin, r.name)
	case errors.Is(err, context.DeadlineExceeded) && r.rc.Spec.Auth.OIDC != nil:
		return timeoutError("the remote cluster still accepts the identity after %s: it has rights that did not come from the grant of join, or the member controllers do not run there", revokedWithin)
	case errors.Is(err, context.DeadlineExceeded):
		return timeoutError("the remote cluster still accepts the credential after %s: cut it off by your own rights: hawser revoke %s --remote-context CONTEXT", revokedWithin, r.name)
	case err != nil:
		return fmt.Errorf("asking whether it is refused now: %w", err)
	}
	_, err = fmt.Fprintf(r.d.out, "cluster %q refuses the credential, %.1fs after it was cut off\n", r.name, r.d.clock.Since(cut).Seconds())
	return err
}

// aftermath says what is left and what can be done next.
func (r *revoking) aftermath() {
	out := r.d.out
	if r.release != nil && r.identity != member.ServiceAccount && r.rc.Spec.Auth.OIDC == nil {
		fmt.Fprintf(r.d.err, "Its rights are of %s there, whose next upgrade gives them back: take %q out of member.localClusters before.\n", r.release, r.local)
	}
	if r.entry != nil {
		r.aftermathEKS()
		return
	}
	if r.rc.Spec.Auth.OIDC != nil {
		r.aftermathOIDC()
		return
	}
	mend := advice.Of(r.rc, r.local)
	fmt.Fprintf(out, "RemoteCluster %q and its Secrets are still here, with the dead credential.\n", r.name)
	if r.identity == member.Certificate || r.identity == member.RenewedCertificate {
		fmt.Fprintf(out, "The certificate of user %s has no rights any more, and expires %s. Do not give that user\nrights again before that: a new certificate would be for the same user.\n",
			v1alpha1.MemberUser(r.local), expiry(r.rc.Status.Credential, r.d.clock.Now()))
		if mend.Release != nil {
			fmt.Fprintf(out, "Let it in again with a token: %s\n", mend.Renewing())
		} else {
			fmt.Fprintf(out, "Join again with a token:  %s --auth bearerToken\n", mend.Rejoin())
		}
	} else if mend.Release != nil {
		fmt.Fprintf(out, "It is of %s. Let it in again, by the values on both sides:\n", mend.Release)
		if r.there == nil { // the account was not made anew: the connection has no right to do that
			fmt.Fprintf(out, "  %s\n", mend.UpgradeThere(""))
		}
		fmt.Fprintf(out, "  %s\n  %s\n", mend.Mint(), mend.Give())
	} else {
		fmt.Fprintf(out, "Join again:               %s\n", mend.Rejoin())
	}
	r.sayForGood()
}

// sayForGood says how the connection is removed.
func (r *revoking) sayForGood() {
	if mend := advice.Of(r.rc, r.local); mend.Release != nil {
		fmt.Fprintf(r.d.out, "Remove it for good:       %s\n", mend.Leave())
		return
	}
	fmt.Fprintf(r.d.out, "Remove it for good:       hawser leave %s --remote-context CONTEXT\n", r.name)
}
