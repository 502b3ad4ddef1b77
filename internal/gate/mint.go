package gate

import (
	"context"
	"errors"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
)

// mintTimeout bounds what the API server may take for a token: with the wait for a turn less than our
// client waits for, so that the gate is named as what is in trouble.
const mintTimeout = 8 * time.Second

// minted is a token of an account in v1alpha1.GrantsNamespace, for the API server itself.
type minted struct {
	token     credential.Secret
	expiresAt time.Time
	// id is what the API server's audit log calls the token: authentication.kubernetes.io/credential-id.
	id string
}

// mint asks the API server for a token. That of an account which is gone is a refusal, everything else
// that goes wrong is trouble of ours. A client that hangs up does not end it: a token that was made is
// written down, whoever got it.
func mint(ctx context.Context, kube kubernetes.Interface, account string, life time.Duration) (minted, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), mintTimeout)
	defer cancel()
	seconds := int64(life / time.Second)
	answer, err := kube.CoreV1().ServiceAccounts(v1alpha1.GrantsNamespace).CreateToken(ctx, account,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}, metav1.CreateOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return minted{}, refuse(reasonAccountMissing, err)
	case err != nil:
		return minted{}, fmt.Errorf("minting a token for account %q: %w", account, err)
	case answer.Status.Token == "" || answer.Status.ExpirationTimestamp.IsZero():
		return minted{}, fmt.Errorf("minting a token for account %q: %w", account, errors.New("the API server answered none"))
	}
	return minted{
		token:     credential.NewSecret(answer.Status.Token),
		expiresAt: answer.Status.ExpirationTimestamp.Time,
		id:        credentialID(answer.Status.Token),
	}, nil
}

// credentialID is the name of a token that came from the API server; empty where it has none.
func credentialID(token string) string {
	says, err := credential.ReadJWT(token)
	if err != nil || says.ID == "" {
		return ""
	}
	return "JTI=" + says.ID
}
