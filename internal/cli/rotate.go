package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/advice"
	"github.com/hawser-io/hawser/internal/manager"
)

func newRotate(d *deps) *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:     "rotate NAME",
		GroupID: groupLook,
		Short:   "Renew the credential of a connection now",
		Long: `Ask the manager to renew the credential of a connection now, however young it is, and wait
until the new one is in use. Nothing that runs over the connection is interrupted.

The old credential stays good until it expires: hawser revoke is what kills it.`,
		Example:           "  hawser rotate alpha",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: d.completeClusters(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := within(cmd, timeout)
			defer cancel()
			return d.rotate(ctx, args[0], timeout)
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "how long to wait for the new credential")
	return cmd
}

func (d *deps) rotate(ctx context.Context, name string, timeout time.Duration) error {
	here, err := d.local()
	if err != nil {
		return err
	}
	rc, err := getCluster(ctx, here.Client, name)
	if err != nil {
		return err
	}
	if err := renewable(rc); err != nil {
		return fmt.Errorf("rotating the credential of cluster %q: %w", name, err)
	}
	was := rc.Status.Credential
	if err := d.afterTheSecond(ctx, was); err != nil {
		return err
	}
	asked := d.clock.Now()
	if err := annotate(ctx, here.Client, rc, v1alpha1.RenewAnnotation, asked); err != nil {
		return fmt.Errorf("rotating the credential of cluster %q: %w", name, err)
	}
	err = poll(ctx, func() (bool, error) {
		if rc, err = getCluster(ctx, here.Client, name); err != nil {
			return false, err
		}
		if !sameCredential(was, rc.Status.Credential) {
			return true, nil
		}
		if c := conditionOf(rc, v1alpha1.CredentialFresh); c.Reason == v1alpha1.ReasonRenewalFailed && !c.LastTransitionTime.Time.Before(asked.Truncate(time.Second)) {
			return false, fmt.Errorf("%s. The old credential is still in use. Find out more: hawser check %s", oneLine(c.Message), name)
		}
		return false, nil
	})
	switch {
	case ctx.Err() != nil:
		return timeoutError("rotating the credential of cluster %q: no new one within %s: %s", name, timeout, d.whyNot(context.WithoutCancel(ctx), here, rc))
	case err != nil:
		return fmt.Errorf("rotating the credential of cluster %q: %w", name, err)
	}
	now := d.clock.Now()
	_, err = fmt.Fprintf(d.out, "cluster %q has a new credential after %.1fs: it expires %s, the old one %s\n",
		name, now.Sub(asked).Seconds(), expiry(rc.Status.Credential, now), expiry(was, now))
	return err
}

// renewable says why a credential cannot be renewed, and what can be done instead.
func renewable(rc *v1alpha1.RemoteCluster) error {
	auth := rc.Spec.Auth
	switch {
	case rc.Spec.Disabled:
		return fmt.Errorf("the cluster is disabled: %s", advice.Of(rc, "").Set("disabled", false))
	case auth.Renews():
		return nil
	case (auth.Type == v1alpha1.AuthMTLS || auth.Type == v1alpha1.AuthKubeconfig) && advice.ReleaseOf(rc) != nil:
		return fmt.Errorf("its credential is only watched: %s", advice.Of(rc, "").Rejoin())
	case auth.Type == v1alpha1.AuthMTLS:
		return fmt.Errorf("its certificate is only watched: replace tls.crt and tls.key in Secret %q, or let Hawser renew it: hawser join %s --remote-context CONTEXT --auth mtls --renew csr",
			v1alpha1.InputSecretName(rc.Name), rc.Name)
	case auth.Type == v1alpha1.AuthKubeconfig:
		return fmt.Errorf("its kubeconfig is only watched: replace it in Secret %q, or move to a token that Hawser renews: hawser join %s --remote-context CONTEXT --auth bearerToken",
			auth.Kubeconfig.SecretRef.Name, rc.Name)
	case auth.Type == v1alpha1.AuthInCluster:
		return fmt.Errorf("it is the local cluster: the kubelet renews the token of Hawser's own account")
	}
	return fmt.Errorf("nothing is kept to be renewed with auth.type %s", auth.Type)
}

// afterTheSecond waits until a new credential will have another time than the old one: the API
// server keeps times in whole seconds.
func (d *deps) afterTheSecond(ctx context.Context, was *v1alpha1.CredentialStatus) error {
	if was == nil || was.RenewedAt == nil {
		return nil
	}
	pause := was.RenewedAt.Add(time.Second).Sub(d.clock.Now())
	if pause <= 0 || pause > time.Second {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-d.clock.After(pause):
		return nil
	}
}

// annotate writes the present time into an annotation by which the manager is told of something.
func annotate(ctx context.Context, c client.Client, rc *v1alpha1.RemoteCluster, annotation string, now time.Time) error {
	next := rc.DeepCopy()
	metav1.SetMetaDataAnnotation(&next.ObjectMeta, annotation, now.UTC().Format(time.RFC3339Nano))
	if err := c.Patch(ctx, next, client.MergeFrom(rc), client.FieldOwner(v1alpha1.FieldManager)); err != nil {
		return fmt.Errorf("annotating RemoteCluster %q: %w", rc.Name, err)
	}
	return nil
}

// whyNot guesses why the manager did not do what it was asked for.
func (d *deps) whyNot(ctx context.Context, here *cluster, rc *v1alpha1.RemoteCluster) string {
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	var lease coordinationv1.Lease
	err := here.Client.Get(ctx, client.ObjectKey{Namespace: d.namespace, Name: manager.LeaderLease}, &lease)
	if err == nil && lease.Spec.RenewTime != nil && d.clock.Since(lease.Spec.RenewTime.Time) > time.Minute {
		return fmt.Sprintf("no manager runs: its Lease %q in namespace %q was last renewed %s ago. Start it: hawser manager",
			manager.LeaderLease, d.namespace, age(d.clock.Now(), lease.Spec.RenewTime.Time))
	}
	if rc == nil || len(rc.Status.Conditions) == 0 {
		return "no manager has ever reported on it. Start it: hawser manager"
	}
	ready := conditionOf(rc, v1alpha1.Ready)
	return fmt.Sprintf("the manager may be stopped, or waits for the cluster (Ready is %s, %s: %s). Find out more: hawser check %s",
		ready.Status, ready.Reason, oneLine(ready.Message), rc.Name)
}

func expiry(c *v1alpha1.CredentialStatus, now time.Time) string {
	switch {
	case c == nil:
		return "unknown"
	case c.ExpiresAt == nil:
		return "never"
	}
	return stamp(c.ExpiresAt.Time) + " (" + inTime(now, c.ExpiresAt.Time) + ")"
}
