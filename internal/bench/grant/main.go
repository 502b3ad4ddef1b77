// Command grant measures the controller of AccessGrants with many grants of many namespaces, under
// the rights that we ship: how long until all are carried out, how much a restart writes, and how long
// a token takes while each of them is looked at.
package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/grant"
	"github.com/hawser-io/hawser/internal/bench"
	"github.com/hawser-io/hawser/member"

	authenticationv1 "k8s.io/api/authentication/v1"
	rbacv1 "k8s.io/api/rbac/v1"
)

const (
	grants, namespaces = 1000, 20
	mints              = 200
	writers            = 8 // who write grants at a time
)

func main() {
	bench.Main("grant", []string{"alpha"}, func(b *bench.Bench) error {
		s := &scene{Bench: b}
		if err := s.set(); err != nil {
			return err
		}
		if err := s.converge(); err != nil {
			return fmt.Errorf("carrying out grants: %w", err)
		}
		if err := s.resync(); err != nil {
			return fmt.Errorf("restarting the controllers: %w", err)
		}
		return s.tokens()
	})
}

func grantOf(i int) *v1alpha1.AccessGrant {
	return &v1alpha1.AccessGrant{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("grant-%d", i)},
		Spec: v1alpha1.AccessGrantSpec{
			Subjects:     []v1alpha1.GrantSubject{subjectOf(i)},
			ClusterRoles: []string{"view"},
			Namespaces:   &v1alpha1.GrantNamespaces{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"bench": "grant"}}},
		},
	}
}

func subjectOf(i int) v1alpha1.GrantSubject {
	return v1alpha1.GrantSubject{LocalCluster: &v1alpha1.GrantLocalCluster{Name: bench.Local, Namespace: fmt.Sprintf("team-%d", i)}}
}

// converge writes all grants and waits until the last binding is there.
func (s *scene) converge() error {
	end, err := s.start()
	if err != nil {
		return err
	}
	defer end()
	begin := time.Now()
	next, failed := make(chan int), make(chan error, writers)
	for range writers { // they end when there is nothing left to write
		go func() {
			var err error
			for i := range next {
				if err == nil {
					err = s.admin.Create(s.Ctx, grantOf(i))
				}
			}
			failed <- err
		}()
	}
	for i := range grants {
		next <- i
	}
	close(next)
	for range writers {
		if err := <-failed; err != nil {
			return fmt.Errorf("writing grants: %w", err)
		}
	}
	s.Say("%d grants are written after %s", grants, time.Since(begin))
	if err := s.await(time.Second, func() bool { return s.ready() == grants }); err != nil {
		return err
	}
	took := time.Since(begin)
	var bindings metav1.PartialObjectMetadataList
	bindings.SetGroupVersionKind(rbacv1.SchemeGroupVersion.WithKind("RoleBindingList"))
	if err := s.admin.List(s.Ctx, &bindings, client.HasLabels{v1alpha1.GrantLabel}); err != nil {
		return err
	}
	if want := grants*namespaces + grants; len(bindings.Items) != want {
		return fmt.Errorf("there are %d RoleBindings, want %d", len(bindings.Items), want)
	}
	note := fmt.Sprintf("%d grants × %d namespaces, from the first grant written to the last one Ready: %d objects", grants, namespaces, grants*(namespaces+3))
	s.Add("converge_s", took.Seconds(), "s", note)
	s.Add("writes_for_each", float64(s.writes.Load())/grants, "count", "writes for a grant: its objects, its finalizer and its status")
	return nil
}

// ready counts the grants that are carried out.
func (s *scene) ready() int {
	var all v1alpha1.AccessGrantList
	if err := s.admin.List(s.Ctx, &all); err != nil {
		return 0
	}
	n := 0
	for i := range all.Items {
		if meta.IsStatusConditionTrue(all.Items[i].Status.Conditions, v1alpha1.Ready) {
			n++
		}
	}
	return n
}

// resync starts the controllers anew, who look at each grant again.
func (s *scene) resync() error {
	s.writes.Store(0)
	before, err := reconciled()
	if err != nil {
		return err
	}
	begin := time.Now()
	end, err := s.start()
	if err != nil {
		return err
	}
	defer end()
	if err := s.await(time.Second, func() bool {
		now, err := reconciled()
		return err == nil && now.total-before.total >= grants && now.waiting == 0
	}); err != nil {
		return err
	}
	s.Say("a restart has looked at all grants after %s", time.Since(begin))
	s.Add("writes_on_resync", float64(s.writes.Load()), "count", fmt.Sprintf("by a restart with %d grants that are carried out", grants))
	return nil
}

// tokens mints as the gate, and so under the policy that looks for an account among all grants.
func (s *scene) tokens() error {
	config := s.cluster.AdminConfig()
	config.QPS = -1
	config.Impersonate.UserName = "system:serviceaccount:" + v1alpha1.Namespace + ":" + v1alpha1.GateServiceAccount
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	var took []time.Duration
	for i := range mints {
		asked := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(600))}}
		account := grant.AccountName(grantOf(i).Name, subjectOf(i))
		begin := time.Now()
		if _, err := kube.CoreV1().ServiceAccounts(v1alpha1.GrantsNamespace).CreateToken(s.Ctx, account, asked, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("minting: %w", err)
		}
		took = append(took, time.Since(begin))
	}
	s.Add("token_ms", bench.Milliseconds(bench.Median(took)), "ms", fmt.Sprintf("the median of %d TokenRequests for accounts of %d grants", mints, grants))
	return nil
}

// await is bench.Until for what takes longer, and is asked less often.
func (s *scene) await(every time.Duration, done func() bool) error {
	ctx, cancel := context.WithTimeout(s.Ctx, 15*time.Minute)
	defer cancel()
	return fleettest.Until(ctx, every, bench.Done(done))
}

// set installs what the controllers need, and the namespaces.
func (s *scene) set() error {
	var err error
	if s.cluster, s.admin, err = s.Cluster("alpha"); err != nil {
		return err
	}
	if err := s.kinds(); err != nil {
		return err
	}
	objs := member.ControllerObjects(member.ControllerOptions{Gate: true})
	for i := range namespaces {
		objs = append(objs, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("bench-%d", i), Labels: map[string]string{"bench": "grant"}}})
	}
	for _, obj := range objs {
		if err := client.IgnoreAlreadyExists(s.admin.Create(s.Ctx, obj)); err != nil {
			return fmt.Errorf("making %s: %w", obj.GetName(), err)
		}
	}
	return nil
}
