package capa_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/inventory/capa"
)

const (
	roleIdentity = `
apiVersion: infrastructure.cluster.x-k8s.io/v1beta2
kind: AWSClusterRoleIdentity
metadata: {name: staging, uid: u1, generation: 3}
spec:
  roleARN: arn:aws:iam::111111111111:role/controllers
  sessionName: staging
  durationSeconds: 900
  externalID: ext
  inlinePolicy: "{}"
  policyARNs: ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
  sourceIdentityRef: {kind: AWSClusterControllerIdentity, name: default}
  allowedNamespaces: {list: [staging]}
`
	staticIdentity = `
apiVersion: infrastructure.cluster.x-k8s.io/v1beta2
kind: AWSClusterStaticIdentity
metadata: {name: keys, uid: u2, generation: 1}
spec: {secretRef: keys, allowedNamespaces: {}}
`
	controllerIdentity = `
apiVersion: infrastructure.cluster.x-k8s.io/v1beta2
kind: AWSClusterControllerIdentity
metadata: {name: default, uid: u3, generation: 1}
spec: {allowedNamespaces: {list: null, selector: {}}}
`
)

var (
	roleRef       = aws.Ref{Kind: v1alpha1.KindCAPARoleIdentity, Name: "staging"}
	staticRef     = aws.Ref{Kind: v1alpha1.KindCAPAStaticIdentity, Name: "keys"}
	controllerRef = aws.Ref{Kind: v1alpha1.KindCAPAControllerIdentity, Name: "default"}
)

func secret(data map[string]string) *corev1.Secret {
	s := &corev1.Secret{Data: map[string][]byte{}}
	s.Namespace, s.Name = "capa-system", "keys"
	for key, value := range data {
		s.Data[key] = []byte(value)
	}
	return s
}

// cluster is one in which the objects exist.
func cluster(t *testing.T, secret *corev1.Secret, texts ...string) client.WithWatch {
	t.Helper()
	b := fake.NewClientBuilder().WithScheme(scheme.Scheme)
	for _, text := range texts {
		b = b.WithObjects(parse(t, text))
	}
	if secret != nil {
		b = b.WithObjects(secret)
	}
	return b.Build()
}

func TestIdentitiesAreReadAsTheyAre(t *testing.T) {
	keys := secret(map[string]string{"AccessKeyID": "AKIA", "SecretAccessKey": "hush", "SessionToken": "sesame"})
	r := capa.Reader{Client: cluster(t, keys, roleIdentity, staticIdentity, controllerIdentity)}
	cases := []struct {
		ref  aws.Ref
		want aws.Identity
	}{
		{roleRef, aws.Identity{Ref: roleRef, Version: "u1/3", Type: v1alpha1.AWSRoleIdentity, Source: controllerRef, Namespaces: aws.Namespaces{Names: []string{"staging"}}, Role: &aws.Role{
			ARN: "arn:aws:iam::111111111111:role/controllers", SessionName: "staging", ExternalID: "ext", InlinePolicy: "{}",
			PolicyARNs: []string{"arn:aws:iam::aws:policy/ReadOnlyAccess"}, Duration: 15 * time.Minute,
		}}},
		{staticRef, aws.Identity{Ref: staticRef, Version: "u2/1/999", Type: v1alpha1.AWSStaticIdentity, Namespaces: aws.Namespaces{All: true}, Keys: &aws.Keys{AccessKeyID: "AKIA"}}},
		{controllerRef, aws.Identity{Ref: controllerRef, Version: "u3/1", Type: v1alpha1.AWSControllerIdentity, Namespaces: aws.Namespaces{All: true}}},
	}
	for _, tc := range cases {
		t.Run(tc.ref.String(), func(t *testing.T) {
			got, err := r.Identity(t.Context(), tc.ref)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, cmpopts.IgnoreFields(aws.Keys{}, "SecretAccessKey", "SessionToken")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got.Keys != nil && (got.Keys.SecretAccessKey.Reveal() != "hush" || got.Keys.SessionToken.Reveal() != "sesame") {
				t.Error("the secret keys are others")
			}
		})
	}
}

func TestARoleWithoutASourceStartsFromTheProvidersOwnIdentity(t *testing.T) {
	r := capa.Reader{Client: cluster(t, nil, strings.Replace(roleIdentity, "sourceIdentityRef:", "was:", 1))}
	got, err := r.Identity(t.Context(), roleRef)
	if err != nil || got.Source != controllerRef {
		t.Errorf("got %v (%v), want %v", got.Source, err, controllerRef)
	}
}

