package awstest_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/awstest"
)

// selfReview asks an API server who a config is, as kubectl auth whoami does.
func selfReview(t *testing.T, config *rest.Config) (authenticationv1.UserInfo, error) {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	review, err := client.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return authenticationv1.UserInfo{}, err
	}
	return review.Status.UserInfo, nil
}

func TestAnAPIServerAsksTheWebhook(t *testing.T) {
	w := newWorld(t) // its clock is years from that of the API server, which does not matter
	cluster := w.target.EKS(region, "in-aws", awstest.EKSOptions{})
	alpha := cluster.ServeBy(t, "alpha")
	described, err := w.describe(t, w.admin(), "in-aws")
	if err != nil || aws.ToString(described.Endpoint) != alpha.Server {
		t.Errorf("described %+v (%v), want the address of the API server", described, err)
	}
	signed := func() *rest.Config {
		return alpha.TokenConfig(token(t, w.mustAssume(t, w.user.Keys(), w.role, fleetID), "in-aws", start, nil))
	}

	if _, err := selfReview(t, signed()); !apierrors.IsUnauthorized(err) {
		t.Errorf("without an access entry: got %v, want Unauthorized", err)
	}
	cluster.Entry(w.role.ARN(), []string{"hawser-members"}, "")
	user, err := selfReview(t, signed())
	if err != nil {
		t.Fatal(err)
	}
	if want := "arn:aws:sts::444455556666:assumed-role/hawser/test"; user.Username != want || !slices.Contains(user.Groups, "hawser-members") {
		t.Errorf("user %q in %q, want %q in hawser-members", user.Username, user.Groups, want)
	}
	if got, want := user.Extra["canonicalArn"], w.role.ARN(); len(got) != 1 || got[0] != want {
		t.Errorf("extra %v, want the ARN of the role", user.Extra)
	}
	other := token(t, w.role.Session("x", time.Hour), "another-cluster", start, nil)
	if _, err := selfReview(t, alpha.TokenConfig(other)); !apierrors.IsUnauthorized(err) {
		t.Errorf("with a token for another cluster: got %v, want Unauthorized", err)
	}
	heal := w.Deny("TokenReview")
	if _, err := selfReview(t, signed()); !apierrors.IsUnauthorized(err) {
		t.Errorf("denied: got %v, want Unauthorized", err)
	}
	heal()
	if _, err := selfReview(t, signed()); err != nil {
		t.Errorf("healed: %v", err)
	}
	if _, err := selfReview(t, alpha.AdminConfig()); err != nil {
		t.Errorf("the other ways to authenticate stay: %v", err)
	}
	reviews := w.CallsOf("TokenReview")
	if last := reviews[len(reviews)-1]; last.Resource != cluster.ARN() || last.Caller != "arn:aws:sts::444455556666:assumed-role/hawser/test" {
		t.Errorf("recorded %+v", last)
	}
}

func TestAnAPIServerIsSwitchedToTheClusterOfTheTest(t *testing.T) {
	t.Run("while a test plays it", func(t *testing.T) {
		w := newWorld(t)
		cluster := w.target.EKS(region, "other", awstest.EKSOptions{AuthenticationMode: "CONFIG_MAP"})
		alpha := cluster.ServeBy(t, "alpha")
		cluster.AWSAuth(w.role.ARN(), "mapped", "crew")
		user, err := selfReview(t, alpha.TokenConfig(token(t, w.role.Session("x", time.Hour), "other", start, nil)))
		if user.Username != "mapped" {
			t.Errorf("user %q (%v), want mapped", user.Username, err)
		}
	})
	w := newWorld(t)
	creds := w.role.Session("x", time.Hour)
	if _, err := selfReview(t, fleettest.Use(t, "alpha").TokenConfig(token(t, creds, "other", start, nil))); !apierrors.IsUnauthorized(err) {
		t.Errorf("when no test plays it: got %v, want Unauthorized", err)
	}
}

func TestAWebIdentityOfARealIssuer(t *testing.T) {
	s := awstest.Start(t, awstest.Options{})
	api := fleettest.Use(t, "alpha")
	account := s.Account(hubID)
	account.OIDCProviderOf(t, api, "sts.amazonaws.com")
	w := &world{t: t, Server: s, role: account.Role("manager", awstest.Trust{
		Federated: []awstest.Federated{{Issuer: api.Server, Subject: "system:serviceaccount:default:default", Audience: "sts.amazonaws.com"}},
	})}
	creds, err := w.assumeByToken(t, api.Token(t, "default", "default", 10*time.Minute, "sts.amazonaws.com"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := w.whoami(t, creds); got != "arn:aws:sts::111122223333:assumed-role/manager/test" {
		t.Errorf("is %q (%v)", got, err)
	}
	if _, err := w.assumeByToken(t, api.Token(t, "kube-system", "default", 10*time.Minute, "sts.amazonaws.com")); code(err) != "AccessDenied" {
		t.Errorf("of another service account: got %v, want AccessDenied", err)
	}
	if _, err := w.assumeByToken(t, api.Token(t, "default", "default", 10*time.Minute)); code(err) != "InvalidIdentityToken" {
		t.Errorf("for another audience: got %v, want InvalidIdentityToken", err)
	}
}

// The kubeconfig of a cluster's own webhook serves those who start API servers by themselves.
func TestWebhookKubeconfig(t *testing.T) {
	w := newWorld(t)
	cluster := w.target.EKS(region, "alpha", awstest.EKSOptions{})
	cluster.Entry(w.role.ARN(), []string{"g"}, "")
	signed := token(t, w.role.Session("x", time.Hour), "alpha", start, nil)
	tests := []struct {
		name, body string
		prepare    func()
		want       int
	}{
		{"version v1", reviewBody("v1", signed), nil, http.StatusOK},
		{"version v1beta1", reviewBody("v1beta1", signed), nil, http.StatusOK},
		{"something else", `{"kind":"Pod"}`, nil, http.StatusForbidden},
		{"no JSON", `x`, nil, http.StatusForbidden},
		{"a bad token", reviewBody("v1", signed+"x"), nil, http.StatusForbidden},
		{"throttled", reviewBody("v1", signed), func() { w.Throttle("TokenReview", 1) }, http.StatusTooManyRequests},
		{"a cluster that is gone", reviewBody("v1", signed), cluster.Delete, http.StatusForbidden},
	}
	url := webhookURL(t, cluster)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.prepare != nil {
				test.prepare()
			}
			status, review := postReview(t, url, test.body)
			if status != test.want || review.Status.Authenticated != (test.want == http.StatusOK) || review.Spec.Token != "" {
				t.Errorf("got %d %+v, want %d", status, review, test.want)
			}
			if want := fmt.Sprintf("authentication.k8s.io/v1%s", map[bool]string{true: "beta1"}[test.name == "version v1beta1"]); status == http.StatusOK && review.APIVersion != want {
				t.Errorf("answered in %s, want %s", review.APIVersion, want)
			}
		})
	}
}
