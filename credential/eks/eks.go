// Package eks is the credential source of auth.type eks: tokens that prove an
// identity in AWS, made anew every ten minutes and stored nowhere. How the
// identity is reached, over any number of accounts, is the business of package aws.
package eks

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/credential"
)

const (
	// describeInterval is how often EKS is asked about a cluster, give or take a tenth: clusters that were
	// made together are not asked about together. Where the answer failed, it is asked again sooner.
	describeInterval      = 10 * time.Minute
	describeRetryInterval = 30 * time.Second
	// describeTimeout is what EKS gets to answer: a token must not have to wait for it.
	describeTimeout = 5 * time.Second
	// explainInterval is how young an answer has to be to explain a refusal.
	explainInterval = time.Minute
)

// renewAfter is ten of the fourteen minutes that a token is good for, which leaves four for trying again,
// and as much of one that ends earlier with the credentials behind it.
func renewAfter(life time.Duration) time.Duration { return life / 14 * 10 }

// Source makes the tokens of one EKS cluster.
type Source struct {
	// Cluster is the name of the EKS cluster, which tokens are signed for.
	Cluster string
	Region  string
	// AccountID that the cluster has to belong to. Empty is any.
	AccountID string
	// Resolve finds the way to an identity, as of now.
	Resolve func(ctx context.Context, ref aws.Ref) (aws.Chain, error)
	// Token is the identity that tokens prove.
	Token aws.Ref
	// API is the identity that may ask EKS about the cluster. Nil: EKS is asked nothing.
	API      *aws.Ref
	Sessions *aws.Sessions
	Clusters aws.Clusters
	// Binding is the server that an earlier token was proved at, remembered over a restart.
	Binding *credential.Binding
	Clock   clock.PassiveClock

	// What EKS last said; methods are called by one goroutine at a time.
	described    aws.Cluster
	describeErr  error
	describedAt  time.Time
	nextDescribe time.Time
}

// Obtain makes a token. Its errors name the link of the chain that broke. It reaches AWS where the
// session of the identity has to be renewed, and never the cluster.
func (s *Source) Obtain(ctx context.Context) ([]credential.Credential, error) {
	c, err := s.make(ctx)
	if err != nil {
		return nil, err
	}
	return []credential.Credential{c}, nil
}

// Keep remembers where a token was proved, so that the next one, whatever it grows from, is shown to no
// other server. Nothing is kept over a restart: that is what the status is for.
func (s *Source) Keep(_ context.Context, c credential.Credential) error {
	s.Binding = c.Binding
	return nil
}

// Renew makes the next token.
func (s *Source) Renew(ctx context.Context, _ credential.Credential, _ credential.Link) (credential.Credential, error) {
	return s.make(ctx)
}

func (s *Source) make(ctx context.Context) (credential.Credential, error) {
	if err := s.checkAccount(ctx); err != nil {
		return credential.Credential{}, err
	}
	chain, err := s.Resolve(ctx, s.Token)
	if err != nil {
		return credential.Credential{}, inputError(err)
	}
	now := s.Clock.Now()
	token, err := aws.NewToken(ctx, s.Sessions.Provider(chain), s.Region, s.Cluster, now)
	if err != nil {
		return credential.Credential{}, inputError(err)
	}
	binding := s.binding()
	return credential.Credential{
		Token:      token.Value,
		Subject:    chain.ARN(),
		IssuedAt:   now,
		ObtainedAt: now,
		ExpiresAt:  token.ExpiresAt,
		RenewAfter: renewAfter(token.ExpiresAt.Sub(now)),
		Origin:     credential.Fingerprint([]byte(chain.Fingerprint()), []byte(s.Region), []byte(s.Cluster), []byte(binding.name())),
		Binding:    binding.Binding,
	}, nil
}

// checkAccount asks EKS about the cluster now and then, and refuses one of another account. Where EKS may
// not be asked, nothing is refused: the cluster itself has the last word. Where it may, and does not
// answer, a first token waits for it.
func (s *Source) checkAccount(ctx context.Context) error {
	s.describe(ctx)
	if first := s.described.Name == "" && (s.AccountID != "" || s.Binding == nil); first && s.describeErr != nil && !final(s.describeErr) {
		return inputError(s.describeErr)
	}
	if got := s.described.AccountID; s.AccountID != "" && got != "" && got != s.AccountID {
		return &credential.InputError{Reason: v1alpha1.ReasonAccountMismatch, Err: fmt.Errorf(
			"EKS cluster %q in %s belongs to account %s, and auth.eks.accountID is %s: correct it, or auth.eks.apiIdentityRef", s.Cluster, s.Region, got, s.AccountID)}
	}
	return nil
}

