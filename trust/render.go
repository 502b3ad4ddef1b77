package trust

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Versions of the AuthenticationConfiguration of API servers.
const (
	// ConfigV1 is understood from Kubernetes 1.34 on.
	ConfigV1 = "apiserver.config.k8s.io/v1"
	// ConfigV1beta1 is understood from Kubernetes 1.30 on.
	ConfigV1beta1 = "apiserver.config.k8s.io/v1beta1"
)

// Render makes the configuration by which an API server believes the same tokens as the gate, as the
// same users: the file of its flag --authentication-config. notes name the issuers that are not in
// it, and why: what an API server cannot be held to is left out, never widened.
func Render(all []v1alpha1.TrustedIssuer, defaultAudience string) (text []byte, notes []string, err error) {
	return RenderAs(ConfigV1, all, defaultAudience)
}

// RenderAs is Render for a version of the configuration.
func RenderAs(version string, all []v1alpha1.TrustedIssuer, defaultAudience string) (text []byte, notes []string, err error) {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b v1alpha1.TrustedIssuer) int { return cmp.Compare(a.Name, b.Name) })
	config := authenticationConfiguration{APIVersion: version, Kind: "AuthenticationConfiguration", JWT: []jwtAuthenticator{}}
	discovered := map[string]string{}
	for i := range all {
		ti := &all[i]
		note := unrenderable(ti, defaultAudience)
		if other := discovered[ti.Spec.DiscoveryURL]; note == "" && ti.Spec.DiscoveryURL != "" && other != "" {
			note = fmt.Sprintf("TrustedIssuer %q has the same discoveryURL, which API servers refuse", other)
		}
		if note == "" && len(config.JWT) == maxAuthenticators {
			note = fmt.Sprintf("an API server takes %d issuers and no more", maxAuthenticators)
		}
		if note != "" {
			notes = append(notes, fmt.Sprintf("TrustedIssuer %q is left out: %s", ti.Name, note))
			continue
		}
		ca, err := CABundle(&ti.Spec)
		if err != nil {
			return nil, nil, fmt.Errorf("rendering TrustedIssuer %q: %w", ti.Name, err)
		}
		discovered[ti.Spec.DiscoveryURL] = ti.Name
		config.JWT = append(config.JWT, authenticatorOf(ti, string(ca), defaultAudience))
	}
	if text, err = yaml.Marshal(config); err != nil {
		return nil, nil, fmt.Errorf("rendering the AuthenticationConfiguration: %w", err)
	}
	return text, notes, nil
}

// maxAuthenticators is the most that Kubernetes accepts.
const maxAuthenticators = 64

// unrenderable says why an issuer cannot be believed by an API server as it is by the gate.
func unrenderable(ti *v1alpha1.TrustedIssuer, defaultAudience string) string {
	if !Usable(ti) {
		return "it is not Ready: " + readyMessage(ti)
	}
	if _, err := New(ti, defaultAudience); err != nil {
		return err.Error()
	}
	switch {
	case ti.Generation != ti.Status.ObservedGeneration:
		return "its latest edit has not been judged yet by the member controllers"
	case ti.Spec.JWKS != "":
		return "its keys are in spec.jwks, and an API server takes keys from an issuer only: use the gate, or serve the keys at a discoveryURL"
	case len(ti.Spec.PinnedKeys) > 0:
		return "its keys are pinned, and an API server believes whatever keys an issuer publishes: use the gate"
	case ti.Spec.DiscoveryURL == ti.Spec.URL:
		return "its discoveryURL is its url, which API servers refuse"
	}
	return ""
}

func readyMessage(ti *v1alpha1.TrustedIssuer) string {
	for _, c := range ti.Status.Conditions {
		if c.Type == v1alpha1.Ready {
			return c.Reason + ": " + c.Message
		}
	}
	return "the member controllers have not judged it yet"
}

// authenticatorOf says in an API server's words what New and Verify do.
func authenticatorOf(ti *v1alpha1.TrustedIssuer, ca, defaultAudience string) jwtAuthenticator {
	spec := &ti.Spec
	quoted := celText(spec.Prefix)
	a := jwtAuthenticator{
		Issuer: jwtIssuer{
			URL: spec.URL, DiscoveryURL: spec.DiscoveryURL, CertificateAuthority: ca,
			Audiences: Audiences(spec, defaultAudience), AudienceMatchPolicy: "MatchAny",
		},
		ClaimMappings: jwtMappings{Username: jwtExpression{quoted + " + " + wrapped(cmp.Or(spec.Username, "claims.sub"))}},
	}
	lifetime := int64(MaxLifetime(spec).Seconds())
	a.ClaimValidationRules = []jwtRule{{
		Expression: fmt.Sprintf("claims.exp - claims.iat <= %d && claims.exp > claims.iat", lifetime),
		Message:    fmt.Sprintf("the token lives longer than %s", MaxLifetime(spec)),
	}}
	for _, r := range spec.ClaimRules {
		a.ClaimValidationRules = append(a.ClaimValidationRules, jwtRule{r.Expression, r.Message})
	}
	name := fmt.Sprintf("size(%%[1]s) <= %d && %%[1]s.startsWith(%s) && %%[1]s != %s && !%%[1]s.startsWith('system:') && %%[1]s.matches(%s)",
		len(spec.Prefix)+maxName, quoted, quoted, celText(printable))
	a.UserValidationRules = []jwtRule{{fmt.Sprintf(name, "user.username"), "the user's name is empty, too long, or cannot be printed"}}
	if spec.Groups != "" {
		a.ClaimMappings.Groups = &jwtExpression{"dyn" + wrapped(spec.Groups) + ".map(group, " + quoted + " + group)"}
		a.UserValidationRules = append(a.UserValidationRules, jwtRule{
			fmt.Sprintf("size(user.groups) <= %d && user.groups.all(g, %s)", maxGroups, fmt.Sprintf(name, "g")),
			"a group's name is empty, too long, or cannot be printed",
		})
	}
	return a
}

// wrapped keeps an author's expression together. It may end in a comment, hence the line.
func wrapped(expression string) string {
	if !strings.Contains(expression, "//") {
		return "(" + expression + ")"
	}
	return "(" + expression + "\n)"
}

// celText is a text as a literal of CEL.
func celText(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}

// What follows is apiserver.config.k8s.io's AuthenticationConfiguration, as much of it as is written here.
type authenticationConfiguration struct {
	APIVersion string             `json:"apiVersion"`
	Kind       string             `json:"kind"`
	JWT        []jwtAuthenticator `json:"jwt"`
}

type jwtAuthenticator struct {
	Issuer               jwtIssuer   `json:"issuer"`
	ClaimValidationRules []jwtRule   `json:"claimValidationRules"`
	ClaimMappings        jwtMappings `json:"claimMappings"`
	UserValidationRules  []jwtRule   `json:"userValidationRules"`
}

type jwtIssuer struct {
	URL                  string   `json:"url"`
	DiscoveryURL         string   `json:"discoveryURL,omitempty"`
	CertificateAuthority string   `json:"certificateAuthority,omitempty"`
	Audiences            []string `json:"audiences"`
	AudienceMatchPolicy  string   `json:"audienceMatchPolicy"`
}

type jwtMappings struct {
	Username jwtExpression  `json:"username"`
	Groups   *jwtExpression `json:"groups,omitempty"`
}

type jwtExpression struct {
	Expression string `json:"expression"`
}

type jwtRule struct {
	Expression string `json:"expression"`
	Message    string `json:"message,omitempty"`
}
