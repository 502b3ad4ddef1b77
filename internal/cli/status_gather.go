package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// statusReader gathers a Status. What may not be read becomes a gap: a person with fewer rights sees the rest.
type statusReader struct {
	c         client.Reader
	namespace string
	s         *Status
}

// gatherStatus asks the local cluster. An error means that there is no answer at all.
func (d *deps) gatherStatus(ctx context.Context, c client.Reader) (*Status, error) {
	r := &statusReader{c: c, namespace: d.namespace, s: &Status{At: metav1.NewTime(d.clock.Now()), Gaps: []Gap{}}}
	id, err := d.identityOf(ctx, c)
	if err := r.note("ConfigMap", err); err != nil {
		return nil, err
	}
	r.s.Local = StatusLocal{Name: id.Name, DefaultCluster: id.Default, Version: id.Version}
	for _, read := range []func(context.Context, identity) error{r.clusters, r.sets, r.policies, r.requests, r.grants, r.issuers, r.processes, r.unfollowed} {
		if err := read(ctx, id); err != nil {
			return nil, err
		}
	}
	r.order()
	return r.s, nil
}

// reasonForbidden of a gap: the person who asks lacks a right.
const reasonForbidden = "Forbidden"

// note makes a gap of what may not be read, one for each kind. Any other error is returned.
func (r *statusReader) note(kind string, err error) error {
	if !apierrors.IsForbidden(err) {
		return err
	}
	if slices.ContainsFunc(r.s.Gaps, func(g Gap) bool { return g.Kind == kind && g.Reason == reasonForbidden }) {
		return nil
	}
	r.s.Gaps = append(r.s.Gaps, Gap{Kind: kind, Reason: reasonForbidden, Message: "you may not read it: " + err.Error()})
	return nil
}

// list lists a kind. Not ok means that there is nothing to tell of.
func (r *statusReader) list(ctx context.Context, kind string, into client.ObjectList, opts ...client.ListOption) (ok bool, err error) {
	err = r.c.List(ctx, into, opts...)
	switch {
	case err == nil:
		return true, nil
	case meta.IsNoMatchError(err), apierrors.IsNotFound(err): // the kind is not installed
		return false, nil
	}
	if err := r.note(kind, err); err != nil {
		return false, fmt.Errorf("listing each %s: %w", kind, err)
	}
	return false, nil
}

func (r *statusReader) clusters(ctx context.Context, id identity) error {
	var list v1alpha1.RemoteClusterList
	ok, err := r.list(ctx, "RemoteCluster", &list)
	if !ok {
		return err
	}
	r.s.Clusters = []ClusterStatus{}
	r.s.Credentials = []CredentialStatus{}
	for i := range list.Items {
		rc := &list.Items[i]
		c := ClusterStatus{Summary: summarize(rc, id)}
		r.s.Clusters = append(r.s.Clusters, c)
		ready := conditionOf(rc, v1alpha1.Ready)
		if c.Ready != string(metav1.ConditionTrue) {
			r.gap("RemoteCluster", rc, ready)
		} else {
			r.care(rc)
		}
		if c.Subject == "" && c.ExpiresAt == nil {
			continue
		}
		fresh := conditionOf(rc, v1alpha1.CredentialFresh)
		r.s.Credentials = append(r.s.Credentials, CredentialStatus{
			Kind: "RemoteCluster", Name: rc.Name, Subject: c.Subject, ExpiresAt: c.ExpiresAt, RenewedAt: c.RenewedAt,
			Fresh: string(fresh.Status), Reason: fresh.Reason,
		})
	}
	return nil
}

// care makes a gap of what is wrong with a cluster that can be used all the same: it may end that later.
func (r *statusReader) care(rc *v1alpha1.RemoteCluster) {
	for _, kind := range conditionOrder {
		if c := conditionOf(rc, kind); c.Status == metav1.ConditionFalse {
			r.gap("RemoteCluster", rc, c)
		}
	}
}

