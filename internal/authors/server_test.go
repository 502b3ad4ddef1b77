package authors_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/authors"
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	os.Exit(fleettest.Run(m, "primary"))
}

// scene is a cluster where the policy is in force.
type scene struct {
	*fleettest.Cluster
	t     *testing.T
	admin client.Client
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{fleettest.Use(t, "primary"), t, nil}
	s.admin = s.Admin(t)
	s.Install(t, "../../config/crd/hawser.io_endpointsets.yaml", "../../config/crd/hawser.io_federatednetworkpolicies.yaml")
	s.ApplyObjects(t, authors.Objects()...)
	nobody := s.author("nobody")
	fleettest.Eventually(t, 30*time.Second, func() error { // it takes a moment
		if err := nobody.Create(t.Context(), set("settled", 1), client.DryRunAll); !apierrors.IsForbidden(err) {
			return fmt.Errorf("the policy is not in force: %w", err)
		}
		return nil
	})
	return s
}

// author may write both kinds, and has some other rights.
func (s *scene) author(name string, rules ...rbacv1.PolicyRule) client.Client {
	s.t.Helper()
	name += "-of-" + strings.ToLower(s.t.Name())
	rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"endpointsets", "federatednetworkpolicies"}, Verbs: []string{"*"}})
	role := &rbacv1.ClusterRole{TypeMeta: metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole"}, ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
	s.ApplyObjects(s.t, role, &rbacv1.ClusterRoleBinding{
		TypeMeta: metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRoleBinding"}, ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}},
	})
	return s.as(name)
}

func (s *scene) as(user string, groups ...string) client.Client {
	s.t.Helper()
	config := s.AdminConfig()
	config.Impersonate.UserName, config.Impersonate.Groups = user, groups
	c, err := client.New(config, client.Options{Scheme: s.admin.Scheme()})
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func (s *scene) made(o client.Object) {
	s.t.Helper()
	if err := s.admin.Create(s.t.Context(), o); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = s.admin.Delete(context.Background(), o) })
}

// onConfigMaps in every namespace.
func onConfigMaps(verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: verbs}
}

// set is one with outputs to so many namespaces, counted from the first.
func set(name string, outputs int, first ...int) *v1alpha1.EndpointSet {
	es := &v1alpha1.EndpointSet{ObjectMeta: metav1.ObjectMeta{Name: name}}
	es.Spec.Selector, es.Spec.Clusters.Local, es.Spec.Outputs = "all()", true, outputsTo(outputs, first...)
	return es
}

func outputsTo(n int, first ...int) (all []v1alpha1.EndpointOutput) {
	from := 0
	for _, f := range first {
		from = f
	}
	for i := range n {
		all = append(all, v1alpha1.EndpointOutput{Name: fmt.Sprintf("o%d", i), ConfigMap: &v1alpha1.ConfigMapOutput{Namespace: fmt.Sprintf("n%d", from+i)}})
	}
	return all
}

// TestWhatIsAskedForFitsIntoWhatAPolicyMaySpend goes to the limits of what the API server lets a policy spend, by which it
// would refuse everything.
func TestWhatIsAskedForFitsIntoWhatAPolicyMaySpend(t *testing.T) {
	s := newScene(t)
	most := authors.MaxOutputs
	whole, lacking := s.author("whole", onConfigMaps("*")), s.author("lacking", onConfigMaps("create", "update"))
	if err := whole.Create(t.Context(), set("most", most), client.DryRunAll); err != nil {
		t.Errorf("a set with all outputs that there may be is refused: %v", err)
	}
	for _, u := range []struct {
		name        string
		before      int
		after, from int
		refused     string // by whom may not delete
		tooMuch     bool
	}{
		{name: "all written anew", before: most, after: most},
		{name: "all taken away", before: most, after: 0, refused: "in namespace n0"},
		{name: "the last taken away", before: most, after: most - 1, refused: "in namespace n11"},
		{name: "two replaced of as many as there may be", before: most, after: most, from: 2, refused: "in namespace n0"},
		{name: "eight replaced", before: 8, after: 8, from: 8, refused: "in namespace n0"},
		{name: "nine replaced", before: 9, after: 9, from: 9, tooMuch: true},
		{name: "all replaced", before: most, after: most, from: most, tooMuch: true},
		{name: "three replaced of as many as there may be", before: most, after: most, from: 3, tooMuch: true},
	} {
		t.Run(u.name, func(t *testing.T) {
			es := set("step-"+strings.ReplaceAll(u.name, " ", "-"), u.before)
			s.made(es)
			es.Spec.Selector, es.Spec.Outputs = "has(app)", outputsTo(u.after, u.from)
			err := whole.Update(t.Context(), es.DeepCopy(), client.DryRunAll)
			if u.tooMuch {
				if err == nil || !strings.Contains(err.Error(), "take away first those that are to go") {
					t.Errorf("it does not say what to do: %v", err)
				}
				return
			}
			if err != nil {
				t.Errorf("somebody who may do everything is refused: %v", err)
			}
			switch err := lacking.Update(t.Context(), es.DeepCopy(), client.DryRunAll); {
			case u.refused == "" && err != nil:
				t.Error(err)
			case u.refused != "" && (!apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "needs the right to delete configmaps "+u.refused+": Hawser wrote that")):
				t.Errorf("got %v, want a refusal %s", err, u.refused)
			}
		})
	}
	es := set("deleted", most)
	s.made(es)
	if err := lacking.Delete(t.Context(), es, client.DryRunAll); !apierrors.IsForbidden(err) {
		t.Errorf("it is deleted by somebody who may not delete what was made: %v", err)
	}
	if err := whole.Delete(t.Context(), es); err != nil {
		t.Errorf("it is not deleted by somebody who may: %v", err)
	}
}

