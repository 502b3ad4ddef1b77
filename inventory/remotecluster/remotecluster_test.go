package remotecluster_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	inventory "github.com/hawser-io/hawser/inventory/remotecluster"
)

func remoteCluster(change func(*v1alpha1.RemoteCluster)) *v1alpha1.RemoteCluster {
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "alpha"}}
	rc.Spec.Server = "https://example.com"
	rc.Spec.Auth.Type = v1alpha1.AuthBearerToken
	change(rc)
	return rc
}

func TestSpecIsWhatTheObjectAsksFor(t *testing.T) {
	spec, err := inventory.Spec(remoteCluster(func(rc *v1alpha1.RemoteCluster) {
		rc.Spec.QPS, rc.Spec.Burst, rc.Spec.Timeout = 5, 9, &metav1.Duration{Duration: time.Second}
		rc.Spec.TLSServerName, rc.Spec.ProxyURL = "name", "http://proxy"
	}), "hub")
	if err != nil {
		t.Fatal(err)
	}
	if spec.Name != "alpha" || spec.Local != "hub" || spec.QPS != 5 || spec.Burst != 9 || spec.Timeout != time.Second {
		t.Errorf("spec is %+v", spec)
	}
	if e := spec.Endpoint; e.Server != "https://example.com" || e.TLSServerName != "name" || e.ProxyURL != "http://proxy" {
		t.Errorf("endpoint is %+v", e)
	}
	if len(spec.Checks) == 0 {
		t.Error("nothing is asked of the identity")
	}
}

func TestThePinOfTheSpecComesBeforeThatOfTheStatus(t *testing.T) {
	seen := func(rc *v1alpha1.RemoteCluster) { rc.Status.ClusterID = "seen" }
	both := func(rc *v1alpha1.RemoteCluster) { seen(rc); rc.Spec.ClusterID = "pinned" }
	for want, change := range map[string]func(*v1alpha1.RemoteCluster){"seen": seen, "pinned": both} {
		if spec, err := inventory.Spec(remoteCluster(change), "hub"); err != nil || spec.ClusterID != want {
			t.Errorf("the pin is %q (%v), want %q", spec.ClusterID, err, want)
		}
	}
}

func TestACAThatIsNoneIsASpecError(t *testing.T) {
	for ca, want := range map[string]string{"%": "no base64", base64.StdEncoding.EncodeToString([]byte("hello")): "something else than a PEM certificate"} {
		_, err := inventory.Spec(remoteCluster(func(rc *v1alpha1.RemoteCluster) { rc.Spec.CAData = ca }), "hub")
		var spec *connection.SpecError
		if !errors.As(err, &spec) || !strings.Contains(err.Error(), want) {
			t.Errorf("caData %q: error %v, want a SpecError with %q", ca, err, want)
		}
	}
}
