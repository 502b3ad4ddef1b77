package kubeconfigfile

import (
	"context"

	"github.com/hawser-io/hawser/credential"
)

// source yields the credential of one context. It reads the files that the context names each time, so that a
// token that a program beside us keeps fresh is found as soon as the cluster refuses the old one.
type source struct {
	file  string
	entry entry
}

// Obtain implements credential.Source.
func (s *source) Obtain(context.Context) ([]credential.Credential, error) {
	c, err := s.entry.credential(readFile)
	if err != nil {
		return nil, credential.InvalidInput("context %q of %s cannot be used: %w", s.entry.name, s.file, err)
	}
	return []credential.Credential{c}, nil
}

// Renew is never called: the credential is watched.
func (s *source) Renew(_ context.Context, current credential.Credential, _ credential.Link) (credential.Credential, error) {
	return current, nil
}
