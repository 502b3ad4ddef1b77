package capa_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/awstest"
	"github.com/hawser-io/hawser/inventory/capa"
)

const (
	address      = "https://alpha.example.com"
	otherAddress = "https://beta.example.com"
)

func TestAProvisionedClusterConnectsByItself(t *testing.T) {
	w := start(t)
	w.role("staging", one, w.namespace)
	ca := fleettest.ForeignCA(t).PEM()
	w.aws.Account(one).EKS(north, w.eksName("prod"), awstest.EKSOptions{Server: address, CA: ca})
	w.provision("prod", "staging", "") // the provider is at it
	w.provision("other", "staging", address)
	w.told("other", v1alpha1.ReasonEKSClusterNotFound)
	w.hasNot("prod")

	w.controlPlane("prod", "staging", address)
	rc := w.has("prod", exists)
	ref := &v1alpha1.AWSIdentityRef{Kind: v1alpha1.KindCAPARoleIdentity, Name: "staging"}
	want := v1alpha1.RemoteClusterSpec{
		Server: address, CAData: base64.StdEncoding.EncodeToString(ca),
		QPS: 20, Burst: 40, Timeout: &metav1.Duration{Duration: 30 * time.Second},
		Auth: v1alpha1.Auth{Type: v1alpha1.AuthEKS, EKS: &v1alpha1.EKSAuth{
			ClusterName: w.eksName("prod"), Region: north, AccountID: one, IdentityRef: ref, APIIdentityRef: ref,
		}},
	}
	if diff := cmp.Diff(want, rc.Spec); diff != "" {
		t.Errorf("its spec (-want +got):\n%s", diff)
	}
	labels := map[string]string{v1alpha1.InventoryLabel: "capa", v1alpha1.NamespaceLabel: w.namespace, v1alpha1.ManagedByLabel: v1alpha1.ManagedBy}
	if diff := cmp.Diff(labels, rc.Labels); diff != "" {
		t.Errorf("its labels (-want +got):\n%s", diff)
	}
	w.told("prod", "Created")

	// What people change of what is filled in is put right; what they add stays.
	before := rc.DeepCopy()
	rc.Labels[v1alpha1.NamespaceLabel], rc.Spec.ProxyURL = "elsewhere", "http://proxy.example.com"
	if err := w.admin.Patch(t.Context(), rc, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	w.has("prod", func(rc *v1alpha1.RemoteCluster) error {
		if rc.Labels[v1alpha1.NamespaceLabel] != w.namespace || rc.Spec.ProxyURL == "" {
			return errors.New("it has the labels of somebody else, or lost its proxy")
		}
		return nil
	})
}

func TestTheSecondVersionOfClusters(t *testing.T) {
	w := start(t)
	w.role("staging", one, w.namespace)
	w.eks(one, "prod", address)
	cluster := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"controlPlaneRef": map[string]any{
		"apiGroup": "controlplane.cluster.x-k8s.io", "kind": "AWSManagedControlPlane", "name": "prod-cp",
	}}}}
	cluster.SetGroupVersionKind(schema.GroupVersionKind{Group: "cluster.x-k8s.io", Version: "v1beta2", Kind: "Cluster"})
	cluster.SetNamespace(w.namespace)
	cluster.SetName("prod")
	w.apply(cluster)
	w.controlPlane("prod", "staging", address)
	w.has("prod", hasServer(address))
}

