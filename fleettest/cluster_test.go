package fleettest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/hawser-io/hawser/fleettest"
)

func TestMain(m *testing.M) {
	os.Exit(fleettest.RunWith(m, fleettest.Options{
		Clusters: []string{"primary", "alpha"},
		Trust:    []string{"alpha=primary"},
	}))
}

// whoami asks the API server who a config is. The API server caches a token's answer for ten seconds.
func whoami(ctx context.Context, config *rest.Config) (string, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	review, err := client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return review.Status.UserInfo.Username, nil
}

func TestClusterIsARealOne(t *testing.T) {
	c := fleettest.Use(t, "primary")
	version, err := c.Client().Discovery().ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	if version.GitVersion != "v1.36.3" {
		t.Errorf("version %s, want v1.36.3", version.GitVersion)
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(c.Kubeconfig(t))
	if err != nil {
		t.Fatal(err)
	}
	if user, err := whoami(t.Context(), config); user != "devfleet-admin" {
		t.Errorf("the kubeconfig is of user %q (%v), want devfleet-admin", user, err)
	}
}

func TestTokens(t *testing.T) {
	c := fleettest.Use(t, "primary")
	ns := c.Namespace(t)
	c.ServiceAccount(t, ns, "robot")
	now := time.Now()
	account := "system:serviceaccount:" + ns + ":robot"
	cases := []struct {
		name, token, user string
	}{
		{"a token from the API server", c.Token(t, ns, "robot", 10*time.Minute), account},
		{"a signed token", c.SignToken(t, ns, "robot", fleettest.TokenTimes{}, nil), account},
		{"a token for a few seconds", c.SignToken(t, ns, "robot", fleettest.TokenTimes{Expires: now.Add(20 * time.Second)}, nil), account},
		{"an expired token", c.SignToken(t, ns, "robot", fleettest.TokenTimes{IssuedAt: now.Add(-time.Hour), Expires: now.Add(-2 * time.Minute)}, nil), ""},
		{"a token of the future", c.SignToken(t, ns, "robot", fleettest.TokenTimes{NotBefore: now.Add(time.Hour)}, nil), ""},
		{"a token for another audience", c.Token(t, ns, "robot", 10*time.Minute, "elsewhere"), ""},
		{"a token that names another UID", c.SignToken(t, ns, "robot", fleettest.TokenTimes{}, map[string]any{
			"kubernetes.io": map[string]any{"namespace": ns, "serviceaccount": map[string]any{"name": "robot", "uid": "other"}},
		}), ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			user, err := whoami(t.Context(), c.TokenConfig(tc.token))
			if user != tc.user || (tc.user == "") != apierrors.IsUnauthorized(err) {
				t.Errorf("user %q, error %v; want user %q", user, err, tc.user)
			}
		})
	}
}

func TestTrustBetweenClusters(t *testing.T) {
	primary, alpha := fleettest.Use(t, "primary"), fleettest.Use(t, "alpha")
	token := primary.Token(t, "default", "default", 10*time.Minute, "hawser:alpha")
	fleettest.Eventually(t, 30*time.Second, func() error { // the keys of an issuer are fetched in the background
		user, err := whoami(t.Context(), alpha.TokenConfig(token))
		if want := "primary:system:serviceaccount:default:default"; user != want {
			return fmt.Errorf("user %q (%w), want %q", user, err, want)
		}
		return nil
	})
}

