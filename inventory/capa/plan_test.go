package capa_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/inventory/capa"
)

const controlPlane = `
apiVersion: controlplane.cluster.x-k8s.io/v1beta2
kind: AWSManagedControlPlane
metadata:
  name: prod-cp
  namespace: staging
  ownerReferences:
  - {apiVersion: cluster.x-k8s.io/v1beta1, kind: Cluster, name: prod, uid: x}
spec:
  eksClusterName: staging_prod-cp
  region: eu-north-1
  identityRef: {kind: AWSClusterRoleIdentity, name: staging}
  controlPlaneEndpoint: {host: "https://ABC.gr7.eu-north-1.eks.amazonaws.com", port: 443}
  endpointAccess: {public: true}
status: {ready: true}
`

const clusterV1 = `
apiVersion: cluster.x-k8s.io/v1beta1
kind: Cluster
metadata: {name: prod, namespace: staging}
spec:
  controlPlaneRef: {apiVersion: controlplane.cluster.x-k8s.io/v1beta2, kind: AWSManagedControlPlane, name: prod-cp, namespace: staging}
  infrastructureRef: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: AWSManagedCluster, name: prod}
`

const clusterV2 = `
apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: prod, namespace: staging}
spec:
  controlPlaneRef: {apiGroup: controlplane.cluster.x-k8s.io, kind: AWSManagedControlPlane, name: prod-cp}
  infrastructureRef: {apiGroup: infrastructure.cluster.x-k8s.io, kind: AWSManagedCluster, name: prod}
`

func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

func decoded(t *testing.T, cp, cluster string) (*capa.ControlPlane, *capa.Cluster) {
	t.Helper()
	p, err := capa.DecodeControlPlane(parse(t, cp))
	if err != nil {
		t.Fatal(err)
	}
	c, err := capa.DecodeCluster(parse(t, cluster))
	if err != nil {
		t.Fatal(err)
	}
	return p, c
}

var source = types.NamespacedName{Namespace: "staging", Name: "prod-cp"}

var described = aws.Cluster{
	Name: "staging_prod-cp", ARN: "arn:aws:eks:eu-north-1:111111111111:cluster/staging_prod-cp", AccountID: "111111111111", Region: "eu-north-1",
	Status: "ACTIVE", Server: "https://ABC.gr7.eu-north-1.eks.amazonaws.com", CAData: []byte("PEM"),
}

var role = aws.Ref{Kind: v1alpha1.KindCAPARoleIdentity, Name: "staging"}

func refused(reason string, unresolved bool) *capa.Answer {
	return &capa.Answer{Err: &aws.Error{Ref: role, Reason: reason, Err: errors.New("no")}, Unresolved: unresolved}
}

func kept(name string, change ...func(*v1alpha1.RemoteCluster)) v1alpha1.RemoteCluster {
	rc := v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{
		Name:        name,
		Labels:      map[string]string{v1alpha1.InventoryLabel: "capa", v1alpha1.NamespaceLabel: "staging", v1alpha1.ManagedByLabel: v1alpha1.ManagedBy},
		Annotations: map[string]string{capa.SourceAnnotation: "staging/prod-cp"},
	}}
	ref := v1alpha1.AWSIdentityRef{Kind: v1alpha1.KindCAPARoleIdentity, Name: "staging"}
	rc.Spec.Server, rc.Spec.CAData = described.Server, "UEVN"
	rc.Spec.Auth = v1alpha1.Auth{Type: v1alpha1.AuthEKS, EKS: &v1alpha1.EKSAuth{
		ClusterName: described.Name, Region: described.Region, AccountID: described.AccountID, IdentityRef: ref.DeepCopy(), APIIdentityRef: ref.DeepCopy(),
	}}
	for _, f := range change {
		f(&rc)
	}
	return rc
}

// told is a plan in short.
type told struct {
	Ask            *capa.Question
	Want           *v1alpha1.RemoteCluster
	Updates        bool
	Delete         []string
	Reason, Detail string
}

func tell(p capa.Plan) told {
	t := told{Ask: p.Ask, Want: p.Want, Updates: p.Have != nil, Reason: p.Reason, Detail: p.Message}
	for _, rc := range p.Delete {
		t.Delete = append(t.Delete, rc.Name)
	}
	return t
}

func want(name string, change ...func(*v1alpha1.RemoteCluster)) *v1alpha1.RemoteCluster {
	rc := kept(name, change...)
	return &rc
}

