package cli

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientauthenticationv1 "k8s.io/client-go/pkg/apis/clientauthentication/v1"

	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/trust/exchange"
)

// maxAuthLifetime is more than any grant allows.
const maxAuthLifetime = 24 * time.Hour

// authOIDCFlags are those of hawser auth oidc.
type authOIDCFlags struct {
	tokenFile, tokenEnv, serviceAccount string
	audience                            string
	exchangeURL, exchangeCA             string
	caData                              string // from the cluster's configuration
	grant                               string
	lifetime                            time.Duration
}

// formerAuthOIDCFlags are names that flags had before, with those that they have now.
var formerAuthOIDCFlags = map[string]string{"exchange-url": "gate-url", "exchange-ca": "gate-ca-file"}

func newAuthOIDC(d *deps, common *authFlags) *cobra.Command {
	var f authOIDCFlags
	cmd := &cobra.Command{
		Use:   "oidc (--service-account NAMESPACE/NAME | --token-file PATH | --token-env NAME) --audience AUDIENCE",
		Short: "A token of an issuer that the cluster trusts, exchanged at its gate where it has one",
		Long: `Print a token that a cluster believes: of a service account of the local cluster, or one that a
platform has put into a file or the environment. With --gate-url it is shown to the gate of
that cluster, which answers a token that its API server knows; without, it is for the API server
itself.

The audience belongs to one cluster: by default a cluster expects hawser:<UID of its namespace
kube-system>. A token for another audience is not shown to anybody, and neither is one that the
local API server accepts. --from-config may declare audience, exchangeURL, exchangeCAData
(base64 of PEM) and grant.`,
		Example: `  hawser auth oidc --service-account team-a/deployer --audience hawser:4c1f… --gate-url https://gate.example.com/token --gate-ca-file /etc/hawser/gate.pem
  hawser auth oidc --token-file /var/run/secrets/tokens/alpha --audience hawser:4c1f…`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for old, name := range formerAuthOIDCFlags {
				if cmd.Flags().Changed(old) {
					fmt.Fprintf(d.err, "hawser: --%s is deprecated: it is --%s, as for hawser join\n", old, name)
				}
			}
			return d.auth(cmd, common, func(ctx context.Context, about *clientauthenticationv1.Cluster) (authAnswer, error) {
				g := f // of this run
				if err := common.fill(about, map[string]*string{
					"audience": &g.audience, "exchangeURL": &g.exchangeURL, "exchangeCAData": &g.caData, "grant": &g.grant,
				}); err != nil {
					return authAnswer{}, err
				}
				return d.authOIDC(ctx, g)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.serviceAccount, "service-account", "", "account of the local cluster whose token is asked for: NAMESPACE/NAME")
	flags.StringVar(&f.tokenFile, "token-file", "", "file with a token, such as a projected one")
	flags.StringVar(&f.tokenEnv, "token-env", "", "environment variable with a token, as build services set it")
	flags.StringVar(&f.audience, "audience", "", "audience of the token: what the cluster, or its gate, expects")
	flags.StringVar(&f.exchangeURL, "gate-url", "", "token endpoint of the cluster's gate, https://host/token")
	flags.StringVar(&f.exchangeCA, "gate-ca-file", "", "file with the CA of the gate, PEM (default: the system's roots)")
	flags.StringVar(&f.exchangeURL, "exchange-url", "", "the same as --gate-url")
	flags.StringVar(&f.exchangeCA, "exchange-ca", "", "the same as --gate-ca-file")
	for old := range formerAuthOIDCFlags {
		_ = flags.MarkHidden(old) // not MarkDeprecated, which writes to stdout, where the credential goes
	}
	flags.StringVar(&f.grant, "grant", "", "AccessGrant to ask for at the gate, where there are several for you")
	flags.DurationVar(&f.lifetime, "lifetime", time.Hour, "lifetime to ask for; the grant and the issuer bound it")
	_ = cmd.RegisterFlagCompletionFunc("service-account", cobra.NoFileCompletions)
	return cmd
}

func (f authOIDCFlags) validate() error {
	sources := 0
	for _, source := range []string{f.tokenFile, f.tokenEnv, f.serviceAccount} {
		if source != "" {
			sources++
		}
	}
	switch {
	case sources != 1:
		return usageError("say where the token is from: --service-account, --token-file or --token-env, one of them")
	case f.audience == "":
		return usageError("--audience is missing: a token is for one cluster, by default hawser:<UID of its namespace kube-system>")
	case f.exchangeURL == "" && (f.exchangeCA != "" || f.caData != "" || f.grant != ""):
		return usageError("--gate-ca-file and --grant are only for --gate-url")
	case f.exchangeCA != "" && f.caData != "":
		return usageError("--gate-ca-file and --from-config exchangeCAData: choose one")
	case f.lifetime < credential.MinLifetime || f.lifetime > maxAuthLifetime:
		return usageError("--lifetime %s: use 10m at least, since an API server grants no less, and 24h at most", f.lifetime)
	}
	return absolute("gate-ca-file", f.exchangeCA)
}

func (d *deps) authOIDC(ctx context.Context, f authOIDCFlags) (authAnswer, error) {
	if err := f.validate(); err != nil {
		return authAnswer{}, err
	}
	answer, err := d.ownToken(ctx, f)
	if err != nil {
		return authAnswer{}, err
	}
	token := answer.Credential
	if err := checkAudience(token.Token, f.audience); err != nil {
		return authAnswer{}, err
	}
	if end := token.ExpiresAt; end.IsZero() || !end.After(d.clock.Now()) {
		return authAnswer{}, fmt.Errorf("the token has ended (at %s): a new one is the business of whoever gave it", end.Format(time.RFC3339))
	}
	if f.exchangeURL == "" {
		return answer, nil
	}
	ca, err := f.gateCA()
	if err != nil {
		return authAnswer{}, err
	}
	if f.exchangeCA != "" {
		answer.Files = append(answer.Files, f.exchangeCA)
	}
	gate := exchange.Client{URL: f.exchangeURL, CAData: ca}
	begun := d.clock.Now() // its lifetime is counted from before, to be on the safe side
	response, err := gate.Exchange(ctx, exchange.Request{SubjectToken: token.Token, Audience: f.audience, Scope: f.grant, Lifetime: f.lifetime})
	if err != nil {
		return authAnswer{}, exchange.AtGate(err)
	}
	answer.Credential = credential.NewToken(response.Token.Reveal(), "")
	if response.ExpiresIn > 0 {
		answer.Credential.ExpiresAt = begun.Add(response.ExpiresIn)
	}
	return answer, nil
}

// ownToken is the token that proves who asks, from wherever it comes.
func (d *deps) ownToken(ctx context.Context, f authOIDCFlags) (authAnswer, error) {
	switch {
	case f.tokenFile != "":
		return tokenInFile("token-file", f.tokenFile)
	case f.tokenEnv != "":
		token, err := tokenOf(os.Getenv(f.tokenEnv))
		if err != nil {
			return authAnswer{}, fmt.Errorf("reading the token in the environment variable %s: %w", f.tokenEnv, err)
		}
		return authAnswer{Credential: token}, nil
	}
	return d.accountToken(ctx, f)
}

// accountToken asks the local cluster for a token of a service account, and makes sure that it is of no use there.
func (d *deps) accountToken(ctx context.Context, f authOIDCFlags) (authAnswer, error) {
	namespace, name, ok := strings.Cut(f.serviceAccount, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return authAnswer{}, usageError("--service-account %q: write NAMESPACE/NAME", f.serviceAccount)
	}
	here, err := d.local()
	if err != nil {
		return authAnswer{}, err
	}
	lifetime := f.lifetime
	if f.exchangeURL != "" { // it is shown once
		lifetime = credential.MinLifetime
	}
	seconds := int64(lifetime / time.Second)
	answer, err := here.Kube.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{Audiences: []string{f.audience}, ExpirationSeconds: &seconds},
	}, metav1.CreateOptions{})
	if err != nil {
		if apierrors.IsForbidden(err) {
			err = fmt.Errorf("%w. Repair: kubectl -n %s create role NAME --verb=create --resource=serviceaccounts/token --resource-name=%s, and bind it to you", err, namespace, name)
		}
		return authAnswer{}, fmt.Errorf("asking for a token of service account %q: %w", f.serviceAccount, err)
	}
	token := credential.NewToken(answer.Status.Token, "")
	token.ExpiresAt = answer.Status.ExpirationTimestamp.Time
	if err := refusedHere(ctx, here, token.Token); err != nil {
		return authAnswer{}, fmt.Errorf("asking for a token of service account %q: %w", f.serviceAccount, err)
	}
	return authAnswer{Credential: token, Files: d.kubeconfigFiles()}, nil
}

