// Package exec is the credential source that runs a program of the operator's: a credential plugin, as
// kubectl runs them (client.authentication.k8s.io). What is run, with which arguments and in which environment
// is fixed by the operator's configuration; where a cluster comes from, such as a ClusterProfile, only selects
// an entry of it and fills what the entry declares.
//
// Each cluster has a Source of its own. Nothing is shared between two of them, so that a plugin that hangs holds
// up one cluster until its deadline, and no token can end up at another cluster than the one it was made for.
package exec

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
)

const (
	// DefaultTimeout of a plugin: less than what a credential.Renewer gives to each of its steps, so that the
	// plugin is named as what took too long.
	DefaultTimeout = 20 * time.Second
	// endlessAge is after how long a credential without an expiry is asked for anew, to notice that it was
	// replaced. Until then only a refusal makes the plugin run again, as in kubectl.
	endlessAge = 5 * time.Minute
)

// Source yields the credential of one cluster by running a plugin, and renews it by running it again, at half of
// what is left of its life.
//
// One that names no expiry (and is no JWT or certificate, which name theirs) is watched instead: the plugin is
// run again every five minutes, and at once when the cluster has refused what it gave.
//
// Its errors are *credential.InputErrors: InputInvalid where the plugin cannot be run as it is configured, and
// PluginFailed where it was run and failed, hung, or printed what is no credential. They hold what it wrote to
// stderr, cut short and without anything that looks like a secret, and never what it wrote to stdout.
type Source struct {
	// Plugin is what to run.
	Plugin Plugin
	// Cluster is what the plugin is told about the cluster, where Plugin.ProvideClusterInfo asks for it.
	Cluster Cluster
	// BringsEndpoint makes Cluster.Endpoint the address that the credential is for. Otherwise it is used where
	// the connection's spec says.
	BringsEndpoint bool
	// Timeout of one run. Zero means DefaultTimeout.
	Timeout time.Duration
	Clock   clock.PassiveClock

	last credential.Credential // what the plugin gave last; zero when that was refused
}

// Cluster is what a plugin is told about a cluster: KUBERNETES_EXEC_INFO, spec.cluster.
type Cluster struct {
	credential.Endpoint
	// DisableCompression is handed on as it is.
	DisableCompression bool
	// Config is the plugin's own, as JSON, and no secret.
	Config json.RawMessage
}

// Obtain returns what the plugin gave, and runs it where that is of no use any more.
func (s *Source) Obtain(ctx context.Context) ([]credential.Credential, error) {
	if s.good() {
		return []credential.Credential{s.last}, nil
	}
	next, err := s.ask(ctx)
	if err != nil {
		if !s.last.IsZero() && !s.last.ExpiredAt(s.Clock.Now()) {
			return []credential.Credential{s.last}, err
		}
		return nil, err
	}
	return []credential.Credential{next}, nil
}

// Renew runs the plugin again.
func (s *Source) Renew(ctx context.Context, _ credential.Credential, _ credential.Link) (credential.Credential, error) {
	return s.ask(ctx)
}

// Explain is told that the cluster refused what the plugin gave: it is asked anew the next time.
func (s *Source) Explain(_ context.Context, refused error) error {
	s.last = credential.Credential{}
	return refused
}

// good reports whether what the plugin gave last can be had again without running it.
func (s *Source) good() bool {
	now := s.Clock.Now()
	switch {
	case s.last.IsZero(), s.last.ExpiredAt(now):
		return false
	case s.last.Watched:
		return now.Sub(s.last.ObtainedAt) < endlessAge
	}
	return true // Renew is in time
}

// ask runs the plugin.
func (s *Source) ask(ctx context.Context) (credential.Credential, error) {
	info, err := execInfo(s.Plugin, s.Cluster)
	if err != nil {
		return credential.Credential{}, credential.InvalidInput("running plugin %q: %w", s.Plugin.Name, err)
	}
	program, err := s.Plugin.program()
	if err != nil {
		return credential.Credential{}, credential.InvalidInput("running plugin %q: %w", s.Plugin.Name, err)
	}
	out, err := run(ctx, program, s.Plugin, info, orDefault(s.Timeout))
	if err != nil {
		return credential.Credential{}, failed("running plugin %q: %w", s.Plugin.Name, err)
	}
	c, err := parseOutput(out, s.Plugin.APIVersion)
	if err != nil {
		return credential.Credential{}, failed("reading what plugin %q printed: %w", s.Plugin.Name, err)
	}
	now := s.Clock.Now()
	c.ObtainedAt = now
	if c.ExpiredAt(now) {
		return credential.Credential{}, failed("running plugin %q: it gives a credential that expired at %s", s.Plugin.Name, c.ExpiresAt.Format(time.RFC3339))
	}
	c.Origin = s.origin(c)
	if s.BringsEndpoint {
		endpoint := s.Cluster.Endpoint
		c.Endpoint = &endpoint
	}
	s.last = c
	return c, nil
}

// failed is the error of a plugin that was run.
func failed(format string, args ...any) error {
	return &credential.InputError{Reason: v1alpha1.ReasonPluginFailed, Err: fmt.Errorf(format, args...)}
}

func orDefault(timeout time.Duration) time.Duration {
	if timeout == 0 {
		return DefaultTimeout
	}
	return timeout
}

// origin names the input: the plugin and the cluster. A credential that is watched is itself a part of it, or its
// successor would be taken for the same.
func (s *Source) origin(c credential.Credential) string {
	parts := [][]byte{[]byte(s.Plugin.Fingerprint()), []byte(s.Cluster.Fingerprint())}
	if c.Watched {
		parts = append(parts, []byte(c.Token.Reveal()))
	}
	return credential.Fingerprint(parts...)
}

// Fingerprint changes when anything that the plugin is told changes.
func (c Cluster) Fingerprint() string {
	compact := &bytes.Buffer{}
	if json.Compact(compact, c.Config) != nil {
		compact.Write(c.Config)
	}
	compression := []byte{0}
	if c.DisableCompression {
		compression[0] = 1
	}
	return credential.Fingerprint([]byte(c.Server), c.CAData, []byte(c.TLSServerName), []byte(c.ProxyURL), compression, compact.Bytes())
}
