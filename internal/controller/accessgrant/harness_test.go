package accessgrant

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/config/crd"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/kinds"
	"github.com/hawser-io/hawser/member"
)

func TestMain(m *testing.M) { os.Exit(fleettest.Run(m, "alpha", "beta")) }

const patience = 30 * time.Second

// entered is a cluster that is entered, with the controller running under exactly the rights that we ship.
type entered struct {
	*testing.T
	cluster *fleettest.Cluster
	admin   client.Client
}

// enter installs a cluster but for the objects that skip names, and starts the controller there.
func enter(t *testing.T, name string, o member.ControllerOptions, skip func(client.Object) bool) *entered {
	t.Helper()
	e := &entered{T: t, cluster: fleettest.Use(t, name)}
	e.admin = e.as("")
	crds, err := crd.YAML(crd.TrustedIssuers, crd.AccessGrants)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.cluster.Apply(t.Context(), crds); err != nil {
		t.Fatal(err)
	}
	for _, obj := range member.ControllerObjects(o) {
		if skip != nil && skip(obj) {
			continue
		}
		if err := e.admin.Create(t.Context(), obj); client.IgnoreAlreadyExists(err) != nil {
			t.Fatal(err)
		}
	}
	e.start()
	return e
}

func newScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme, err := kinds.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	return scheme
}

func (e *entered) start() {
	e.Helper()
	ctrl.SetLogger(logr.Discard())
	config := e.cluster.TokenConfig(e.cluster.Token(e.T, v1alpha1.Namespace, member.ControllersServiceAccount, time.Hour))
	config.QPS = -1
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: newScheme(e.T), Metrics: server.Options{BindAddress: "0"}, Cache: cache.Options{ByObject: Cache()},
	})
	if err != nil {
		e.Fatal(err)
	}
	if err := SetupWithManager(e.Context(), mgr, Options{}); err != nil {
		e.Fatal(err)
	}
	fleettest.Background(e, "the manager", mgr.Start)
}

// as is a client with the rights of a user; empty is the admin.
func (e *entered) as(user string) client.Client {
	e.Helper()
	config := e.cluster.AdminConfig()
	config.Impersonate.UserName = user
	return e.with(config)
}

func (e *entered) with(config *rest.Config) client.Client {
	e.Helper()
	config.QPS = -1
	cl, err := client.New(config, client.Options{Scheme: newScheme(e.T)})
	if err != nil {
		e.Fatal(err)
	}
	return cl
}

// create makes objects that end with the test.
func (e *entered) create(objs ...client.Object) {
	e.Helper()
	for _, obj := range objs {
		if err := e.admin.Create(e.Context(), obj); err != nil {
			e.Fatal(err)
		}
		e.Cleanup(func() {
			if err := e.admin.Delete(context.Background(), obj); client.IgnoreNotFound(err) != nil {
				e.Error(err)
			}
		})
	}
}

// namespace makes one with a name that begins like this, and labels.
func (e *entered) namespace(name string, labels map[string]string) string {
	e.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: name + "-", Labels: labels}}
	e.create(ns)
	return ns.Name
}

// grant makes a grant of the role view, changed as the case wants it, and waits until the controller has a word on it.
func (e *entered) grant(name string, change func(*v1alpha1.AccessGrantSpec)) *v1alpha1.AccessGrant {
	e.Helper()
	g := &v1alpha1.AccessGrant{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.AccessGrantSpec{ClusterRoles: []string{"view"}}}
	change(&g.Spec)
	if g.Spec.Namespaces == nil {
		g.Spec.WholeCluster = true
	}
	e.create(g)
	fleettest.Eventually(e, patience, func() error {
		e.reread(g)
		if ready(g) == nil {
			return errors.New("the grant has no condition Ready")
		}
		return nil
	})
	return g
}

func (e *entered) reread(obj client.Object) {
	e.Helper()
	if err := e.admin.Get(e.Context(), client.ObjectKeyFromObject(obj), obj); err != nil {
		e.Fatal(err)
	}
}

// change changes an object as the admin.
func (e *entered) change(obj client.Object, change func()) {
	e.Helper()
	fleettest.Eventually(e, patience, func() error {
		e.reread(obj)
		before := obj.DeepCopyObject().(client.Object)
		change()
		return e.admin.Patch(e.Context(), obj, client.MergeFrom(before))
	})
}

func ready(g *v1alpha1.AccessGrant) *metav1.Condition {
	return meta.FindStatusCondition(g.Status.Conditions, v1alpha1.Ready)
}

// awaitReason waits for the reason of Ready.
func (e *entered) awaitReason(g *v1alpha1.AccessGrant, reason string) {
	e.Helper()
	fleettest.Eventually(e, patience, func() error {
		e.reread(g)
		if c := ready(g); c.Reason != reason || c.ObservedGeneration != g.Generation {
			return fmt.Errorf("got %s %s %q for generation %d, want %s for %d", c.Status, c.Reason, c.Message, c.ObservedGeneration, reason, g.Generation)
		}
		return nil
	})
}

// made is what the cluster has of a grant: kind namespace/name.
func (e *entered) made(grant string) map[string]client.Object {
	e.Helper()
	found := map[string]client.Object{}
	for _, list := range []client.ObjectList{&corev1.ServiceAccountList{}, &rbacv1.RoleList{}, &rbacv1.RoleBindingList{}, &rbacv1.ClusterRoleBindingList{}} {
		if err := e.admin.List(e.Context(), list, client.MatchingLabels{v1alpha1.GrantLabel: grant}); err != nil {
			e.Fatal(err)
		}
		objs, err := meta.ExtractList(list)
		if err != nil {
			e.Fatal(err)
		}
		for _, obj := range objs {
			obj := obj.(client.Object)
			found[describe(obj)] = obj
		}
	}
	return found
}

// uid tells accounts apart: no token of one that had the same name before is believed. Empty where there is none.
func (e *entered) uid(account string) types.UID {
	e.Helper()
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.GrantsNamespace, Name: account}}
	if err := e.admin.Get(e.Context(), client.ObjectKeyFromObject(sa), sa); client.IgnoreNotFound(err) != nil {
		e.Fatal(err)
	}
	return sa.UID
}

// mint asks for a token of an account of grants.
func (e *entered) mint(who client.Client, account string) (token string, err error) {
	e.Helper()
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.GrantsNamespace, Name: account}}
	request := tokenRequest()
	err = who.SubResource("token").Create(e.Context(), sa, request)
	return request.Status.Token, err
}

// awaitToken mints as soon as it is let: rights, policies and status reach an API server by watches.
func (e *entered) awaitToken(who client.Client, account string) string {
	e.Helper()
	var token string
	fleettest.Eventually(e, patience, func() (err error) {
		token, err = e.mint(who, account)
		return err
	})
	return token
}

// may reports whether pods of a namespace can be listed; any error but a refusal ends the test.
func (e *entered) may(who client.Client, namespace string) bool {
	e.Helper()
	err := who.List(e.Context(), &corev1.PodList{}, client.InNamespace(namespace))
	if err != nil && !apierrors.IsForbidden(err) && !apierrors.IsUnauthorized(err) {
		e.Fatal(err)
	}
	return err == nil
}

// await waits until a condition holds.
func (e *entered) await(what string, holds func() bool) {
	e.Helper()
	fleettest.Eventually(e, patience, func() error {
		if !holds() {
			return errors.New("not: " + what)
		}
		return nil
	})
}
