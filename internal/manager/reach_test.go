package manager_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/member"
)

func TestAServerThatIsNoKubernetes(t *testing.T) {
	h := startHub(t)
	stranger := fleettest.NewStranger(t)
	h.input("alpha", map[string]string{v1alpha1.BearerTokenKey: remember("some-token")})
	h.tie("alpha", stranger.URL, stranger.CA(), bearer)
	h.is("alpha", v1alpha1.Reachable, metav1.ConditionFalse, v1alpha1.ReasonNotKubernetes)
}

func TestAnEditedServerIsNotShownTheCredential(t *testing.T) {
	h, alpha := startHubAside(t), fleettest.Use(t, "alpha")
	h.tieByToken("alpha", alpha, alpha.Server)
	h.ready("alpha")
	stranger := fleettest.NewStranger(t)

	detour := connectProxy(t, stranger.URL)
	edits := map[string]func(rc *v1alpha1.RemoteCluster){
		"the address and the CA": func(rc *v1alpha1.RemoteCluster) {
			rc.Spec.Server, rc.Spec.CAData = stranger.URL, base64of(stranger.CA())
		},
		"the CA, and a proxy that leads elsewhere": func(rc *v1alpha1.RemoteCluster) {
			rc.Spec.Server, rc.Spec.CAData, rc.Spec.ProxyURL = alpha.Server, base64of(stranger.CA()), detour
		},
		"the address, and both CAs": func(rc *v1alpha1.RemoteCluster) {
			rc.Spec.Server, rc.Spec.CAData = stranger.URL, base64of(append(alpha.CA(), stranger.CA()...))
		},
	}
	for what, edit := range edits {
		h.update("alpha", func(rc *v1alpha1.RemoteCluster) { rc.Spec.ProxyURL = ""; edit(rc) })
		h.is("alpha", v1alpha1.Reachable, metav1.ConditionTrue, v1alpha1.ReasonAddressUnproven)
		h.works("alpha")
		h.rotate("alpha") // renewals go on at the old address
		if heard := string(stranger.Sent()); strings.Contains(heard, "Authorization") || strings.Contains(heard, "Bearer") {
			t.Errorf("%s: the stranger was shown a credential:\n%s", what, heard)
		}
	}

	// A restart must not help the stranger either.
	h.stop()
	h.start()
	h.is("alpha", v1alpha1.Reachable, metav1.ConditionFalse, v1alpha1.ReasonAddressUnproven)
	if heard := string(stranger.Sent()); strings.Contains(heard, "Bearer") {
		t.Errorf("after a restart the stranger was shown a credential:\n%s", heard)
	}
	h.update("alpha", func(rc *v1alpha1.RemoteCluster) {
		rc.Spec.Server, rc.Spec.CAData, rc.Spec.ProxyURL = alpha.Server, base64of(alpha.CA()), ""
	})
	h.ready("alpha")
}

// connectProxy is an HTTP proxy that tunnels everything to one place, wherever it was asked to.
func connectProxy(t *testing.T, to string) string {
	t.Helper()
	target := strings.TrimPrefix(to, "https://")
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		there, err := net.Dial("tcp", target)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		here, _, err := w.(http.Hijacker).Hijack() //nolint:forcetypeassert // HTTP/1.1 is
		if err != nil {
			_ = there.Close()
			return
		}
		_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(there, here); _ = there.Close() }()
		go func() { _, _ = io.Copy(here, there); _ = here.Close() }()
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL
}

func TestAnAddressOfTheSameCAIsMovedToUnderARunningClient(t *testing.T) {
	h, alpha := startHub(t), fleettest.Use(t, "alpha")
	proxy := alpha.Proxy(t)
	h.tieByToken("alpha", alpha, alpha.Server)
	h.ready("alpha")
	h.update("alpha", func(rc *v1alpha1.RemoteCluster) { rc.Spec.Server = proxy.URL })
	eventually(t, "requests to come by the new address", func() error {
		h.works("alpha")
		if proxy.Stats().Accepted == 0 {
			return errors.New("none has come yet")
		}
		return nil
	})
	h.ready("alpha")
}

