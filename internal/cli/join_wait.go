package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/advice"
	"github.com/hawser-io/hawser/internal/cli/install"
	"github.com/hawser-io/hawser/member"
)

// pollInterval is how often a command that waits looks whether it is over.
const pollInterval = 250 * time.Millisecond

// quietFor is how long join waits without a word: most of the time that is enough.
const quietFor = 2 * time.Second

// wait waits until the manager reports the cluster as Ready, and says what is missing meanwhile.
func (j *joining) wait(ctx context.Context) error {
	var was *v1alpha1.CredentialStatus
	if j.existing != nil {
		was = j.existing.Status.Credential
	}
	last, said, started := "", "", j.d.clock.Now()
	var rc *v1alpha1.RemoteCluster
	err := poll(ctx, func() (bool, error) {
		now, err := getCluster(ctx, j.here.Client, j.name)
		if err != nil {
			return false, err
		}
		rc = now
		last = missing(rc, j.fresh && sameCredential(was, rc.Status.Credential))
		if last != "" && last != said && j.d.clock.Since(started) > quietFor {
			said = last
			fmt.Fprintf(j.d.err, "waiting for %s: %s\n", j.name, said)
		}
		return last == "", nil
	})
	switch {
	case err == nil:
		fmt.Fprintf(j.d.out, "cluster %q is Ready: %s\n", j.name, accomplished(rc, j.d.clock.Now()))
		return nil
	case ctx.Err() != nil && rc != nil:
		return timeoutError("joining cluster %q: it did not become Ready within %s: %s. Find out why: hawser check %s", j.name, j.flags.timeout, last, j.name)
	}
	return fmt.Errorf("joining cluster %q: %w", j.name, err)
}

// poll calls done until it is true or fails. Like ctx, it forgives an answer that comes too late.
func poll(ctx context.Context, done func() (bool, error)) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		ok, err := done()
		if ok || (err != nil && ctx.Err() == nil) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// missing says what is not as it should be yet; empty if the cluster is Ready.
func missing(rc *v1alpha1.RemoteCluster, oldCredential bool) string {
	if len(rc.Status.Conditions) == 0 {
		return "no manager has reported on it yet (does hawser manager run?)"
	}
	if rc.Status.ObservedGeneration < rc.Generation {
		return "the manager has not seen the change yet"
	}
	ready := conditionOf(rc, v1alpha1.Ready)
	if ready.Status == metav1.ConditionTrue {
		if oldCredential {
			return strings.TrimSuffix("the new credential is not in use yet: "+oneLine(conditionOf(rc, v1alpha1.CredentialFresh).Message), ": ")
		}
		return ""
	}
	var parts []string
	for _, kind := range conditionOrder {
		if c := conditionOf(rc, kind); kind != v1alpha1.Ready && c.Status == metav1.ConditionFalse {
			parts = append(parts, fmt.Sprintf("%s is False (%s): %s", kind, c.Reason, oneLine(c.Message)))
		}
	}
	if len(parts) == 0 {
		return fmt.Sprintf("%s: %s", ready.Reason, oneLine(ready.Message))
	}
	return strings.Join(parts, "; ")
}

func sameCredential(a, b *v1alpha1.CredentialStatus) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.RenewedAt.Equal(b.RenewedAt) && a.ExpiresAt.Equal(b.ExpiresAt)
}

func accomplished(rc *v1alpha1.RemoteCluster, now time.Time) string {
	s := summarize(rc, identity{})
	text := fmt.Sprintf("Kubernetes %s, as %s, credential ", orDash(s.KubernetesVersion), orDash(s.Subject))
	if s.ExpiresAt == nil {
		return text + "never expires"
	}
	return text + "good until " + stamp(s.ExpiresAt.Time) + " (" + s.expires(now) + ")"
}

// printPlan prints every object on each side.
func (j *joining) printPlan(ctx context.Context) error {
	objs := j.remoteObjects()
	uid, err := install.NamespaceUID(ctx, j.there.Client, j.local)
	if err != nil {
		return err
	}
	if uid != "" {
		member.SetOwner(objs, uid)
	}
	objs, held, err := install.Planned(ctx, j.there.Client, j.local, objs)
	if err != nil {
		return fmt.Errorf("joining cluster %q: %w", j.name, valuesFor(err, j.options))
	}
	remote, err := member.YAML(objs)
	if err != nil {
		return err
	}
	local, err := j.localPlan(ctx)
	if err != nil {
		return err
	}
	how := map[v1alpha1.AuthType]string{
		v1alpha1.AuthBearerToken: "a token of this account, by a TokenRequest",
		v1alpha1.AuthMTLS:        "a client certificate for user " + v1alpha1.MemberUser(j.local) + ", by a CertificateSigningRequest that you approve",
		v1alpha1.AuthKubeconfig:  "a kubeconfig with a token of this account, by a TokenRequest",
	}[j.auth.Type]
	fmt.Fprintf(j.d.out, "# In the remote cluster %s. Everything of this connection is owned by its namespace.\n%s", j.clusterID, remote)
	if len(held) > 0 {
		fmt.Fprintf(j.d.out, "# Of a Helm release there, and used as it is: %s.\n", strings.Join(held, ", "))
	}
	switch j.auth.Type {
	case v1alpha1.AuthEKS:
		err = j.eksPlan(ctx)
	case v1alpha1.AuthOIDC:
		err = j.oidcPlan()
	default:
		fmt.Fprintf(j.d.out, "---\n# Then, unless the present one still works: %s, good for %s.\n", how, j.lifetime)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(j.d.out, "# In the local cluster %q.\n%s", j.local, local)
	return err
}

// localPlan is what join would write in the local cluster, and what it would leave to somebody else.
func (j *joining) localPlan(ctx context.Context) ([]byte, error) {
	rc := j.remoteCluster(j.existing)
	objs := []client.Object{rc}
	var notes string
	if !storesNothing(j.auth.Type) {
		secret := j.secret()
		var now corev1.Secret
		err := j.here.Client.Get(ctx, client.ObjectKeyFromObject(secret), &now)
		switch {
		case err == nil && !j.overwrites(&now):
			notes += fmt.Sprintf("# %s stays as it is. If what is in it does not work: %s.\n", install.Describe(secret), j.othersSecret(&now))
		case client.IgnoreNotFound(err) != nil:
			return nil, fmt.Errorf("reading %s: %w", install.Describe(secret), err)
		default:
			secret.StringData = map[string]string{}
			for _, key := range secretKeys(j.auth.Type) {
				secret.StringData[key] = "[redacted]"
			}
			objs = []client.Object{secret, rc}
		}
	}
	if release := advice.ReleaseOf(rc); release != nil {
		notes += fmt.Sprintf("# RemoteCluster %q is of %s, whose next upgrade sets back what differs here.\n", rc.Name, release)
	}
	text, err := member.YAML(objs)
	return append([]byte(notes), text...), err
}

func secretKeys(auth v1alpha1.AuthType) []string {
	switch auth {
	case v1alpha1.AuthMTLS:
		return []string{v1alpha1.TLSCertKey, v1alpha1.TLSKeyKey}
	case v1alpha1.AuthKubeconfig:
		return []string{v1alpha1.DefaultKubeconfigKey}
	}
	return []string{v1alpha1.BearerTokenKey}
}
