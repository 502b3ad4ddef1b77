package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/advice"
	"github.com/hawser-io/hawser/internal/cli/install"
	"github.com/hawser-io/hawser/member"
)

type leaveFlags struct {
	remote    remoteFlags
	localName string
	timeout   time.Duration
	force     bool
	entry     leaveEKSFlags
}

func newLeave(d *deps) *cobra.Command {
	var f leaveFlags
	cmd := &cobra.Command{
		Use:     "leave NAME",
		GroupID: groupConnect,
		Short:   "Disconnect a cluster and remove what join made on both sides",
		Long: `Disconnect a cluster: the opposite of join. It deletes the RemoteCluster, upon which the
manager removes the member side by the connection's own right, and the Secrets that join
and the manager made. Secrets that came another way stay.

With --remote-context it also removes, by your own rights, what is then left of the member
side, and what all connections into that cluster share if this was the last one. What a Helm
release made there stays: it says which release to upgrade or to uninstall.

It works when the remote cluster is gone, too, and then says what may be left there.`,
		Example: `  hawser leave alpha
  hawser leave alpha --remote-context alpha-admin
  # the manager does not run any more
  hawser leave alpha --remote-context alpha-admin --force`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: d.completeClusters(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := within(cmd, f.timeout)
			defer cancel()
			l := &leaving{d: d, name: args[0], flags: f}
			return l.run(ctx)
		},
	}
	f.remote.add(cmd, "to remove by your own rights what is left there")
	cmd.Flags().StringVar(&f.localName, "local-name", "", "name of the local cluster (default: what the manager was started with)")
	cmd.Flags().DurationVar(&f.timeout, "timeout", time.Minute, "how long to wait until everything is gone")
	cmd.Flags().BoolVar(&f.force, "force", false, "do not wait for the manager: take its finalizer away")
	f.entry.add(cmd)
	return cmd
}

// leaving is one run of leave.
type leaving struct {
	d     *deps
	name  string
	flags leaveFlags

	here, there *cluster // there is nil without --remote-context
	rc          *v1alpha1.RemoteCluster
	local       string
	behind      string // why something may be left in the remote cluster
	entry       *entryToLeave
	held        bool // some of it is of a Helm release, and stays or comes back
}

func (l *leaving) run(ctx context.Context) error {
	if err := l.prepare(ctx); err != nil {
		return fmt.Errorf("leaving cluster %q: %w", l.name, err)
	}
	list := &changes{d: l.d, title: "In the local cluster:"}
	if err := l.deleteCluster(ctx, list); err != nil {
		return fmt.Errorf("leaving cluster %q: %w", l.name, err)
	}
	if err := l.d.deleteSecrets(ctx, l.here, l.name, list); err != nil {
		return fmt.Errorf("leaving cluster %q: %w", l.name, err)
	}
	list.end()
	if err := l.entry.leave(ctx); err != nil {
		return fmt.Errorf("leaving cluster %q: %w", l.name, err)
	}
	if l.there != nil {
		remote := &changes{d: l.d, title: "In the remote cluster:"}
		if err := l.removeThere(ctx, remote.report); err != nil {
			return fmt.Errorf("leaving cluster %q: %w", l.name, err)
		}
		remote.end()
		if l.held {
			return gaps()
		}
		return nil
	}
	if l.behind == "" {
		l.sayShared()
		if l.held {
			return gaps()
		}
		return nil
	}
	useful := "They are of no use to anybody once the credentials have expired."
	if l.entry != nil {
		useful = "They serve whoever else is in the group " + v1alpha1.MembersGroup + " there."
	}
	if l.rc.Spec.Auth.OIDC != nil {
		useful = "The AccessGrant there lets the manager's account of this cluster in for as long as it is there."
	}
	fmt.Fprintf(l.d.err, `In the remote cluster, namespace %q and the roles and bindings of this connection may be left: %s.
%s Remove them with
  hawser leave %s --local-name %s --remote-context CONTEXT
`, v1alpha1.MemberNamespace(l.local), l.behind, useful, l.name, l.local)
	return gaps()
}

// sayShared names what the connection's own right did not remove, because other connections may need it.
func (l *leaving) sayShared() {
	if l.rc == nil || l.rc.Status.Credential == nil {
		return
	}
	if _, own := ownSubject(l.rc.Status.Credential.Subject, l.local); !own {
		return // nothing was made there by us
	}
	var names []string
	for _, obj := range install.Shared(l.rc.Spec.Capabilities...) {
		names = append(names, install.Describe(obj))
	}
	fmt.Fprintf(l.d.err, `What all connections into the remote cluster share stays there: %s, and namespace %q.
It gives nobody anything by itself. If this was the last connection, remove it with
  hawser leave %s --local-name %s --remote-context CONTEXT
`, strings.Join(names, ", "), v1alpha1.Namespace, l.name, l.local)
}

