package install

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/credential/mtls"
)

// settleTime is how long an API server may need to notice what was just applied: the account, and
// the lifetime that its namespace allows, reach admission by watches.
const settleTime = 15 * time.Second

// Token mints a token for the account of the connection from local.
func Token(ctx context.Context, c client.Client, local string, lifetime time.Duration) (credential.Credential, error) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
		Namespace: v1alpha1.MemberNamespace(local), Name: v1alpha1.MemberServiceAccount,
	}}
	seconds := int64(lifetime / time.Second)
	var answer *authenticationv1.TokenRequest
	var last error
	err := wait.PollUntilContextTimeout(ctx, pollInterval, settleTime, true, func(ctx context.Context) (bool, error) {
		answer = &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
		last = c.SubResource("token").Create(ctx, account, answer)
		if last != nil && strings.Contains(last.Error(), "cannot create resource") {
			return false, last // RBAC: whoever joins may not
		}
		if apierrors.IsNotFound(last) || apierrors.IsForbidden(last) || apierrors.IsInvalid(last) || apierrors.IsInternalError(last) {
			return false, nil // not noticed yet, perhaps
		}
		return last == nil, last
	})
	if err != nil {
		return credential.Credential{}, fmt.Errorf("minting a token for service account %q in namespace %q: %w",
			account.Name, account.Namespace, cmp.Or(last, err))
	}
	token := credential.NewToken(answer.Status.Token, "")
	token.ExpiresAt = answer.Status.ExpirationTimestamp.Time
	return token, nil
}

// Certificate has a client certificate signed for the user of the connection from local, by a request that
// the person who joins approves.
func Certificate(ctx context.Context, c client.Client, local string, lifetime time.Duration) (credential.Credential, error) {
	key, request, err := mtls.NewRequest(v1alpha1.MemberUser(local), lifetime)
	if err != nil {
		return credential.Credential{}, err
	}
	request.GenerateName = "hawser-join-" + local + "-"
	request.Labels[v1alpha1.LocalClusterLabel] = local
	if err := c.Create(ctx, request, client.FieldOwner(v1alpha1.FieldManager)); err != nil {
		return credential.Credential{}, fmt.Errorf("creating a CertificateSigningRequest: %w", err)
	}
	chain, err := approve(ctx, c, request)
	// Deleted also after Ctrl-C: it is of no use to anybody else.
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if gone := client.IgnoreNotFound(c.Delete(cleanup, request)); err == nil && gone != nil {
		err = fmt.Errorf("deleting it: %w", gone)
	}
	if err != nil {
		return credential.Credential{}, fmt.Errorf("having CertificateSigningRequest %q signed: %w", request.Name, err)
	}
	return credential.NewCertificate(chain, key, "")
}

// approve approves the request and waits for the certificate.
func approve(ctx context.Context, c client.Client, request *certificatesv1.CertificateSigningRequest) ([]byte, error) {
	approval := request.DeepCopy()
	approval.Status.Conditions = append(approval.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue,
		Reason: "HawserJoin", Message: "approved by whoever ran hawser join",
	})
	if err := c.SubResource("approval").Update(ctx, approval); err != nil {
		return nil, fmt.Errorf("approving it: %w", err)
	}
	var chain []byte
	err := wait.PollUntilContextTimeout(ctx, pollInterval, 2*settleTime, true, func(ctx context.Context) (bool, error) {
		var now certificatesv1.CertificateSigningRequest
		if err := c.Get(ctx, client.ObjectKeyFromObject(request), &now); err != nil {
			return false, err
		}
		for _, condition := range now.Status.Conditions {
			if condition.Type == certificatesv1.CertificateDenied || condition.Type == certificatesv1.CertificateFailed {
				return false, fmt.Errorf("%s: %s", condition.Type, condition.Message)
			}
		}
		chain = now.Status.Certificate
		return len(chain) > 0, nil
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("the signer %s has not answered: does the remote cluster's kube-controller-manager run, with --cluster-signing-cert-file?", certificatesv1.KubeAPIServerClientSignerName)
	}
	return chain, err
}

// ControllersRun reports whether the member controllers, which approve renewals, run in the cluster.
func ControllersRun(ctx context.Context, c client.Reader, now time.Time) (bool, error) {
	var lease coordinationv1.Lease
	err := c.Get(ctx, client.ObjectKey{Namespace: v1alpha1.Namespace, Name: v1alpha1.MemberControllersLease}, &lease)
	if client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("reading Lease %q in namespace %q: %w", v1alpha1.MemberControllersLease, v1alpha1.Namespace, err)
	}
	return err == nil && mtls.ControllersAlive(&lease, now), nil
}
