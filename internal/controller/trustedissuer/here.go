package trustedissuer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/trust"
)

const (
	// knownFor is how long what was learned of this cluster counts: flags of API servers seldom change.
	knownFor = 9 * time.Minute
	// askTimeout is the deadline of all questions of one look. They go to this cluster's own API server.
	askTimeout = 10 * time.Second
)

// here is what this cluster's API server tells of itself.
type here struct {
	config             *rest.Config
	kube               kubernetes.Interface
	namespace, account string // whose tokens are asked for to try audiences: our own
	clock              clock.PassiveClock

	mu       sync.Mutex
	local    trust.Local // without Audiences
	at       time.Time
	accepted map[string]verdict
}

type verdict struct {
	yes    bool
	issuer string // of the token that was tried
	at     time.Time
}

func newHere(config *rest.Config, namespace, account string, c clock.PassiveClock) (*here, error) {
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	return &here{config: config, kube: kube, namespace: namespace, account: account, clock: c, accepted: map[string]verdict{}}, nil
}

// look tells what an issuer must not be: this cluster's own, or for audiences that it accepts itself.
func (h *here) look(ctx context.Context, ti *v1alpha1.TrustedIssuer) (trust.Local, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	h.mu.Lock()
	defer h.mu.Unlock()
	if now := h.clock.Now(); h.at.IsZero() || now.Sub(h.at) >= knownFor {
		if err := h.learn(ctx); err != nil {
			return trust.Local{}, err
		}
		h.at = now
	}
	local := h.local
	local.Issuers = slices.Clone(local.Issuers)
	for _, audience := range trust.Audiences(&ti.Spec, v1alpha1.DefaultAudience(local.ClusterID)) {
		v, err := h.accepts(ctx, audience)
		if err != nil {
			return trust.Local{}, fmt.Errorf("finding out whether this cluster accepts the audience %q itself: %w", audience, err)
		}
		if v.yes {
			local.Audiences = append(local.Audiences, audience)
		}
		local.Issuers = append(local.Issuers, v.issuer)
	}
	return local, nil
}

// learn reads what the cluster publishes as an issuer, and its id.
func (h *here) learn(ctx context.Context) error {
	system, err := h.kube.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("reading the id of this cluster: %w", err)
	}
	text, err := h.kube.Discovery().RESTClient().Get().AbsPath("/.well-known/openid-configuration").Do(ctx).Raw()
	if err != nil && !apierrors.IsNotFound(err) { // there is none where the issuer is no https URL: then it is nobody's here
		return fmt.Errorf("reading the issuer of this cluster: %w", err)
	}
	var discovery struct {
		Issuer string `json:"issuer"`
	}
	local := trust.Local{ClusterID: string(system.UID)}
	if err == nil && json.Unmarshal(text, &discovery) == nil && discovery.Issuer != "" {
		local.Issuers = []string{discovery.Issuer}
	}
	// Its keys may be published elsewhere, or signed with outside of it. They only tell of a copied cluster.
	if text, err = h.kube.Discovery().RESTClient().Get().AbsPath("/openid/v1/jwks").Do(ctx).Raw(); err == nil {
		own, _ := trust.ParseJWKS(text)
		for _, k := range own {
			local.Keys = append(local.Keys, k.Thumbprint)
		}
	}
	h.local = local
	return nil
}

// accepts tries it: a token of our own account for the audience is shown to the API server that made
// it, and to nobody else.
func (h *here) accepts(ctx context.Context, audience string) (verdict, error) {
	now := h.clock.Now()
	for known, v := range h.accepted {
		if now.Sub(v.at) >= knownFor {
			delete(h.accepted, known)
		}
	}
	if v, ok := h.accepted[audience]; ok {
		return v, nil
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences: []string{audience}, ExpirationSeconds: new(int64(600)),
	}}
	made, err := h.kube.CoreV1().ServiceAccounts(h.namespace).CreateToken(ctx, h.account, request, metav1.CreateOptions{})
	if err != nil {
		return verdict{}, fmt.Errorf("asking for a token of %s/%s: %w", h.namespace, h.account, err)
	}
	says, _ := credential.ReadJWT(made.Status.Token) // of one that is no JWT there is no issuer to know
	v := verdict{issuer: says.Issuer, at: now}
	if v.yes, err = h.believes(ctx, credential.NewSecret(made.Status.Token)); err != nil {
		return verdict{}, err
	}
	h.accepted[audience] = v
	return v, nil
}

func (h *here) believes(ctx context.Context, token credential.Secret) (bool, error) {
	err := credential.Try(ctx, h.config, token)
	switch {
	case err == nil:
		return true, nil
	case apierrors.IsUnauthorized(err):
		return false, nil
	case apierrors.IsForbidden(err): // somebody was authenticated, who may not even ask who that is
		return !strings.Contains(err.Error(), "system:anonymous"), nil
	}
	return false, errors.New("trying the token: the API server does not answer") // its error might quote what it was sent
}
