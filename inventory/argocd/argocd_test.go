package argocd_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/fleettest/inventorytest"
	"github.com/hawser-io/hawser/inventory"
	"github.com/hawser-io/hawser/inventory/argocd"
)

func TestMain(m *testing.M) { os.Exit(fleettest.Run(m, "primary")) }

const patience = 30 * time.Second

// argo is a namespace with cluster Secrets. The Secret of cluster "Prod a/1" is called cluster-a.
type argo struct{ corev1client.SecretInterface }

func title(name string) string { return "Prod " + name + "/1" }

// config is what `argocd cluster add` writes.
func config(access inventorytest.Access) []byte {
	data, err := json.Marshal(map[string]any{"bearerToken": access.Token, "tlsClientConfig": map[string]any{"insecure": false, "caData": access.CAData}})
	if err != nil {
		panic(err)
	}
	return data
}

func (a argo) create(t testing.TB, name string, data map[string]string) {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"argocd.argoproj.io/secret-type": "cluster"}}, StringData: data}
	if _, err := a.Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (a argo) add(t testing.TB, name string, access inventorytest.Access) {
	t.Helper()
	a.create(t, "cluster-"+name, map[string]string{"name": title(name), "server": access.Server, "config": string(config(access))})
}

func (a argo) remove(t testing.TB, name string) {
	t.Helper()
	secrets, err := a.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range secrets.Items { // a renamed cluster is in a Secret of another name
		if string(secret.Data["name"]) != title(name) && secret.Name != "cluster-"+name {
			continue
		}
		if err := a.Delete(t.Context(), secret.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
	}
}

func (a argo) patch(t testing.TB, name string, patch any) {
	t.Helper()
	data, err := json.Marshal(patch)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Patch(t.Context(), "cluster-"+name, types.MergePatchType, data, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

type object = map[string]any

func (a argo) write(t testing.TB, name, key, value string) {
	t.Helper()
	a.patch(t, name, object{"stringData": object{key: value}})
}

func (a argo) relabel(t testing.TB, name string, value any) {
	t.Helper()
	a.patch(t, name, object{"metadata": object{"labels": object{"argocd.argoproj.io/secret-type": value}}})
}

func TestConformance(t *testing.T) {
	cluster := fleettest.Use(t, "primary")
	namespace := cluster.Namespace(t)
	a := argo{cluster.Client().CoreV1().Secrets(namespace)}
	account := inventorytest.NewAccount(t, cluster, namespace, argocd.Role)
	inventorytest.Run(t, inventorytest.Subject{
		Cluster: cluster,
		Account: account,
		Name:    title,
		New: func(testing.TB) inventory.Inventory {
			return &argocd.Inventory{Config: account.Config(), Namespace: namespace}
		},
		Add:    a.add,
		Remove: a.remove,
		Rotate: func(t testing.TB, name string, access inventorytest.Access) {
			a.write(t, name, "config", string(config(access)))
		},
		Break:  func(t testing.TB, name string) { a.write(t, name, "config", `{"bearerToken":`) },
		Hide:   func(t testing.TB, name string) { a.relabel(t, name, "repository") },
		Show:   func(t testing.TB, name string) { a.relabel(t, name, "cluster") },
		Rename: func(t testing.TB, from, to string) { a.write(t, from, "name", title(to)) },
	})
}

func TestOneNameBelongsToTheOlderSecret(t *testing.T) {
	cluster := fleettest.Use(t, "primary")
	namespace := cluster.Namespace(t)
	a := argo{cluster.Client().CoreV1().Secrets(namespace)}
	account := inventorytest.NewAccount(t, cluster, namespace, argocd.Role)
	older := map[string]string{"name": "dup", "server": "https://older.example.com", "config": `{"bearerToken":"x"}`}
	newer := map[string]string{"name": "dup", "server": "https://newer.example.com", "config": `{"bearerToken":"x"}`}
	a.create(t, "a-older", older) // creation times have whole seconds: by name it is the first as well
	a.create(t, "z-newer", newer)

	r := inventorytest.Start(t, &argocd.Inventory{Config: account.Config(), Namespace: namespace})
	leadsTo := func(server string) func() error {
		return func() error {
			c, ok := r.Clusters()["dup"]
			if !ok {
				return fmt.Errorf("it is not there; it told %v", r.Events())
			}
			credentials, err := c.Source.Obtain(t.Context())
			if err != nil || credentials[0].Endpoint.Server != server {
				return fmt.Errorf("it leads to %v (%w), want %s", credentials, err, server)
			}
			return nil
		}
	}
	fleettest.Eventually(t, patience, leadsTo("https://older.example.com"))
	fleettest.Eventually(t, patience, func() error {
		if err := r.Faults()["dup"]; err == nil || !strings.Contains(err.Error(), `Secret "z-newer" is left out: Secret "a-older" has`) {
			return fmt.Errorf("the fault is %w", err)
		}
		return nil
	})
	if err := a.Delete(t.Context(), "a-older", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	fleettest.Eventually(t, patience, leadsTo("https://newer.example.com"))
	fleettest.Eventually(t, patience, func() error { return r.Faults()["dup"] })
}

func TestTheLocalClusterIsReachedAsTheInventoryReachesIt(t *testing.T) {
	cluster := fleettest.Use(t, "primary")
	namespace := cluster.Namespace(t)
	a := argo{cluster.Client().CoreV1().Secrets(namespace)}
	account := inventorytest.NewAccount(t, cluster, namespace, argocd.Role)
	a.create(t, "in-cluster", map[string]string{"name": "in-cluster", "server": "https://kubernetes.default.svc", "config": `{"tlsClientConfig":{"insecure":false}}`, "project": "default", "namespaces": "a,b"})
	r := inventorytest.Start(t, &argocd.Inventory{Config: account.Config(), Namespace: namespace})
	fleettest.Eventually(t, patience, func() error {
		if _, ok := r.Clusters()["in-cluster"]; !ok {
			return errors.New("it is not there")
		}
		return nil
	})
	c := r.Clusters()["in-cluster"]
	credentials, err := c.Source.Obtain(t.Context())
	if err != nil || len(credentials) != 1 {
		t.Fatalf("credentials %v, error %v", credentials, err)
	}
	if got := credentials[0]; got.Token.Reveal() != account.Config().BearerToken || got.Endpoint.Server != account.Config().Host {
		t.Error("it is reached by another credential or at another address than the inventory's")
	}
	if c.Spec.AuthType != "inCluster" || c.Properties["project"] != "default" || c.Properties["namespaces"] != "a,b" {
		t.Errorf("spec %+v, properties %v", c.Spec, c.Properties)
	}
}

func TestWhatIsNotTakenIsAFaultThatSaysWhatToDo(t *testing.T) {
	cluster := fleettest.Use(t, "primary")
	namespace := cluster.Namespace(t)
	a := argo{cluster.Client().CoreV1().Secrets(namespace)}
	account := inventorytest.NewAccount(t, cluster, namespace, argocd.Role)
	pair := `"certData":"dmVyeS1zZWNyZXQ=","keyData":"dmVyeS1zZWNyZXQ="`
	cases := map[string]struct{ server, config, want string }{
		"aws":         {"", `{"awsAuthConfig":{"clusterName":"a","roleARN":"very-secret"}}`, "auth.type eks"},
		"exec":        {"", `{"execProviderConfig":{"command":"very-secret"}}`, "it runs a program"},
		"basic":       {"", `{"username":"a","password":"very-secret"}`, "use bearerToken"},
		"insecure":    {"", `{"bearerToken":"very-secret","tlsClientConfig":{"insecure":true}}`, "tlsClientConfig.caData"},
		"half-pair":   {"", `{"tlsClientConfig":{"certData":"dmVyeS1zZWNyZXQ="}}`, "half a pair"},
		"bad-pair":    {"", `{"tlsClientConfig":{` + pair + `}}`, "reading the certificate"},
		"two":         {"", `{"bearerToken":"very-secret","tlsClientConfig":{` + pair + `}}`, "keep one"},
		"none":        {"", `{}`, "neither bearerToken nor"},
		"nothing":     {"", ``, "neither bearerToken nor"},
		"no-json":     {"", `very-secret`, "not the JSON"},
		"wrong-kind":  {"", `{"bearerToken":5}`, "not the JSON"},
		"http":        {"http://example.com", `{"bearerToken":"very-secret"}`, "server must be https://"},
		"proxy":       {"", `{"bearerToken":"very-secret","proxyUrl":"file:///x"}`, "proxy-url must be"},
		"null-is-not": {"", `{"awsAuthConfig":null,"execProviderConfig":null}`, "neither bearerToken nor"},
	}
	for name, c := range cases {
		server := c.server
		if server == "" {
			server = "https://example.com"
		}
		a.create(t, "s-"+name, map[string]string{"name": name, "server": server, "config": c.config})
	}
	a.create(t, "nameless", map[string]string{"server": "https://example.com", "config": `{"bearerToken":"x"}`})
	r := inventorytest.Start(t, &argocd.Inventory{Config: account.Config(), Namespace: namespace})
	fleettest.Eventually(t, patience, func() error {
		if n := len(r.Faults()); n != len(cases)+1 {
			return fmt.Errorf("there are %d faults, want %d", n, len(cases)+1)
		}
		return nil
	})
	for name, c := range cases {
		err := r.Faults()[name]
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `Secret "s-`+name+`"`) {
			t.Errorf("%s: the fault is %v, want one that names the Secret and %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "very-secret") {
			t.Errorf("%s: the fault quotes a value: %v", name, err)
		}
	}
	if err := r.Faults()["nameless"]; err == nil || !strings.Contains(err.Error(), `no "name"`) {
		t.Errorf("the fault of the Secret without a name is %v", err)
	}
	if len(r.Clusters()) != 0 {
		t.Errorf("clusters were told: %v", r.Clusters())
	}
}

func TestAClientCertificateIsTaken(t *testing.T) {
	cluster := fleettest.Use(t, "primary")
	namespace := cluster.Namespace(t)
	a := argo{cluster.Client().CoreV1().Secrets(namespace)}
	account := inventorytest.NewAccount(t, cluster, namespace, argocd.Role)
	cert, key := cluster.ClientCert(t, "somebody", nil, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	text, err := json.Marshal(object{"tlsClientConfig": object{"certData": cert, "keyData": key, "caData": cluster.CA(), "serverName": "localhost"}})
	if err != nil {
		t.Fatal(err)
	}
	a.create(t, "cert", map[string]string{"name": "cert", "server": cluster.Server, "config": string(text)})
	r := inventorytest.Start(t, &argocd.Inventory{Config: account.Config(), Namespace: namespace})
	fleettest.Eventually(t, patience, func() error {
		c, ok := r.Clusters()["cert"]
		if !ok {
			return fmt.Errorf("it is not there; faults %v", r.Faults())
		}
		credentials, err := c.Source.Obtain(t.Context())
		if err != nil {
			return err
		}
		if got := credentials[0]; got.Subject != "somebody" || got.Endpoint.TLSServerName != "localhost" {
			return fmt.Errorf("subject %q, endpoint %+v", got.Subject, got.Endpoint)
		}
		return nil
	})
}
