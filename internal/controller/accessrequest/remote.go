package accessrequest

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/fleet"
)

// cluster makes attempts over the connections of the fleet.
type cluster struct {
	links *fleet.Links
	local string
	clock clock.PassiveClock
}

// notReadyError says that a connection cannot be used now.
type notReadyError struct{ why string }

func (e *notReadyError) Error() string { return e.why }

// usable returns the connection to a cluster, if that accepts it.
func usable(links *fleet.Links, name string) (*connection.Connection, error) {
	conn, err := links.Get(name)
	if err != nil {
		return nil, &notReadyError{"there is no connection to it"}
	}
	if state := conn.State(); state.Condition(v1alpha1.Authenticated).Status != metav1.ConditionTrue {
		return conn, &notReadyError{state.Condition(v1alpha1.Ready).Message}
	}
	return conn, nil
}

// refused reports whether a cluster that answers does not know the connection any more.
func refused(conn *connection.Connection) bool {
	state := conn.State()
	return state.Condition(v1alpha1.Authenticated).Status == metav1.ConditionFalse && state.Condition(v1alpha1.Reachable).Status == metav1.ConditionTrue
}

// mint implements remote.
func (c *cluster) mint(ctx context.Context, w want) (held, error) {
	conn, err := usable(c.links, w.cluster)
	if err != nil {
		return held{}, err
	}
	before, err := conn.Endpoint()
	if err != nil {
		return held{}, err
	}
	api, err := corev1client.NewForConfig(conn.Config())
	if err != nil {
		return held{}, fmt.Errorf("making a client of cluster %q: %w", w.cluster, err)
	}
	answer, err := tokenOf(ctx, api, w)
	if err != nil {
		return held{}, err
	}
	h := held{id: w.id, cred: credential.NewToken(answer.Token, "")}
	h.cred.ObtainedAt, h.cred.ExpiresAt = c.clock.Now(), answer.ExpirationTimestamp.Time
	if err := acceptable(h.cred, w); err != nil {
		return held{}, err
	}
	if h.subject, err = c.prove(ctx, conn, w, h.cred.Token); err != nil {
		return held{}, err
	}
	if after, err := conn.Endpoint(); err != nil || after.Server != before.Server || string(after.CAData) != string(before.CAData) {
		return held{}, fmt.Errorf("asking for a token of %s: the address of cluster %q changed meanwhile", w.account, w.cluster)
	}
	return h, nil
}

// check implements remote. It asks a cluster that refuses the connection, too.
func (c *cluster) check(ctx context.Context, w want, h held) error {
	conn, err := usable(c.links, w.cluster)
	if err != nil && (conn == nil || !refused(conn)) {
		return err
	}
	_, err = c.prove(ctx, conn, w, h.cred.Token)
	return err
}

// prove asks the cluster who the holder of a token is. Anybody but the account is nobody: an output may have been
// changed by others.
func (c *cluster) prove(ctx context.Context, conn *connection.Connection, w want, token credential.Secret) (string, error) {
	who, err := conn.Identify(ctx, token)
	if err != nil {
		return "", err
	}
	if want := userOf(w.account); who.User != want {
		return "", fmt.Errorf("%w: it is a token of %s, not of %s", credential.ErrRefused, who.User, want)
	}
	return who.User, nil
}

// userOf is the user name of an account that a grant has made.
func userOf(account string) string {
	return "system:serviceaccount:" + v1alpha1.GrantsNamespace + ":" + account
}

// tokenOf asks for a token, and for less where the grant caps its life below what is wanted.
func tokenOf(ctx context.Context, api corev1client.ServiceAccountsGetter, w want) (authenticationv1.TokenRequestStatus, error) {
	life := max(w.lifetime, credential.MinLifetime)
	for {
		seconds := int64(life.Seconds())
		answer, err := api.ServiceAccounts(v1alpha1.GrantsNamespace).CreateToken(ctx, w.account, &authenticationv1.TokenRequest{
			Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds},
		}, metav1.CreateOptions{})
		switch {
		case err == nil:
			return answer.Status, nil
		case apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse):
			// It was no API server that answered: that says nothing about grants.
		case apierrors.IsForbidden(err), apierrors.IsNotFound(err):
			return authenticationv1.TokenRequestStatus{}, &refusal{err}
		case apierrors.IsInvalid(err) && life > credential.MinLifetime:
			life = shorter(err.Error(), life)
			continue
		}
		return authenticationv1.TokenRequestStatus{}, fmt.Errorf("asking cluster %q for a token of %s: %w", w.cluster, w.account, err)
	}
}

// atMost is how the policy over the tokens of grants says what they allow (package member).
var atMost = regexp.MustCompile(`lives at most ([0-9.hms]+)`)

// shorter is the lifetime to ask for after one that was too long.
func shorter(message string, life time.Duration) time.Duration {
	next := life / 2
	if found := atMost.FindStringSubmatch(message); found != nil {
		if most, err := time.ParseDuration(found[1]); err == nil && most < life {
			next = most
		}
	}
	return max(next.Truncate(time.Second), credential.MinLifetime)
}

// maxToken is how long a token may be, in bytes.
const maxToken = 16 << 10

// acceptable holds what a cluster answered to what is written into a Secret and renewed in time.
func acceptable(c credential.Credential, w want) error {
	token := c.Token.Reveal()
	switch {
	case token == "", len(token) > maxToken, strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return fmt.Errorf("asking cluster %q for a token of %s: what it answered is no token", w.cluster, w.account)
	case c.ExpiresAt.IsZero(), c.IssuedAt.IsZero(), c.Lifetime() < time.Minute:
		return fmt.Errorf("asking cluster %q for a token of %s: what it answered has no lifetime", w.cluster, w.account)
	case c.Lifetime() > 2*max(w.lifetime, credential.MinLifetime):
		return fmt.Errorf("asking cluster %q for a token of %s: what it answered lives %s, far longer than what was asked for", w.cluster, w.account, c.Lifetime())
	}
	return nil
}

// tokens are what may look like one in the words of a remote cluster, which may answer with what it was sent.
var tokens = regexp.MustCompile(`eyJ[\w-]+\.[\w-]+(\.[\w-]*)?|k8s-aws-v1\.[\w-]+`)

// describe is an error as people are shown it.
func describe(err error) string {
	text := tokens.ReplaceAllString(err.Error(), "[redacted]")
	if errors.Is(err, context.DeadlineExceeded) {
		text = "it did not answer in time"
	}
	if words := []rune(text); len(words) > 500 {
		text = string(words[:500]) + "…"
	}
	return text
}
