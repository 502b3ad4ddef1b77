package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientauthenticationv1 "k8s.io/client-go/pkg/apis/clientauthentication/v1"

	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/internal/authcache"
)

const (
	// authTimeout is how long a credential may take: less than what clients, and the manager's plugins, wait.
	authTimeout = 30 * time.Second
	// authPatience is authTimeout where a person may be asked for a code.
	authPatience = 3 * time.Minute
	// authMargin is how long before its end a credential is said to end, so that who asks anew at that
	// moment, as client-go does, still holds one that is good.
	authMargin = time.Minute
	// endlessAuth is when a token that names no end is asked for anew, to notice that it was replaced.
	endlessAuth = 5 * time.Minute
)

// authFlags are those of every hawser auth command.
type authFlags struct {
	fromConfig []string

	// From hawser-auth.
	cacheKey   string
	cacheLock  int
	background bool
}

func newAuth(d *deps) *cobra.Command {
	var f authFlags
	cmd := &cobra.Command{
		Use:   "auth",
		Short: "Print a credential for a cluster, as an exec plugin does",
		Long: `Print a credential as an exec plugin does: an ExecCredential of client.authentication.k8s.io/v1,
or of the version that KUBERNETES_EXEC_INFO asks for. Nothing is stored.

Plugins use hawser-auth instead, with the same arguments: a small program that answers from its
cache and runs hawser auth on a miss. It works as users[].user.exec of a kubeconfig, as
execProviderConfig of an Argo CD cluster Secret, and as a provider of a ClusterProfile
(KEP-5339). Paths have to be absolute, since a plugin is run from anywhere.

A credential is said to end a minute before it does, so that whoever asks anew at that moment
still holds a good one. --from-config names the parameters that the extension
client.authentication.k8s.io/exec of the cluster may fill (spec.cluster.config); without it that
is not read. Who writes there decides with it: declare what they may decide, and no more.`,
		Example: `  hawser auth token --request team-a/alpha
  hawser auth eks --cluster-name prod --region eu-north-1
  hawser auth oidc --service-account team-a/deployer --audience hawser:4c1f… --gate-url https://gate.example.com/token`,
		GroupID: groupConnect,
		Args:    cobra.NoArgs,
	}
	flags := cmd.PersistentFlags()
	flags.StringSliceVar(&f.fromConfig, "from-config", nil, "parameters that the cluster's configuration for the plugin may fill")
	flags.StringVar(&f.cacheKey, "cache-key", "", "of hawser-auth: what to keep the answer under")
	flags.IntVar(&f.cacheLock, "cache-lock", 0, "of hawser-auth: the descriptor of the lock")
	flags.BoolVar(&f.background, "background", false, "of hawser-auth: nobody waits for the answer")
	for _, own := range []string{"cache-key", "cache-lock", "background"} {
		_ = flags.MarkHidden(own)
	}
	cmd.AddCommand(newAuthToken(d, &f), newAuthEKS(d, &f), newAuthOIDC(d, &f))
	return cmd
}

// authAnswer is a credential, and what it came from.
type authAnswer struct {
	Credential credential.Credential
	// Files decided it, besides arguments and environment.
	Files []string
	// Fleeting is why it must not be kept; empty where it may.
	Fleeting string
}

// authSource finds a credential for the cluster that the plugin was told of; nil where it was not.
type authSource func(ctx context.Context, about *clientauthenticationv1.Cluster) (authAnswer, error)

// auth answers an exec plugin's question, and keeps the answer where hawser-auth wants it.
func (d *deps) auth(cmd *cobra.Command, f *authFlags, find authSource) error {
	kept, err := f.adopt()
	if err != nil {
		return err
	}
	defer kept.close()
	ask, err := authcache.ReadAsk(os.Getenv(authcache.InfoVariable))
	if err != nil {
		return err
	}
	about, err := aboutCluster(ask)
	if err != nil {
		return err
	}
	if err := absolute("kubeconfig", d.kubeconfig); err != nil {
		return err
	}
	patience := authTimeout
	if ask.Interactive && !f.background {
		patience = authPatience
	}
	answer, err := withDeadline(cmd.Context(), patience, func(ctx context.Context) (authAnswer, error) { return find(ctx, about) })
	if err != nil {
		return d.fallBack(kept, ask, f, err)
	}
	status, end, err := execStatus(answer.Credential, d.clock.Now())
	if err != nil {
		return err
	}
	if answer.Fleeting == "" {
		d.keep(kept, authcache.NewEntry(status, d.clock.Now(), end, lookAt(answer.Files)))
	}
	if f.background {
		return nil
	}
	return ask.Answer(d.out, status)
}

// fallBack gives what is in the cache, if that is good still: renewing it was only early.
func (d *deps) fallBack(kept *keptAuth, ask authcache.Ask, f *authFlags, err error) error {
	if kept == nil || f.background {
		return err
	}
	entry, ok := kept.cache.Read(kept.key, d.clock.Now())
	if !ok {
		return err
	}
	fmt.Fprintf(d.err, "hawser: %s: using what was obtained before, until %s\n", err, entry.ExpiresAt.Format(time.RFC3339))
	return ask.Answer(d.out, entry.Status)
}

