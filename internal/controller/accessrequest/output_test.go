package accessrequest_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/inventory/clusterprofile"
)

func in(format v1alpha1.OutputFormat) func(*v1alpha1.AccessRequest) {
	return func(ar *v1alpha1.AccessRequest) { ar.Spec.Output.Format = format }
}

func TestASecretOfSomebodyElseIsNeverTouched(t *testing.T) {
	w := newWorld(t)
	w.grant("deploy", w.namespace)
	foreign := map[string]*corev1.Secret{
		"plain": {ObjectMeta: metav1.ObjectMeta{Name: "plain"}},
		// Whoever may write Secrets may label them; that makes them ours no more than it makes them theirs.
		"labelled": {ObjectMeta: metav1.ObjectMeta{Name: "labelled", Labels: map[string]string{
			v1alpha1.ManagedByLabel: v1alpha1.ManagedBy, v1alpha1.RequestLabel: "labelled"}}},
		"of-another-request": {ObjectMeta: metav1.ObjectMeta{Name: "of-another-request", Labels: map[string]string{
			v1alpha1.ManagedByLabel: v1alpha1.ManagedBy, v1alpha1.RequestLabel: "of-another-request"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "owner", UID: w.owner()}}}},
	}
	for name, secret := range foreign {
		secret.Namespace, secret.Data = w.namespace, map[string][]byte{"password": []byte("theirs")}
		w.create(secret)
		ar := w.request(name)
		if message := w.is(ar, metav1.ConditionFalse, v1alpha1.ReasonSecretNotOurs); !bytes.Contains([]byte(message), []byte(`"`+name+`"`)) {
			t.Errorf("%s: it says %q", name, message)
		}
		now := w.secret(name)
		if diff := cmp.Diff(secret.Data, now.Data); diff != "" || now.ResourceVersion != secret.ResourceVersion {
			t.Errorf("%s: it was touched: %s", name, diff)
		}
		if err := w.admin.Delete(t.Context(), ar); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() error {
			if err := w.admin.Get(t.Context(), client.ObjectKeyFromObject(ar), ar); !apierrors.IsNotFound(err) {
				return fmt.Errorf("the request is there, or: %w", err)
			}
			return nil
		})
		if w.secret(name).UID != secret.UID {
			t.Errorf("%s: it went with the request", name)
		}
	}

	ar := w.request("waits", func(ar *v1alpha1.AccessRequest) { ar.Spec.Output.SecretName = "plain" })
	w.is(ar, metav1.ConditionFalse, v1alpha1.ReasonSecretNotOurs)
	if err := w.admin.Delete(t.Context(), foreign["plain"]); err != nil {
		t.Fatal(err)
	}
	w.poke()
	w.ready(ar)
}

// owner makes an object that can own others.
func (w *world) owner() types.UID {
	owner := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "owner"}}
	w.create(owner)
	return owner.UID
}

func TestWhatOthersChangeIsPutBack(t *testing.T) {
	w := newWorld(t)
	w.grant("deploy", w.namespace)
	ar := w.request("access")
	first := w.ready(ar)
	same := func() error {
		now, err := w.find("access")
		if err == nil && (cmp.Diff(first.Data, now.Data) != "" || now.Labels[v1alpha1.RequestLabel] != "access") {
			err = errors.New("it is not as it was")
		}
		return err
	}

	changed := first.DeepCopy()
	changed.Data["kubeconfig"], changed.Data["more"] = []byte("hello"), []byte("x")
	changed.Labels["example.com/theirs"] = "stays"
	if err := w.admin.Update(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	w.poke()
	eventually(t, same)
	if got := w.secret("access").Labels["example.com/theirs"]; got != "stays" {
		t.Error("a label that somebody added is gone")
	}
	if err := w.admin.Delete(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	w.poke()
	eventually(t, same)
}

func TestNothingIsWrittenWithoutAReasonAndARestartGoesOn(t *testing.T) {
	w := newWorld(t)
	w.grant("deploy", w.namespace)
	formats := []v1alpha1.OutputFormat{v1alpha1.OutputKubeconfig, v1alpha1.OutputArgoCD, v1alpha1.OutputIstio, v1alpha1.OutputClusterProfile}
	versions := func() map[string]string {
		found := map[string]string{}
		for _, format := range formats {
			ar := &v1alpha1.AccessRequest{}
			if err := w.admin.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: string(format)}, ar); err != nil {
				t.Fatal(err)
			}
			found[string(format)] = ar.ResourceVersion + " " + w.secret(string(format)).ResourceVersion
		}
		profile := w.profile("clusterprofile")
		found["profile"] = profile.GetResourceVersion()
		return found
	}
	var requests []*v1alpha1.AccessRequest
	for _, format := range formats {
		requests = append(requests, w.request(string(format), in(format)))
	}
	for _, ar := range requests {
		w.ready(ar)
	}
	before := versions()
	w.pass(time.Minute)
	last := w.request("last") // when this one is served, the others were looked at
	w.ready(last)
	if diff := cmp.Diff(before, versions()); diff != "" {
		t.Errorf("looking again wrote something: %s", diff)
	}

	w.stop()
	w.start()
	w.ready(w.request("after-the-restart"))
	w.pass(time.Minute)
	w.ready(w.request("after-a-minute"))
	if diff := cmp.Diff(before, versions()); diff != "" {
		t.Errorf("a restart wrote something: %s", diff)
	}
}

