package trust

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
)

// TestAnAPIServerBelievesTheSame hands what Render made to a real API server, and shows it and us the
// same tokens: whoever one of the two refuses is refused by the other, and whoever is believed has the
// same names.
func TestAnAPIServerBelievesTheSame(t *testing.T) {
	issuing := fleettest.Use(t, "issuer")
	discoverable(t, issuing)
	issuing.ServiceAccount(t, "default", "deployer")
	ti := renderable("b")
	ti.Spec.URL, ti.Spec.CAData = issuing.Server, base64.StdEncoding.EncodeToString(issuing.CA())
	ti.Spec.ClaimRules = []v1alpha1.ClaimRule{{Expression: "claims['kubernetes.io'].namespace != 'forbidden'", Message: "not from there"}}
	ti.Spec.Username = "claims.?name.orValue(claims.sub) // who it is"
	ti.Spec.Groups = "claims.?groups.orValue([])"
	fetched, err := Fetch(t.Context(), &ti.Spec)
	if err != nil {
		t.Fatal(err)
	}
	ti.Status.Keys = KeepKeys(&ti, fetched, time.Now())
	issuer := mustNew(t, &ti)

	text, notes, err := Render([]v1alpha1.TrustedIssuer{ti}, audience)
	if err != nil || len(notes) > 0 {
		t.Fatal(notes, err)
	}
	file := filepath.Join(t.TempDir(), "authentication.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	entered := start(t, file)

	now := time.Now().Truncate(time.Second)
	tests := []struct {
		name   string
		with   map[string]any
		times  fleettest.TokenTimes
		groups []string
		user   string // empty for nobody
	}{
		{name: "a service account", user: "b:system:serviceaccount:default:deployer"},
		{name: "two groups", with: map[string]any{"groups": []string{"system:masters", "x"}}, user: "b:system:serviceaccount:default:deployer", groups: []string{"b:system:masters", "b:x"}},
		{name: "a name of its own", with: map[string]any{"name": "system:admin"}, user: "b:system:admin"},
		{name: "another audience", with: map[string]any{"aud": []string{"hawser:4567"}}},
		{name: "a rule that does not hold", with: map[string]any{"kubernetes.io": map[string]any{"namespace": "forbidden"}}},
		{name: "a rule that cannot be evaluated", with: map[string]any{"kubernetes.io": "forbidden"}},
		{name: "an empty name", with: map[string]any{"name": ""}},
		{name: "a name that is a number", with: map[string]any{"name": 7}},
		{name: "a name with a line break", with: map[string]any{"name": "a\nb"}},
		{name: "a name that turns the writing", with: map[string]any{"name": "a\u202Eb"}},
		{name: "a name that is too long", with: map[string]any{"name": strings.Repeat("n", 513)}},
		{name: "a name just as long as may be", with: map[string]any{"name": strings.Repeat("ü", 512)}, user: "b:" + strings.Repeat("ü", 512)},
		{name: "an empty group", with: map[string]any{"groups": []string{""}}},
		{name: "a group with a line break", with: map[string]any{"groups": []string{"a\nb"}}},
		{name: "groups that are a text", with: map[string]any{"groups": "x"}},
		{name: "groups that are numbers", with: map[string]any{"groups": []int{1}}},
		{name: "a token that lives too long", times: fleettest.TokenTimes{Expires: now.Add(2 * time.Hour)}},
		{name: "a token that has expired", times: fleettest.TokenTimes{IssuedAt: now.Add(-time.Hour), Expires: now.Add(-time.Minute)}},
		{name: "a token without a beginning", with: map[string]any{"iat": nil}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			with := map[string]any{"aud": []string{audience}}
			maps.Copy(with, tt.with)
			token := issuing.SignToken(t, "default", "deployer", tt.times, with)
			id, ours := issuer.Verify(token, time.Now())
			user, groups, theirs := whoami(t, entered, token)
			if id.User != tt.user || (tt.user == "") != (ours != nil) {
				t.Errorf("to us it is %q, error %v; want %q", id.User, ours, tt.user)
			}
			if user != tt.user || (tt.user == "") != (theirs != nil) {
				t.Errorf("to the API server it is %q, error %v; want %q", user, theirs, tt.user)
			}
			if diff := cmp.Diff(tt.groups, id.Groups); diff != "" {
				t.Errorf("our groups (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.groups, groups); diff != "" {
				t.Errorf("the API server's groups (-want +got):\n%s", diff)
			}
		})
	}

	t.Run("an issuer that is taken out of the file is refused", func(t *testing.T) {
		empty, _, err := Render(nil, audience)
		if err != nil {
			t.Fatal(err)
		}
		next := file + ".next"
		if err := errors.Join(os.WriteFile(next, empty, 0o600), os.Rename(next, file)); err != nil {
			t.Fatal(err)
		}
		fleettest.Eventually(t, 30*time.Second, func() error {
			token := issuing.SignToken(t, "default", "deployer", fleettest.TokenTimes{}, map[string]any{"aud": []string{audience}})
			if user, _, err := whoami(t, entered, token); err == nil {
				return fmt.Errorf("it is still %s", user)
			}
			return nil
		})
	})
}

// start starts an API server that reads the file, and returns when it has asked the issuer.
func start(t *testing.T, file string) *fleettest.Cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	fleet, err := fleettest.Start(ctx, fleettest.Options{
		Clusters: []string{"entered"}, APIServerArgs: []string{"entered=--authentication-config=" + file},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fleet.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	entered, err := fleet.Cluster(ctx, "entered")
	if err != nil {
		t.Fatal(err)
	}
	issuing := fleettest.Use(t, "issuer")
	fleettest.Eventually(t, 30*time.Second, func() error {
		token := issuing.SignToken(t, "default", "deployer", fleettest.TokenTimes{}, map[string]any{"aud": []string{audience}})
		_, _, err := whoami(t, entered, token)
		return err
	})
	return entered
}

// whoami asks an API server whose token it is. Groups are those with the prefix.
func whoami(t *testing.T, c *fleettest.Cluster, token string) (user string, groups []string, err error) {
	t.Helper()
	client := kubernetes.NewForConfigOrDie(c.TokenConfig(token))
	review, err := client.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return "", nil, err
	}
	groups = slices.DeleteFunc(review.Status.UserInfo.Groups, func(g string) bool { return g == "system:authenticated" })
	if len(groups) == 0 {
		groups = nil
	}
	return review.Status.UserInfo.Username, groups, nil
}

// discoverable lets strangers read the cluster's keys, as clusters that others trust must.
func discoverable(t *testing.T, c *fleettest.Cluster) {
	t.Helper()
	_, err := c.Client().RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "discovery-for-strangers"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:service-account-issuer-discovery"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "Group", Name: "system:unauthenticated"}},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
}
