// Package awsidentity reads AWSIdentity objects, with the Secrets of those that
// are static keys, into the plain data of package aws.
package awsidentity

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/credential"
)

// Reader is an aws.Reader for kind AWSIdentity, and for no other.
type Reader struct {
	Client client.Reader
	// Secrets of the namespace that Hawser runs in.
	Secrets credential.Secrets
}

// Identity implements aws.Reader.
func (r Reader) Identity(ctx context.Context, ref aws.Ref) (aws.Identity, error) {
	if ref.Kind != v1alpha1.KindAWSIdentity {
		return aws.Identity{}, &aws.Error{Ref: ref, Reason: v1alpha1.ReasonIdentityNotFound, Err: errors.New("identities of this kind are not read"),
			Repair: "start the manager with --cluster-api, or name an AWSIdentity"}
	}
	var object v1alpha1.AWSIdentity
	err := r.Client.Get(ctx, client.ObjectKey{Name: ref.Name}, &object)
	switch {
	case apierrors.IsNotFound(err):
		return aws.Identity{}, &aws.Error{Ref: ref, Reason: v1alpha1.ReasonIdentityNotFound, Err: errors.New("it does not exist"),
			Repair: "create it, or name one of: kubectl get awsidentities"}
	case err != nil:
		return aws.Identity{}, fmt.Errorf("reading %s: %w", ref, err)
	}
	id, err := identityOf(&object)
	if err == nil && id.Type == v1alpha1.AWSStaticIdentity {
		err = r.readKeys(ctx, &id, object.Spec.Static.SecretRef.Name)
	}
	return id, err
}

// identityOf is the identity without the keys of a static one.
func identityOf(object *v1alpha1.AWSIdentity) (aws.Identity, error) {
	spec := object.Spec
	id := aws.Identity{
		Ref:      aws.Ref{Kind: v1alpha1.KindAWSIdentity, Name: object.Name},
		Version:  fmt.Sprintf("%s/%d", object.UID, object.Generation),
		Type:     spec.Type,
		Source:   aws.RefOf(spec.SourceIdentityRef),
		Deleting: object.DeletionTimestamp != nil,
	}
	var err error
	if id.Namespaces, err = aws.NamespacesOf(spec.AllowedNamespaces); err != nil {
		return aws.Identity{}, &aws.Error{Ref: id.Ref, Reason: v1alpha1.ReasonSpecInvalid, Err: err, Repair: "correct spec.allowedNamespaces"}
	}
	if r := spec.Role; r != nil {
		id.Role = &aws.Role{
			ARN: r.RoleARN, SessionName: r.SessionName, ExternalID: r.ExternalID, InlinePolicy: r.InlinePolicy,
			PolicyARNs: r.PolicyARNs, Region: r.Region, Duration: time.Duration(r.DurationSeconds) * time.Second,
		}
	}
	return id, nil
}

func (r Reader) readKeys(ctx context.Context, id *aws.Identity, name string) error {
	fault := func(reason, repair string, err error) error {
		return &aws.Error{Ref: id.Ref, Reason: reason, Repair: repair, Err: err}
	}
	secret, err := r.Secrets.Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return fault(v1alpha1.ReasonInputMissing, fmt.Sprintf("create it with the keys %s and %s, and label it %s=true", aws.AccessKeyIDKey, aws.SecretAccessKeyKey, v1alpha1.CredentialsLabel),
			fmt.Errorf("its Secret %q is missing", name))
	case err != nil:
		return fmt.Errorf("reading Secret %q of %s: %w", name, id.Ref, err)
	case secret.Labels[v1alpha1.CredentialsLabel] != "true":
		return fault(v1alpha1.ReasonInputUnlabeled, fmt.Sprintf("label it: kubectl -n %s label secret %s %s=true", secret.Namespace, name, v1alpha1.CredentialsLabel),
			fmt.Errorf("its Secret %q has no label %s=true, so Hawser leaves it alone", name, v1alpha1.CredentialsLabel))
	}
	if id.Keys, err = aws.KeysOf(secret.Data); err != nil {
		return fault(v1alpha1.ReasonInputInvalid, "fill it in", fmt.Errorf("its Secret %q: %w", name, err))
	}
	id.Version += "/" + secret.ResourceVersion
	return nil
}

// Readers reads identities of several kinds, each by its own reader.
type Readers struct {
	// AWSIdentity reads our own kind.
	AWSIdentity aws.Reader
	// ClusterAPI reads those of Cluster API's provider. Nil: they are not read.
	ClusterAPI aws.Reader
}

// Identity implements aws.Reader.
func (r Readers) Identity(ctx context.Context, ref aws.Ref) (aws.Identity, error) {
	if ref.Kind != v1alpha1.KindAWSIdentity && r.ClusterAPI != nil {
		return r.ClusterAPI.Identity(ctx, ref)
	}
	return r.AWSIdentity.Identity(ctx, ref)
}