func TestClientCertificates(t *testing.T) {
	c := fleettest.Use(t, "alpha")
	now := time.Now()
	with := func(cert, key []byte) *rest.Config {
		config := c.AnonymousConfig()
		config.CertData, config.KeyData = cert, key
		return config
	}
	foreign := fleettest.ForeignCA(t)
	cases := []struct {
		name   string
		config *rest.Config
		user   string
	}{
		{"a valid one", with(c.ClientCert(t, "jane", []string{"crew"}, now.Add(-time.Minute), now.Add(time.Minute))), "jane"},
		{"an expired one", with(c.ClientCert(t, "jane", nil, now.Add(-time.Hour), now.Add(-time.Minute))), ""},
		{"one of the future", with(c.ClientCert(t, "jane", nil, now.Add(time.Hour), now.Add(2*time.Hour))), ""},
		{"one of a foreign CA", with(foreign.ClientCert(t, "jane", nil, now.Add(-time.Minute), now.Add(time.Minute))), ""},
	}
	proxy := c.HTTPProxy(t)
	for _, tc := range cases {
		for way, config := range map[string]*rest.Config{"directly": tc.config, "by the HTTP proxy": proxy.Through(tc.config)} {
			t.Run(tc.name+" "+way, func(t *testing.T) {
				user, err := whoami(t.Context(), config)
				if user != tc.user || (tc.user == "") != apierrors.IsUnauthorized(err) {
					t.Errorf("user %q, error %v; want user %q", user, err, tc.user)
				}
			})
		}
	}
}

func TestStopAndStartKeepData(t *testing.T) {
	c := fleettest.Use(t, "alpha")
	ns := c.Namespace(t)
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kept"}, Data: map[string]string{"key": "value"}}
	if _, err := c.Client().CoreV1().ConfigMaps(ns).Create(t.Context(), config, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	token := c.Token(t, ns, "default", time.Hour)
	t.Cleanup(func() { c.Start(t) })
	c.Stop(t)
	if _, err := whoami(t.Context(), c.AdminConfig()); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("error of a stopped cluster %v, want connection refused", err)
	}
	c.Start(t)
	got, err := c.Client().CoreV1().ConfigMaps(ns).Get(t.Context(), "kept", metav1.GetOptions{})
	if err != nil || got.Data["key"] != "value" {
		t.Errorf("read %v, error %v; want the data of before", got.Data, err)
	}
	if user, err := whoami(t.Context(), c.TokenConfig(token)); user == "" {
		t.Errorf("a token of before the stop was refused: %v", err)
	}
}

func TestStrangerKeepsWhatItWasSent(t *testing.T) {
	stranger := fleettest.NewStranger(t)
	config := &rest.Config{Host: stranger.URL, BearerToken: "secret-token", TLSClientConfig: rest.TLSClientConfig{CAData: stranger.CA()}}
	if _, err := whoami(t.Context(), config); !apierrors.IsNotFound(err) {
		t.Errorf("error %v, want that of a page that is not there", err)
	}
	if !strings.Contains(string(stranger.Sent()), "secret-token") {
		t.Error("the stranger did not keep the token that it was sent")
	}
	stranger = fleettest.NewStranger(t)
	config.Host = stranger.URL
	if _, err := whoami(t.Context(), config); err == nil {
		t.Error("a client with another CA believed the stranger")
	}
	if got := stranger.Sent(); len(got) != 0 || stranger.Connections() == 0 {
		t.Errorf("%d connections sent %q; want some, and nothing", stranger.Connections(), got)
	}
}

func TestClustersStartSideBySideAndEachOnce(t *testing.T) {
	fleet, err := fleettest.Start(t.Context(), fleettest.Options{Clusters: []string{"one", "two"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fleet.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	names := []string{"one", "two", "one", "three"}
	got, errs := make([]*fleettest.Cluster, len(names)), make([]error, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() { got[i], errs[i] = fleet.Cluster(t.Context(), name) })
	}
	all.Wait()
	if err := errors.Join(errs[:3]...); err != nil {
		t.Fatal(err)
	}
	if got[0] != got[2] || got[0].Server == got[1].Server {
		t.Errorf("the clusters are %+v", got)
	}
	for _, c := range got[:2] {
		if _, err := c.Client().Discovery().ServerVersion(); err != nil {
			t.Errorf("cluster %s: %v", c.Name, err)
		}
	}
	if errs[3] == nil {
		t.Error("a cluster has started that the fleet has not")
	}
	ended, end := context.WithCancel(t.Context())
	end()
	for range 20 { // as a clean-up does
		if c, err := fleet.Cluster(ended, "one"); err != nil || c != got[0] {
			t.Fatalf("what has started is %v, %v", c, err)
		}
	}
}
