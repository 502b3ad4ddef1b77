package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// fleetObjects are a local cluster and two remote ones, of which one does not answer.
func fleetObjects() []client.Object {
	at := func(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(d)) }
	expires, renewed := at(11*time.Hour), at(-time.Hour)
	rc := func(name string, auth v1alpha1.AuthType) *v1alpha1.RemoteCluster {
		return &v1alpha1.RemoteCluster{
			ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: at(-48 * time.Hour)},
			Spec:       v1alpha1.RemoteClusterSpec{Auth: v1alpha1.Auth{Type: auth}},
		}
	}
	alpha := rc("alpha", v1alpha1.AuthBearerToken)
	alpha.Spec.Server, alpha.Spec.ClusterID = "https://alpha:6443", "id-of-alpha"
	alpha.Status = v1alpha1.RemoteClusterStatus{
		KubernetesVersion: "v1.36.3", MemberVersion: "v0.1.0", ClusterID: "id-of-alpha",
		Credential: &v1alpha1.CredentialStatus{Subject: "sa-of-alpha", ExpiresAt: &expires, RenewedAt: &renewed},
		Conditions: []metav1.Condition{
			{Type: v1alpha1.Reachable, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonAnswering, Message: "the API server answers", LastTransitionTime: at(-2 * time.Hour)},
			{Type: v1alpha1.Ready, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonConnected, Message: "connected", LastTransitionTime: at(-time.Hour)},
		},
	}
	beta := rc("beta", v1alpha1.AuthMTLS)
	beta.Spec.Server = "https://beta:6443"
	beta.Status.Conditions = []metav1.Condition{
		{Type: v1alpha1.Ready, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonTimeout, Message: "Reachable: no answer\nwithin 10s", LastTransitionTime: at(-time.Minute)},
	}
	primary := rc("primary", v1alpha1.AuthInCluster)
	primary.Status.Conditions = []metav1.Condition{{Type: v1alpha1.Ready, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonConnected, LastTransitionTime: at(0)}}
	primary.Status.Credential = &v1alpha1.CredentialStatus{Subject: "sa"}
	return []client.Object{alpha, beta, primary, managerConfigMap()}
}

func managerConfigMap() *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: v1alpha1.ManagerConfigMap},
		Data:       map[string]string{v1alpha1.ClusterNameKey: "primary", v1alpha1.DefaultClusterKey: "alpha", v1alpha1.VersionKey: "v0.1.0"},
	}
}

