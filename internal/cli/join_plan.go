package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws/access"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/internal/cli/install"
	"github.com/hawser-io/hawser/internal/version"
	"github.com/hawser-io/hawser/member"
)

// joining is one run of join: first it learns what there is and decides, then it acts.
type joining struct {
	newAccount bool // the member install made the connection's account just now
	d          *deps
	flags      joinFlags
	name       string
	given      func(flag string) bool

	// Learned and decided by prepare.
	here, there *cluster
	local       string
	endpoint    credential.Endpoint
	clusterID   string
	existing    *v1alpha1.RemoteCluster // nil where there is none
	auth        v1alpha1.Auth
	lifetime    time.Duration
	options     member.Options
	moving      bool          // from one identity of a member install to another
	account     string        // that the EKS cluster is in, where AWS was asked
	entry       access.Target // to be granted, with --access-entry
	federation  *federation   // what the remote cluster is told, with auth.type oidc

	fresh bool // a credential was made
	// written is the RemoteCluster as it was written.
	written *v1alpha1.RemoteCluster
}

// prepare changes nothing.
func (j *joining) prepare(ctx context.Context) error {
	var err error
	if j.here, err = j.d.local(); err != nil {
		return err
	}
	if j.there, err = j.reach(ctx); err != nil {
		return err
	}
	if j.local, err = j.d.localName(ctx, j.here.Client, j.flags.localName); err != nil {
		return err
	}
	if j.local == j.name {
		return fmt.Errorf("%q is the name of the local cluster: give the remote one another", j.name)
	}
	if j.endpoint, err = j.flags.endpoint(j.there.Config); err != nil {
		return err
	}
	if err := j.identify(ctx); err != nil {
		return err
	}
	if j.auth, err = j.decideAuth(ctx); err != nil {
		return err
	}
	if err := errors.Join(j.refuseEKSFlags(j.auth.Type), j.refuseOIDCFlags(j.auth.Type)); err != nil {
		return err
	}
	if len(j.flags.endpointCIDRs) > 0 && !slices.Contains(j.capabilities(), v1alpha1.CapabilityEndpoints) {
		return usageError("--endpoint-cidrs is only for clusters with the capability: add --capabilities endpoints")
	}
	j.lifetime = j.flags.lifetime
	if j.lifetime == 0 {
		j.lifetime = watchedLifetime
		if j.renews() {
			j.lifetime = renewedLifetime
		}
	}
	j.options = j.memberOptions()
	j.moving = j.decideMove()
	return j.options.Validate()
}

// decideMove reports whether the connection has another identity in the remote cluster than it will have.
func (j *joining) decideMove() bool {
	rc := j.existing
	if rc == nil || rc.Status.Credential == nil || rc.Annotations[v1alpha1.RevokedAnnotation] != "" {
		return false
	}
	old, own := ownSubject(rc.Status.Credential.Subject, j.local)
	switch {
	case storesNothing(rc.Spec.Auth.Type):
		return j.auth.Type != rc.Spec.Auth.Type
	case own && storesNothing(j.auth.Type):
		return true
	}
	return own && (old == member.ServiceAccount) != (j.options.Identity == member.ServiceAccount)
}

// renews reports whether Hawser will renew the credential by itself.
func (j *joining) renews() bool {
	return j.auth.Type == v1alpha1.AuthBearerToken || storesNothing(j.auth.Type) || j.auth.RenewsByCSR()
}

// endpoint is how the manager will reach the cluster: as the context does, unless flags say otherwise.
func (f *joinFlags) endpoint(config *rest.Config) (credential.Endpoint, error) {
	e, err := endpointOf(config)
	if err != nil {
		return e, fmt.Errorf("reading how the context reaches the cluster: %w", err)
	}
	if f.caFile != "" {
		if e.CAData, err = os.ReadFile(f.caFile); err != nil {
			return e, fmt.Errorf("reading --ca-file: %w", err)
		}
	}
	e.Server = cmp.Or(f.server, e.Server)
	e.TLSServerName = cmp.Or(f.serverName, e.TLSServerName)
	e.ProxyURL = cmp.Or(f.proxyURL, e.ProxyURL)
	switch {
	case !strings.HasPrefix(e.Server, "https://"):
		return e, fmt.Errorf("the context reaches the cluster at %s: Hawser sends credentials over https only; name such an address with --server", e.Server)
	case config.Insecure && f.caFile == "":
		return e, errors.New("the context skips the verification of the server (insecure-skip-tls-verify), which Hawser never does: give the CA with --ca-file")
	}
	return e, nil
}

