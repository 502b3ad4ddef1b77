package capa

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
)

// DefaultNamespace is where the provider runs, and with it the Secrets of its static identities.
const DefaultNamespace = "capa-system"

// Reader reads the identities of Cluster API's provider for AWS. It is an aws.Reader for their kinds, and
// for no other.
type Reader struct {
	// Client reads Secrets in one namespace, and the identities where Identities is nil.
	Client client.Reader
	// Identities reads the identities, from a cache if there is one: each token asks for its chain.
	Identities client.Reader
	// Namespace of the Secrets of static identities. Default DefaultNamespace.
	Namespace string
}

// roleIdentity is an AWSClusterRoleIdentity.
type roleIdentity struct {
	Spec struct {
		RoleARN           string       `json:"roleARN"`
		SessionName       string       `json:"sessionName"`
		DurationSeconds   int32        `json:"durationSeconds"`
		InlinePolicy      string       `json:"inlinePolicy"`
		PolicyARNs        []string     `json:"policyARNs"`
		ExternalID        string       `json:"externalID"`
		SourceIdentityRef *IdentityRef `json:"sourceIdentityRef"`
	} `json:"spec"`
}

// staticIdentity is an AWSClusterStaticIdentity.
type staticIdentity struct {
	Spec struct {
		SecretRef string `json:"secretRef"`
	} `json:"spec"`
}

// Identity implements aws.Reader.
//
// What the provider calls its controller's identity is here what Hawser's own manager runs as: roles that
// trust the one have to trust the other as well.
func (r Reader) Identity(ctx context.Context, ref aws.Ref) (aws.Identity, error) {
	switch ref.Kind {
	case v1alpha1.KindCAPARoleIdentity, v1alpha1.KindCAPAStaticIdentity, v1alpha1.KindCAPAControllerIdentity:
	default:
		return aws.Identity{}, fault(ref, v1alpha1.ReasonIdentityNotFound, "", fmt.Errorf("kind %q is no identity of Cluster API", ref.Kind))
	}
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(identityKind(ref.Kind))
	objects := r.Identities
	if objects == nil {
		objects = r.Client
	}
	if err := objects.Get(ctx, client.ObjectKey{Name: ref.Name}, u); err != nil {
		return aws.Identity{}, missing(ref, err)
	}
	namespaces, err := namespacesOf(u)
	if err != nil {
		return aws.Identity{}, fault(ref, v1alpha1.ReasonInputInvalid, "correct spec.allowedNamespaces", err)
	}
	id := aws.Identity{
		Ref:        ref,
		Version:    fmt.Sprintf("%s/%d", u.GetUID(), u.GetGeneration()),
		Namespaces: namespaces,
		Deleting:   u.GetDeletionTimestamp() != nil,
	}
	switch ref.Kind {
	case v1alpha1.KindCAPARoleIdentity:
		err = role(u, &id)
	case v1alpha1.KindCAPAStaticIdentity:
		err = r.static(ctx, u, &id)
	default:
		err = controller(&id)
	}
	if err != nil {
		return aws.Identity{}, err
	}
	return id, nil
}

func fault(ref aws.Ref, reason, repair string, err error) error {
	return &aws.Error{Ref: ref, Reason: reason, Repair: repair, Err: err}
}

func missing(ref aws.Ref, err error) error {
	switch {
	case meta.IsNoMatchError(err):
		return fault(ref, v1alpha1.ReasonIdentityNotFound, "install Cluster API's provider for AWS, or name an AWSIdentity", errors.New("its kind is not installed"))
	case apierrors.IsNotFound(err) && ref == aws.Ref{Kind: v1alpha1.KindCAPAControllerIdentity, Name: controllerIdentity}:
		return fault(ref, v1alpha1.ReasonIdentityNotFound, "create it, and let its allowedNamespaces admit the clusters of the chain: the provider makes it only where a cluster names it directly",
			errors.New("it does not exist"))
	case apierrors.IsNotFound(err):
		return fault(ref, v1alpha1.ReasonIdentityNotFound, "create it, or correct the name", errors.New("it does not exist"))
	}
	return fmt.Errorf("reading %s: %w", ref, err)
}

func role(u *unstructured.Unstructured, id *aws.Identity) error {
	var o roleIdentity
	if err := decode(u, &o); err != nil {
		return fault(id.Ref, v1alpha1.ReasonInputInvalid, "", err)
	}
	id.Type = v1alpha1.AWSRoleIdentity
	id.Role = &aws.Role{
		ARN:          o.Spec.RoleARN,
		SessionName:  o.Spec.SessionName,
		ExternalID:   o.Spec.ExternalID,
		InlinePolicy: o.Spec.InlinePolicy,
		PolicyARNs:   o.Spec.PolicyARNs,
		Duration:     time.Duration(o.Spec.DurationSeconds) * time.Second,
	}
	// The provider refuses a role without a source. One that is there all the same starts from the
	// provider's own identity, so that its allowedNamespaces count.
	id.Source = aws.Ref{Kind: v1alpha1.KindCAPAControllerIdentity, Name: controllerIdentity}
	if o.Spec.SourceIdentityRef != nil {
		id.Source = o.Spec.SourceIdentityRef.ref()
	}
	return nil
}

func (r Reader) static(ctx context.Context, u *unstructured.Unstructured, id *aws.Identity) error {
	var o staticIdentity
	if err := decode(u, &o); err != nil {
		return fault(id.Ref, v1alpha1.ReasonInputInvalid, "", err)
	}
	namespace := r.Namespace
	if namespace == "" {
		namespace = DefaultNamespace
	}
	where := fmt.Sprintf("Secret %q in namespace %q", o.Spec.SecretRef, namespace)
	var secret corev1.Secret
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: o.Spec.SecretRef}, &secret)
	switch {
	case apierrors.IsNotFound(err):
		return fault(id.Ref, v1alpha1.ReasonInputMissing, "create it with the keys AccessKeyID and SecretAccessKey", fmt.Errorf("%s does not exist", where))
	case apierrors.IsForbidden(err):
		return fault(id.Ref, v1alpha1.ReasonInputForbidden, "let Hawser's service account get it: a Role in namespace "+namespace, fmt.Errorf("%s may not be read", where))
	case err != nil:
		return fmt.Errorf("reading %s: %w", where, err)
	}
	data := map[string][]byte{} // what the provider reads: not every form that a Secret of ours may have
	for _, key := range []string{aws.AccessKeyIDKey, aws.SecretAccessKeyKey, aws.SessionTokenKey} {
		data[key] = secret.Data[key]
		if len(data[key]) == 0 && key != aws.SessionTokenKey {
			return fault(id.Ref, v1alpha1.ReasonInputInvalid, "fill it in", fmt.Errorf("%s has no key %s", where, key))
		}
	}
	if id.Keys, err = aws.KeysOf(data); err != nil {
		return fault(id.Ref, v1alpha1.ReasonInputInvalid, "fill it in", fmt.Errorf("%s: %w", where, err))
	}
	id.Type = v1alpha1.AWSStaticIdentity
	id.Version += "/" + secret.ResourceVersion
	return nil
}

func controller(id *aws.Identity) error {
	if id.Ref.Name != controllerIdentity {
		return fault(id.Ref, v1alpha1.ReasonInputInvalid, "name the one called default", errors.New("the provider knows no other than default"))
	}
	id.Type = v1alpha1.AWSControllerIdentity
	return nil
}
