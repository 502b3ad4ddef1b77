package credential

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authenticationv1client "k8s.io/client-go/kubernetes/typed/authentication/v1"
	"k8s.io/client-go/rest"
)

// Try shows a token to an API server, of whose configuration only the address and the trust are used. Nil
// means that the server knows whose it is. Otherwise the error is the server's own answer, for the caller to
// judge with package apierrors: IsUnauthorized is the refusal of the token, and all else says little of it.
// That answer may quote what it was sent. The caller sets the deadline.
func Try(ctx context.Context, at *rest.Config, token Secret) error {
	config := rest.AnonymousClientConfig(at)
	config.BearerToken, config.QPS = token.Reveal(), -1
	client, err := authenticationv1client.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	_, err = client.SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	return err
}
