package rights

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/grant"
)

// subjects are who comes in, and what keeps them out.
func (e *explainer) subjects(ctx context.Context) error {
	for _, s := range e.grant.Spec.Subjects {
		x := Explained{Subject: grant.Describe(s)}
		if account := grant.AccountName(e.grant.Name, s); account != "" {
			x.Account = v1alpha1.GrantsNamespace + "/" + account
		}
		var err error
		switch {
		case s.LocalCluster != nil:
			x.How, err = e.localCluster(ctx, *s.LocalCluster)
		case s.Issuer != nil:
			x.How, err = e.issuer(ctx, *s.Issuer)
		default:
			x.How = "as this cluster knows it"
		}
		if err != nil {
			return err
		}
		e.out.Subjects = append(e.out.Subjects, x)
	}
	return nil
}

func (e *explainer) localCluster(ctx context.Context, s v1alpha1.GrantLocalCluster) (string, error) {
	how := fmt.Sprintf("by AccessRequests of that namespace with grant: %s", e.grant.Name)
	account := grant.AccountName(e.grant.Name, v1alpha1.GrantSubject{LocalCluster: &s})
	if s.User == "" {
		there, known, err := e.exists(ctx, &corev1.Namespace{}, "", v1alpha1.MemberNamespace(s.Name))
		if err != nil {
			return "", err
		}
		if known && !there {
			e.find(fmt.Sprintf("in cluster %s: hawser join NAME --context THAT --remote-context THIS; or name in localCluster.user who its connection is here", s.Name),
				"no connection from %q is installed here: there is no namespace %q", s.Name, v1alpha1.MemberNamespace(s.Name))
			return how, nil
		}
	}
	if e.halted {
		return how, nil
	}
	may, err := e.mints(ctx, s, account)
	if ok, err := e.mayOf("whether connections may mint tokens (it takes the right to create subjectaccessreviews)", err); err != nil || !ok {
		return how, err
	}
	if !may {
		e.find("hawser clusters -o wide, in cluster "+s.Name+", shows the user that its connection is here: if it is another, name it in localCluster.user",
			"the connection from %q may not mint tokens of account %q", s.Name, account)
	}
	return how, nil
}

func (e *explainer) issuer(ctx context.Context, s v1alpha1.GrantIssuer) (string, error) {
	ti := e.issuers[s.Name]
	switch {
	case ti != nil:
		if why := distrusted(ti); why != "" {
			e.find("kubectl describe trustedissuer "+s.Name, "%s", why)
		}
	case !slices.Contains(e.out.Unknown, fmt.Sprintf("TrustedIssuer %q", s.Name)):
		if !e.reported(s.Name) {
			e.find("kubectl get trustedissuers shows which there are; make one of that name (docs/trust.md has examples), or let hawser join --auth oidc make it, in the local cluster", "there is no TrustedIssuer %q: nobody of it comes in", s.Name)
		}
		return "not at all yet", nil
	}
	noGate, err := e.gateIsMissing(ctx)
	if err != nil {
		return "", err
	}
	how := "by the gate"
	direct := ti != nil && s.Subject != "" && e.in.Issuers[s.Name].Named
	if direct {
		how += fmt.Sprintf(", or as user %q where the API server itself trusts the issuer", ti.Spec.Prefix+s.Subject)
	}
	if noGate && !direct {
		e.find("hawser member manifests --local NAME --controllers --gate prints what it needs; hawser gate runs it", "there is no gate here, by which alone %s comes in",
			grant.Describe(v1alpha1.GrantSubject{Issuer: &s}))
	}
	return how, nil
}

// reported reports whether a missing issuer was named already: several subjects may be of it.
func (e *explainer) reported(issuer string) bool {
	return slices.ContainsFunc(e.out.Findings, func(f Finding) bool {
		return f.What == fmt.Sprintf("there is no TrustedIssuer %q: nobody of it comes in", issuer)
	})
}

// objects looks for what should have been made of the grant.
func (e *explainer) objects(ctx context.Context) error {
	if e.halted {
		return nil
	}
	wanted, err := grant.For(&e.grant, e.in)
	if err != nil {
		return nil //nolint:nilerr // a selector that cannot be read: it is a finding already
	}
	missing := map[string][]string{}
	var kinds []string
	for _, list := range []client.ObjectList{&corev1.ServiceAccountList{}, &rbacv1.RoleList{}, &rbacv1.RoleBindingList{}, &rbacv1.ClusterRoleBindingList{}} {
		kind := kindOf(list)
		ok, err := e.may("objects of kind "+kind, e.Client.List(ctx, list, client.MatchingLabels{v1alpha1.GrantLabel: e.grant.Name}))
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		there := map[client.ObjectKey]bool{}
		if err := meta.EachListItem(list, func(obj runtime.Object) error {
			there[client.ObjectKeyFromObject(obj.(client.Object))] = true
			return nil
		}); err != nil {
			return fmt.Errorf("reading objects of kind %s: %w", kind, err)
		}
		for _, obj := range wanted.Objects {
			if obj.GetObjectKind().GroupVersionKind().Kind == kind && !there[client.ObjectKeyFromObject(obj)] {
				missing[kind] = append(missing[kind], client.ObjectKeyFromObject(obj).String())
			}
		}
		if len(missing[kind]) > 0 {
			kinds = append(kinds, kind)
		}
	}
	for _, kind := range kinds {
		e.find(fmt.Sprintf("kubectl describe accessgrant %s; then the log of the member controllers", e.grant.Name),
			"%d of kind %s were not made, the first is %s", len(missing[kind]), kind, missing[kind][0])
	}
	return nil
}

func kindOf(list client.ObjectList) string {
	switch list.(type) {
	case *corev1.ServiceAccountList:
		return "ServiceAccount"
	case *rbacv1.RoleList:
		return "Role"
	case *rbacv1.RoleBindingList:
		return "RoleBinding"
	default:
		return "ClusterRoleBinding"
	}
}