// removeThere removes what is left in the remote cluster, unless another RemoteCluster goes by it.
func (l *leaving) removeThere(ctx context.Context, report install.Report) error {
	id, err := kubeSystemUID(ctx, l.there.Client)
	if err != nil {
		return err
	}
	var all v1alpha1.RemoteClusterList
	if err := l.here.Client.List(ctx, &all); err != nil {
		return fmt.Errorf("listing RemoteClusters: %w", err)
	}
	var other *v1alpha1.RemoteCluster
	trusted := false // another RemoteCluster goes by the trust that join made
	for i, rc := range all.Items {
		if rc.Name != l.name && !rc.IsLocal() && clusterID(&rc) == id {
			other, trusted = &all.Items[i], trusted || rc.Spec.Auth.Type == v1alpha1.AuthOIDC
		}
	}
	if !trusted {
		if err := install.RemoveFederation(ctx, l.there.Client, l.local, report); err != nil {
			return err
		}
	}
	if other != nil {
		fmt.Fprintf(l.d.err, "The member install stays: RemoteCluster %q is the same cluster, and goes by it.\n", other.Name)
		return nil
	}
	if err := install.Remove(ctx, l.there.Client, l.local, report); err != nil {
		return err
	}
	return l.sayHeld(ctx)
}

// sayHeld names what is Helm's to remove: its next upgrade would bring it back.
func (l *leaving) sayHeld(ctx context.Context) error {
	release, held, err := install.Held(ctx, l.there.Client, l.local)
	if err != nil || release == nil {
		return err
	}
	l.held = true
	fmt.Fprintf(l.d.err, `What is of %s there stays: %s.
Take %q out of that release's member.localClusters by helm upgrade, or, if nobody else comes in by it:
  helm uninstall %s --namespace %s --kube-context CONTEXT
`, release, strings.Join(held, ", "), l.local, release.Name, release.Namespace)
	return nil
}

func (l *leaving) prepare(ctx context.Context) error {
	var err error
	if l.here, err = l.d.local(); err != nil {
		return err
	}
	if l.local, err = l.d.localName(ctx, l.here.Client, l.flags.localName); err != nil {
		return err
	}
	var rc v1alpha1.RemoteCluster
	err = l.here.Client.Get(ctx, client.ObjectKey{Name: l.name}, &rc)
	switch {
	case err == nil:
		l.rc = &rc
	case apierrors.IsNotFound(err):
		fmt.Fprintf(l.d.err, "There is no RemoteCluster %q any more; what else is left of it will be removed.\n", l.name)
		rc.Name = l.name
	default:
		return explainMissingKind(fmt.Errorf("reading RemoteCluster %q: %w", l.name, err))
	}
	if l.rc != nil && l.rc.IsLocal() {
		return fmt.Errorf("it is the local cluster, which a manager puts into its own fleet: start that with --management-only")
	}
	if l.entry, err = l.d.entryToLeave(ctx, l.here, l.rc, l.local, l.flags.entry); err != nil {
		return err
	}
	if !l.flags.remote.given() {
		return nil
	}
	l.there, err = l.d.remoteOf(ctx, l.flags.remote, &rc)
	return err
}

// deleteCluster deletes the RemoteCluster and waits until the manager has cleaned up.
func (l *leaving) deleteCluster(ctx context.Context, list *changes) error {
	if l.rc == nil {
		return nil
	}
	if err := l.holdUntilToldThere(ctx); err != nil {
		return err
	}
	if err := l.here.Client.Delete(ctx, l.rc); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting RemoteCluster %q: %w", l.name, err)
	}
	if l.flags.force {
		if err := l.removeFinalizer(ctx); err != nil {
			return err
		}
		l.behind = "the manager was not waited for"
	}
	err := poll(ctx, func() (bool, error) {
		var now v1alpha1.RemoteCluster
		err := l.here.Client.Get(ctx, client.ObjectKey{Name: l.name}, &now)
		return apierrors.IsNotFound(err) || (err == nil && now.UID != l.rc.UID), client.IgnoreNotFound(err)
	})
	if ctx.Err() != nil {
		return timeoutError("RemoteCluster %q still waits for the manager to clean up after %s: %s. Or go on without it: hawser leave %s --force",
			l.name, l.flags.timeout, l.d.whyNot(context.WithoutCancel(ctx), l.here, l.rc), l.name)
	}
	if err != nil {
		return fmt.Errorf("waiting until RemoteCluster %q is gone: %w", l.name, err)
	}
	list.add(install.Deleted, fmt.Sprintf("RemoteCluster %q", l.name))
	if back := advice.Of(l.rc, l.local).ComesBack(); back != "" {
		fmt.Fprintln(l.d.err, back)
		l.held = true
	}
	if l.behind == "" {
		l.behind = l.leftBehind(ctx)
	}
	return nil
}