func (w *world) profile(name string) *unstructured.Unstructured {
	w.t.Helper()
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(clusterprofile.Kind)
	if err := w.admin.Get(w.t.Context(), client.ObjectKey{Namespace: w.namespace, Name: name}, u); err != nil {
		w.t.Fatal(err)
	}
	return u
}

func TestAnotherOutputTakesThePlaceOfTheFirst(t *testing.T) {
	w := newWorld(t)
	account := w.grant("deploy", w.namespace)
	ar := w.request("access", in(v1alpha1.OutputClusterProfile))
	w.ready(ar)
	w.profile("access")

	w.edit(ar, func(ar *v1alpha1.AccessRequest) { ar.Spec.Output.Format = v1alpha1.OutputArgoCD })
	second := w.ready(ar)
	if second.Labels["argocd.argoproj.io/secret-type"] != "cluster" || second.Labels[clusterprofile.ProfileLabel] != "" || second.Data["token"] != nil {
		t.Errorf("the Secret has labels %v", second.Labels)
	}
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(clusterprofile.Kind)
	if err := w.admin.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "access"}, u); !apierrors.IsNotFound(err) {
		t.Errorf("the ClusterProfile is there, or: %v", err)
	}

	w.edit(ar, func(ar *v1alpha1.AccessRequest) {
		ar.Spec.Output.Format, ar.Spec.Output.SecretName = v1alpha1.OutputLinkerd, "elsewhere"
	})
	third := w.ready(ar)
	if third.Name != "elsewhere" || third.Type != "mirror.linkerd.io/remote-kubeconfig" {
		t.Errorf("it is %s of type %s", third.Name, third.Type)
	}
	w.mustBe(third.Data["kubeconfig"], account)
	w.gone("access")
}

func TestATemplateThatIsNoneLeavesWhatWorks(t *testing.T) {
	w := newWorld(t)
	w.grant("deploy", w.namespace)
	ar := w.request("access", func(ar *v1alpha1.AccessRequest) {
		ar.Spec.Output = v1alpha1.AccessOutput{Format: v1alpha1.OutputTemplate, Template: &v1alpha1.OutputTemplateSpec{
			Type: "example.com/cluster", Labels: map[string]string{"example.com/cluster": "yes"}, Data: map[string]string{"token": "{{.Token}}", "url": "{{.Server}}"}}}
	})
	first := w.ready(ar)
	if string(first.Data["url"]) != w.alpha.Server || first.Type != "example.com/cluster" || first.Labels["example.com/cluster"] != "yes" {
		t.Errorf("it made %s with labels %v", first.Type, first.Labels)
	}
	w.edit(ar, func(ar *v1alpha1.AccessRequest) { ar.Spec.Output.Template.Data["url"] = "{{.Password}}" })
	w.is(ar, metav1.ConditionFalse, v1alpha1.ReasonOutputUnsupported)
	if now := w.secret("access"); now.ResourceVersion != first.ResourceVersion {
		t.Error("what worked was touched")
	}
	w.edit(ar, func(ar *v1alpha1.AccessRequest) {
		ar.Spec.Output.Template.Data = map[string]string{"no key": "x"}
	})
	w.is(ar, metav1.ConditionFalse, v1alpha1.ReasonOutputUnsupported)
	w.edit(ar, func(ar *v1alpha1.AccessRequest) {
		ar.Spec.Output.Template.Data = map[string]string{"url": "{{.Cluster}}"}
		ar.Spec.Output.Template.Labels = map[string]string{v1alpha1.CredentialsLabel: "true"}
	})
	w.is(ar, metav1.ConditionFalse, v1alpha1.ReasonOutputUnsupported)
}

func TestARequestWhoseRoleBindingIsGoneStillEnds(t *testing.T) {
	w := newWorld(t)
	w.grant("deploy", w.namespace)
	ar := w.request("access")
	w.ready(ar)
	if err := w.admin.Delete(t.Context(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "hawser-requests"}}); err != nil {
		t.Fatal(err)
	}
	w.poke()
	w.is(ar, metav1.ConditionFalse, v1alpha1.ReasonOutputForbidden)
	if err := w.admin.Delete(t.Context(), ar); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if err := w.admin.Get(t.Context(), client.ObjectKeyFromObject(ar), ar); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the request is there, or: %w", err)
		}
		return nil
	})
	// What it could not delete goes with its owner, by the garbage collector, if that has not come yet.
	if left, err := w.find("access"); err == nil && left.OwnerReferences[0].UID != ar.UID {
		t.Errorf("it is owned by %v", left.OwnerReferences)
	}
}

// TestATokenOfSomebodyElseIsNotKept: whoever may write Secrets in the namespace can put another token into the
// output, and a restart looks there for the one that it had.
func TestATokenOfSomebodyElseIsNotKept(t *testing.T) {
	w := newWorld(t)
	account := w.grant("deploy", w.namespace)
	ar := w.request("access")
	first := w.ready(ar)
	w.stop()
	foreign := w.alpha.Token(t, w.alpha.Namespace(t), "default", time.Hour)
	changed := first.DeepCopy()
	for key, value := range changed.Data {
		changed.Data[key] = bytes.ReplaceAll(value, first.Data["token"], []byte(foreign))
	}
	if err := w.admin.Update(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	w.start()
	eventually(t, func() error {
		if got := w.secret("access").Data["token"]; string(got) == foreign {
			return errors.New("it is still somebody else's")
		}
		return nil
	})
	w.mustBe(w.secret("access").Data["kubeconfig"], account)
}
