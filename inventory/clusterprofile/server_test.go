package clusterprofile_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/credential/exec"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/fleettest/inventorytest"
	"github.com/hawser-io/hawser/inventory"
	"github.com/hawser-io/hawser/inventory/clusterprofile"
)

func TestConformanceBySecrets(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	roles := slices.Concat(clusterprofile.Role, []byte("\n---\n"), clusterprofile.SecretsRole)
	account := inventorytest.NewAccount(t, h.Cluster, h.namespace, roles)
	labels := func(name string) map[string]string {
		return map[string]string{clusterprofile.ConsumerLabel: "fleet", clusterprofile.ProfileLabel: name}
	}
	rotate := func(t testing.TB, name string, access inventorytest.Access) {
		h.secret(t, h.namespace, name, labels(name), access.Kubeconfig())
	}
	status := object{"conditions": condition("True")}
	inventorytest.Run(t, inventorytest.Subject{
		Cluster: h.Cluster,
		Account: account,
		New: func(testing.TB) inventory.Inventory {
			return &clusterprofile.Inventory{Config: account.Config(), Namespace: h.namespace, Selector: "tier=test", Consumer: "fleet"}
		},
		Name: func(name string) string { return h.namespace + "/" + name },
		Add: func(t testing.TB, name string, access inventorytest.Access) {
			rotate(t, name, access)
			h.profile(t, name, map[string]string{"tier": "test"}, status)
		},
		Remove: func(t testing.TB, name string) { h.remove(t, name) },
		Rotate: rotate,
		Break: func(t testing.TB, name string) {
			h.secret(t, h.namespace, name, labels(name), []byte("apiVersion: v1\nkind: Config\n"))
		},
		Hide: func(t testing.TB, name string) { h.profile(t, name, nil, status) },
		Show: func(t testing.TB, name string) { h.profile(t, name, map[string]string{"tier": "test"}, status) },
	})
}

func TestConformanceByPlugins(t *testing.T) {
	t.Parallel()
	h, p := newHub(t), newPlugin(t, "files")
	account := inventorytest.NewAccount(t, h.Cluster, h.namespace, clusterprofile.Role)
	status := func(access inventorytest.Access, config any) object {
		return object{"conditions": condition("True"), "accessProviders": []any{entry("files", access.Server, access.CAData, config)}}
	}
	add := func(t testing.TB, name string, access inventorytest.Access) {
		key := fmt.Sprintf("%s-%d", name, time.Now().UnixNano()) // another one for each credential
		p.token(t, key, access.Token)
		h.profile(t, name, map[string]string{"tier": "test"}, status(access, object{"clusterName": key}))
	}
	inventorytest.Run(t, inventorytest.Subject{
		Cluster: h.Cluster,
		Account: account,
		New: func(testing.TB) inventory.Inventory {
			return &clusterprofile.Inventory{Config: account.Config(), Namespace: h.namespace, Selector: "tier=test", Providers: []exec.Provider{p.Provider}}
		},
		Name:   func(name string) string { return h.namespace + "/" + name },
		Add:    add,
		Remove: func(t testing.TB, name string) { h.remove(t, name) },
		Rotate: add,
		Break: func(t testing.TB, name string) {
			broken := status(inventorytest.Access{Server: "http://in.the.clear", CAData: h.CA()}, object{})
			h.profile(t, name, map[string]string{"tier": "test"}, broken)
		},
	})
}

func TestOnlyHealthyClustersAreConnected(t *testing.T) {
	t.Parallel()
	h, p := newHub(t), newPlugin(t, "files")
	with := func(conditions []any) object {
		status := object{"accessProviders": []any{entry("files", h.Server, h.CA(), object{})}, "properties": []any{
			object{"name": "cluster.clusterset.k8s.io", "value": "one"}, object{"name": "tier", "value": "gold"},
		}}
		if conditions != nil {
			status["conditions"] = conditions
		}
		return status
	}
	h.profile(t, "sick", nil, with(condition("False")))
	h.profile(t, "unknown", nil, with(nil))
	h.profile(t, "well", map[string]string{"tier": "lead", "team": "blue"}, with(condition("True")))
	r := h.run(t, &clusterprofile.Inventory{Config: h.AdminConfig(), Namespace: h.namespace, Providers: []exec.Provider{p.Provider}})
	r.faulty("sick", "is not connected yet: ControlPlaneHealthy is False (Probed: by the test)")
	r.faulty("unknown", "is not connected yet: it has no condition ControlPlaneHealthy")
	want := map[string]string{"cluster.clusterset.k8s.io": "one", "tier": "gold", "team": "blue"}
	if diff := cmp.Diff(want, r.told("well").Properties); diff != "" {
		t.Errorf("properties (-want +got):\n%s", diff)
	}
	h.profile(t, "well", nil, with(condition("False")))
	h.profile(t, "sick", nil, with(condition("True")))
	r.told("sick")
	r.told("well")
	for _, e := range r.Events() {
		if e.Did == "Remove" {
			t.Errorf("it told %v", r.Events())
		}
	}
}