func TestIdentitiesBoundTheNamespaces(t *testing.T) {
	cases := []struct {
		name   string
		refuse func(*world)
		allow  func(*world)
		says   string
	}{
		{"the identity itself", func(w *world) { w.role("staging", one, "elsewhere") }, func(w *world) { w.role("staging", one, w.namespace) },
			`hop 1 of 1, AWSClusterRoleIdentity "staging": namespace`},
		{"the one that it starts from", func(w *world) {
			w.role("staging", one, w.namespace)
			w.identity(v1alpha1.KindCAPAControllerIdentity, "default", map[string]any{"allowedNamespaces": map[string]any{"list": []any{"elsewhere"}}})
		}, func(w *world) {
			w.identity(v1alpha1.KindCAPAControllerIdentity, "default", map[string]any{"allowedNamespaces": map[string]any{"list": nil, "selector": map[string]any{}}})
		}, `before hop 1 of 1, AWSClusterControllerIdentity "default": namespace`},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			w := start(t)
			w.eks(one, "prod", address)
			tc.refuse(w)
			w.provision("prod", "staging", address)
			if note := w.told("prod", v1alpha1.ReasonNamespaceNotAllowed); !strings.Contains(note, tc.says) {
				t.Errorf("the event says %q, want …%s…", note, tc.says)
			}
			w.hasNot("prod")
			if calls := w.aws.Calls(); len(calls) > 0 {
				t.Errorf("AWS was asked: %+v", calls)
			}
			tc.allow(w)
			w.has("prod", hasServer(address))
		})
	}
}

func TestStaticKeysOfTheProvider(t *testing.T) {
	w := start(t)
	user := w.aws.Account(one).User("bootstrapper")
	user.Allow("eks:DescribeCluster")
	w.eks(one, "prod", address)
	w.identity(v1alpha1.KindCAPAStaticIdentity, "keys", map[string]any{"secretRef": "keys", "allowedNamespaces": map[string]any{}})
	w.provision("prod", "none", "")
	u := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"controlPlaneEndpoint": map[string]any{"host": address, "port": int64(443)}, "identityRef": map[string]any{"kind": "AWSClusterStaticIdentity", "name": "keys"},
		"region": north, "eksClusterName": w.eksName("prod"),
	}}}
	u.SetGroupVersionKind(capa.ControlPlaneKind)
	u.SetNamespace(w.namespace)
	u.SetName("prod-cp")
	u.SetLabels(map[string]string{"cluster.x-k8s.io/cluster-name": "prod"})
	w.apply(u)
	w.told("prod", v1alpha1.ReasonInputMissing)
	keys := user.Keys()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: secrets, Name: "keys"},
		StringData: map[string]string{"AccessKeyID": keys.AccessKeyID, "SecretAccessKey": keys.SecretAccessKey}}
	if err := w.admin.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	w.has("prod", hasServer(address)) // it is tried again by itself: nobody watches Secrets of other namespaces
}

func TestAnotherIdentityIsFollowed(t *testing.T) {
	w := start(t)
	w.role("staging", one, w.namespace)
	w.role("strange", one, "elsewhere")
	w.role("second", two, w.namespace)
	w.eks(one, "prod", address)
	w.provision("prod", "staging", address)
	w.has("prod", hasIdentity("staging"))

	// One that may not be used: the connection shall say so, and not go on by the old one.
	w.controlPlane("prod", "strange", address)
	w.has("prod", hasIdentity("strange"))
	w.told("prod", v1alpha1.ReasonNamespaceNotAllowed)

	// One of another account, where there is no such cluster: its token is shown to nobody.
	w.controlPlane("prod", "second", address)
	w.told("prod", v1alpha1.ReasonEKSClusterNotFound)
	w.has("prod", hasIdentity("strange"))

	// Once there is, it is followed with all that belongs to it.
	w.eks(two, "prod", otherAddress)
	rc := w.has("prod", hasIdentity("second"))
	if rc.Spec.Server != otherAddress || rc.Spec.Auth.EKS.AccountID != two {
		t.Errorf("it is %+v", rc.Spec)
	}
}

func TestAClusterThatIsMadeAgainIsFollowed(t *testing.T) {
	w := start(t)
	w.role("staging", one, w.namespace)
	cluster := w.eks(one, "prod", address)
	w.provision("prod", "staging", address)
	rc := w.has("prod", hasServer(address))
	cluster.Recreate(awstest.EKSOptions{Status: "CREATING"})
	w.controlPlane("prod", "staging", otherAddress)
	w.told("prod", v1alpha1.ReasonEKSClusterNotActive)
	if now := w.has("prod", exists); now.Generation != rc.Generation {
		t.Errorf("it was changed to %+v", now.Spec)
	}
	cluster.SetEndpoint(otherAddress, fleettest.ForeignCA(t).PEM())
	cluster.SetStatus("ACTIVE")
	w.has("prod", func(now *v1alpha1.RemoteCluster) error {
		if now.Spec.CAData == rc.Spec.CAData {
			return errors.New("it has the old CA")
		}
		return hasServer(otherAddress)(now)
	})
}

