package advice

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

const upgrade = "helm upgrade fleet CHART --namespace hawser --reset-then-reuse-values"

func TestWhatMendsAClusterGoesByWhoDeclaredIt(t *testing.T) {
	of := func(auth v1alpha1.AuthType, release *Release) Cluster {
		return Cluster{Name: "alpha", Auth: auth, Local: "hub", Release: release}
	}
	fleet, own, gitops := &Release{Name: "fleet"}, &Release{Name: "fleet", OwnSecret: true}, &Release{}
	mint := "kubectl --context CONTEXT -n hawser-from-hub create token hawser --duration 24h > token"
	tests := map[string]struct{ got, want string }{
		"a joined cluster": {of(v1alpha1.AuthBearerToken, nil).Rejoin(), "hawser join alpha --remote-context CONTEXT"},
		"a token of a release": {of(v1alpha1.AuthBearerToken, fleet).Rejoin(),
			mint + " && " + upgrade + " --set-file multiCluster.clusters.alpha.bearerToken=token"},
		"a token in a Secret of one's own": {of(v1alpha1.AuthBearerToken, own).Rejoin(),
			mint + " && kubectl -n hawser create secret generic hawser-cluster-alpha --from-file bearerToken=token --dry-run=client -o yaml | kubectl -n hawser apply --server-side --force-conflicts -f -"},
		"a token of a chart that GitOps applies": {of(v1alpha1.AuthBearerToken, gitops).Rejoin(),
			mint + " && render the chart anew with multiCluster.clusters.alpha.bearerToken, and apply it"},
		"a certificate of a release": {of(v1alpha1.AuthMTLS, fleet).Give(),
			upgrade + " --set-file multiCluster.clusters.alpha.tlsCrt=tls.crt --set-file multiCluster.clusters.alpha.tlsKey=tls.key"},
		"a kubeconfig of a release": {of(v1alpha1.AuthKubeconfig, fleet).Give(), upgrade + " --set-file multiCluster.clusters.alpha.kubeconfig.text=FILE"},
		"a field of a release":      {of(v1alpha1.AuthEKS, fleet).Set("disabled", false), upgrade + " --set multiCluster.clusters.alpha.disabled=false"},
		"a field of a joined one":   {of(v1alpha1.AuthEKS, nil).Set("disabled", false), `kubectl patch remotecluster alpha --type merge -p '{"spec":{"disabled":false}}'`},
		"a text of a joined one":    {of(v1alpha1.AuthEKS, nil).Set("server", "https://a"), `kubectl patch remotecluster alpha --type merge -p '{"spec":{"server":"https://a"}}'`},
		"the CA of a release":       {of(v1alpha1.AuthEKS, fleet).Trust(), upgrade + " --set-file multiCluster.clusters.alpha.caData=ca.crt"},
		"the end of a release's":    {of(v1alpha1.AuthEKS, fleet).Leave(), `take multiCluster.clusters.alpha out of the values of Helm release "fleet", and upgrade it`},
		"the end of a joined one":   {of(v1alpha1.AuthEKS, nil).Leave(), "hawser leave alpha"},
		"a return":                  {of(v1alpha1.AuthEKS, fleet).ComesBack(), `RemoteCluster "alpha" was of Helm release "fleet", whose next upgrade brings it back unless multiCluster.clusters.alpha is taken out of its values`},
		"no return":                 {of(v1alpha1.AuthEKS, nil).ComesBack(), ""},
	}
	for name, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", name, tt.got, tt.want)
		}
	}
}

func TestAReleaseIsKnownByWhatHelmWrites(t *testing.T) {
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "alpha"}}
	if got := Of(rc, "hub").Release; got != nil {
		t.Errorf("what nobody labelled is of %s", got)
	}
	rc.Labels = map[string]string{v1alpha1.ManagedByLabel: "Helm"}
	rc.Annotations = map[string]string{ReleaseNameAnnotation: "fleet", ExistingSecretAnnotation: "true"}
	if got := Of(rc, "hub").Release; got == nil || *got != (Release{"fleet", true}) {
		t.Errorf("it is of %v", got)
	}
}
