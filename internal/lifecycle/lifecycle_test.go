package lifecycle

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
)

const entered = `
member: {enabled: true, localClusters: [hub], controllers: {enabled: true, replicas: 1}}
`

func entering(server string, ca []byte, token string) string {
	return fmt.Sprintf(`
multiCluster:
  enabled: true
  clusterName: hub
  clusters:
    spoke: {authType: bearerToken, server: %q, caData: %s, bearerToken: %s}
replicas: 1
probeInterval: 1s
`, server, base64.StdEncoding.EncodeToString(ca), token)
}

// mortalToken is a token of the connection that can be killed.
func mortalToken(s *side) (token string, kill func()) {
	s.Helper()
	kube, ns := s.cluster.Client(), v1alpha1.MemberNamespace("hub")
	secret, err := kube.CoreV1().Secrets(ns).Create(s.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{GenerateName: "life-"}}, metav1.CreateOptions{})
	if err != nil {
		s.Fatal(err)
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: new(int64(3600)),
		BoundObjectRef:    &authenticationv1.BoundObjectReference{Kind: "Secret", APIVersion: "v1", Name: secret.Name, UID: secret.UID},
	}}
	answer, err := kube.CoreV1().ServiceAccounts(ns).CreateToken(s.Context(), v1alpha1.MemberServiceAccount, request, metav1.CreateOptions{})
	if err != nil {
		s.Fatal(err)
	}
	return answer.Status.Token, func() {
		s.Helper()
		if err := kube.CoreV1().Secrets(ns).Delete(s.Context(), secret.Name, metav1.DeleteOptions{}); err != nil {
			s.Fatal(err)
		}
	}
}

// TestTheLifeOfARelease goes through upgrades and a rollback with programs of two versions, and uninstalls the remote
// side first.
func TestTheLifeOfARelease(t *testing.T) {
	t.Parallel()
	hub, spoke := newSide(t, "hub"), newSide(t, "spoke")
	spoke.install(entered)
	token, kill := mortalToken(spoke)
	at := spoke.cluster.Server
	hub.install(entering(at, spoke.cluster.CA(), token))
	controllers := spoke.start(older, "hawser-member")
	manager := hub.start(older, "hawser")
	hub.ready("spoke", at, time.Time{})
	if got := hub.object("spoke").Finalizers; len(got) > 0 {
		t.Errorf("a RemoteCluster of the release is held by %v", got)
	}
	hub.renew("spoke", at)
	hub.refuses(strings.Replace(entering(at, spoke.cluster.CA(), token), "clusterName: hub", "clusterName: port", 1), "multiCluster.clusterName is port, and the manager here is hub")
	grant(spoke)

	// What was renewed outlives the token in the values, which goes on standing there.
	kill()
	hub.killLeader(manager)
	moved := spoke.cluster.Proxy(t).URL
	hub.upgrade(entering(moved, spoke.cluster.CA(), token))
	since := time.Now()
	manager = hub.start(newer, "hawser")
	rc := hub.ready("spoke", moved, time.Time{})
	if rc.Status.Credential.Subject != "system:serviceaccount:hawser-from-hub:hawser" {
		t.Errorf("it is entered as %s", rc.Status.Credential.Subject)
	}
	hub.renew("spoke", moved)
	hub.isOfVersion(newer)

	// Back to what it was, while a newer program has been here.
	manager.stop()
	hub.run("", "rollback", "hawser", "1")
	manager = hub.start(older, "hawser")
	hub.ready("spoke", at, since)
	hub.renew("spoke", at)
	hub.isOfVersion(newer)
	if !strings.Contains(manager.log.String(), "left as it is") {
		t.Error("nothing warns of the newer definitions")
	}

	// The remote side goes first. What people wrote stays, and what was made for it goes with it, without anybody.
	spoke.uninstall()
	controllers.stop()
	if err := spoke.admin.Delete(t.Context(), &v1alpha1.AccessGrant{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}); err != nil {
		t.Fatal(err)
	}
	asBefore(t, spoke.cluster, spoke.before)
	hub.uninstall()
	manager.stop()
	asBefore(t, hub.cluster, hub.before)
}

// grant lets somebody in, as the owner of the cluster that is entered does.
func grant(s *side) {
	s.Helper()
	err := s.admin.Create(s.Context(), &v1alpha1.AccessGrant{ObjectMeta: metav1.ObjectMeta{Name: "shop"}, Spec: v1alpha1.AccessGrantSpec{
		Subjects:     []v1alpha1.GrantSubject{{User: "ann"}, {LocalCluster: &v1alpha1.GrantLocalCluster{Name: "hub", Namespace: "shop"}}},
		ClusterRoles: []string{"view"}, WholeCluster: true,
	}})
	if err != nil {
		s.Fatal(err)
	}
	fleettest.Eventually(s, patience, func() error {
		var bindings rbacv1.ClusterRoleBindingList
		if err := s.admin.List(s.Context(), &bindings, client.MatchingLabels{v1alpha1.GrantLabel: "shop"}); err != nil || len(bindings.Items) != 1 {
			return fmt.Errorf("it is bound by %d bindings (%w)", len(bindings.Items), err)
		}
		return nil
	})
}

// isOfVersion looks who wrote the definitions last.
func (s *side) isOfVersion(want string) {
	s.Helper()
	out, err := s.kubectl("get", "crd", "remoteclusters.hawser.io", "-o", "jsonpath={.metadata.annotations.hawser\\.io/version}")
	if err != nil || strings.TrimSpace(out) != want {
		s.Errorf("the definitions are of %q, want %s (%v)", out, want, err)
	}
}