func TestWaysToACluster(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	cloud, files := newPlugin(t, "cloud"), newPlugin(t, "files")
	adds := files.Provider
	adds.Name, adds.ProfileArgs, adds.ProfileEnv = "adds", exec.ArgsAppend, exec.EnvAppendIfNotExists
	at := func(provider, server string, change ...func(object)) object {
		e := entry(provider, server, h.CA(), object{"clusterName": provider})
		for _, f := range change {
			f(e["cluster"].(object))
		}
		return e
	}
	set := func(field string, value any) func(object) { return func(c object) { c[field] = value } }
	extend := func(name string, extension any) func(object) {
		return func(c object) {
			c["extensions"] = append(c["extensions"].([]any), object{"name": name, "extension": extension})
		}
	}
	text := inventorytest.Access{Server: "https://secret", CAData: h.CA(), Token: "t"}.Kubeconfig()
	cases := []struct {
		name                string
		access, credentials []any
		secrets             int
		endpoint            string // of what it comes to
		provider            string // whose configuration it has
		args                []string
		fault               string
	}{
		{name: "the first provider of ours", access: []any{at("files", "https://files"), at("cloud", "https://cloud"), at("other", "https://other")}, endpoint: "https://cloud", provider: "cloud"},
		{name: "access providers come before their deprecated twin", access: []any{at("files", "https://files")}, credentials: []any{at("cloud", "https://cloud"), at("files", "https://deprecated")}, endpoint: "https://files", provider: "files"},
		{name: "the deprecated twin comes next", access: []any{at("other", "https://other")}, credentials: []any{at("files", "https://deprecated")}, secrets: 1, endpoint: "https://deprecated", provider: "files"},
		{name: "a Secret comes last", access: []any{at("other", "https://other")}, secrets: 1, endpoint: "https://secret"},
		{name: "two Secrets are one too many", secrets: 2, fault: "2 Secrets are labelled for it"},
		{name: "nothing leads there", access: []any{at("other", "https://other")}, fault: "there is no plugin for it, and no Secret with the labels x-k8s.io/cluster-inventory-consumer=fleet and x-k8s.io/cluster-profile=prod"},
		{name: "verification is not switched off", access: []any{at("cloud", "https://cloud", set("insecure-skip-tls-verify", true))}, fault: `its entry for access provider "cloud": insecure-skip-tls-verify is refused`},
		{name: "a CA is no file", access: []any{at("cloud", "https://cloud", set("certificate-authority", "/etc/ca"))}, fault: "certificate-authority is refused"},
		{name: "an address is https", access: []any{at("cloud", "http://cloud")}, fault: "server must be https://"},
		{name: "a proxy is http or socks5", access: []any{at("cloud", "https://cloud", set("proxy-url", "ftp://proxy"))}, fault: "proxy-url must be http:// or socks5://"},
		{name: "an extension is there once", access: []any{at("cloud", "https://cloud", extend(clusterprofile.ExecExtension, object{}))}, fault: "it has extension"},
		{name: "arguments are not added without leave", access: []any{at("cloud", "https://cloud", extend(clusterprofile.ArgsExtension, []any{"--as-admin"}))}, endpoint: "https://cloud", provider: "cloud"},
		{name: "but with it", access: []any{at("adds", "https://adds", extend(clusterprofile.ArgsExtension, []any{"--tenant=t"}))}, endpoint: "https://adds", provider: "adds", args: []string{"--tenant=t"}},
		{name: "and not code", access: []any{at("adds", "https://adds", extend(clusterprofile.EnvExtension, object{"LD_PRELOAD": "/tmp/x.so"}))}, fault: "could make the plugin run other code"},
		{name: "arguments are a list of strings", access: []any{at("adds", "https://adds", extend(clusterprofile.ArgsExtension, object{}))}, fault: "no list of strings"},
	}
	r := h.run(t, &clusterprofile.Inventory{
		Config: h.AdminConfig(), Namespace: h.namespace, Consumer: "fleet", Providers: []exec.Provider{cloud.Provider, files.Provider, adds},
	})
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			for i := range tc.secrets {
				h.secret(t, h.namespace, fmt.Sprint("prod-", i), map[string]string{clusterprofile.ConsumerLabel: "fleet", clusterprofile.ProfileLabel: "prod"}, text)
			}
			status := object{"conditions": condition("True")}
			if tc.access != nil {
				status["accessProviders"] = tc.access
			}
			if tc.credentials != nil {
				status["credentialProviders"] = tc.credentials
			}
			h.profile(t, "prod", nil, status)
			if tc.fault != "" {
				r.faulty("prod", tc.fault)
			} else {
				c := r.told("prod")
				checkWay(t, c, tc.endpoint, tc.provider, tc.args)
			}
			h.remove(t, "prod")
			if err := h.Client().CoreV1().Secrets(h.namespace).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
				t.Fatal(err)
			}
			eventually(t, func() error {
				if len(r.Clusters())+len(r.Faults()) > 0 {
					return fmt.Errorf("left are %v, with %v", r.Clusters(), r.Faults())
				}
				return nil
			})
		})
	}
}

