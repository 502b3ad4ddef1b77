package gate

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/grant"
)

const subject = "system:serviceaccount:shop:deployer"

func named(name string) v1alpha1.GrantSubject {
	return v1alpha1.GrantSubject{Issuer: &v1alpha1.GrantIssuer{Name: "b", Subject: name}}
}

func matching(pattern string) v1alpha1.GrantSubject {
	return v1alpha1.GrantSubject{Issuer: &v1alpha1.GrantIssuer{Name: "b", SubjectPattern: pattern}}
}

// granted is a grant as its controller leaves it. age orders grants.
func granted(name string, age time.Duration, subjects ...v1alpha1.GrantSubject) *v1alpha1.AccessGrant {
	g := &v1alpha1.AccessGrant{
		ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(now.Add(-age))},
		Spec:       v1alpha1.AccessGrantSpec{Subjects: subjects, ClusterRoles: []string{"view"}, WholeCluster: true},
	}
	for _, s := range subjects {
		if account := grant.AccountName(name, s); account != "" {
			g.Status.Accounts = append(g.Status.Accounts, v1alpha1.GrantAccount{Name: account})
		}
	}
	return g
}

func changed(g *v1alpha1.AccessGrant, change func(*v1alpha1.AccessGrant)) *v1alpha1.AccessGrant {
	change(g)
	return g
}