// TestAReleaseWhoseRemoteIsGone uninstalls the local side first, while the other does not answer, and with an input
// Secret that a person wrote.
func TestAReleaseWhoseRemoteIsGone(t *testing.T) {
	t.Parallel() // waits of the other go by meanwhile, in other clusters
	hub, spoke := newSide(t, "hub-2"), newSide(t, "spoke-2")
	spoke.install(entered)
	token, _ := mortalToken(spoke)
	at := spoke.cluster.Server
	hub.install(strings.Replace(entering(at, spoke.cluster.CA(), token), "bearerToken: "+token, "existingSecret: true", 1) + "crds: {upgrade: false}\nendpoints: {enabled: true}\n")
	input := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: v1alpha1.InputSecretName("spoke"), Labels: map[string]string{v1alpha1.CredentialsLabel: "true"}},
		StringData: map[string]string{v1alpha1.BearerTokenKey: token},
	}
	if err := hub.admin.Create(t.Context(), input); err != nil {
		t.Fatal(err)
	}
	manager := hub.start(newer, "hawser")
	hub.ready("spoke", at, time.Time{})
	hub.renew("spoke", at)

	// What an inventory found stays, too, until somebody says that it should not: by the command of docs/install.md.
	found := &v1alpha1.RemoteCluster{
		ObjectMeta: metav1.ObjectMeta{Name: "found", Labels: map[string]string{v1alpha1.InventoryLabel: "eks.live"}},
		Spec:       v1alpha1.RemoteClusterSpec{Server: at, Disabled: true, Auth: v1alpha1.Auth{Type: v1alpha1.AuthEKS, EKS: &v1alpha1.EKSAuth{Region: "eu-north-1"}}},
	}
	if err := hub.admin.Create(t.Context(), found); err != nil {
		t.Fatal(err)
	}

	federated := hub.federate()

	spoke.cluster.Stop(t)
	t.Cleanup(func() { spoke.cluster.Start(t) })
	hub.uninstall()
	manager.kill()
	// What a person wrote stays, and with it the server that it may be shown to, and what was made of endpoints.
	written := []string{"secrets hawser/hawser-cluster-spoke", "secrets hawser/hawser-binding-spoke", "remoteclusters.hawser.io /found"}
	hub.holds(federated...)
	asBefore(t, hub.cluster, hub.before, slices.Concat(written, federated)...)
	// The command of docs/endpoints.md.
	if out, err := hub.kubectl("delete", "endpointsets,federatednetworkpolicies", "--all", "--all-namespaces"); err != nil {
		t.Errorf("kubectl delete: %v\n%s", err, out)
	}
	asBefore(t, hub.cluster, hub.before, written...)
	if out, err := hub.kubectl("delete", "remoteclusters", "--selector", v1alpha1.InventoryLabel); err != nil || !strings.Contains(out, `"found" deleted`) {
		t.Errorf("kubectl delete: %v\n%s", err, out)
	}
	if err := hub.admin.Delete(t.Context(), input); err != nil {
		t.Fatal(err)
	}
	asBefore(t, hub.cluster, hub.before)
	spoke.cluster.Start(t)
	spoke.uninstall()
	asBefore(t, spoke.cluster, spoke.before)
}

// federate closes pods by a set and by a policy, and returns what is there of it then.
func (s *side) federate() []string {
	s.Helper()
	es := &v1alpha1.EndpointSet{ObjectMeta: metav1.ObjectMeta{Name: "web"}}
	es.Spec.Selector, es.Spec.Clusters.Local = "all()", true
	es.Spec.Outputs = []v1alpha1.EndpointOutput{{Name: "in", NetworkPolicy: &v1alpha1.NetworkPolicyOutput{Namespace: metav1.NamespaceDefault, Types: []v1alpha1.PolicyType{v1alpha1.PolicyTypeIngress}}}}
	p := &v1alpha1.FederatedNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: "shop"}}
	p.Spec.Clusters.Local, p.Spec.Ingress = true, []v1alpha1.FederatedRule{{Action: "Allow", Source: &v1alpha1.FederatedPeer{Nets: []string{"192.0.2.0/24"}}}}
	for _, o := range []client.Object{es, p} {
		if err := s.admin.Create(s.Context(), o); err != nil {
			s.Fatal(err)
		}
	}
	all := []string{
		"endpointsets.hawser.io /web", "networkpolicies.networking.k8s.io default/web-in", "networkpolicies.networking.k8s.io default/web-in-hub", // with its node
		"federatednetworkpolicies.hawser.io default/shop", "networkpolicies.networking.k8s.io default/shop.closed-4oymiquy", "networkpolicies.networking.k8s.io default/shop.rules",
	}
	fleettest.Eventually(s, patience, func() error { return s.lacks(all) })
	return all
}

// holds fails the test where something is not there.
func (s *side) holds(all ...string) {
	s.Helper()
	if err := s.lacks(all); err != nil {
		s.Error(err)
	}
}

func (s *side) lacks(all []string) error {
	now, err := list(s.T, s.cluster)
	if err != nil {
		return err
	}
	for _, object := range all {
		if !now[object] {
			return fmt.Errorf("%s is not there", object)
		}
	}
	return nil
}