// checkWay checks by what a cluster is reached, and where.
func checkWay(t *testing.T, c inventory.Cluster, endpoint, provider string, args []string) {
	t.Helper()
	if provider == "" {
		list, err := c.Source.Obtain(t.Context())
		if err != nil || list[0].Endpoint.Server != endpoint {
			t.Errorf("got %+v (%v)", list, err)
		}
		return
	}
	s, ok := c.Source.(*exec.Source)
	if !ok {
		t.Fatalf("got a %T", c.Source)
	}
	if got := string(s.Cluster.Config); got != `{"clusterName":"`+provider+`"}` || s.Plugin.Name != provider || s.Cluster.Server != endpoint || !slices.Equal(s.Plugin.Args, args) {
		t.Errorf("plugin %q with %q is told %s of %s", s.Plugin.Name, s.Plugin.Args, got, s.Cluster.Server)
	}
}

func TestAllOfAnEntryIsHandedOn(t *testing.T) {
	t.Parallel()
	h, p := newHub(t), newPlugin(t, "files")
	e := entry("files", "https://alpha:6443/path", h.CA(), object{"clusterName": "alpha", "audience": object{"a": int64(1)}})
	c := e["cluster"].(object)
	c["tls-server-name"], c["proxy-url"], c["disable-compression"] = "alpha.internal", "socks5://proxy:1080", true
	h.profile(t, "alpha", nil, object{"conditions": condition("True"), "accessProviders": []any{e}})
	r := h.run(t, &clusterprofile.Inventory{Config: h.AdminConfig(), Namespace: h.namespace, Providers: []exec.Provider{p.Provider}})
	got := r.told("alpha").Source.(*exec.Source).Cluster
	if got.Server != "https://alpha:6443/path" || string(got.CAData) != string(h.CA()) || got.TLSServerName != "alpha.internal" ||
		got.ProxyURL != "socks5://proxy:1080" || !got.DisableCompression || string(got.Config) != `{"audience":{"a":1},"clusterName":"alpha"}` {
		t.Errorf("got %+v with %s", got, got.Config)
	}
}

func TestConsumersNamespaces(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ours := h.Namespace(t)
	text := inventorytest.Access{Server: "https://a", CAData: h.CA(), Token: "t"}.Kubeconfig()
	h.profile(t, "prod", nil, object{"conditions": condition("True")})
	h.secret(t, ours, "for-prod", map[string]string{clusterprofile.ProfileLabel: "prod", clusterprofile.ProfileNamespaceLabel: h.namespace}, text)
	r := h.run(t, &clusterprofile.Inventory{Config: h.AdminConfig(), Namespace: h.namespace, Consumer: "fleet", SecretNamespaces: []string{ours, h.namespace}})
	r.faulty("prod", "no Secret with the labels")
	patch := func(value string) {
		t.Helper()
		ns := &corev1.Namespace{}
		if err := h.admin.Get(t.Context(), client.ObjectKey{Name: ours}, ns); err != nil {
			t.Fatal(err)
		}
		ns.Labels = map[string]string{clusterprofile.ConsumerLabel: value}
		if err := h.admin.Update(t.Context(), ns); err != nil {
			t.Fatal(err)
		}
	}
	patch("fleet")
	r.told("prod")
	patch("another")
	r.faulty("prod", "no Secret with the labels")
	if len(r.Clusters()) != 1 {
		t.Error("what is known of the cluster stands")
	}
}