// refusedHere makes sure that the local API server does not accept a token: whoever it is shown to could
// come back here with it.
func refusedHere(ctx context.Context, here *cluster, token credential.Secret) error {
	err := credential.Try(ctx, here.Config, token)
	switch {
	case apierrors.IsUnauthorized(err):
		return nil
	case err == nil, apierrors.IsForbidden(err):
		return errors.New("the local API server accepts it itself: choose an audience that is the other cluster's alone")
	}
	return fmt.Errorf("trying whether the local API server accepts it: %w", err)
}

// checkAudience refuses a token that is not for the audience: whoever it is for could be entered with it.
func checkAudience(token credential.Secret, audience string) error {
	says, err := credential.ReadJWT(token.Reveal())
	switch {
	case err != nil:
		return errors.New("the token is no JWT")
	case len(says.Audiences) == 0:
		return errors.New("the token names no audience")
	case !slices.Contains(says.Audiences, audience):
		return fmt.Errorf("the token is for another audience (%.200q): it is shown to nobody", says.Audiences)
	case !says.OnlyFor(audience):
		return fmt.Errorf("the token is for %d audiences (%.200q): whoever sees it could enter the others with it, so it is shown to nobody", len(says.Audiences), says.Audiences)
	}
	return nil
}

// gateCA is the CA bundle of the gate; nil for the system's roots.
func (f authOIDCFlags) gateCA() ([]byte, error) {
	switch {
	case f.caData != "":
		ca, err := base64.StdEncoding.DecodeString(f.caData)
		if err != nil {
			return nil, errors.New("reading exchangeCAData: it is no base64")
		}
		return ca, nil
	case f.exchangeCA != "":
		ca, err := os.ReadFile(f.exchangeCA)
		if err != nil {
			return nil, fmt.Errorf("reading the CA of the gate: %w", err)
		}
		return ca, nil
	}
	return nil, nil
}
