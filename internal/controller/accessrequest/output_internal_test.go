package accessrequest

import (
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// tokenFor is what a token that lives from start for an hour looks like.
func tokenFor(subject string) string {
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	return part(`{"alg":"RS256"}`) + "." + part(fmt.Sprintf(`{"sub":%q,"iat":%d,"exp":%d}`, subject, start.Unix(), start.Add(time.Hour).Unix())) + "." + part("signature")
}

func TestWhatARestartFindsOfAToken(t *testing.T) {
	token := tokenFor("x")
	secret := func(id string, expires time.Time, value string) *output {
		return &output{&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{tokenAnnotation: id, v1alpha1.ExpiresAnnotation: expires.Format(time.RFC3339)}},
			Data:       map[string][]byte{"value": []byte(value)},
		}}
	}
	inTime := start.Add(time.Hour)
	cases := map[string]struct {
		have *output
		want bool
	}{
		"a kubeconfig with the token in it":                 {secret("id", inTime, "users:\n- user:\n    token: "+token+"\n"), true},
		"JSON with the token in it":                         {secret("id", inTime, `{"bearerToken":"`+token+`"}`), true},
		"no output":                                         {nil, false},
		"one that was written for another cluster":          {secret("other", inTime, token), false},
		"one that has ended":                                {secret("id", start.Add(time.Minute), token), false},
		"one that says that it lives longer than its token": {secret("id", start.Add(10*time.Hour), token), false},
		"one that does not say until when":                  {&output{&corev1.Secret{Data: map[string][]byte{"value": []byte(token)}}}, false},
		"one without a token that can be read":              {secret("id", inTime, base64.StdEncoding.EncodeToString([]byte(token))), false},
	}
	now := start.Add(10 * time.Minute)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			h := recovered(c.have, "id", now)
			if (h != nil) != c.want {
				t.Fatalf("it found %v", h)
			}
			if h == nil {
				return
			}
			if end, _ := h.cred.Deadline(); h.cred.Token.Reveal() != token || !end.Equal(inTime) {
				t.Errorf("the token ends at %s, want %s", end, inTime)
			}
		})
	}
}

func TestWhatARequestHasMadeItself(t *testing.T) {
	ar := &v1alpha1.AccessRequest{ObjectMeta: metav1.ObjectMeta{Name: "access", Namespace: "shop", UID: "uid"}}
	labels := map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedBy, v1alpha1.RequestLabel: "access"}
	owner := func(kind, uid string) []metav1.OwnerReference {
		return []metav1.OwnerReference{{Kind: kind, UID: types.UID(uid)}}
	}
	cases := map[string]struct {
		meta metav1.ObjectMeta
		want bool
	}{
		"with its labels, and owned by it":     {metav1.ObjectMeta{Labels: labels, OwnerReferences: owner("AccessRequest", "uid")}, true},
		"owned by an earlier one of its name":  {metav1.ObjectMeta{Labels: labels, OwnerReferences: owner("AccessRequest", "old")}, false},
		"owned by something else":              {metav1.ObjectMeta{Labels: labels, OwnerReferences: owner("ConfigMap", "uid")}, false},
		"not owned":                            {metav1.ObjectMeta{Labels: labels}, false},
		"without labels":                       {metav1.ObjectMeta{OwnerReferences: owner("AccessRequest", "uid")}, false},
		"with the label of another request":    {metav1.ObjectMeta{Labels: map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedBy, v1alpha1.RequestLabel: "other"}, OwnerReferences: owner("AccessRequest", "uid")}, false},
		"with the label of another made by us": {metav1.ObjectMeta{Labels: map[string]string{v1alpha1.RequestLabel: "access"}, OwnerReferences: owner("AccessRequest", "uid")}, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := isOurs(&corev1.Secret{ObjectMeta: c.meta}, ar); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestAClusterThatWasLetInAgainIsCutOffNoMore(t *testing.T) {
	for name, tt := range map[string]struct {
		revoked string
		renewed *time.Time
		want    bool
	}{
		"never cut off":                         {"", nil, false},
		"cut off":                               {"2030-01-01T12:00:00Z", new(time.Date(2030, 1, 1, 11, 0, 0, 0, time.UTC)), true},
		"cut off, and known as nobody":          {"2030-01-01T12:00:00Z", nil, true},
		"cut off, and taken from a cache still": {"2030-01-01T12:00:00Z", new(time.Date(2030, 1, 1, 12, 0, 9, 0, time.UTC)), true},
		"let in again since":                    {"2030-01-01T12:00:00Z", new(time.Date(2030, 1, 1, 12, 1, 0, 0, time.UTC)), false},
	} {
		rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{v1alpha1.RevokedAnnotation: tt.revoked}}}
		if tt.renewed != nil {
			rc.Status.Credential = &v1alpha1.CredentialStatus{RenewedAt: new(metav1.NewTime(*tt.renewed))}
		}
		if got := isCutOff(rc); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