// TestWhatDeletesAnObjectInsteadOfItsAuthorIsHeldToTheSame deletes all at once, and by an owner that the garbage collector
// does not find.
func TestWhatDeletesAnObjectInsteadOfItsAuthorIsHeldToTheSame(t *testing.T) {
	s := newScene(t)
	lacking := s.author("lacking", onConfigMaps("create", "update"))
	es := set("kept", 1)
	s.made(es)
	if err := lacking.DeleteAllOf(t.Context(), &v1alpha1.EndpointSet{}); !apierrors.IsForbidden(err) {
		t.Errorf("all are deleted at once: %v", err)
	}
	owned := es.DeepCopy()
	owned.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Namespace", Name: "gone", UID: "gone"}}
	if err := lacking.Update(t.Context(), owned); !apierrors.IsForbidden(err) {
		t.Errorf("it is given an owner that is not there: %v", err)
	}
	if err := s.admin.Get(t.Context(), client.ObjectKeyFromObject(es), es); err != nil || es.DeletionTimestamp != nil {
		t.Errorf("it is gone: %v", err)
	}
	owned.ResourceVersion = es.ResourceVersion
	if err := s.author("whole", onConfigMaps("create", "update", "delete")).Update(t.Context(), owned, client.DryRunAll); err != nil {
		t.Errorf("one who may delete what was made is refused: %v", err)
	}
}

// TestKubernetesOwnControllersMayDelete acts as they do where they have accounts of their own, with the roles that every
// cluster has from the beginning.
func TestKubernetesOwnControllersMayDelete(t *testing.T) {
	s := newScene(t)
	namespace := s.Namespace(t)
	for i, account := range []string{"generic-garbage-collector", "namespace-controller"} {
		who := s.as("system:serviceaccount:kube-system:"+account, "system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated")
		for _, target := range []v1alpha1.PolicyTarget{v1alpha1.TargetNetworkPolicy, v1alpha1.TargetCalico, v1alpha1.TargetClusterNetworkPolicy} {
			p := &v1alpha1.FederatedNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("%s-%d", strings.ToLower(string(target)), i)}}
			p.Spec.Clusters.Local, p.Spec.Target = true, target
			if target == v1alpha1.TargetClusterNetworkPolicy {
				p.Spec.ClusterNetworkPolicy = &v1alpha1.ClusterNetworkPolicyTarget{Priority: 10}
			}
			s.made(p)
			if err := who.Delete(t.Context(), p); err != nil {
				t.Errorf("%s may not delete a policy with target %s: %v", account, target, err)
			}
		}
		es := set(fmt.Sprintf("ended-%d", i), authors.MaxOutputs)
		es.Spec.Outputs[0] = v1alpha1.EndpointOutput{Name: "o0", CalicoNetworkSet: &v1alpha1.CalicoNetworkSetOutput{}}
		es.Spec.Outputs[1] = v1alpha1.EndpointOutput{Name: "o1", CiliumCIDRGroup: &v1alpha1.CiliumCIDRGroupOutput{}}
		s.made(es)
		if err := who.Delete(t.Context(), es); err != nil {
			t.Errorf("%s may not delete a set: %v", account, err)
		}
	}
}
