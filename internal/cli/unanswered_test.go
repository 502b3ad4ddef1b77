package cli

import (
	"bytes"
	"net"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/kinds"
)

func TestADeadClusterIsNamedWithTheNextCommand(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := "https://" + closed.Addr().String()
	_ = closed.Close()
	scheme, err := kinds.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	local := fake.NewClientBuilder().WithScheme(scheme).WithObjects(&v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "alpha"}}).Build()
	tests := map[string]struct {
		args []string
		want []string
	}{
		"can": {
			[]string{"can", "alpha", "get", "pods", "--as", "user:joe", "--remote-context", "alpha-admin"},
			[]string{`asking cluster "alpha" who it is: the cluster of context "alpha-admin" does not answer at ` + dead, "connection refused", "kubectl --context alpha-admin get --raw /readyz"},
		},
		"grants explain": {
			[]string{"grants", "explain", "shop", "--remote-context", "alpha-admin"},
			[]string{`the cluster of context "alpha-admin" does not answer at ` + dead, "kubectl --context alpha-admin get --raw /readyz"},
		},
		"grants explain in another file": {
			[]string{"grants", "explain", "shop", "--remote-kubeconfig", "/tmp/beta.yaml"},
			[]string{"the cluster of the current context of /tmp/beta.yaml does not answer", "kubectl --kubeconfig /tmp/beta.yaml get --raw /readyz"},
		},
		"grants explain in the current context": {
			[]string{"grants", "explain", "shop", "--context", "alpha-admin"},
			[]string{`the cluster of context "alpha-admin" does not answer at ` + dead, "kubectl --context alpha-admin get --raw /readyz"},
		},
		"revoke": {
			[]string{"revoke", "alpha", "--local-name", "hub", "--remote-context", "alpha-admin"},
			[]string{`asking cluster "alpha" who it is: the cluster of context "alpha-admin" does not answer`},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var out, stderr bytes.Buffer
			d := &deps{out: &out, err: &stderr, in: strings.NewReader(""), clock: clocktesting.NewFakeClock(now), connect: func(kubeconfig, context string) (*cluster, error) {
				if kubeconfig != "" || context != "" {
					return newCluster(&rest.Config{Host: dead})
				}
				return &cluster{Client: local}, nil
			}}
			if code := d.run(t.Context(), append([]string{"hawser"}, test.args...)); code == exitOK {
				t.Error("exit code 0")
			}
			wantText(t, "stderr", stderr.String(), test.want...)
			if strings.Contains(stderr.String(), "server groups") {
				t.Errorf("it speaks of server groups: %s", stderr.String())
			}
		})
	}
}
