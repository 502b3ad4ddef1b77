package cli

import (
	"cmp"
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/internal/manager"
	"github.com/hawser-io/hawser/internal/version"
	"github.com/hawser-io/hawser/inventory/capa"
	inventory "github.com/hawser-io/hawser/inventory/remotecluster"
	"github.com/hawser-io/hawser/member"
)

// atRest is a source of the credentials that lie in the local cluster. It renews none and, having no
// method Keep, writes none: only the manager does.
type atRest struct{ credential.Source }

// Obtain returns the credentials as ones that only a changed Secret replaces.
func (s atRest) Obtain(ctx context.Context) ([]credential.Credential, error) {
	list, err := s.Source.Obtain(ctx)
	for i := range list {
		list[i].Watched = true
	}
	return list, err
}

// Renew is never called for what is only watched.
func (atRest) Renew(_ context.Context, current credential.Credential, _ credential.Link) (credential.Credential, error) {
	return current, nil
}

// sourceOf returns the credential source of a RemoteCluster as the manager makes it.
// With auth.type eks it starts from the AWS identity of whoever runs the command.
func (d *deps) sourceOf(ctx context.Context, here *cluster, rc *v1alpha1.RemoteCluster) (credential.Source, error) {
	sources := manager.Sources{Client: here.Kube, Config: here.Config, Namespace: d.namespace, Clock: d.clock, Objects: here.Client}
	if rc.Spec.Auth.Type == v1alpha1.AuthEKS {
		id, err := d.identityOf(ctx, here.Client)
		if err != nil {
			return nil, err
		}
		inAWS, err := manager.NewAWS(ctx, here.Client, here.Client, here.Kube.CoreV1().Secrets(d.namespace), cmp.Or(id.ClusterAPI, capa.DefaultNamespace), d.clock)
		if err != nil {
			return nil, err
		}
		sources.AWS = inAWS
	}
	return sources.New(rc)
}

// openTimeout is how long a cluster may take to accept the credential at rest.
const openTimeout = 10 * time.Second

// open reaches a remote cluster with the credential at rest, over a connection of its own that ends
// with ctx: the credential is shown to no server that it is not bound to. It returns once the
// cluster has accepted the credential.
func (d *deps) open(ctx context.Context, here *cluster, rc *v1alpha1.RemoteCluster, local string) (*connection.Connection, error) {
	spec, err := inventory.Spec(rc, local)
	if err != nil {
		return nil, err
	}
	spec.Checks = nil
	source, err := d.sourceOf(ctx, here, rc)
	if err != nil {
		return nil, err
	}
	changed := make(chan struct{}, 1)
	conn := connection.New(spec, atRest{source}, connection.Options{
		Clock: d.clock, ProbeInterval: time.Hour, UserAgent: "hawser/" + version.String(),
		Changed: func() {
			select {
			case changed <- struct{}{}:
			default: // it will look at the newest state anyway
			}
		},
	})
	go conn.Run(ctx)
	patience := d.clock.NewTimer(openTimeout)
	defer patience.Stop()
	for {
		state := conn.State()
		authenticated, reachable := state.Condition(v1alpha1.Authenticated), state.Condition(v1alpha1.Reachable)
		switch {
		case authenticated.Status == metav1.ConditionTrue:
			return conn, nil
		case authenticated.Status == metav1.ConditionFalse:
			return nil, fmt.Errorf("%s: %s", authenticated.Reason, authenticated.Message)
		case reachable.Status == metav1.ConditionFalse:
			return nil, fmt.Errorf("%s: %s", reachable.Reason, reachable.Message)
		}
		select {
		case <-changed:
		case <-patience.C():
			return nil, fmt.Errorf("it did not answer to its credential at rest within %s", openTimeout)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// ownSubject reports whether subject is what a member install made for the connection from local.
func ownSubject(subject, local string) (member.Identity, bool) {
	switch subject {
	case "system:serviceaccount:" + v1alpha1.MemberNamespace(local) + ":" + v1alpha1.MemberServiceAccount:
		return member.ServiceAccount, true
	case v1alpha1.MemberUser(local):
		return member.RenewedCertificate, true
	}
	return member.Foreign, false
}