func TestIdentitiesThatCannotBeRead(t *testing.T) {
	fails := func(err error) func(client.WithWatch) client.Reader {
		return func(c client.WithWatch) client.Reader {
			return interceptor.NewClient(c, interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
				if _, ok := o.(*corev1.Secret); ok == (key.Namespace != "") && (apierrors.IsForbidden(err) == ok) {
					return err
				}
				return c.Get(ctx, key, o, opts...)
			}})
		}
	}
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "keys", errors.New("no"))
	cases := []struct {
		name    string
		ref     aws.Ref
		objects []string
		secret  *corev1.Secret
		through func(client.WithWatch) client.Reader
		reason  string
		message string
	}{
		{name: "one that does not exist", ref: roleRef, reason: v1alpha1.ReasonIdentityNotFound, message: `AWSClusterRoleIdentity "staging": it does not exist. Create it, or correct the name`},
		{name: "the provider's own, which nobody made", ref: controllerRef, reason: v1alpha1.ReasonIdentityNotFound,
			message: `AWSClusterControllerIdentity "default": it does not exist. Create it, and let its allowedNamespaces admit the clusters of the chain: the provider makes it only where a cluster names it directly`},
		{name: "a kind that is not installed", ref: roleRef, through: fails(&meta.NoKindMatchError{}), reason: v1alpha1.ReasonIdentityNotFound, message: `AWSClusterRoleIdentity "staging": its kind is not installed. Install Cluster API's provider for AWS, or name an AWSIdentity`},
		{name: "another one of the provider's own", ref: aws.Ref{Kind: v1alpha1.KindCAPAControllerIdentity, Name: "mine"}, objects: []string{strings.Replace(controllerIdentity, "name: default", "name: mine", 1)},
			reason: v1alpha1.ReasonInputInvalid, message: `AWSClusterControllerIdentity "mine": the provider knows no other than default. Name the one called default`},
		{name: "a kind of ours", ref: aws.Ref{Kind: v1alpha1.KindAWSIdentity, Name: "ours"}, reason: v1alpha1.ReasonIdentityNotFound, message: `AWSIdentity "ours": kind "AWSIdentity" is no identity of Cluster API`},
		{name: "keys without a Secret", ref: staticRef, objects: []string{staticIdentity}, reason: v1alpha1.ReasonInputMissing,
			message: `AWSClusterStaticIdentity "keys": Secret "keys" in namespace "capa-system" does not exist. Create it with the keys AccessKeyID and SecretAccessKey`},
		{name: "keys that may not be read", ref: staticRef, objects: []string{staticIdentity}, through: fails(forbidden), reason: v1alpha1.ReasonInputForbidden,
			message: `AWSClusterStaticIdentity "keys": Secret "keys" in namespace "capa-system" may not be read. Let Hawser's service account get it: a Role in namespace capa-system`},
		{name: "half of the keys", ref: staticRef, objects: []string{staticIdentity}, secret: secret(map[string]string{"AccessKeyID": "AKIA"}), reason: v1alpha1.ReasonInputInvalid,
			message: `AWSClusterStaticIdentity "keys": Secret "keys" in namespace "capa-system" has no key SecretAccessKey. Fill it in`},
		{name: "the other half of the keys", ref: staticRef, objects: []string{staticIdentity}, secret: secret(map[string]string{"SecretAccessKey": "hush", "AccessKeyID": ""}), reason: v1alpha1.ReasonInputInvalid,
			message: `AWSClusterStaticIdentity "keys": Secret "keys" in namespace "capa-system" has no key AccessKeyID. Fill it in`},
		{name: "namespaces of another shape", ref: roleRef, objects: []string{strings.Replace(roleIdentity, "{list: [staging]}", "[staging]", 1)}, reason: v1alpha1.ReasonInputInvalid,
			message: `AWSClusterRoleIdentity "staging": spec.allowedNamespaces is []interface {} and should be an object with list or selector. Correct spec.allowedNamespaces`},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			c := cluster(t, tc.secret, tc.objects...)
			r := capa.Reader{Client: c}
			if tc.through != nil {
				r.Client = tc.through(c)
			}
			got, err := r.Identity(t.Context(), tc.ref)
			var known *aws.Error
			if !errors.As(err, &known) {
				t.Fatalf("got %v", err)
			}
			if known.Reason != tc.reason || known.Message() != tc.message {
				t.Errorf("got %s: %s\nwant %s: %s", known.Reason, known.Message(), tc.reason, tc.message)
			}
			if diff := cmp.Diff(aws.Identity{}, got); diff != "" {
				t.Errorf("something was returned: %s", diff)
			}
		})
	}
}

