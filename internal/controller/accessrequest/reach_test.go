package accessrequest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/fleettest/inventorytest"
	"github.com/hawser-io/hawser/inventory"
	"github.com/hawser-io/hawser/inventory/argocd"
	"github.com/hawser-io/hawser/inventory/clusterprofile"
	"github.com/hawser-io/hawser/inventory/kubeconfigsecret"
	"github.com/hawser-io/hawser/member"
)

func TestAClusterThatDoesNotAnswerKeepsItsOutputUntilTheTokenEnds(t *testing.T) {
	w := newWorld(t)
	account := w.grant("deploy", w.namespace)
	proxy := w.alpha.Proxy(t)
	far := w.rc + "-far"
	w.connect(far, proxy.URL)
	w.tie(far, &v1alpha1.AllowedNamespaces{})
	ar := w.request("access", func(ar *v1alpha1.AccessRequest) { ar.Spec.ClusterRef.Name = far })
	secret := w.ready(ar)
	w.mustBe(secret.Data["kubeconfig"], account)

	proxy.BlackHoleTCP()
	touch := func() { w.change(far, func(rc *v1alpha1.RemoteCluster) { rc.Spec.QPS++ }) }
	eventually(t, func() error {
		conn, err := w.links.Get(far)
		if err == nil && conn.State().Condition(v1alpha1.Authenticated).Status == metav1.ConditionTrue {
			err = errors.New("nobody has noticed yet")
		}
		return err
	})
	touch()
	w.is(ar, metav1.ConditionTrue, v1alpha1.ReasonClusterNotReady)
	w.clock.Step(30 * time.Minute)
	touch()
	if got := w.secret("access"); string(got.Data["token"]) != string(secret.Data["token"]) {
		t.Error("the output is another")
	}
	began := time.Now()
	w.ready(w.request("elsewhere")) // over a link that works
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("a request for another cluster took %s", took)
	}

	w.clock.Step(31 * time.Minute)
	touch()
	w.is(ar, metav1.ConditionFalse, v1alpha1.ReasonClusterNotReady)
	w.gone("access")

	proxy.Restore()
	eventually(t, func() error {
		touch()
		return w.isNow(ar, v1alpha1.ReasonWritten)
	})
}

func (w *world) isNow(ar *v1alpha1.AccessRequest, reason string) error {
	if err := w.admin.Get(w.t.Context(), client.ObjectKeyFromObject(ar), ar); err != nil {
		return err
	}
	for _, c := range ar.Status.Conditions {
		if c.Reason == reason {
			return nil
		}
	}
	return fmt.Errorf("the conditions are %+v", ar.Status.Conditions)
}

func TestTheOutputFollowsTheAddressThatHasProvedItself(t *testing.T) {
	w := newWorld(t)
	account := w.grant("deploy", w.namespace)
	ar := w.request("access")
	w.ready(ar)
	conn, err := w.links.Get(w.rc)
	if err != nil {
		t.Fatal(err)
	}
	server := func() string { return string(w.secret("access").Data["kubeconfig"]) }

	// An address that nobody answers at: consumers are not sent there.
	conn.Update(w.spec(w.rc, "https://127.0.0.1:1"))
	w.poke()
	w.ready(w.request("another"))
	if !strings.Contains(server(), w.alpha.Server) {
		t.Errorf("the kubeconfig leads elsewhere:\n%s", strings.Split(server(), "users:")[0])
	}

	proxy := w.alpha.Proxy(t)
	conn.Update(w.spec(w.rc, proxy.URL))
	eventually(t, func() error {
		w.poke()
		if !strings.Contains(server(), proxy.URL) {
			return errors.New("the kubeconfig leads to where the cluster was")
		}
		return nil
	})
	w.mustBe(w.secret("access").Data["kubeconfig"], account)
}

