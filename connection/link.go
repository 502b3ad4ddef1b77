package connection

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/hawser-io/hawser/credential"
)

// maxAnswer bounds what is read of an answer to a probe or a proof.
const maxAnswer = 1 << 20

// caller makes single requests over one generation with one credential, without
// the rate limits of clients: the budget of a connection's users is not spent on its upkeep.
type caller struct {
	gen     *generation
	cred    credential.Credential
	timeout time.Duration
	// userAgent tells the cluster's log who looks; empty: the default of net/http.
	userAgent string
}

// answer is a response, read to its end.
type answer struct {
	status int
	body   []byte
	date   string
}

func (c caller) do(ctx context.Context, method, path string, in any) (answer, error) {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return answer{}, fmt.Errorf("encoding a request: %w", err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.gen.server.Scheme+"://"+c.gen.server.Host+path, body)
	if err != nil {
		return answer{}, fmt.Errorf("making a request: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	if c.userAgent != "" {
		req.Header.Set("User-Agent", c.userAgent)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.gen.roundTrip(req, c.cred, c.timeout)
	if err != nil {
		return answer{}, fmt.Errorf("asking %s: %w", c.gen.server.Host, err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return answer{}, fmt.Errorf("reading the answer of %s: %w", c.gen.server.Host, err)
	}
	return answer{resp.StatusCode, data, resp.Header.Get("Date")}, nil
}

// json makes a request whose success is an object.
func (c caller) json(ctx context.Context, method, path string, in, out any) error {
	a, err := c.do(ctx, method, path, in)
	if err != nil {
		return err
	}
	return a.decode(path, out)
}

// decode reads a successful answer into out, and tells refusals, failures and foreign servers apart.
func (a answer) decode(path string, out any) error {
	switch {
	case a.status == http.StatusUnauthorized:
		return credential.ErrRefused
	case a.status >= 200 && a.status < 300:
		if err := json.Unmarshal(a.body, out); err != nil {
			return &notKubernetesError{path + " answered something else than JSON"}
		}
		return nil
	}
	var status metav1.Status
	if json.Unmarshal(a.body, &status) != nil || status.Kind != "Status" {
		if a.status < 500 {
			return &notKubernetesError{fmt.Sprintf("%s answered %d without a Status", path, a.status)}
		}
		return &statusError{a.status, path, ""}
	}
	return &statusError{a.status, path, status.Message}
}

// pathKubeSystem is where a cluster's identity is read: its UID is the clusterID (KEP-2149 recommends it).
const pathKubeSystem = "/api/v1/namespaces/kube-system"

// clusterIDOf reads the cluster's identity from its answer; it is empty where the credential may not read it.
func clusterIDOf(a answer) (string, error) {
	var ns struct {
		Kind     string
		Metadata struct{ Name, UID string }
	}
	err := a.decode(pathKubeSystem, &ns)
	var status *statusError
	switch {
	case errors.As(err, &status) && status.code == http.StatusForbidden:
		return "", nil
	case err != nil:
		return "", err
	case ns.Kind != "Namespace" || ns.Metadata.Name != "kube-system" || ns.Metadata.UID == "":
		return "", &notKubernetesError{pathKubeSystem + " is no Namespace"}
	}
	return ns.Metadata.UID, nil
}

func (c caller) whoAmI(ctx context.Context) (credential.Identity, error) {
	in := authenticationv1.SelfSubjectReview{TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "SelfSubjectReview"}}
	var out authenticationv1.SelfSubjectReview
	if err := c.json(ctx, http.MethodPost, "/apis/authentication.k8s.io/v1/selfsubjectreviews", in, &out); err != nil {
		return credential.Identity{}, err
	}
	user := out.Status.UserInfo
	if user.Username == "" {
		return credential.Identity{}, &notKubernetesError{"it does not say who we are"}
	}
	if user.Username == "system:anonymous" {
		return credential.Identity{}, fmt.Errorf("%w: it takes us for system:anonymous", credential.ErrRefused)
	}
	return credential.Identity{User: user.Username, Groups: user.Groups}, nil
}

// link is the credential.Link of a connection: what its source and renewer reach the cluster by.
type link struct{ c *Connection }

// Prove shows cred to the server that it is for, asks who it is and whether the cluster is the
// pinned one. The way that it took is kept, so that a swap goes on over it.
func (l link) Prove(ctx context.Context, cred credential.Credential) (credential.Identity, error) {
	// To prove the credential that is in use is to move it.
	now := l.c.transport.live.Load()
	gen, err := l.c.generationFor(cred, now != nil && now.cred.Equal(cred))
	if err != nil {
		return credential.Identity{}, err
	}
	p := &proof{live: live{gen, cred}}
	who, err := l.prove(ctx, caller{gen, cred, l.c.timeout(), l.c.userAgent}, p)
	if err != nil {
		l.c.discard(gen)
		return credential.Identity{}, withoutToken(err, cred)
	}
	l.c.keepProved(p)
	return who, nil
}

func (l link) prove(ctx context.Context, call caller, p *proof) (credential.Identity, error) {
	who, err := call.whoAmI(ctx)
	if err != nil {
		return who, err
	}
	asked := l.c.options.Clock.Now()
	if err := l.c.light(ctx, call, &p.found); err != nil {
		return who, err
	}
	p.took = l.c.options.Clock.Since(asked)
	if b := call.cred.Binding; p.found.blind && l.c.pinned() && (b == nil || b.Server != call.gen.endpoint.Server) {
		return who, &statusError{http.StatusForbidden, pathKubeSystem, "the cluster is pinned, and a new address or credential has to show that it leads there: allow to get namespace kube-system (hawser member manifests)"}
	}
	who.Binding = call.gen.binding()
	if b := call.cred.Binding; b != nil && b.Server == who.Binding.Server {
		who.Binding.Roots = union(b.Roots, who.Binding.Roots)
	}
	return who, nil
}

// maxRoots bounds how many CAs a binding collects over the years; the newest stay.
const maxRoots = 16

func union(old, add []string) []string {
	out := old
	for _, r := range add {
		if !slices.Contains(out, r) {
			out = append(out[:len(out):len(out)], r)
		}
	}
	return out[max(0, len(out)-maxRoots):]
}

// Elsewhere implements credential.Link.
func (l link) Elsewhere(cred credential.Credential) bool {
	if cred.Endpoint != nil {
		return false
	}
	now := l.c.transport.live.Load()
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	return now != nil && !sameEndpoint(now.gen.endpoint, l.c.spec.Endpoint)
}

// Config returns a configuration whose requests carry cred.
func (l link) Config(cred credential.Credential) (*rest.Config, func(), error) {
	gen, err := l.c.generationFor(cred, false)
	if err != nil {
		return nil, nil, err
	}
	return &rest.Config{
		Host:      "https://" + hostFor(l.c.name),
		Transport: l.c.options.wrap(oneOff{gen, cred, l.c.timeout()}),
		QPS:       -1,
		UserAgent: l.c.userAgent,
	}, func() { l.c.discard(gen) }, nil
}

type oneOff struct {
	gen     *generation
	cred    credential.Credential
	timeout time.Duration
}

// RoundTrip implements http.RoundTripper.
func (o oneOff) RoundTrip(req *http.Request) (*http.Response, error) {
	return o.gen.roundTrip(req, o.cred, o.timeout)
}