// holdUntilToldThere lets the manager clean up the remote side also of what a person wrote and installed by
// hand: whoever leaves asks for the end of both sides. What is of a Helm release has a release over there.
func (l *leaving) holdUntilToldThere(ctx context.Context) error {
	switch t := l.rc.Spec.Auth.Type; {
	case l.rc.Labels[v1alpha1.ManagedByLabel] == advice.Helm:
		l.behind = "they belong to whoever installed the member side, as a Helm release did this one"
		return nil
	case l.flags.force, l.rc.DeletionTimestamp != nil, t != v1alpha1.AuthBearerToken && t != v1alpha1.AuthMTLS && t != v1alpha1.AuthKubeconfig:
		return nil
	}
	if release := l.releaseThere(ctx); release != nil {
		l.behind = fmt.Sprintf("they are of %s there, which would bring them back", release)
		return nil
	}
	before := l.rc.DeepCopy()
	if !controllerutil.AddFinalizer(l.rc, v1alpha1.Finalizer) {
		return nil
	}
	if err := l.here.Client.Patch(ctx, l.rc, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("preparing the end of RemoteCluster %q: %w", l.name, err)
	}
	return nil
}

// releaseThere is the Helm release that the member side is of, as far as the connection can see it.
func (l *leaving) releaseThere(ctx context.Context) *install.Release {
	if !l.wasReady() || l.there != nil {
		return nil // sayHeld will look
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := l.d.open(ctx, l.here, l.rc, l.local)
	if err != nil {
		return nil
	}
	c, err := client.New(conn.Config(), client.Options{})
	if err != nil {
		return nil
	}
	release, _ := install.ReleaseOf(ctx, c, l.local)
	return release
}

func (l *leaving) removeFinalizer(ctx context.Context) error {
	patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
	if err := l.here.Client.Patch(ctx, l.rc.DeepCopy(), patch); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("removing the finalizer of RemoteCluster %q: %w", l.name, err)
	}
	return nil
}

// leftBehind is what the manager said in an event, or what the last status tells: it could not clean up
// where the connection never had an identity of ours.
func (l *leaving) leftBehind(ctx context.Context) string {
	if l.entry != nil {
		return "an identity in AWS has no right to remove itself"
	}
	if l.rc.Spec.Auth.OIDC != nil {
		return "an identity of a trusted issuer has no right to remove itself"
	}
	if c := l.rc.Status.Credential; c == nil {
		return "the connection never had a credential that was accepted"
	} else if identity, _ := ownSubject(c.Subject, l.local); identity == member.Foreign {
		return "" // somebody else's account: nothing was made there by us
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	why := ""
	_ = poll(ctx, func() (bool, error) { // events arrive a little later; most of the time there is none
		var events corev1.EventList
		err := l.here.Client.List(ctx, &events, client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("involvedObject.uid", string(l.rc.UID))})
		for _, e := range events.Items {
			if e.Reason == "LeftBehind" {
				why, _, _ = strings.Cut(oneLine(e.Message), ". It is of no use")
			}
		}
		return why != "" || l.wasReady(), err
	})
	return why
}

func (l *leaving) wasReady() bool { return conditionOf(l.rc, v1alpha1.Ready).Status == "True" }

// deleteSecrets deletes the Secrets of the cluster that Hawser made.
func (d *deps) deleteSecrets(ctx context.Context, here *cluster, cluster string, list *changes) error {
	for _, name := range []string{v1alpha1.InputSecretName(cluster), v1alpha1.CredentialSecretName(cluster)} {
		var secret corev1.Secret
		err := here.Client.Get(ctx, client.ObjectKey{Namespace: d.namespace, Name: name}, &secret)
		switch {
		case apierrors.IsNotFound(err):
			continue
		case err != nil:
			return fmt.Errorf("reading Secret %q: %w", name, err)
		case secret.Labels[v1alpha1.ManagedByLabel] != v1alpha1.ManagedBy:
			fmt.Fprintf(d.err, "Secret %q in namespace %q stays: Hawser did not make it\n", name, d.namespace)
			continue
		}
		if err := here.Client.Delete(ctx, &secret, client.Preconditions{UID: &secret.UID}); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("deleting Secret %q: %w", name, err)
		}
		list.add(install.Deleted, fmt.Sprintf("Secret %q", name))
	}
	return nil
}
