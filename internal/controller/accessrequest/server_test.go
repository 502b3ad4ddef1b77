package accessrequest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
)

// holder is who the remote cluster says that the holder of a kubeconfig is.
func (w *world) holder(kubeconfig []byte) (string, error) {
	config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		return "", err
	}
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return "", err
	}
	who, err := clients.AuthenticationV1().SelfSubjectReviews().Create(w.t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return who.Status.UserInfo.Username, nil
}

func (w *world) mustBe(kubeconfig []byte, account string) {
	w.t.Helper()
	got, err := w.holder(kubeconfig)
	if want := "system:serviceaccount:hawser-grants:" + account; err != nil || got != want {
		w.t.Errorf("the holder is %q (%v), want %q", got, err, want)
	}
}

func TestARequestBecomesAKubeconfigThatWorksAndGoesWithIt(t *testing.T) {
	w := newWorld(t)
	account := w.grant("deploy", w.namespace)
	ar := w.request("access", func(ar *v1alpha1.AccessRequest) { ar.Spec.Output.SecretName = "alpha" })
	secret := w.ready(ar)
	w.mustBe(secret.Data["kubeconfig"], account)

	config, err := clientcmd.RESTConfigFromKubeConfig(secret.Data["kubeconfig"])
	if err != nil {
		t.Fatal(err)
	}
	clients := kubernetes.NewForConfigOrDie(config)
	if _, err := clients.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("what is granted does not work: %v", err)
	}
	if err := clients.CoreV1().Pods("default").Delete(t.Context(), "x", metav1.DeleteOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("what is not granted: %v", err)
	}
	if got := secret.Annotations[v1alpha1.ExpiresAnnotation]; ar.Status.ExpiresAt == nil || got != ar.Status.ExpiresAt.UTC().Format(time.RFC3339) {
		t.Errorf("it is annotated %q, the status says %v", got, ar.Status.ExpiresAt)
	}
	if left := ar.Status.ExpiresAt.Sub(w.clock.Now()); left < 55*time.Minute || left > 61*time.Minute {
		t.Errorf("it lives %s, want an hour", left)
	}
	if ar.Status.SecretName != "alpha" || ar.Status.Subject != "system:serviceaccount:hawser-grants:"+account || ar.Status.RenewedAt == nil {
		t.Errorf("the status is %+v", ar.Status)
	}
	if owner := metav1.GetControllerOf(secret); owner != nil || len(secret.OwnerReferences) != 1 || secret.OwnerReferences[0].UID != ar.UID {
		t.Errorf("it is owned by %v", secret.OwnerReferences)
	}

	if err := w.admin.Delete(t.Context(), ar); err != nil {
		t.Fatal(err)
	}
	w.gone("alpha")
}