func TestACAChange(t *testing.T) {
	h, alpha, beta := startHub(t), fleettest.Use(t, "alpha"), fleettest.Use(t, "beta")
	h.tieByToken("alpha", alpha, alpha.Server)
	h.ready("alpha")
	watch, err := h.client("alpha").CoreV1().Namespaces().Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=kube-system"})
	if err == nil {
		defer watch.Stop()
	}
	// The overlap of a rotation: both CAs.
	h.update("alpha", func(rc *v1alpha1.RemoteCluster) { rc.Spec.CAData = base64of(append(beta.CA(), alpha.CA()...)) })
	h.ready("alpha")
	h.works("alpha")
	// A mistake: only the wrong one. The link stays as it was, and says so.
	h.update("alpha", func(rc *v1alpha1.RemoteCluster) { rc.Spec.CAData = base64of(beta.CA()) })
	h.is("alpha", v1alpha1.Reachable, metav1.ConditionTrue, v1alpha1.ReasonAddressUnproven)
	h.works("alpha")
	h.update("alpha", func(rc *v1alpha1.RemoteCluster) { rc.Spec.CAData = base64of(alpha.CA()) })
	h.ready("alpha")
}

func TestAPinOfAnotherClusterIsRefusedUntilItIsEdited(t *testing.T) {
	h, alpha, beta := startHubAside(t), fleettest.Use(t, "alpha"), fleettest.Use(t, "beta")
	h.member(alpha, member.Options{})
	h.input("alpha", map[string]string{v1alpha1.BearerTokenKey: h.token(alpha, time.Hour)})
	h.tie("alpha", alpha.Server, alpha.CA(), bearer, func(rc *v1alpha1.RemoteCluster) { rc.Spec.ClusterID = clusterID(t, beta) })
	message := h.is("alpha", v1alpha1.Reachable, metav1.ConditionFalse, v1alpha1.ReasonWrongCluster)
	if !strings.Contains(message, "set spec.clusterID to "+clusterID(t, alpha)) {
		t.Errorf("the message %q does not tell what to edit", message)
	}
	h.update("alpha", func(rc *v1alpha1.RemoteCluster) { rc.Spec.ClusterID = clusterID(t, alpha) })
	h.ready("alpha")
	// A pin that is edited to something else cuts the running link.
	h.update("alpha", func(rc *v1alpha1.RemoteCluster) { rc.Spec.ClusterID = clusterID(t, beta) })
	h.is("alpha", v1alpha1.Ready, metav1.ConditionFalse, v1alpha1.ReasonWrongCluster)
	_, err := h.client("alpha").CoreV1().Namespaces().Get(t.Context(), "kube-system", metav1.GetOptions{})
	if !errors.Is(err, connection.ErrWrongCluster) {
		t.Errorf("a request went through, or failed with %v", err)
	}
	h.update("alpha", func(rc *v1alpha1.RemoteCluster) { rc.Spec.ClusterID = clusterID(t, alpha) })
	h.ready("alpha")
	h.works("alpha")
}

func TestAClockFiveMinutesOff(t *testing.T) {
	h, alpha := startHubAside(t), fleettest.Use(t, "alpha")
	proxy := alpha.HTTPProxy(t)
	h.tieByToken("alpha", alpha, proxy.URL)
	h.ready("alpha")
	for _, shift := range []time.Duration{5 * time.Minute, -5 * time.Minute} {
		proxy.ShiftDate(shift)
		h.is("alpha", v1alpha1.Compatible, metav1.ConditionFalse, v1alpha1.ReasonClockSkew)
		h.is("alpha", v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonClockSkew)
	}
	proxy.ShiftDate(0)
	h.ready("alpha")
}