func TestWhichNamespacesAnIdentityAllows(t *testing.T) {
	cases := []struct {
		name, yaml string
		want       string // which of the namespaces a, b and team are admitted; "error" for none, with an error
	}{
		{"absent", "", ""},
		{"null", "allowedNamespaces: null", ""},
		{"empty is all", "allowedNamespaces: {}", "a b team"},
		{"empty as the provider's webhook writes it", "allowedNamespaces: {list: null, selector: {}}", "a b team"},
		{"a list", "allowedNamespaces: {list: [a]}", "a"},
		{"a list as the provider's webhook writes it", "allowedNamespaces: {list: [a], selector: {}}", "a"},
		{"a list of nobody", "allowedNamespaces: {list: []}", ""},
		{"a list of nobody and an empty selector", "allowedNamespaces: {list: [], selector: {}}", ""},
		{"a list that is null, alone", "allowedNamespaces: {list: null}", ""},
		{"an empty selector, alone", "allowedNamespaces: {selector: {}}", ""},
		{"a selector that is null", "allowedNamespaces: {selector: null}", ""},
		{"a list and a selector that are null", "allowedNamespaces: {list: null, selector: null}", ""},
		{"a selector with no labels", "allowedNamespaces: {selector: {matchLabels: {}}}", ""},
		{"a selector with no labels, and a list that is null", "allowedNamespaces: {list: null, selector: {matchLabels: {}}}", ""},
		{"a selector", "allowedNamespaces: {selector: {matchLabels: {team: x}}}", "team"},
		{"a selector by expression", "allowedNamespaces: {selector: {matchExpressions: [{key: team, operator: In, values: [x, z]}]}}", "team"},
		{"a list or a selector", "allowedNamespaces: {list: [a], selector: {matchLabels: {team: x}}}", "a team"},
		{"a list, not an object, as in a sample of the provider's documentation", `allowedNamespaces: ["a"]`, "error"},
		{"a list of something else", "allowedNamespaces: {list: [{name: a}]}", "error"},
		{"a list that is none", "allowedNamespaces: {list: a}", "error"},
		{"a field of ours", "allowedNamespaces: {names: [a]}", "error"},
		{"a selector of another shape", "allowedNamespaces: {selector: a}", "error"},
		{"a selector with a misspelt field", "allowedNamespaces: {selector: {matchLabel: {team: x}}}", "error"},
		{"a selector with an unknown operator", "allowedNamespaces: {selector: {matchExpressions: [{key: team, operator: Like, values: [x]}]}}", "error"},
	}
	namespaces := []aws.Namespace{{Name: "a"}, {Name: "b"}, {Name: "team", Labels: map[string]string{"team": "x"}}}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			text := fmt.Sprintf("apiVersion: infrastructure.cluster.x-k8s.io/v1beta2\nkind: AWSClusterControllerIdentity\nmetadata: {name: default}\nspec:\n  other: x\n  %s\n", tc.yaml)
			got, err := capa.Reader{Client: reads{parse(t, text)}}.Identity(t.Context(), controllerRef)
			var admitted []string
			for _, ns := range namespaces {
				if got.Namespaces.Admit(ns) {
					admitted = append(admitted, ns.Name)
				}
			}
			want := tc.want
			if want == "error" {
				if err == nil {
					t.Error("no error")
				}
				want = ""
			} else if err != nil {
				t.Error(err)
			}
			if strings.Join(admitted, " ") != want {
				t.Errorf("admitted are %q, want %q", admitted, want)
			}
		})
	}
}

// reads answers with one object, as it was written: the fake client would lose what is null.
type reads struct{ object *unstructured.Unstructured }

func (r reads) Get(_ context.Context, _ client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	r.object.DeepCopyInto(o.(*unstructured.Unstructured))
	return nil
}

func (reads) List(context.Context, client.ObjectList, ...client.ListOption) error {
	return errors.New("nothing is listed")
}