func (r *statusReader) requests(ctx context.Context, _ identity) error {
	var list v1alpha1.AccessRequestList
	ok, err := r.list(ctx, "AccessRequest", &list)
	if !ok {
		return err
	}
	r.s.AccessRequests = []RequestStatus{}
	for i := range list.Items {
		o := &list.Items[i]
		ready := readyOf(o.Status.Conditions)
		r.s.AccessRequests = append(r.s.AccessRequests, RequestStatus{
			Namespace: o.Namespace, Name: o.Name, Cluster: o.Spec.ClusterRef.Name, Grant: o.Spec.Grant, Format: string(o.Spec.Output.Format),
			Ready: string(ready.Status), Reason: ready.Reason, Message: ready.Message,
			SecretName: o.Status.SecretName, ExpiresAt: o.Status.ExpiresAt,
		})
		if ready.Status != metav1.ConditionTrue {
			r.gap("AccessRequest", o, ready)
		}
		if o.Status.ExpiresAt == nil {
			continue
		}
		r.s.Credentials = append(r.s.Credentials, CredentialStatus{
			Kind: "AccessRequest", Namespace: o.Namespace, Name: o.Name, Subject: o.Status.Subject, ExpiresAt: o.Status.ExpiresAt,
			Fresh: string(ready.Status), Reason: ready.Reason,
		})
	}
	return nil
}

func (r *statusReader) grants(ctx context.Context, _ identity) error {
	var list v1alpha1.AccessGrantList
	ok, err := r.list(ctx, "AccessGrant", &list)
	if !ok {
		return err
	}
	r.s.AccessGrants = []GrantStatus{}
	for i := range list.Items {
		o := &list.Items[i]
		ready := readyOf(o.Status.Conditions)
		g := GrantStatus{
			Name: o.Name, Ready: string(ready.Status), Reason: ready.Reason, Message: ready.Message,
			Roles: o.Spec.ClusterRoles, Subjects: len(o.Spec.Subjects), Namespaces: o.Status.Namespaces, EndsAt: o.Spec.EndsAt,
		}
		if g.Namespaces == nil {
			g.Namespaces = []string{}
		}
		r.s.AccessGrants = append(r.s.AccessGrants, g)
		if ready.Status != metav1.ConditionTrue && ready.Reason != v1alpha1.ReasonEnded {
			r.gap("AccessGrant", o, ready)
		}
	}
	return nil
}

func (r *statusReader) issuers(ctx context.Context, _ identity) error {
	var list v1alpha1.TrustedIssuerList
	ok, err := r.list(ctx, "TrustedIssuer", &list)
	if !ok {
		return err
	}
	r.s.TrustedIssuers = []IssuerStatus{}
	for i := range list.Items {
		o := &list.Items[i]
		ready := readyOf(o.Status.Conditions)
		t := IssuerStatus{
			Name: o.Name, URL: o.Spec.URL, Prefix: o.Spec.Prefix, Ready: string(ready.Status), Reason: ready.Reason, Message: ready.Message,
			FetchedAt: o.Status.FetchedAt, LastUse: o.Status.LastUse, LastFailure: o.Status.LastFailure,
		}
		for _, k := range o.Status.Keys {
			if k.Unused == "" {
				t.Keys++
			}
		}
		r.s.TrustedIssuers = append(r.s.TrustedIssuers, t)
		if ready.Status != metav1.ConditionTrue {
			r.gap("TrustedIssuer", o, ready)
		}
	}
	return nil
}

func (r *statusReader) gap(kind string, o client.Object, c metav1.Condition) {
	g := Gap{Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName(), Reason: c.Reason, Message: c.Message}
	if !c.LastTransitionTime.IsZero() {
		g.Since = &c.LastTransitionTime
	}
	r.s.Gaps = append(r.s.Gaps, g)
}

// readyOf is the condition Ready of what the member controllers, or the manager, carry out.
func readyOf(conditions []metav1.Condition) metav1.Condition {
	if c := meta.FindStatusCondition(conditions, v1alpha1.Ready); c != nil {
		return *c
	}
	return metav1.Condition{Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonNotProbed, Message: "nobody has reported on it: does its controller run?"}
}

// order makes the answer the same for the same fleet.
func (r *statusReader) order() {
	slices.SortFunc(r.s.Clusters, func(a, b ClusterStatus) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortStableFunc(r.s.Credentials, func(a, b CredentialStatus) int {
		switch {
		case a.ExpiresAt != nil && b.ExpiresAt != nil && !a.ExpiresAt.Equal(b.ExpiresAt):
			return a.ExpiresAt.Compare(b.ExpiresAt.Time)
		case (a.ExpiresAt == nil) != (b.ExpiresAt == nil):
			if a.ExpiresAt != nil {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	causes := []string{"Process", "RemoteCluster", "EndpointSet", "FederatedNetworkPolicy", "AccessRequest", "AccessGrant", "TrustedIssuer"} // what causes other gaps comes first
	rank := func(g Gap) int {
		if i := slices.Index(causes, g.Kind); i >= 0 {
			return i
		}
		return len(causes)
	}
	slices.SortStableFunc(r.s.Gaps, func(a, b Gap) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}