func TestAMissingVerbIsNamed(t *testing.T) {
	h, alpha := startHub(t), fleettest.Use(t, "alpha")
	h.member(alpha, member.Options{Capabilities: []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}})
	h.input("alpha", map[string]string{v1alpha1.BearerTokenKey: h.token(alpha, time.Hour)})
	h.tie("alpha", alpha.Server, alpha.CA(), bearer, func(rc *v1alpha1.RemoteCluster) {
		rc.Spec.Capabilities = []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}
		rc.Spec.Requires = []v1alpha1.Rule{{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"get", "patch"}}}
	})
	message := h.is("alpha", v1alpha1.Authorized, metav1.ConditionFalse, v1alpha1.ReasonMissingVerbs)
	for _, verb := range []string{"get deployments.apps", "patch deployments.apps"} {
		if !strings.Contains(message, verb) {
			t.Errorf("%q does not name %q", message, verb)
		}
	}
	if strings.Contains(message, "pods") {
		t.Errorf("%q names verbs that are there", message)
	}
	h.member(alpha, member.Options{
		Capabilities: []v1alpha1.Capability{v1alpha1.CapabilityEndpoints},
		Requires:     []v1alpha1.Rule{{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"get", "patch"}}},
	})
	h.update("alpha", func(rc *v1alpha1.RemoteCluster) { rc.Spec.Burst = 41 }) // look again now, not at the next full probe
	h.ready("alpha")
}

func TestABlackHoleCostsTheOthersNothing(t *testing.T) {
	h, alpha, beta := startHubAside(t), fleettest.Use(t, "alpha"), fleettest.Use(t, "beta")
	tcp, https := alpha.Proxy(t), alpha.HTTPProxy(t)
	short := func(rc *v1alpha1.RemoteCluster) { rc.Spec.Timeout = &metav1.Duration{Duration: time.Second} }
	h.member(alpha, member.Options{})
	for name, url := range map[string]string{"tcp": tcp.URL, "http": https.URL} {
		h.input(name, map[string]string{v1alpha1.BearerTokenKey: h.token(alpha, time.Hour)})
		h.tie(name, url, alpha.CA(), bearer, short)
		h.ready(name)
	}
	h.tieByToken("beta", beta, beta.Server)
	h.ready("beta")
	tcp.BlackHoleTCP()
	https.BlackHoleHTTP()
	h.is("tcp", v1alpha1.Reachable, metav1.ConditionFalse, v1alpha1.ReasonTimeout)
	h.is("http", v1alpha1.Reachable, metav1.ConditionFalse, v1alpha1.ReasonTimeout)
	h.ready("beta")
	h.rotate("beta")
	tcp.Restore()
	https.RestoreHTTP()
	h.ready("tcp")
	h.ready("http")
}

func TestAClusterThatStopsAndComesBack(t *testing.T) {
	h, beta := startHub(t), fleettest.Use(t, "beta")
	h.tieByToken("beta", beta, beta.Server)
	h.ready("beta")
	beta.Stop(t)
	h.is("beta", v1alpha1.Ready, metav1.ConditionFalse, v1alpha1.ReasonDialFailed)
	beta.Start(t)
	h.ready("beta")
	h.works("beta")
}

func TestAServerThatBecomesADifferentCluster(t *testing.T) {
	h, beta := startHub(t), fleettest.Use(t, "beta")
	h.member(beta, member.Options{Identity: member.Certificate})
	h.input("beta", h.certificate(beta, time.Hour))
	h.tie("beta", beta.Server, beta.CA(), watchedCert)
	h.ready("beta")
	first := h.get("beta").Status.ClusterID

	// The same address and keys, so that the certificate is still good, and another cluster.
	beta.Stop(t)
	if err := os.RemoveAll(filepath.Join(beta.Dir(), "etcd")); err != nil {
		t.Fatal(err)
	}
	beta.Start(t)
	h.member(beta, member.Options{Identity: member.Certificate})
	h.is("beta", v1alpha1.Ready, metav1.ConditionFalse, v1alpha1.ReasonWrongCluster)
	if err := h.ask("beta"); !errors.Is(err, connection.ErrWrongCluster) {
		t.Errorf("a request to the other cluster: %v", err)
	}
	if now := h.get("beta").Status.ClusterID; now != first {
		t.Errorf("the status took over the identity %s without being told", now)
	}
	h.update("beta", func(rc *v1alpha1.RemoteCluster) { rc.Spec.ClusterID = clusterID(t, beta) })
	h.ready("beta")
	h.works("beta")
}