func endpointOf(config *rest.Config) (credential.Endpoint, error) {
	e := credential.Endpoint{Server: config.Host, CAData: config.CAData, TLSServerName: config.ServerName}
	if len(e.CAData) == 0 && config.CAFile != "" {
		var err error
		if e.CAData, err = os.ReadFile(config.CAFile); err != nil {
			return e, err
		}
	}
	if config.Proxy == nil {
		return e, nil
	}
	target, err := url.Parse(e.Server)
	if err != nil {
		return e, errors.New("its address is no URL")
	}
	proxy, err := config.Proxy(&http.Request{URL: target})
	if err == nil && proxy != nil {
		e.ProxyURL = proxy.String()
	}
	return e, err
}

// identify finds out which cluster the remote one is, and whether the name is free for it.
func (j *joining) identify(ctx context.Context) error {
	var err error
	if j.clusterID, err = kubeSystemUID(ctx, j.there.Client); err != nil {
		if j.flags.remote.given() { // otherwise it was found in AWS
			err = j.d.unanswered(j.flags.remote, j.there, err)
		}
		return fmt.Errorf("asking the remote cluster who it is: %w", err)
	}
	own, err := kubeSystemUID(ctx, j.here.Client)
	if err != nil {
		return fmt.Errorf("asking the local cluster who it is: %w", err)
	}
	if own == j.clusterID {
		return errors.New("--remote-context is the local cluster itself: name another, or the local one with --context")
	}
	list, err := listClusters(ctx, j.here.Client, nil)
	if err != nil {
		return err
	}
	for i := range list {
		rc := &list[i]
		id := clusterID(rc)
		switch {
		case rc.Name == j.name:
			j.existing = rc
			if id != "" && id != j.clusterID && !j.flags.replace {
				return fmt.Errorf("RemoteCluster %q is cluster %s, and this context is cluster %s: choose another name, or put the new cluster in its place with --replace", j.name, id, j.clusterID)
			}
			if id != "" && id != j.clusterID {
				fmt.Fprintf(j.d.err, "Warning: the member side stays in the old cluster %s; remove it there with: hawser leave %s --remote-context OLD, before you join, or by hand\n", id, j.name)
			}
		case id == j.clusterID:
			fmt.Fprintf(j.d.err, "Warning: this cluster (%s) is joined already, under the name %q\n", j.clusterID, rc.Name)
		}
	}
	return nil
}

func kubeSystemUID(ctx context.Context, c client.Reader) (string, error) {
	var ns corev1.Namespace
	if err := c.Get(ctx, client.ObjectKey{Name: member.SystemNamespace}, &ns); err != nil {
		return "", fmt.Errorf("reading namespace %q: %w", member.SystemNamespace, err)
	}
	return string(ns.UID), nil
}

// decideAuth returns the auth block: what was there, changed by the flags.
func (j *joining) decideAuth(ctx context.Context) (v1alpha1.Auth, error) {
	auth := v1alpha1.Auth{Type: v1alpha1.AuthType(j.flags.auth)}
	switch {
	case auth.Type == "" && j.existing != nil:
		auth.Type = j.existing.Spec.Auth.Type // a repair, not a move
	case auth.Type == "":
		auth.Type = v1alpha1.AuthBearerToken
	}
	if j.existing != nil && j.existing.Spec.Auth.Type == auth.Type {
		j.existing.Spec.Auth.DeepCopyInto(&auth)
	}
	switch auth.Type {
	case v1alpha1.AuthBearerToken:
		if auth.BearerToken != nil && auth.BearerToken.Lifetime != nil && j.flags.lifetime != 0 {
			auth.BearerToken.Lifetime.Duration = j.flags.lifetime
		}
	case v1alpha1.AuthKubeconfig:
		auth.Kubeconfig = &v1alpha1.KubeconfigAuth{SecretRef: v1alpha1.SecretKeyRef{
			Name: v1alpha1.InputSecretName(j.name), Key: v1alpha1.DefaultKubeconfigKey,
		}}
	case v1alpha1.AuthMTLS:
		return j.decideRenewal(ctx, auth)
	case v1alpha1.AuthEKS:
		var err error
		auth.EKS, err = j.decideEKS(ctx)
		return auth, err
	case v1alpha1.AuthOIDC:
		var err error
		auth.OIDC, err = j.decideOIDC(ctx)
		return auth, err
	default:
		return auth, fmt.Errorf("join makes no credential for auth.type %s, which the RemoteCluster has: say with --auth what to move it to", auth.Type)
	}
	return auth, nil
}

