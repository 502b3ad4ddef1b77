package grant_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/grant"
)

func localSubject(name, namespace, user string) v1alpha1.GrantSubject {
	return v1alpha1.GrantSubject{LocalCluster: &v1alpha1.GrantLocalCluster{Name: name, Namespace: namespace, User: user}}
}

func issuerSubject(issuer, subject string) v1alpha1.GrantSubject {
	return v1alpha1.GrantSubject{Issuer: &v1alpha1.GrantIssuer{Name: issuer, Subject: subject}}
}

func issuerPattern(issuer, pattern string) v1alpha1.GrantSubject {
	return v1alpha1.GrantSubject{Issuer: &v1alpha1.GrantIssuer{Name: issuer, SubjectPattern: pattern}}
}

func grantOf(subjects ...v1alpha1.GrantSubject) *v1alpha1.AccessGrant {
	return &v1alpha1.AccessGrant{
		ObjectMeta: metav1.ObjectMeta{Name: "shop", UID: "g-1"},
		Spec:       v1alpha1.AccessGrantSpec{Subjects: subjects, ClusterRoles: []string{"view"}, WholeCluster: true},
	}
}

func TestAccountName(t *testing.T) {
	subjects := []v1alpha1.GrantSubject{
		localSubject("a", "shop", ""),
		localSubject("a", "bank", ""),
		localSubject("a-shop", "", ""),
		issuerSubject("a", "shop"),
		issuerSubject("a", "s*"),
		issuerPattern("a", "s*"),
	}
	seen := map[string]int{}
	for i, s := range subjects {
		for _, g := range []string{"one", "one-two"} {
			name := grant.AccountName(g, s)
			if !strings.HasPrefix(name, g+"-") || len(name) != len(g)+17 {
				t.Errorf("%s is no name of an account of %q", name, g)
			}
			if other, ok := seen[name]; ok {
				t.Errorf("subjects %d and %d share %s", other, i, name)
			}
			seen[name] = i
		}
	}
	if a, b := grant.AccountName("g", localSubject("a", "shop", "")), grant.AccountName("g", localSubject("a", "shop", "me")); a != b {
		t.Error("the account depends on how the connection is known, which the other side cannot tell")
	}
	for _, s := range []v1alpha1.GrantSubject{{User: "ann"}, {Group: "team"}} {
		if got := grant.AccountName("g", s); got != "" {
			t.Errorf("%+v has the account %q, and needs none", s, got)
		}
	}
}

func TestAccountFor(t *testing.T) {
	const sa = "system:serviceaccount:"
	g := grantOf(
		issuerPattern("a", sa+"team-*:*"),
		issuerPattern("a", sa+"*-prod:deploy*er"),
		issuerSubject("a", sa+"team-x:web"),
		issuerSubject("b", "ann"),
		v1alpha1.GrantSubject{User: "ann"},
	)
	tests := map[string]struct {
		issuer, subject string
		want            int // of the subjects; -1 none
	}{
		"a subject by name, before a pattern":       {"a", sa + "team-x:web", 2},
		"a pattern":                                 {"a", sa + "team-y:web", 0},
		"a star for nothing":                        {"a", sa + "team-:web", 0},
		"a star never for a colon":                  {"a", sa + "team-y:web:more", -1},
		"a star never for the colon in the middle":  {"a", sa + "team-y", -1},
		"a part before the star":                    {"a", sa + "x-prod:deployer", 1},
		"a part on both sides of it":                {"a", sa + "x-prod:deploy-the-helper", 1},
		"the two parts do not overlap":              {"a", sa + "x-prod:deploer", -1},
		"something after the end":                   {"a", sa + "x-prod:deployers", -1},
		"another issuer":                            {"b", sa + "team-x:web", -1},
		"a subject of another issuer":               {"a", "ann", -1},
		"a user of this cluster is no subject":      {"", "ann", -1},
		"no subject":                                {"a", "", -1},
		"a pattern is no subject, taken literally ": {"b", "a*n", -1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, ok := grant.AccountFor(g, tt.issuer, tt.subject)
			want := ""
			if tt.want >= 0 {
				want = grant.AccountName("shop", g.Spec.Subjects[tt.want])
			}
			if got != want || ok != (want != "") {
				t.Errorf("got %q, %t, want %q", got, ok, want)
			}
		})
	}
}

func FuzzAccountFor(f *testing.F) {
	f.Add("system:*:x*y", "system:a:xzy")
	f.Add("***a***", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	f.Fuzz(func(t *testing.T, pattern, subject string) {
		account, ok := grant.AccountFor(grantOf(issuerPattern("a", pattern)), "a", subject)
		if ok != (account != "") {
			t.Fatalf("got %q, %t", account, ok)
		}
		if !ok {
			return
		}
		if strings.Count(pattern, ":") != strings.Count(subject, ":") {
			t.Errorf("%q matches %q: a star stands for a colon", pattern, subject)
		}
		if before, _, _ := strings.Cut(pattern, "*"); !strings.HasPrefix(subject, before) {
			t.Errorf("%q matches %q, which does not begin like it", pattern, subject)
		}
	})
}

func TestEnded(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) *metav1.Time { return &metav1.Time{Time: now.Add(d)} }
	tests := map[string]struct {
		change func(*v1alpha1.AccessGrant)
		want   bool
	}{
		"no end":        {func(*v1alpha1.AccessGrant) {}, false},
		"a second left": {func(g *v1alpha1.AccessGrant) { g.Spec.EndsAt = at(time.Second) }, false},
		"now":           {func(g *v1alpha1.AccessGrant) { g.Spec.EndsAt = at(0) }, true},
		"deleted":       {func(g *v1alpha1.AccessGrant) { g.DeletionTimestamp = at(-time.Second) }, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g := grantOf()
			tt.change(g)
			if got := grant.Ended(g, now); got != tt.want {
				t.Errorf("got %t", got)
			}
		})
	}
	g := grantOf()
	if got := grant.Lifetime(g, now); got != time.Hour {
		t.Errorf("by default tokens live %s, want 1h", got)
	}
	g.Spec.MaxLifetime, g.Spec.EndsAt = &metav1.Duration{Duration: 2 * time.Hour}, at(90*time.Minute)
	if got := grant.Lifetime(g, now); got != 90*time.Minute {
		t.Errorf("no token outlives its grant: got %s, want 90m", got)
	}
}

func TestDescribe(t *testing.T) {
	want := []string{
		`namespace "shop" of local cluster "a"`, `subject "s" of issuer "b"`, `subjects like "s*" of issuer "b"`, `user "ann"`, `group "team"`,
	}
	var got []string
	for _, s := range []v1alpha1.GrantSubject{localSubject("a", "shop", "u"), issuerSubject("b", "s"), issuerPattern("b", "s*"), {User: "ann"}, {Group: "team"}} {
		got = append(got, grant.Describe(s))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