func TestAdmit(t *testing.T) {
	endedAt := func(when time.Time) func(*v1alpha1.AccessGrant) {
		return func(g *v1alpha1.AccessGrant) { g.Spec.EndsAt = &metav1.Time{Time: when} }
	}
	tests := map[string]struct {
		grants                []*v1alpha1.AccessGrant
		issuer, subject, name string
		want                  string // grant
		reason                string
	}{
		"the grant that names the subject": {
			grants: []*v1alpha1.AccessGrant{granted("other", time.Hour, named("system:serviceaccount:shop:other")), granted("ci", 0, named(subject))},
			want:   "ci",
		},
		"the oldest where several do: a new one changes nothing": {
			grants: []*v1alpha1.AccessGrant{granted("a-new", time.Minute, named(subject)), granted("old", time.Hour, named(subject))},
			want:   "old",
		},
		"a pattern is a way in as good as a name": {
			grants: []*v1alpha1.AccessGrant{granted("new", time.Minute, named(subject)), granted("teams", time.Hour, matching("system:serviceaccount:*:deployer"))},
			want:   "teams",
		},
		"the one that is asked for": {
			grants: []*v1alpha1.AccessGrant{granted("new", time.Minute, named(subject)), granted("old", time.Hour, named(subject))},
			name:   "new", want: "new",
		},
		"an ended one stands in nobody's way": {
			grants: []*v1alpha1.AccessGrant{changed(granted("old", time.Hour, named(subject)), endedAt(now)), granted("new", 0, named(subject))},
			want:   "new",
		},
		"no grant at all": {reason: reasonNotGranted},
		"a grant of that name for somebody else": {
			grants: []*v1alpha1.AccessGrant{granted("ci", 0, named("system:serviceaccount:shop:other"))}, name: "ci", reason: reasonNotGranted,
		},
		"the same subject of another issuer": {
			grants: []*v1alpha1.AccessGrant{granted("ci", 0, named(subject))}, issuer: "c", reason: reasonNotGranted,
		},
		"a user of the same name is no subject of an issuer": {
			grants: []*v1alpha1.AccessGrant{granted("ci", 0, v1alpha1.GrantSubject{User: subject})}, name: "ci", reason: reasonNotGranted,
		},
		"a name that there is not": {grants: []*v1alpha1.AccessGrant{granted("ci", 0, named(subject))}, name: "cd", reason: reasonNotGranted},
		"a grant that has ended": {
			grants: []*v1alpha1.AccessGrant{changed(granted("ci", 0, named(subject)), endedAt(now))}, reason: reasonGrantEnded,
		},
		"a grant that ends in a second": {
			grants: []*v1alpha1.AccessGrant{changed(granted("ci", 0, named(subject)), endedAt(now.Add(time.Second)))}, want: "ci",
		},
		"a grant that is being deleted": {
			grants: []*v1alpha1.AccessGrant{changed(granted("ci", 0, named(subject)), func(g *v1alpha1.AccessGrant) { g.DeletionTimestamp = &metav1.Time{Time: now} })},
			reason: reasonGrantEnded,
		},
		"an account that the controller has not made": {
			grants: []*v1alpha1.AccessGrant{changed(granted("ci", 0, named(subject)), func(g *v1alpha1.AccessGrant) { g.Status.Accounts = nil })},
			reason: reasonAccountMissing,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			all := newGrants()
			for _, g := range test.grants {
				all.set(g)
			}
			if test.issuer == "" {
				test.issuer = "b"
			}
			a, err := all.admit(test.issuer, subject, test.name, now)
			if test.reason != "" {
				if r, ok := reasonOf(err); !ok || r.Reason != test.reason {
					t.Fatalf("got grant %v and error %v, want reason %s", a.grant, err, test.reason)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if want, _ := grant.AccountFor(a.grant, "b", subject); a.grant.Name != test.want || a.account != want {
				t.Errorf("let in by grant %q as %q, want grant %q", a.grant.Name, a.account, test.want)
			}
		})
	}
}

func TestOldestOfManyGrantsLetsIn(t *testing.T) {
	all := newGrants()
	for i := range 30 { // they come in any order, and are kept in none
		all.set(granted(fmt.Sprintf("g%02d", i), time.Duration(i)*time.Minute, named(subject)))
	}
	if a, err := all.admit("b", subject, "", now); err != nil || a.grant.Name != "g29" {
		t.Errorf("let in by %v (%v), want g29", a.grant, err)
	}
}

func TestGrantsForgetWhatChanged(t *testing.T) {
	all := newGrants()
	all.set(granted("ci", 0, named(subject), matching("system:serviceaccount:*:deployer")))
	all.set(granted("ci", 0, named("system:serviceaccount:shop:other")))
	if _, err := all.admit("b", subject, "", now); err == nil {
		t.Error("a subject that was taken out of the grant is let in")
	}
	if _, err := all.admit("b", "system:serviceaccount:shop:other", "", now); err != nil {
		t.Errorf("the subject that came into the grant: %v", err)
	}
	all.remove("ci")
	all.remove("ci")
	if _, err := all.admit("b", "system:serviceaccount:shop:other", "", now); err == nil {
		t.Error("the subject of a deleted grant is let in")
	}
	if diff := cmp.Diff([]int{0, 0, 0}, []int{len(all.byName), len(all.subjects), len(all.patterns)}); diff != "" {
		t.Errorf("what is left of a deleted grant (-want +got)\n%s", diff)
	}
}

func TestLifetime(t *testing.T) {
	hours := func(h float64) *metav1.Duration {
		return &metav1.Duration{Duration: time.Duration(h * float64(time.Hour))}
	}
	tests := map[string]struct {
		asked         time.Duration
		grant, issuer *metav1.Duration
		left          time.Duration // until the grant ends
		want          time.Duration
	}{
		"an hour where nobody says anything":    {0, nil, nil, 0, time.Hour},
		"what the grant allows":                 {0, hours(2), hours(3), 0, 2 * time.Hour},
		"what the issuer allows":                {0, hours(3), hours(2), 0, 2 * time.Hour},
		"what is asked for":                     {20 * time.Minute, hours(3), hours(2), 0, 20 * time.Minute},
		"no more than is allowed":               {24 * time.Hour, hours(3), hours(2), 0, 2 * time.Hour},
		"no longer than the grant itself":       {0, hours(3), hours(2), 40 * time.Minute, 40 * time.Minute},
		"ten minutes, although the grant ends":  {0, hours(3), hours(2), time.Second, 10 * time.Minute},
		"the least that an API server can give": {0, hours(0.01), hours(2), 0, 10 * time.Minute},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := &v1alpha1.AccessGrant{Spec: v1alpha1.AccessGrantSpec{MaxLifetime: test.grant}}
			if test.left > 0 {
				g.Spec.EndsAt = &metav1.Time{Time: now.Add(test.left)}
			}
			ti := &v1alpha1.TrustedIssuer{Spec: v1alpha1.TrustedIssuerSpec{MaxLifetime: test.issuer}}
			if got := lifetime(test.asked, g, ti, now); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