// decideRenewal refuses csr where nobody would approve the renewals.
func (j *joining) decideRenewal(ctx context.Context, auth v1alpha1.Auth) (v1alpha1.Auth, error) {
	run, err := install.ControllersRun(ctx, j.there.Client, j.d.clock.Now())
	if err != nil {
		return auth, err
	}
	wanted := v1alpha1.CertificateRenewal(j.flags.renew)
	if wanted == "" && auth.MTLS != nil {
		wanted = auth.MTLS.Renew
	}
	if wanted == "" {
		wanted = v1alpha1.RenewByWatch
		if run {
			wanted = v1alpha1.RenewByCSR
		}
	}
	if auth.MTLS == nil {
		auth.MTLS = &v1alpha1.MTLSAuth{}
	}
	auth.MTLS.Renew = wanted
	if wanted == v1alpha1.RenewByWatch {
		auth.MTLS.Lifetime = nil
	} else if !run && !j.flags.dryRun {
		return auth, errors.New("--renew csr needs the member controllers in the remote cluster, and they do not run there (no fresh Lease): " +
			"start hawser member controllers there with the rights of hawser member manifests --controllers, or use --renew watch")
	}
	return auth, j.refuseStolen(ctx, auth)
}

// refuseStolen keeps a revoked certificate dead: the next one would be for the same user, whose
// rights the old one then had again.
func (j *joining) refuseStolen(ctx context.Context, auth v1alpha1.Auth) error {
	if j.existing == nil || j.existing.Annotations[v1alpha1.RevokedAnnotation] == "" || j.existing.Spec.Auth.Type != auth.Type || j.flags.replace {
		return nil
	}
	source, err := j.d.sourceOf(ctx, j.here, j.existing)
	if err != nil {
		return err
	}
	list, err := source.Obtain(ctx)
	if err != nil {
		return nil //nolint:nilerr // there is no old certificate to be afraid of
	}
	for _, old := range list {
		if !old.ExpiredAt(j.d.clock.Now()) {
			return fmt.Errorf("its certificate was revoked, but certificates die only by expiry, this one at %s: with a new one for the same user %s the old one would be good again. "+
				"Join with --auth bearerToken, wait until then, or go on with --replace if nobody else has it", stamp(old.ExpiresAt), old.Subject)
		}
	}
	return nil
}

func (j *joining) memberOptions() member.Options {
	o := member.Options{
		Local:            j.local,
		Identity:         member.IdentityOf(j.auth),
		MaxTokenLifetime: max(member.DefaultMaxTokenLifetime, j.lifetime),
		Version:          version.String(),
		Groups:           member.GroupsOf(j.auth),
	}
	if j.auth.Type == v1alpha1.AuthKubeconfig { // which here holds a token of the connection's account
		o.Identity = member.ServiceAccount
	}
	if j.federation != nil {
		o.Users = []string{j.federation.issuer.Spec.Prefix + j.ownSubjectHere()} // whom the grant binds
	}
	if j.existing != nil {
		o.Requires = j.existing.Spec.Requires
	}
	o.Capabilities = j.capabilities()
	return o
}

func (j *joining) capabilities() []v1alpha1.Capability {
	if j.existing != nil && !j.given("capabilities") {
		return j.existing.Spec.Capabilities
	}
	var list []v1alpha1.Capability
	for _, c := range j.flags.capabilities {
		list = append(list, v1alpha1.Capability(strings.TrimSpace(c)))
	}
	return list
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