func TestItGoesWithItsControlPlane(t *testing.T) {
	w := start(t)
	w.role("staging", one, w.namespace)
	w.eks(one, "prod", address)
	w.eks(one, "rest", otherAddress)
	w.provision("prod", "staging", address)
	w.controlPlane("prod", "staging", address, "example.com/provider")
	w.provision("rest", "staging", otherAddress)
	rc := w.has("prod", exists)
	w.has("rest", exists)

	w.delete(capa.ControlPlaneKind, "prod-cp") // the provider deletes the EKS cluster now
	w.delete(clusterKind, "prod")
	w.delete(capa.ControlPlaneKind, "rest-cp") // and this one is gone at once
	w.hasNot("rest")
	if now := w.has("prod", exists); now.UID != rc.UID || !now.DeletionTimestamp.IsZero() {
		t.Error("it went before its control plane")
	}
	w.finish("prod")
	w.hasNot("prod")
}

// finish takes the finalizers off a control plane that is being deleted.
func (w *world) finish(name string) {
	w.t.Helper()
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(capa.ControlPlaneKind)
	if err := w.admin.Get(w.t.Context(), client.ObjectKey{Namespace: w.namespace, Name: name + "-cp"}, u); err != nil {
		w.t.Fatal(err)
	}
	u.SetFinalizers(nil)
	if err := w.admin.Update(w.t.Context(), u); err != nil {
		w.t.Fatal(err)
	}
}

func TestARegionThatHangsCostsTheOthersNothing(t *testing.T) {
	w := start(t)
	w.role("staging", one, w.namespace)
	hanging := w.eks(one, "hanging", address)
	w.eks(one, "prod", otherAddress)
	heal := w.aws.Hang("DescribeCluster", hanging.ARN())
	w.provision("hanging", "staging", address)
	w.provision("prod", "staging", otherAddress)
	w.has("prod", hasServer(otherAddress))
	w.told("hanging", v1alpha1.ReasonAWSUnreachable)
	w.hasNot("hanging")
	heal()
	w.has("hanging", hasServer(address))
}

func TestOneThatIsWrittenByHandIsLeftAlone(t *testing.T) {
	w := start(t)
	w.role("staging", one, w.namespace)
	w.eks(one, "prod", address)
	mine := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "mine"}}
	mine.Spec.Server = "https://alpha.example.com:443"
	mine.Spec.Auth.Type = v1alpha1.AuthBearerToken
	if err := w.admin.Create(t.Context(), mine); err != nil {
		t.Fatal(err)
	}
	w.provision("prod", "staging", address)
	if note := w.told("prod", v1alpha1.ReasonDuplicateCluster); !strings.Contains(note, `already connected as RemoteCluster "mine"`) {
		t.Errorf("the event says %q", note)
	}
	w.hasNot("prod")
}

func TestAPausedClusterIsLeftAsItIs(t *testing.T) {
	w := start(t)
	w.role("staging", one, w.namespace)
	w.eks(one, "prod", address)
	w.eks(one, "rest", otherAddress)
	w.provision("prod", "staging", address)
	pause := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"paused": true, "controlPlaneRef": map[string]any{
		"apiVersion": "controlplane.cluster.x-k8s.io/v1beta2", "kind": "AWSManagedControlPlane", "name": "prod-cp",
	}}}}
	pause.SetGroupVersionKind(clusterKind)
	pause.SetNamespace(w.namespace)
	pause.SetName("prod")
	w.has("prod", hasIdentity("staging"))
	w.apply(pause)
	w.role("second", one, w.namespace)
	w.controlPlane("prod", "second", address)
	w.provision("rest", "staging", otherAddress) // after which the other one has been looked at
	w.has("rest", exists)
	if err := hasIdentity("staging")(w.has("prod", exists)); err != nil {
		t.Error(err)
	}
	unstructured.RemoveNestedField(pause.Object, "spec", "paused")
	w.apply(pause)
	w.has("prod", hasIdentity("second"))
}
