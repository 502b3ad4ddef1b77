package policy_test

import (
	"os"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientset "k8s.io/client-go/kubernetes"
	"pgregory.net/rapid"

	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/policytest"
)

func TestMain(m *testing.M) { os.Exit(fleettest.Run(m, "primary")) }

// TestTheAPIServerTakesWhatIsRenderedAsItIs has an API server judge what policies become. That it adds nothing matters
// to whoever finds out by the content whether somebody has edited it.
func TestTheAPIServerTakesWhatIsRenderedAsItIs(t *testing.T) {
	primary := fleettest.Use(t, "primary")
	config := primary.AdminConfig()
	config.QPS, config.Burst = 1000, 1000
	namespace := primary.Namespace(t)
	client := clientset.NewForConfigOrDie(config).NetworkingV1().NetworkPolicies(namespace)
	judged := 0
	rapid.Check(t, func(t *rapid.T) {
		if judged > 300 { // enough was seen
			return
		}
		out, whole := policytest.Render(t, policytest.DrawWorld(t), policytest.DrawPolicy(t))
		if whole != nil {
			return
		}
		for _, p := range out.Policies {
			judged++
			p.Namespace = namespace
			got, err := client.Create(t.Context(), p, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if err != nil {
				t.Fatalf("%v\n%s", err, describeObjects([]*networkingv1.NetworkPolicy{p}))
			}
			if !equality.Semantic.DeepEqual(got.Spec, p.Spec) {
				t.Fatalf("it was changed, from\n%s\nto\n%s", describe(p.Spec), describe(got.Spec))
			}
		}
	})
	if judged < 50 {
		t.Errorf("only %d objects were judged", judged)
	}
}
