package eks

import (
	"context"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential"
	inventory "github.com/hawser-io/hawser/inventory/remotecluster"
)

// shown is what the cluster said to a token.
type shown struct {
	// madeErr is why there is no token to be shown.
	madeErr error
	// unreachable is why the cluster said nothing; refused, that it answered 401.
	unreachable string
	refused     bool
	user        string
	groups      []string
}

// oneToken is a source of one token, which nobody renews.
type oneToken struct{ token credential.Credential }

// Obtain implements credential.Source.
func (s oneToken) Obtain(context.Context) ([]credential.Credential, error) {
	return []credential.Credential{s.token}, nil
}

// Renew is never called for what is only watched.
func (oneToken) Renew(_ context.Context, current credential.Credential, _ credential.Link) (credential.Credential, error) {
	return current, nil
}

// show makes a token and shows it to the cluster, over a connection of its own: to no server that the
// CA of the spec does not vouch for, nor, where EKS has described the cluster, another CA than its own.
func (e *examination) show(ctx context.Context, chain aws.Chain, d described) shown {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	name := e.Cluster.Spec.Auth.EKSClusterName(e.Cluster.Name)
	token, err := aws.NewToken(ctx, e.Sessions.Provider(chain), e.auth().Region, name, e.Clock.Now())
	if err != nil {
		return shown{madeErr: err}
	}
	spec, err := inventory.Spec(e.Cluster, e.Local)
	if err != nil {
		return shown{unreachable: err.Error()}
	}
	spec.Checks = nil
	changed := make(chan struct{}, 1)
	cred := credential.Credential{Token: token.Value, ExpiresAt: token.ExpiresAt, ObtainedAt: e.Clock.Now(), Watched: true, Binding: credential.BindingOf(e.Cluster.Status.Endpoint)}
	if c := d.cluster; c.Server != "" && len(c.CAData) > 0 {
		cred.Binding = &credential.Binding{Server: c.Server, CA: credential.Fingerprint(c.CAData), Roots: credential.RootSums(c.CAData)}
	}
	conn := connection.New(spec, oneToken{cred}, connection.Options{
		Clock: e.Clock, ProbeInterval: time.Hour, UserAgent: e.UserAgent,
		Changed: func() {
			select {
			case changed <- struct{}{}:
			default: // the newest state is looked at anyway
			}
		},
	})
	done := make(chan struct{})
	go func() { // ends with ctx, which ends with this function
		defer close(done)
		conn.Run(ctx)
	}()
	defer func() { cancel(); <-done }()
	for {
		state := conn.State()
		authenticated, reachable := state.Condition(v1alpha1.Authenticated), state.Condition(v1alpha1.Reachable)
		switch {
		case authenticated.Status == metav1.ConditionTrue:
			return review(ctx, conn)
		case authenticated.Reason == v1alpha1.ReasonRefused:
			return shown{refused: true}
		case reachable.Status == metav1.ConditionFalse:
			return shown{unreachable: reachable.Message}
		case authenticated.Status == metav1.ConditionFalse:
			return shown{unreachable: authenticated.Message}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return shown{unreachable: "it did not answer within " + stepTimeout.String()}
		}
	}
}

// review asks the cluster who the token is.
func review(ctx context.Context, conn *connection.Connection) shown {
	client, err := authenticationclient.NewForConfig(conn.Config())
	if err != nil {
		return shown{unreachable: err.Error()}
	}
	answer, err := client.SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return shown{unreachable: err.Error()}
	}
	return shown{user: answer.Status.UserInfo.Username, groups: answer.Status.UserInfo.Groups}
}
