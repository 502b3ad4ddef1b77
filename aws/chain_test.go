package aws

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
)

// identities is a Reader over a map.
type identities map[Ref]Identity

func (m identities) Identity(_ context.Context, ref Ref) (Identity, error) {
	id, ok := m[ref]
	if !ok {
		return Identity{}, &Error{Reason: v1alpha1.ReasonIdentityNotFound, Repair: "create it", Err: errors.New("it does not exist")}
	}
	return id, nil
}

func readerOf(ids ...Identity) identities {
	m := identities{}
	for _, id := range ids {
		m[id.Ref] = id
	}
	return m
}

func ours(name string) Ref { return Ref{Kind: v1alpha1.KindAWSIdentity, Name: name} }

func roleIdentity(name, account string, source Ref) Identity {
	return Identity{Ref: ours(name), Version: name + "-1", Type: v1alpha1.AWSRoleIdentity, Source: source,
		Role: &Role{ARN: "arn:aws:iam::" + account + ":role/" + name}, Namespaces: Namespaces{All: true}}
}

func staticIdentity(name, accessKey string) Identity {
	return Identity{Ref: ours(name), Version: name + "-1", Type: v1alpha1.AWSStaticIdentity, Namespaces: Namespaces{All: true},
		Keys: &Keys{AccessKeyID: accessKey, SecretAccessKey: credential.NewSecret("secret-of-" + accessKey)}}
}

func controllerIdentity(name string) Identity {
	return Identity{Ref: ours(name), Version: name + "-1", Type: v1alpha1.AWSControllerIdentity, Namespaces: Namespaces{All: true}}
}

// changed is id after a change.
func changed(id Identity, change func(*Identity)) Identity {
	if id.Role != nil {
		role := *id.Role
		id.Role = &role
	}
	if id.Keys != nil {
		keys := *id.Keys
		id.Keys = &keys
	}
	change(&id)
	return id
}

func TestResolve(t *testing.T) {
	tests := []struct {
		name   string
		reader identities
		ref    Ref
		ns     Namespace
		want   []string // Names
	}{
		{"the manager's own identity needs no object", readerOf(), Ref{}, Namespace{}, []string{"(manager)"}},
		{"an identity of type controller", readerOf(controllerIdentity("own")), ours("own"), Namespace{Name: "any"}, []string{"own"}},
		{"static keys", readerOf(staticIdentity("keys", "AKID")), ours("keys"), Namespace{}, []string{"keys"}},
		{"a role from the manager's own identity", readerOf(roleIdentity("hub", "111122223333", Ref{})), ours("hub"), Namespace{Name: "any"}, []string{"(manager)", "hub"}},
		{"two hops from static keys",
			readerOf(staticIdentity("keys", "AKID"), roleIdentity("hub", "111122223333", ours("keys")), roleIdentity("target", "444455556666", ours("hub"))),
			ours("target"), Namespace{Name: "any"}, []string{"keys", "hub", "target"}},
		{"four roles are not too deep", rolesInARow(4), ours("r4"), Namespace{}, []string{"(manager)", "r1", "r2", "r3", "r4"}},
		{"an identity that is being deleted works while it is used",
			readerOf(changed(roleIdentity("hub", "111122223333", Ref{}), func(id *Identity) { id.Deleting = true }), roleIdentity("target", "444455556666", ours("hub"))),
			ours("target"), Namespace{}, []string{"(manager)", "hub", "target"}},
		{"a long session of a role is right from long-term keys",
			readerOf(staticIdentity("keys", "AKID"), changed(roleIdentity("hub", "111122223333", ours("keys")), func(id *Identity) { id.Role.Duration = 12 * time.Hour })),
			ours("hub"), Namespace{}, []string{"keys", "hub"}},
		{"an hour is right on a chained role",
			readerOf(roleIdentity("hub", "111122223333", Ref{}), changed(roleIdentity("target", "444455556666", ours("hub")), func(id *Identity) { id.Role.Duration = time.Hour })),
			ours("target"), Namespace{}, []string{"(manager)", "hub", "target"}},
		{"what a person wrote is not asked for its namespace",
			readerOf(changed(roleIdentity("hub", "111122223333", Ref{}), func(id *Identity) { id.Namespaces = Namespaces{} })), ours("hub"), Namespace{}, []string{"(manager)", "hub"}},
		{"identities of different kinds may have one name",
			identities{
				ours("default"): changed(roleIdentity("default", "111122223333", Ref{Kind: v1alpha1.KindCAPAControllerIdentity, Name: "default"}), func(*Identity) {}),
				{Kind: v1alpha1.KindCAPAControllerIdentity, Name: "default"}: controllerIdentity("default"),
			}, ours("default"), Namespace{Name: "any"}, []string{"AWSClusterControllerIdentity/default", "default"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			chain, err := Resolve(t.Context(), test.reader, test.ref, test.ns)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, chain.Names()); diff != "" {
				t.Errorf("names (-want +got)\n%s", diff)
			}
		})
	}
}