func TestWhoMayNotHaveAccess(t *testing.T) {
	w := newWorld(t)
	w.grant("deploy", w.namespace)
	closed, others, labelled := w.rc+"-closed", w.rc+"-others", w.rc+"-labelled"
	w.tie(closed, nil)
	w.tie(others, &v1alpha1.AllowedNamespaces{Names: []string{"other"}})
	w.tie(labelled, &v1alpha1.AllowedNamespaces{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "a"}}})
	stranger := w.Namespace(t)
	to := func(cluster string) func(*v1alpha1.AccessRequest) {
		return func(ar *v1alpha1.AccessRequest) { ar.Spec.ClusterRef.Name = cluster }
	}
	in := func(namespace string) func(*v1alpha1.AccessRequest) {
		return func(ar *v1alpha1.AccessRequest) { ar.Namespace = namespace }
	}
	cases := map[string]struct {
		change          func(*v1alpha1.AccessRequest)
		reason, message string
	}{
		"no-cluster":    {to("gopher"), v1alpha1.ReasonClusterNotFound, `no RemoteCluster "gopher"`},
		"none-allowed":  {to(closed), v1alpha1.ReasonNamespaceNotAllowed, "does not name namespace"},
		"not-among":     {to(others), v1alpha1.ReasonNamespaceNotAllowed, "does not name namespace"},
		"not-labelled":  {to(labelled), v1alpha1.ReasonNamespaceNotAllowed, "does not name namespace"},
		"in-hawser":     {in(v1alpha1.Namespace), v1alpha1.ReasonNamespaceNotAllowed, "Hawser's own"},
		"not-permitted": {in(stranger), v1alpha1.ReasonOutputForbidden, "kubectl -n " + stranger + " create rolebinding hawser-requests --clusterrole=hawser-requests --serviceaccount=hawser:hawser"},
		"no-grant": {func(ar *v1alpha1.AccessRequest) { ar.Spec.Grant = "admin" }, v1alpha1.ReasonNotGranted,
			fmt.Sprintf("localCluster: {name: %q, namespace: %q}", w.local, w.namespace)},
	}
	requests := map[string]*v1alpha1.AccessRequest{}
	for name, c := range cases {
		requests[name] = w.request(name, c.change)
	}
	for name, c := range cases {
		message := w.is(requests[name], metav1.ConditionFalse, c.reason)
		if !strings.Contains(message, c.message) {
			t.Errorf("%s: it says %q, want …%s…", name, message, c.message)
		}
		if requests[name].Status.SecretName != "" {
			t.Errorf("%s: it says that %s was written", name, requests[name].Status.SecretName)
		}
		var secret corev1.Secret
		if err := w.admin.Get(t.Context(), client.ObjectKeyFromObject(requests[name]), &secret); !apierrors.IsNotFound(err) {
			t.Errorf("%s: a Secret is there, or: %v", name, err)
		}
	}

	// What the condition says mends it.
	w.permit(stranger)
	w.grant("deploy", stranger)
	w.poke()
	w.is(requests["not-permitted"], metav1.ConditionTrue, v1alpha1.ReasonWritten)
}

func TestAGrantForOneNamespaceIsNoneForAnother(t *testing.T) {
	w := newWorld(t)
	w.grant("deploy", w.namespace)
	other := w.Namespace(t)
	w.permit(other)
	w.is(w.request("ours"), metav1.ConditionTrue, v1alpha1.ReasonWritten)
	w.is(w.request("theirs", func(ar *v1alpha1.AccessRequest) { ar.Namespace = other }), metav1.ConditionFalse, v1alpha1.ReasonNotGranted)
}

func TestANamespaceThatIsNotAllowedAnyMoreLosesItsOutputAtOnce(t *testing.T) {
	w := newWorld(t)
	w.grant("deploy", w.namespace)
	ar := w.request("access")
	w.ready(ar)
	w.change(w.rc, func(rc *v1alpha1.RemoteCluster) { rc.Spec.AllowedNamespaces = nil })
	w.is(ar, metav1.ConditionFalse, v1alpha1.ReasonNamespaceNotAllowed)
	w.gone("access")
	if ar.Status.SecretName != "" || ar.Status.ExpiresAt != nil {
		t.Errorf("the status still tells of it: %+v", ar.Status)
	}
	w.change(w.rc, func(rc *v1alpha1.RemoteCluster) { rc.Spec.AllowedNamespaces = &v1alpha1.AllowedNamespaces{} })
	w.ready(ar)
}

func TestARemoteClusterThatIsGoneTakesTheOutputWithIt(t *testing.T) {
	w := newWorld(t)
	w.grant("deploy", w.namespace)
	ar := w.request("access")
	w.ready(ar)
	if err := w.admin.Delete(t.Context(), &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: w.rc}}); err != nil {
		t.Fatal(err)
	}
	w.is(ar, metav1.ConditionFalse, v1alpha1.ReasonClusterNotFound)
	w.gone("access")
}