func TestClustersPrintsEachFormat(t *testing.T) {
	const gap = "cluster \"beta\" is not Ready: Timeout: Reachable: no answer within 10s\n"
	tests := map[string]struct {
		args []string
		want outcome
	}{
		"the table": {nil, outcome{Code: 1, Err: gap, Out: `
NAME              READY   AUTH          VERSION   EXPIRES   AGE   REASON
alpha (default)   True    bearerToken   v1.36.3   in 11h    2d    Connected
beta              False   mtls          -         -         2d    Timeout
primary (local)   True    inCluster     -         never     2d    Connected
`}},
		"the wide table": {[]string{"-o", "wide"}, outcome{Code: 1, Err: gap, Out: `
NAME              READY   AUTH          VERSION   EXPIRES   AGE   REASON      SERVER               SUBJECT       CLUSTER-ID    MESSAGE
alpha (default)   True    bearerToken   v1.36.3   in 11h    2d    Connected   https://alpha:6443   sa-of-alpha   id-of-alpha   connected
beta              False   mtls          -         -         2d    Timeout     https://beta:6443    -             -             Reachable: no answer within 10s
primary (local)   True    inCluster     -         never     2d    Connected   -                    sa            -
`}},
		"names": {[]string{"-o", "name"}, outcome{Code: 1, Err: gap, Out: `
remotecluster.hawser.io/alpha
remotecluster.hawser.io/beta
remotecluster.hawser.io/primary
`}},
		"one cluster": {[]string{"alpha"}, outcome{Out: `
Name:             alpha (default)
Auth:             bearerToken
Server:           https://alpha:6443
Cluster ID:       id-of-alpha
Kubernetes:       v1.36.3
Member install:   v0.1.0
Subject:          sa-of-alpha
Expires:          2026-05-01T23:00:00Z (in 11h)
Created:          2026-04-29T12:00:00Z (2d ago)
Renewed:          2026-05-01T11:00:00Z (60m ago)

Conditions:
  TYPE        STATUS   REASON      SINCE   MESSAGE
  Ready       True     Connected   60m     connected
  Reachable   True     Answering   120m    the API server answers
`}},
		"one cluster for programs": {[]string{"alpha", "-o", "json"}, outcome{Out: `
{
  "name": "alpha",
  "ready": "True",
  "reason": "Connected",
  "message": "connected",
  "local": false,
  "default": true,
  "disabled": false,
  "authType": "bearerToken",
  "server": "https://alpha:6443",
  "clusterID": "id-of-alpha",
  "kubernetesVersion": "v1.36.3",
  "memberVersion": "v0.1.0",
  "subject": "sa-of-alpha",
  "expiresAt": "2026-05-01T23:00:00Z",
  "renewedAt": "2026-05-01T11:00:00Z",
  "createdAt": "2026-04-29T12:00:00Z",
  "conditions": [
    {
      "type": "Reachable",
      "status": "True",
      "lastTransitionTime": "2026-05-01T10:00:00Z",
      "reason": "Answering",
      "message": "the API server answers"
    },
    {
      "type": "Ready",
      "status": "True",
      "lastTransitionTime": "2026-05-01T11:00:00Z",
      "reason": "Connected",
      "message": "connected"
    }
  ]
}
`}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.want.Out = strings.TrimPrefix(test.want.Out, "\n")
			got := runWith(t, fleetObjects(), append([]string{"hawser", "clusters"}, test.args...)...)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestRotateRefusesWhatNobodyRenews(t *testing.T) {
	tests := map[string]struct {
		change func(*v1alpha1.RemoteCluster)
		want   string
	}{
		"a watched certificate": {
			func(rc *v1alpha1.RemoteCluster) { rc.Spec.Auth.Type = v1alpha1.AuthMTLS },
			`its certificate is only watched: replace tls.crt and tls.key in Secret "hawser-cluster-alpha", or let Hawser renew it: hawser join alpha --remote-context CONTEXT --auth mtls --renew csr`,
		},
		"a kubeconfig": {
			func(rc *v1alpha1.RemoteCluster) {
				rc.Spec.Auth = v1alpha1.Auth{Type: v1alpha1.AuthKubeconfig, Kubeconfig: &v1alpha1.KubeconfigAuth{SecretRef: v1alpha1.SecretKeyRef{Name: "mine"}}}
			},
			`its kubeconfig is only watched: replace it in Secret "mine", or move to a token that Hawser renews: hawser join alpha --remote-context CONTEXT --auth bearerToken`,
		},
		"the local cluster": {
			func(rc *v1alpha1.RemoteCluster) { rc.Spec.Auth.Type = v1alpha1.AuthInCluster },
			`it is the local cluster: the kubelet renews the token of Hawser's own account`,
		},
		"a disabled cluster": {
			func(rc *v1alpha1.RemoteCluster) { rc.Spec.Disabled = true },
			`the cluster is disabled: kubectl patch remotecluster alpha --type merge -p '{"spec":{"disabled":false}}'`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			objs := fleetObjects()
			alpha, _ := objs[0].(*v1alpha1.RemoteCluster)
			test.change(alpha)
			got := runWith(t, objs, "hawser", "rotate", "alpha")
			want := outcome{Err: "hawser: rotating the credential of cluster \"alpha\": " + test.want + "\n", Code: 1}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestCompletionSuggestsClusters(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
	}{
		"every cluster":                  {[]string{"rotate", ""}, "alpha\tbearerToken\nbeta\tmtls\nprimary\tinCluster\n:4\n"},
		"those that are not named yet":   {[]string{"check", "beta", ""}, "alpha\tbearerToken\nprimary\tinCluster\n:4\n"},
		"nothing where one is the most":  {[]string{"rotate", "alpha", ""}, ":4\n"},
		"values of a flag":               {[]string{"join", "--auth", ""}, "bearerToken\nmtls\nkubeconfig\neks\noidc\n:4\n"},
		"nothing if the cluster is away": {[]string{"--context", "nowhere", "rotate", ""}, ":4\n"},
		"formats":                        {[]string{"check", "-o", ""}, "table\njson\nyaml\n:4\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := runWith(t, fleetObjects(), append([]string{"hawser", "__complete"}, test.args...)...)
			if diff := cmp.Diff(test.want, got.Out); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
