// Package rights answers, with the rights of whoever asks, what somebody may do in a cluster and what an AccessGrant
// comes to there. It changes nothing. What is said to whom, and on which stream, is the business of package cli.
package rights

import (
	"context"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Cluster is the cluster that is asked, as the person reaches it.
type Cluster struct {
	Client client.Reader
	Kube   kubernetes.Interface
}

// review asks whether a user may do something: the authorizers' answer, and the reason that they give.
func (c Cluster) review(ctx context.Context, user string, groups []string, a Action) (bool, string, error) {
	answer, err := c.Kube.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: user, Groups: groups, ResourceAttributes: a.Resource, NonResourceAttributes: a.NonResource,
		},
	}, metav1.CreateOptions{})
	if apierrors.IsForbidden(err) {
		return false, "", fmt.Errorf("asking what others may do: it takes the right to create subjectaccessreviews.authorization.k8s.io in that cluster: %w", err)
	}
	if err != nil {
		return false, "", fmt.Errorf("asking what others may do: %w", err)
	}
	reason := answer.Status.Reason
	if answer.Status.EvaluationError != "" && !answer.Status.Allowed {
		reason = "it could not all be evaluated: " + answer.Status.EvaluationError
	}
	return answer.Status.Allowed, reason, nil
}

// exists reports whether an object is there. known is false where the person may not look.
func (c Cluster) exists(ctx context.Context, obj client.Object, namespace, name string) (there, known bool, err error) {
	err = c.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, obj)
	switch {
	case err == nil:
		return true, true, nil
	case apierrors.IsNotFound(err) || meta.IsNoMatchError(err):
		return false, true, nil
	case apierrors.IsForbidden(err):
		return false, false, nil
	}
	return false, false, fmt.Errorf("reading %q: %w", name, err)
}

// gateIsMissing reports that no gate is installed. Where that cannot be told, one is assumed.
func (c Cluster) gateIsMissing(ctx context.Context) (bool, error) {
	there, known, err := c.exists(ctx, &corev1.ServiceAccount{}, v1alpha1.Namespace, v1alpha1.GateServiceAccount)
	return known && !there, err
}

// mints reports whether the connection from a local cluster may mint tokens of an account of a grant.
func (c Cluster) mints(ctx context.Context, s v1alpha1.GrantLocalCluster, account string) (bool, error) {
	action := Action{Resource: &authorizationv1.ResourceAttributes{
		Namespace: v1alpha1.GrantsNamespace, Verb: "create", Resource: "serviceaccounts", Subresource: "token", Name: account,
	}}
	for _, user := range connectionUsers(s) {
		allowed, _, err := c.review(ctx, user, groupsOf(user), action)
		if allowed || err != nil {
			return allowed, err
		}
	}
	return false, nil
}

// connectionUsers are whom the API server may know the connection from a local cluster as.
func connectionUsers(s v1alpha1.GrantLocalCluster) []string {
	users := []string{serviceAccountUser(v1alpha1.MemberNamespace(s.Name), v1alpha1.MemberServiceAccount), v1alpha1.MemberUser(s.Name)}
	if s.User != "" {
		users = append(users, s.User)
	}
	return users
}