func TestAGrantThatIsGoneEndsTheOutputAndOneThatComesBackBringsAnother(t *testing.T) {
	w := newWorld(t)
	gone, anew := w.grant("deploy", w.namespace), w.grant("other", w.namespace)
	ar := w.request("access")
	other := w.request("anew", func(ar *v1alpha1.AccessRequest) { ar.Spec.Grant = "other" })
	first, before := w.ready(ar), w.ready(other)
	w.revoke(gone)
	sa := metav1.ObjectMeta{Namespace: v1alpha1.GrantsNamespace, Name: anew} // the same name, and another account
	if err := errors.Join(w.far.Delete(t.Context(), &corev1.ServiceAccount{ObjectMeta: sa}), w.far.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: sa})); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []*corev1.Secret{first, before} {
		eventually(t, func() error { // the API server remembers a good token for ten seconds
			if _, err := w.holder(secret.Data["kubeconfig"]); !apierrors.IsUnauthorized(err) {
				return fmt.Errorf("the token still works, or: %w", err)
			}
			return nil
		})
	}
	w.pass(time.Minute)
	w.is(ar, metav1.ConditionFalse, v1alpha1.ReasonNotGranted)
	w.gone("access")
	eventually(t, func() error {
		if string(w.secret("anew").Data["token"]) == string(before.Data["token"]) {
			return errors.New("the token is that of the old account")
		}
		return nil
	})
	w.mustBe(w.secret("anew").Data["kubeconfig"], anew)

	if err := w.far.Delete(t.Context(), &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: gone}}); err != nil {
		t.Fatal(err)
	}
	w.grant("deploy", w.namespace)
	w.pass(2 * time.Minute)
	w.mustBe(w.ready(ar).Data["kubeconfig"], gone)
}

func TestATokenIsRenewedAtHalfOfItsLife(t *testing.T) {
	w := newWorld(t)
	account := w.grant("deploy", w.namespace)
	ar := w.request("access")
	first, before := w.ready(ar), ar.Status.RenewedAt
	w.pass(time.Minute)
	w.pass(35 * time.Minute)
	eventually(t, func() error {
		now, err := w.find("access")
		if err == nil && string(now.Data["token"]) == string(first.Data["token"]) {
			err = errors.New("it is the old token")
		}
		return err
	})
	w.mustBe(w.secret("access").Data["kubeconfig"], account)
	eventually(t, func() error {
		w.is(ar, metav1.ConditionTrue, v1alpha1.ReasonWritten)
		if !ar.Status.RenewedAt.After(before.Time) {
			return fmt.Errorf("renewedAt is %v, as before", ar.Status.RenewedAt)
		}
		return nil
	})
}

// Nothing holds a request: its output is the garbage collector's, also where no manager runs.
func TestARequestIsHeldByNothing(t *testing.T) {
	w := newWorld(t)
	w.grant("deploy", w.namespace)
	ar := w.request("access", func(ar *v1alpha1.AccessRequest) { ar.Finalizers = []string{v1alpha1.RequestFinalizer} }) // as an earlier version did
	w.ready(ar)
	eventually(t, func() error {
		if err := w.admin.Get(t.Context(), client.ObjectKeyFromObject(ar), ar); err != nil || len(ar.Finalizers) > 0 {
			return fmt.Errorf("it is held by %v (%w)", ar.Finalizers, err)
		}
		return nil
	})
	w.stop()
	if err := w.admin.Delete(t.Context(), ar); err != nil {
		t.Fatal(err)
	}
	if err := w.admin.Get(t.Context(), client.ObjectKeyFromObject(ar), ar); !apierrors.IsNotFound(err) {
		t.Errorf("the request hangs: %v", err)
	}
	// The garbage collector looks for new kinds every thirty seconds.
	fleettest.Eventually(t, 90*time.Second, func() error {
		if _, err := w.find("access"); !apierrors.IsNotFound(err) {
			return fmt.Errorf("its output is there: %w", err)
		}
		return nil
	})
	w.start()
}