func TestConnectionsByAPlugin(t *testing.T) {
	t.Parallel()
	h, p := newHub(t), newPlugin(t, "files")
	alpha := fleettest.Use(t, "alpha")
	namespace := alpha.Namespace(t)
	alpha.ServiceAccount(t, namespace, "one")
	alpha.ServiceAccount(t, namespace, "two")
	user := func(name string) string { return "system:serviceaccount:" + namespace + ":" + name }
	// Short-lived, so that the connection has to renew it while we look.
	short := func(name string, life time.Duration) string {
		return alpha.SignToken(t, namespace, name, fleettest.TokenTimes{Expires: time.Now().Add(life)}, nil)
	}
	p.token(t, "alpha", short("one", 6*time.Second))
	p.token(t, "hung", "none")
	if err := os.WriteFile(filepath.Join(p.dir, "hung.hang"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"hung", "alpha"} {
		h.profile(t, name, nil, object{"conditions": condition("True"), "accessProviders": []any{entry("files", alpha.Server, alpha.CA(), object{"clusterName": name})}})
	}
	r := h.run(t, &clusterprofile.Inventory{Config: h.AdminConfig(), Namespace: h.namespace, Providers: []exec.Provider{p.Provider}})
	inventorytest.Connect(t, r.told("hung")) // which harms no other
	conn := inventorytest.Connect(t, r.told("alpha"))
	as := func(name string) {
		t.Helper()
		eventually(t, func() error {
			if s := conn.State().Subject; s != user(name) && !strings.HasSuffix(s, ":"+name) {
				return fmt.Errorf("it runs as %q, want %q: %+v", s, user(name), conn.State().Conditions)
			}
			return checkReady(conn.State().ExpiresAt, inventorytest.Ready(conn))
		})
	}
	as("one")
	p.token(t, "alpha", short("two", time.Hour))
	as("two") // before the first one ended
	if renewals := conn.State().Renewals; renewals != 1 {
		t.Errorf("%d renewals", renewals)
	}

	// The entry moves to another plugin's name for it: the running connection follows, and no sooner than that works.
	p.token(t, "renamed", "refused")
	before := r.told("alpha").Version
	h.profile(t, "alpha", nil, object{"conditions": condition("True"), "accessProviders": []any{entry("files", alpha.Server, alpha.CA(), object{"clusterName": "renamed"})}})
	eventually(t, func() error {
		if r.told("alpha").Version == before {
			return errors.New("the change has not been told")
		}
		return nil
	})
	conn.SetSource(r.told("alpha").Source)
	eventually(t, func() error {
		if c := conn.State().Condition("CredentialFresh"); c.Status != metav1.ConditionFalse {
			return fmt.Errorf("it does not say that the new credential is refused: %+v", c)
		}
		return inventorytest.Ready(conn)
	})
	as("two")
	p.token(t, "renamed", short("one", time.Hour))
	conn.Refresh()
	as("one")
}

// checkReady is err, unless there is an expiry missing that should be known.
func checkReady(expires time.Time, err error) error {
	if err == nil && expires.IsZero() {
		return errors.New("the expiry of the token is not known")
	}
	return err
}

func TestWhatCannotBeMendedIsAnError(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	bad := newPlugin(t, "bad").Provider
	bad.ProfileArgs = "Prepend"
	for want, i := range map[string]*clusterprofile.Inventory{
		"set Providers or Consumer":     {},
		"profileSourcedCLIArgsPolicy":   {Providers: []exec.Provider{bad}},
		"reading the label selector \"": {Consumer: "fleet", Selector: "a in"},
	} {
		i.Config, i.Namespace = h.AdminConfig(), h.namespace
		if err := i.Run(t.Context(), &inventorytest.Recorder{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want …%s…", err, want)
		}
	}
}