// rolesInARow are r1, from the manager's own identity, to rn.
func rolesInARow(n int) identities {
	m, source := identities{}, Ref{}
	for i := range n {
		id := roleIdentity("r"+string(rune('1'+i)), "111122223333", source)
		m[id.Ref], source = id, id.Ref
	}
	return m
}

// circle are identities each of which is assumed from the next, and the last from the first.
func circle(names ...string) identities {
	m := identities{}
	for i, name := range names {
		m[ours(name)] = roleIdentity(name, "111122223333", ours(names[(i+1)%len(names)]))
	}
	return m
}

func TestResolveNamesTheBrokenLink(t *testing.T) {
	hub, target := roleIdentity("hub", "111122223333", Ref{}), roleIdentity("target", "444455556666", ours("hub"))
	only := func(names ...string) func(*Identity) {
		return func(id *Identity) { id.Namespaces = Namespaces{Names: names} }
	}
	tests := []struct {
		name   string
		reader identities
		ref    Ref
		ns     Namespace
		want   Error  // without Err and Repair
		text   string // a part of the message
	}{
		{"the identity is missing", readerOf(), ours("target"), Namespace{},
			Error{Ref: ours("target"), Reason: v1alpha1.ReasonIdentityNotFound}, `AWSIdentity "target": it does not exist`},
		{"its source is missing", readerOf(target), ours("target"), Namespace{},
			Error{Hop: 1, Hops: 2, Ref: ours("hub"), Reason: v1alpha1.ReasonIdentityNotFound}, `hop 1 of 2, AWSIdentity "hub": it does not exist`},
		{"a cycle of one", circle("a"), ours("a"), Namespace{},
			Error{Hop: 1, Hops: 1, Ref: ours("a"), Reason: v1alpha1.ReasonIdentityCycle}, `AWSIdentity "a", from AWSIdentity "a"`},
		{"a cycle of two", circle("a", "b"), ours("a"), Namespace{},
			Error{Hop: 1, Hops: 2, Ref: ours("b"), Reason: v1alpha1.ReasonIdentityCycle}, `AWSIdentity "a", from AWSIdentity "b", from AWSIdentity "a"`},
		{"a cycle of three", circle("a", "b", "c"), ours("a"), Namespace{},
			Error{Hop: 1, Hops: 3, Ref: ours("c"), Reason: v1alpha1.ReasonIdentityCycle}, `AWSIdentity "a", from AWSIdentity "b", from AWSIdentity "c", from AWSIdentity "a"`},
		{"a cycle that the target is not part of",
			identities{ours("t"): roleIdentity("t", "111122223333", ours("a")), ours("a"): circle("a", "b")[ours("a")], ours("b"): circle("a", "b")[ours("b")]}, ours("t"), Namespace{},
			Error{Hop: 1, Hops: 3, Ref: ours("b"), Reason: v1alpha1.ReasonIdentityCycle}, `AWSIdentity "t", from AWSIdentity "a", from AWSIdentity "b", from AWSIdentity "a"`},
		{"five roles", rolesInARow(5), ours("r5"), Namespace{},
			Error{Hop: 1, Hops: 5, Ref: ours("r1"), Reason: v1alpha1.ReasonChainTooDeep}, "more than 4 roles"},
		{"a circle of five is too deep before it is a circle", circle("a", "b", "c", "d", "e"), ours("a"), Namespace{},
			Error{Hop: 1, Hops: 5, Ref: ours("e"), Reason: v1alpha1.ReasonChainTooDeep}, "more than 4 roles"},
		{"a role of another partition", readerOf(hub, changed(target, func(id *Identity) { id.Role.ARN = "arn:aws-cn:iam::444455556666:role/target" })), ours("target"), Namespace{},
			Error{Hop: 2, Hops: 2, Ref: ours("target"), Reason: v1alpha1.ReasonCrossPartition}, "partition aws-cn and is assumed from aws"},
		{"static keys of another partition",
			readerOf(changed(staticIdentity("keys", "AKID"), func(id *Identity) { id.Keys.Region = "us-gov-west-1" }), changed(hub, func(id *Identity) { id.Source = ours("keys") })), ours("hub"), Namespace{},
			Error{Hop: 1, Hops: 1, Ref: ours("hub"), Reason: v1alpha1.ReasonCrossPartition}, "assumed from aws-us-gov"},
		{"a region of another partition", readerOf(changed(hub, func(id *Identity) { id.Role.Region = "cn-north-1" })), ours("hub"), Namespace{},
			Error{Hop: 1, Hops: 1, Ref: ours("hub"), Reason: v1alpha1.ReasonCrossPartition}, "region cn-north-1"},
		{"more than an hour from the manager's own identity", readerOf(changed(hub, func(id *Identity) { id.Role.Duration = time.Hour + time.Second })), ours("hub"), Namespace{},
			Error{Hop: 1, Hops: 1, Ref: ours("hub"), Reason: v1alpha1.ReasonDurationTooLong}, "1h0m1s"},
		{"more than an hour from a role", readerOf(hub, changed(target, func(id *Identity) { id.Role.Duration = 2 * time.Hour })), ours("target"), Namespace{},
			Error{Hop: 2, Hops: 2, Ref: ours("target"), Reason: v1alpha1.ReasonDurationTooLong}, "2h0m0s"},
		{"more than an hour from temporary keys",
			readerOf(changed(staticIdentity("keys", "ASIA"), func(id *Identity) { id.Keys.SessionToken = credential.NewSecret("t") }),
				changed(hub, func(id *Identity) { id.Source, id.Role.Duration = ours("keys"), 2*time.Hour })), ours("hub"), Namespace{},
			Error{Hop: 1, Hops: 1, Ref: ours("hub"), Reason: v1alpha1.ReasonDurationTooLong}, "2h0m0s"},
		{"a namespace that the target does not admit", readerOf(hub, changed(target, only("dev"))), ours("target"), Namespace{Name: "staging"},
			Error{Hop: 2, Hops: 2, Ref: ours("target"), Reason: v1alpha1.ReasonNamespaceNotAllowed}, `hop 2 of 2, AWSIdentity "target": namespace "staging"`},
		{"a namespace that an earlier link does not admit", readerOf(changed(hub, only("dev")), target), ours("target"), Namespace{Name: "staging"},
			Error{Hop: 1, Hops: 2, Ref: ours("hub"), Reason: v1alpha1.ReasonNamespaceNotAllowed}, `hop 1 of 2, AWSIdentity "hub": namespace "staging"`},
		{"a namespace that the static keys do not admit",
			readerOf(changed(staticIdentity("keys", "AKID"), only("dev")), changed(hub, func(id *Identity) { id.Source = ours("keys") }), target), ours("target"), Namespace{Name: "staging"},
			Error{Hop: 0, Hops: 2, Ref: ours("keys"), Reason: v1alpha1.ReasonNamespaceNotAllowed}, `before hop 1 of 2, AWSIdentity "keys": namespace "staging"`},
		{"a namespace that the controller identity does not admit", readerOf(changed(controllerIdentity("own"), only())), ours("own"), Namespace{Name: "staging"},
			Error{Ref: ours("own"), Reason: v1alpha1.ReasonNamespaceNotAllowed}, `namespace "staging"`},
		{"a namespace that a selector no longer matches",
			readerOf(changed(hub, func(id *Identity) {
				id.Namespaces = Namespaces{Selector: labels.SelectorFromSet(labels.Set{"env": "staging"})}
			})),
			ours("hub"), Namespace{Name: "staging", Labels: map[string]string{"env": "prod"}},
			Error{Hop: 1, Hops: 1, Ref: ours("hub"), Reason: v1alpha1.ReasonNamespaceNotAllowed}, `namespace "staging"`},
		{"the manager's own identity is lent to no namespace", readerOf(), Ref{}, Namespace{Name: "staging"},
			Error{Reason: v1alpha1.ReasonNamespaceNotAllowed}, `no object says that namespace "staging"`},
		{"an ARN that is none", readerOf(changed(hub, func(id *Identity) { id.Role.ARN = "hub" }), target), ours("target"), Namespace{},
			Error{Hop: 1, Hops: 2, Ref: ours("hub"), Reason: v1alpha1.ReasonSpecInvalid}, `roleARN "hub"`},
		{"an ARN of a user", readerOf(changed(hub, func(id *Identity) { id.Role.ARN = "arn:aws:iam::111122223333:user/hub" })), ours("hub"), Namespace{},
			Error{Hop: 1, Hops: 1, Ref: ours("hub"), Reason: v1alpha1.ReasonSpecInvalid}, "no ARN of a role"},
		{"a role without a role", readerOf(changed(hub, func(id *Identity) { id.Role = nil })), ours("hub"), Namespace{},
			Error{Hop: 1, Hops: 1, Ref: ours("hub"), Reason: v1alpha1.ReasonSpecInvalid}, "no role"},
		{"static keys without keys", readerOf(changed(staticIdentity("keys", "AKID"), func(id *Identity) { id.Keys = nil })), ours("keys"), Namespace{},
			Error{Ref: ours("keys"), Reason: v1alpha1.ReasonInputMissing}, "no access keys"},
		{"an unknown type", readerOf(changed(controllerIdentity("own"), func(id *Identity) { id.Type = "magic" })), ours("own"), Namespace{},
			Error{Ref: ours("own"), Reason: v1alpha1.ReasonSpecInvalid}, `"magic"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Resolve(t.Context(), test.reader, test.ref, test.ns)
			var got *Error
			if !errors.As(err, &got) {
				t.Fatalf("got %v, want an *Error", err)
			}
			if !strings.Contains(got.Error(), test.text) {
				t.Errorf("the message lacks %q: %s", test.text, got)
			}
			if got.Repair == "" && got.Reason != v1alpha1.ReasonInputMissing {
				t.Error("there is no repair")
			}
			bare := *got
			bare.Err, bare.Repair = nil, ""
			if diff := cmp.Diff(test.want, bare); diff != "" {
				t.Errorf("error (-want +got)\n%s", diff)
			}
		})
	}
}

func TestResolvePassesOnOtherErrorsOfTheReader(t *testing.T) {
	broken := errors.New("the API server is gone")
	_, err := Resolve(t.Context(), readerFunc(func(context.Context, Ref) (Identity, error) { return Identity{}, broken }), ours("hub"), Namespace{})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), `reading AWSIdentity "hub"`) {
		t.Errorf("got %v", err)
	}
}

type readerFunc func(context.Context, Ref) (Identity, error)

func (f readerFunc) Identity(ctx context.Context, ref Ref) (Identity, error) { return f(ctx, ref) }

func TestFingerprint(t *testing.T) {
	base := Chain{Ground: staticIdentity("keys", "AKID"), Roles: []Identity{roleIdentity("hub", "111122223333", ours("keys")), roleIdentity("target", "444455556666", ours("hub"))}}
	with := func(hop int, change func(*Identity)) Chain {
		c := Chain{Ground: base.Ground, Roles: append([]Identity(nil), base.Roles...)}
		if hop == 0 {
			c.Ground = changed(c.Ground, change)
		} else {
			c.Roles[hop-1] = changed(c.Roles[hop-1], change)
		}
		return c
	}
	prints := map[string]string{base.Fingerprint(): "the chain itself", base.prefix(1).Fingerprint(): "its beginning", base.prefix(0).Fingerprint(): "its ground"}
	for name, chain := range map[string]Chain{
		"another version of the keys":     with(0, func(id *Identity) { id.Version = "2" }),
		"another access key":              with(0, func(id *Identity) { id.Keys.AccessKeyID = "OTHER" }),
		"another version of the first":    with(1, func(id *Identity) { id.Version = "2" }),
		"another role":                    with(1, func(id *Identity) { id.Role.ARN += "2" }),
		"another session name":            with(2, func(id *Identity) { id.Role.SessionName = "s" }),
		"another external id":             with(2, func(id *Identity) { id.Role.ExternalID = "s" }),
		"another policy":                  with(2, func(id *Identity) { id.Role.InlinePolicy = "{}" }),
		"another policy ARN":              with(2, func(id *Identity) { id.Role.PolicyARNs = []string{"a", "b"} }),
		"policy ARNs that were joined":    with(2, func(id *Identity) { id.Role.PolicyARNs = []string{"ab"} }),
		"another region":                  with(2, func(id *Identity) { id.Role.Region = "eu-north-1" }),
		"another duration":                with(2, func(id *Identity) { id.Role.Duration = 15 * time.Minute }),
		"the manager's own as the ground": {Ground: controllerIdentity("own"), Roles: base.Roles},
	} {
		fingerprint := chain.Fingerprint()
		if before, ok := prints[fingerprint]; ok {
			t.Errorf("%s has the fingerprint of %s", name, before)
		}
		prints[fingerprint] = name
	}
	own := Chain{Ground: Identity{Type: v1alpha1.AWSControllerIdentity}}
	if (Chain{Ground: controllerIdentity("a")}).Fingerprint() != own.Fingerprint() {
		t.Error("there is one manager: its identity must not be asked for twice")
	}
	if base.ARN() != "arn:aws:iam::444455556666:role/target" || base.Partition() != "aws" {
		t.Errorf("ARN and partition: %s, %s", base.ARN(), base.Partition())
	}
}