func TestWhatBecomesOfAControlPlane(t *testing.T) {
	replace := strings.NewReplacer
	question := &capa.Question{Identity: role, Region: "eu-north-1", Name: "staging_prod-cp", Server: described.Server}
	other := func(rc *v1alpha1.RemoteCluster) {
		rc.Spec.Auth.EKS.IdentityRef.Name, rc.Spec.Auth.EKS.APIIdentityRef.Name = "old", "old"
	}
	cases := []struct {
		name        string
		cp, cluster *strings.Replacer // of the texts above
		gone        bool
		noCluster   bool
		answer      *capa.Answer
		existing    []v1alpha1.RemoteCluster
		want        told
	}{
		{name: "AWS is asked about one that has its endpoint", want: told{Ask: question}},
		{name: "with the CA it gets a RemoteCluster", answer: &capa.Answer{Cluster: described}, want: told{Want: want("staging-prod")}},
		{name: "one that exists is followed under its name", answer: &capa.Answer{Cluster: described}, existing: []v1alpha1.RemoteCluster{kept("before")}, want: told{Want: want("before"), Updates: true}},
		{name: "a taken name gets a hash", answer: &capa.Answer{Cluster: described}, existing: []v1alpha1.RemoteCluster{{ObjectMeta: metav1.ObjectMeta{Name: "staging-prod"}}}, want: told{Want: want("staging-prod-1677fa")}},
		{name: "one without an endpoint waits", cp: replace("host: ", "was: ")},
		{name: "one without a Cluster waits", noCluster: true},
		{name: "one that its Cluster does not know waits", cluster: replace("name: prod-cp", "name: other")},
		{name: "one that is paused is left as it is", cp: replace("metadata:\n  name: prod-cp", "metadata:\n  annotations: {cluster.x-k8s.io/paused: \"\"}\n  name: prod-cp"), answer: &capa.Answer{Cluster: described}},
		{name: "one whose Cluster is paused is left as it is", cluster: replace("spec:", "spec:\n  paused: true"), answer: &capa.Answer{Cluster: described}},
		{name: "one that is being deleted keeps its connection", cp: replace("  name: prod-cp", "  deletionTimestamp: 2026-01-01T00:00:00Z\n  name: prod-cp"), answer: &capa.Answer{Cluster: described}, existing: []v1alpha1.RemoteCluster{kept("staging-prod")}},
		{name: "when it is gone, so is the RemoteCluster", gone: true, existing: []v1alpha1.RemoteCluster{kept("staging-prod"), kept("other", func(rc *v1alpha1.RemoteCluster) { rc.Annotations[capa.SourceAnnotation] = "staging/other" })}, want: told{Delete: []string{"staging-prod"}}},
		{name: "one whose label was taken off is people's own", gone: true, existing: []v1alpha1.RemoteCluster{kept("staging-prod", func(rc *v1alpha1.RemoteCluster) { delete(rc.Labels, v1alpha1.InventoryLabel) })}},
		{name: "one written by hand is left alone", answer: &capa.Answer{Cluster: described}, existing: []v1alpha1.RemoteCluster{kept("mine", func(rc *v1alpha1.RemoteCluster) { rc.Labels, rc.Annotations = nil, nil })},
			want: told{Reason: v1alpha1.ReasonDuplicateCluster, Detail: `already connected as RemoteCluster "mine"`}},
		{name: "one that is on its way out is made anew when it is gone", answer: &capa.Answer{Cluster: described}, existing: []v1alpha1.RemoteCluster{kept("staging-prod", func(rc *v1alpha1.RemoteCluster) { rc.DeletionTimestamp = new(metav1.Now()) })}},
		{name: "without an answer none is made, and it is said why", answer: refused(v1alpha1.ReasonNamespaceNotAllowed, true), want: told{Reason: v1alpha1.ReasonNamespaceNotAllowed, Detail: `AWSClusterRoleIdentity "staging": no`}},
		{name: "without an answer the RemoteCluster stays as it is", answer: refused(v1alpha1.ReasonNamespaceNotAllowed, true), existing: []v1alpha1.RemoteCluster{kept("staging-prod")}},
		{name: "an identity that may not be used is followed, so that the connection says so", answer: refused(v1alpha1.ReasonNamespaceNotAllowed, true), existing: []v1alpha1.RemoteCluster{kept("staging-prod", other)},
			want: told{Want: want("staging-prod"), Updates: true, Reason: v1alpha1.ReasonNamespaceNotAllowed, Detail: `AWSClusterRoleIdentity "staging": no`}},
		{name: "an identity to which AWS says nothing is not followed yet", answer: refused(v1alpha1.ReasonEKSDenied, false), existing: []v1alpha1.RemoteCluster{kept("staging-prod", other)},
			want: told{Reason: v1alpha1.ReasonEKSDenied, Detail: `AWSClusterRoleIdentity "staging": no`}},
		{name: "another endpoint is not followed before AWS has told its CA", cp: replace("ABC", "DEF"), answer: refused(v1alpha1.ReasonThrottled, false), existing: []v1alpha1.RemoteCluster{kept("staging-prod")},
			want: told{Reason: v1alpha1.ReasonThrottled, Detail: `AWSClusterRoleIdentity "staging": no`}},
		{name: "without a reference the provider's own identity counts", cp: replace("identityRef:", "was:"),
			want: told{Ask: &capa.Question{Identity: aws.Ref{Kind: v1alpha1.KindCAPAControllerIdentity, Name: "default"}, Region: "eu-north-1", Name: "staging_prod-cp", Server: described.Server}}},
		{name: "without a region it is asked for", cp: replace("region:", "was:"), want: told{Reason: v1alpha1.ReasonSpecInvalid, Detail: "spec.region is empty: fill it in"}},
		{name: "an EKS name that cannot be known is asked for", cp: replace("eksClusterName:", "was:", "name: prod-cp", "name: "+strings.Repeat("n", 95)), cluster: replace("name: prod-cp", "name: "+strings.Repeat("n", 95)),
			want: told{Reason: v1alpha1.ReasonSpecInvalid, Detail: "spec.eksClusterName is empty and its default too long to be known: fill it in"}},
	}
	for version, clusterText := range map[string]string{"v1beta1": clusterV1, "v1beta2": clusterV2} {
		for _, tc := range cases {
			t.Run(version+": "+tc.name, func(t *testing.T) {
				cpText, clusterText := controlPlane, clusterText
				if tc.cp != nil {
					cpText = tc.cp.Replace(cpText)
				}
				if tc.cluster != nil {
					clusterText = tc.cluster.Replace(clusterText)
				}
				in := capa.Input{Source: source, Answer: tc.answer, Existing: tc.existing, Local: "hub"}
				in.ControlPlane, in.Cluster = decoded(t, cpText, clusterText)
				if tc.gone {
					in.ControlPlane, in.Cluster = nil, nil
				}
				if tc.noCluster {
					in.Cluster = nil
				}
				if diff := cmp.Diff(tc.want, tell(capa.Decide(in))); diff != "" {
					t.Errorf("the plan (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestAnswersOfClustersThatAreNotUp(t *testing.T) {
	creating := described
	creating.Status = "CREATING"
	got := capa.Usable(role, creating)
	if got.Err == nil || got.Err.Reason != v1alpha1.ReasonEKSClusterNotActive || !strings.Contains(got.Err.Error(), "it is CREATING") {
		t.Errorf("got %v", got.Err)
	}
	if got := capa.Usable(role, described); got.Err != nil {
		t.Errorf("an active one: %v", got.Err)
	}
}

func TestServersOfControlPlanes(t *testing.T) {
	cases := map[capa.Endpoint]string{
		{}: "",
		{Host: "https://abc.eks.amazonaws.com", Port: 443}: "https://abc.eks.amazonaws.com",
		{Host: "https://abc.eks.amazonaws.com/"}:           "https://abc.eks.amazonaws.com",
		{Host: "abc.eks.amazonaws.com", Port: 443}:         "https://abc.eks.amazonaws.com",
		{Host: "127.0.0.1", Port: 6443}:                    "https://127.0.0.1:6443",
	}
	for endpoint, want := range cases {
		cp := &capa.ControlPlane{Spec: capa.ControlPlaneSpec{ControlPlaneEndpoint: endpoint}}
		if got := cp.Server(); got != want {
			t.Errorf("%+v is %q, want %q", endpoint, got, want)
		}
	}
}

func TestNamesOfEKSClusters(t *testing.T) {
	cases := []struct{ namespace, name, spec, want string }{
		{"staging", "prod", "given", "given"},
		{"staging", "prod.eu", "", "staging_prod_eu"},
	}
	for _, tc := range cases {
		cp := &capa.ControlPlane{ObjectMeta: metav1.ObjectMeta{Namespace: tc.namespace, Name: tc.name}, Spec: capa.ControlPlaneSpec{EKSClusterName: tc.spec}}
		if got, err := cp.EKSName(); got != tc.want || err != nil {
			t.Errorf("%s/%s is %q (%v), want %q", tc.namespace, tc.name, got, err, tc.want)
		}
	}
}

func TestAControlPlaneOfAnotherShapeIsRefused(t *testing.T) {
	_, err := capa.DecodeControlPlane(parse(t, strings.Replace(controlPlane, "region: eu-north-1", "region: [eu-north-1]", 1)))
	if want := fmt.Sprintf("reading AWSManagedControlPlane %q in namespace %q: ", "prod-cp", "staging"); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s…", err, want)
	}
}