// TestAConnectionByCertificateProvesTokensByThemselves: shown beside a certificate, a token would not count.
func TestAConnectionByCertificateProvesTokensByThemselves(t *testing.T) {
	w := newWorld(t)
	account := w.grant("deploy", w.namespace)
	user := v1alpha1.MemberUser(w.local)
	cert, key := w.alpha.ClientCert(t, user, nil, time.Now().Add(-time.Minute), time.Now().Add(time.Hour))
	cred, err := credential.NewCertificate(cert, credential.NewSecret(string(key)), "cert")
	if err != nil {
		t.Fatal(err)
	}
	w.alpha.ApplyObjects(t, member.Objects(member.Options{Local: w.local, Version: "v0.0.0-test", Identity: member.Certificate})...)
	var role rbacv1.RoleBinding
	if err := w.far.Get(t.Context(), client.ObjectKey{Namespace: v1alpha1.GrantsNamespace, Name: account}, &role); err != nil {
		t.Fatal(err)
	}
	role.Subjects = []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}}
	if err := w.far.Update(t.Context(), &role); err != nil {
		t.Fatal(err)
	}
	certified := w.rc + "-certified"
	w.connectAs(certified, w.alpha.Server, cred)
	w.tie(certified, &v1alpha1.AllowedNamespaces{})
	ar := w.request("access", func(ar *v1alpha1.AccessRequest) { ar.Spec.ClusterRef.Name = certified })
	w.mustBe(w.ready(ar).Data["kubeconfig"], account)
}

// TestWhatIsWrittenIsReadByInventories lets our own readers of the formats of others find the cluster, and use it.
func TestWhatIsWrittenIsReadByInventories(t *testing.T) {
	w := newWorld(t)
	account := w.grant("deploy", w.namespace)
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}}
	labels := []byte(`{"metadata":{"labels":{"x-k8s.io/cluster-inventory-consumer":"tester"}}}`)
	if err := w.admin.Patch(t.Context(), namespace, client.RawPatch("application/merge-patch+json", labels)); err != nil {
		t.Fatal(err)
	}
	cases := map[v1alpha1.OutputFormat]struct {
		name      string
		inventory inventory.Inventory
	}{
		v1alpha1.OutputArgoCD:              {w.rc, &argocd.Inventory{Config: w.AdminConfig(), Namespace: w.namespace}},
		v1alpha1.OutputMulticlusterRuntime: {"multicluster-runtime", &kubeconfigsecret.Inventory{Config: w.AdminConfig(), Namespace: w.namespace}},
		v1alpha1.OutputClusterProfile: {w.namespace + "/clusterprofile", &clusterprofile.Inventory{
			Config: w.AdminConfig(), Namespace: w.namespace, Consumer: "tester"}},
	}
	for format, c := range cases {
		w.ready(w.request(string(format), in(format)))
		recorder := inventorytest.Start(t, c.inventory)
		eventually(t, func() error {
			if _, ok := recorder.Clusters()[c.name]; !ok {
				return fmt.Errorf("%s: cluster %q is not there: %v", format, c.name, recorder.Events())
			}
			return nil
		})
		found, err := recorder.Clusters()[c.name].Source.Obtain(t.Context())
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: it yields %d credentials (%v)", format, len(found), err)
		}
		if got, err := w.who(found[0]); err != nil || got != "system:serviceaccount:hawser-grants:"+account {
			t.Errorf("%s: the holder is %q (%v)", format, got, err)
		}
	}
	status := w.profile("clusterprofile").Object["status"].(map[string]any)
	if got := fmt.Sprint(status["version"]); !strings.Contains(got, "v1.36.3") {
		t.Errorf("the version is %s", got)
	}
	if got := len(status["accessProviders"].([]any)); got != 3 {
		t.Errorf("there are %d access providers", got)
	}
}

// who asks the remote cluster who the holder of a credential is, over the way that it says itself.
func (w *world) who(c credential.Credential) (string, error) {
	clients, err := kubernetes.NewForConfig(&rest.Config{
		Host: c.Endpoint.Server, BearerToken: c.Token.Reveal(),
		TLSClientConfig: rest.TLSClientConfig{CAData: c.Endpoint.CAData, ServerName: c.Endpoint.TLSServerName},
	})
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	who, err := clients.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return who.Status.UserInfo.Username, nil
}