// keep keeps an answer. That it could not be kept costs time, and nothing else.
func (d *deps) keep(kept *keptAuth, entry authcache.Entry) {
	if kept == nil {
		return
	}
	if err := kept.cache.Write(kept.lock, entry); err != nil {
		fmt.Fprintf(d.err, "hawser: %s\n", err)
	}
	kept.cache.Prune(d.clock.Now())
}

// keptAuth is where an answer is kept.
type keptAuth struct {
	cache *authcache.Cache
	lock  *authcache.Lock
	key   string
}

// adopt takes over from hawser-auth; nil without it.
func (f *authFlags) adopt() (*keptAuth, error) {
	if f.cacheKey == "" {
		return nil, nil
	}
	lock, err := authcache.Adopt(f.cacheKey, f.cacheLock)
	if err != nil {
		return nil, err
	}
	cache, err := authcache.Open()
	if err != nil {
		lock.Release()
		return nil, err
	}
	return &keptAuth{cache, lock, f.cacheKey}, nil
}

func (k *keptAuth) close() {
	if k != nil {
		_ = k.cache.Close()
		k.lock.Release()
	}
}

// withDeadline returns when the time is over, whatever still hangs then: it ends with the program, which ends
// next.
func withDeadline(ctx context.Context, patience time.Duration, find func(context.Context) (authAnswer, error)) (authAnswer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("there was no credential within %s", patience))
	defer cancel()
	type result struct {
		answer authAnswer
		err    error
	}
	done := make(chan result, 1)
	go func() {
		answer, err := find(ctx)
		done <- result{answer, err}
	}()
	select {
	case r := <-done:
		if r.err != nil && ctx.Err() != nil {
			return r.answer, fmt.Errorf("%w: %w", context.Cause(ctx), r.err)
		}
		return r.answer, r.err
	case <-ctx.Done():
		return authAnswer{}, context.Cause(ctx)
	}
}

// execStatus is the answer as it is printed, and the end that it names.
func execStatus(c credential.Credential, now time.Time) (authcache.Status, time.Time, error) {
	end := c.ExpiresAt
	switch {
	case end.IsZero():
		end = now.Add(endlessAuth)
	case !end.After(now):
		return authcache.Status{}, end, fmt.Errorf("the credential expired at %s", end.Format(time.RFC3339))
	default:
		end = end.Add(-min(authMargin, end.Sub(now)/10))
	}
	end = end.UTC().Truncate(time.Second)
	stated := metav1.NewTime(end)
	status := clientauthenticationv1.ExecCredentialStatus{ExpirationTimestamp: &stated, Token: c.Token.Reveal()}
	if c.Certificate != nil {
		status.ClientCertificateData, status.ClientKeyData = string(c.Certificate.CertPEM), c.Certificate.KeyPEM.Reveal()
	}
	text, err := json.Marshal(status)
	if err != nil {
		return authcache.Status{}, end, fmt.Errorf("encoding the credential: %w", err)
	}
	kept, err := authcache.NewStatus(text)
	return kept, end, err
}

func lookAt(paths []string) []authcache.File {
	var files []authcache.File
	for _, path := range paths {
		files = append(files, authcache.Look(path))
	}
	return files
}

// aboutCluster reads what the plugin is told of the cluster.
func aboutCluster(ask authcache.Ask) (*clientauthenticationv1.Cluster, error) {
	if ask.Cluster == nil {
		return nil, nil
	}
	var c clientauthenticationv1.Cluster
	if err := json.NewDecoder(bytes.NewReader(ask.Cluster)).Decode(&c); err != nil {
		return nil, fmt.Errorf("reading %s: spec.cluster is no cluster as a kubeconfig has it", authcache.InfoVariable)
	}
	return &c, nil
}

// absolute refuses a relative path.
func absolute(flag, path string) error {
	if path != "" && !filepath.IsAbs(path) {
		return usageError("--%s %q: use an absolute path: a plugin is run from anywhere", flag, path)
	}
	return nil
}

// fill fills parameters from the cluster's configuration for the plugin: those that --from-config declares,
// each of which must then be there, and may not be given as a flag, too.
func (f *authFlags) fill(about *clientauthenticationv1.Cluster, parameters map[string]*string) error {
	if len(f.fromConfig) == 0 {
		return nil
	}
	config := map[string]json.RawMessage{}
	if about != nil && len(about.Config.Raw) > 0 {
		if err := json.Unmarshal(about.Config.Raw, &config); err != nil {
			return fmt.Errorf("reading the cluster's configuration for the plugin: it is no JSON object")
		}
	}
	for _, name := range f.fromConfig {
		into, ok := parameters[name]
		if !ok {
			return usageError("--from-config %s: there is no such parameter here", name)
		}
		if *into != "" {
			return usageError("--from-config %s: it is given as a flag, too: choose one", name)
		}
		var value string
		if err := json.Unmarshal(config[name], &value); err != nil || value == "" || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("reading the cluster's configuration for the plugin: %q is no text in it: it is the extension client.authentication.k8s.io/exec of the cluster, and needs provideClusterInfo: true", name)
		}
		*into = value
	}
	return nil
}