func (s *Source) describe(ctx context.Context) {
	now := s.Clock.Now()
	if s.API == nil || now.Before(s.nextDescribe) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	var described aws.Cluster
	chain, err := s.Resolve(ctx, *s.API)
	if err == nil {
		described, err = s.Clusters.Describe(ctx, s.Sessions.Provider(chain), s.Region, s.Cluster)
	}
	s.describeErr, s.describedAt = err, now
	s.nextDescribe = now.Add(describeInterval + time.Duration((rand.Float64()-0.5)*0.2*float64(describeInterval)))
	switch {
	case err == nil:
		s.described = described
	case !final(err):
		s.nextDescribe = now.Add(describeRetryInterval)
	}
}

// final reports whether EKS said no, as against nothing.
func final(err error) bool {
	var known *aws.Error
	if !errors.As(err, &known) {
		return false
	}
	switch known.Reason {
	case v1alpha1.ReasonThrottled, v1alpha1.ReasonAWSUnreachable, v1alpha1.ReasonAWSError:
		return false
	}
	return true
}

// bound is the server that a token is shown to.
type bound struct {
	*credential.Binding
	vouched bool // by EKS
}

// name tells apart what EKS vouches for: a token for another place is another credential.
func (b bound) name() string {
	if !b.vouched {
		return ""
	}
	return b.Server + " " + b.CA
}

// binding is what EKS says of the cluster, where it says anything, or else where an earlier token was proved.
func (s *Source) binding() bound {
	if s.described.Server == "" || len(s.described.CAData) == 0 {
		return bound{Binding: s.Binding}
	}
	return bound{vouched: true, Binding: &credential.Binding{
		Server: s.described.Server,
		CA:     credential.Fingerprint(s.described.CAData),
		Roots:  credential.RootSums(s.described.CAData),
	}}
}

// Explain says what EKS knows about a token that the cluster refused.
func (s *Source) Explain(ctx context.Context, refused error) error {
	if s.Clock.Since(s.describedAt) > explainInterval {
		s.nextDescribe = time.Time{}
	}
	s.describe(ctx)
	reason, why := v1alpha1.ReasonAccessEntryMissing, "no access entry of EKS cluster %[1]q maps the identity, or it was made for a role that has been deleted and made again since (hawser aws grant)"
	var known *aws.Error
	switch {
	case errors.As(s.describeErr, &known) && known.Reason == v1alpha1.ReasonEKSClusterNotFound:
		reason, why = known.Reason, "EKS knows no cluster %[1]q in %[2]s: correct auth.eks.clusterName or auth.eks.region"
	case s.API == nil || s.describeErr != nil:
		reason = v1alpha1.ReasonRefused
		why += ", or it has another name than %[1]q"
	case !s.described.UsesAccessEntries():
		reason, why = v1alpha1.ReasonAuthModeConfigMap, "EKS cluster %[1]q is in authentication mode CONFIG_MAP and reads no access entries: "+
			"aws eks update-cluster-config --region %[2]s --name %[1]s --access-config authenticationMode=API_AND_CONFIG_MAP"
	case !s.described.Active():
		reason, why = v1alpha1.ReasonEKSClusterNotActive, "EKS cluster %[1]q is "+s.described.Status
	}
	return &credential.InputError{Reason: reason, Err: fmt.Errorf("%w: %s", refused, fmt.Sprintf(why, s.Cluster, s.Region))}
}

// inputError keeps the reason of the link that broke.
func inputError(err error) error {
	var known *aws.Error
	if errors.As(err, &known) {
		return &credential.InputError{Reason: known.Reason, Err: errors.New(known.Message())}
	}
	return err
}

var (
	_ credential.Source    = (*Source)(nil)
	_ credential.Explainer = (*Source)(nil)
	_ credential.Keeper    = (*Source)(nil)
)
