package accessrequest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/export"
)

// Annotations of an output, beside v1alpha1.ExpiresAnnotation.
const (
	// FormatAnnotation is the format that it is in.
	FormatAnnotation = "hawser.io/format"
	// specAnnotation is a fingerprint of spec.output that it was made for, and tokenAnnotation one of all that
	// decided which token is in it.
	specAnnotation  = "hawser.io/output-of"
	tokenAnnotation = "hawser.io/token-of"
)

// targetOf is the name of what is written for a request.
func targetOf(ar *v1alpha1.AccessRequest) string {
	if ar.Spec.Output.SecretName != "" {
		return ar.Spec.Output.SecretName
	}
	return ar.Name
}

// output is the Secret that is there for a request; nil where there is none.
type output struct{ secret *corev1.Secret }

func (o *output) exists() bool { return o != nil }

// life is how long the token in it is good for yet.
func (o *output) life(now time.Time) time.Duration {
	if o == nil {
		return 0
	}
	end, err := time.Parse(time.RFC3339, o.secret.Annotations[v1alpha1.ExpiresAnnotation])
	if err != nil {
		return 0
	}
	return end.Sub(now)
}

// notOursError says that something is in the way that a request did not make.
type notOursError struct{ kind, name string }

func (e *notOursError) Error() string {
	return fmt.Sprintf("%s %q is there, and this AccessRequest did not make it: it stays as it is. Delete it, or set spec.output.secretName to another name", e.kind, e.name)
}

// isOurs reports whether an object was made for this very request.
func isOurs(o client.Object, ar *v1alpha1.AccessRequest) bool {
	labels := o.GetLabels()
	return labels[v1alpha1.ManagedByLabel] == v1alpha1.ManagedBy && labels[v1alpha1.RequestLabel] == labelOf(ar.Name) &&
		slices.ContainsFunc(o.GetOwnerReferences(), func(ref metav1.OwnerReference) bool { return ref.UID == ar.UID && ref.Kind == "AccessRequest" })
}

// labelOf is the name of a request as a label holds it, which takes less than a name may have.
func labelOf(name string) string {
	const most = 63
	if len(name) <= most {
		return name
	}
	return name[:most-17] + "-" + credential.Fingerprint([]byte(name))[:16]
}

func ownerOf(ar *v1alpha1.AccessRequest) []metav1.OwnerReference {
	return []metav1.OwnerReference{{APIVersion: v1alpha1.GroupVersion.String(), Kind: "AccessRequest", Name: ar.Name, UID: ar.UID}}
}

// read reads the Secret of a request. One that is not ours is an error.
func (r *Reconciler) read(ctx context.Context, ar *v1alpha1.AccessRequest, name string) (*output, error) {
	var secret corev1.Secret
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: ar.Namespace, Name: name}, &secret)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading Secret %q: %w", name, err)
	case !isOurs(&secret, ar):
		return nil, &notOursError{"Secret", name}
	}
	return &output{&secret}, nil
}

// recovered takes the token out of an output that was written for id, so that a restart goes on with it.
func recovered(have *output, id string, now time.Time) *held {
	if !have.exists() || have.secret.Annotations[tokenAnnotation] != id {
		return nil
	}
	left := have.life(now)
	for _, key := range slices.Sorted(maps.Keys(have.secret.Data)) {
		found := jwt.Find(have.secret.Data[key])
		if found == nil {
			continue
		}
		h := &held{id: id, cred: credential.NewToken(string(found), "")}
		life := h.cred.Lifetime()
		if left <= 0 || left > life || h.cred.IssuedAt.IsZero() {
			return nil
		}
		h.cred.ObtainedAt = now.Add(left - life)
		return h
	}
	return nil
}

// jwt is what tokens of service accounts look like.
var jwt = regexp.MustCompile(`eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+`)

// secretOf is the Secret that a request should have.
func secretOf(ar *v1alpha1.AccessRequest, out export.Output, h *held) (*corev1.Secret, error) {
	spec, err := json.Marshal(ar.Spec.Output)
	if err != nil {
		return nil, fmt.Errorf("encoding spec.output: %w", err)
	}
	end, _ := h.cred.Deadline()
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: ar.Namespace, Name: targetOf(ar), OwnerReferences: ownerOf(ar),
			Labels: map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedBy, v1alpha1.RequestLabel: labelOf(ar.Name)},
			Annotations: map[string]string{
				v1alpha1.ExpiresAnnotation: end.UTC().Format(time.RFC3339),
				FormatAnnotation:           string(ar.Spec.Output.Format),
				specAnnotation:             credential.Fingerprint(spec),
				tokenAnnotation:            h.id,
			},
		},
		Type: out.Type,
		Data: map[string][]byte{},
	}
	maps.Copy(s.Annotations, out.Annotations)
	for label, value := range out.Labels {
		if _, own := s.Labels[label]; !own {
			s.Labels[label] = value
		}
	}
	for key, value := range out.Data {
		s.Data[key] = []byte(value.Reveal())
	}
	return s, nil
}

// put makes the Secret of a request what it should be. Labels and annotations that others have added stay,
// unless another kind of output is wanted: then it is made anew.
func (r *Reconciler) put(ctx context.Context, ar *v1alpha1.AccessRequest, have *output, s *corev1.Secret) error {
	if have.exists() && (have.secret.Type != s.Type || have.secret.Annotations[specAnnotation] != s.Annotations[specAnnotation] || have.secret.Immutable != nil) {
		if err := r.removeNamed(ctx, ar, s.Name); err != nil {
			return err
		}
		have = nil
	}
	if !have.exists() {
		if err := r.Client.Create(ctx, s); err != nil {
			return fmt.Errorf("making Secret %q: %w", s.Name, err)
		}
		return nil
	}
	next := have.secret.DeepCopy()
	next.Data = s.Data
	maps.Copy(next.Labels, s.Labels)
	maps.Copy(next.Annotations, s.Annotations)
	if equality.Semantic.DeepEqual(next, have.secret) {
		return nil
	}
	if err := r.Client.Update(ctx, next); err != nil { // fails if it has changed since it was read
		return fmt.Errorf("writing Secret %q: %w", s.Name, err)
	}
	return nil
}

// removeNamed deletes what a request has written under a name, and nothing else.
func (r *Reconciler) removeNamed(ctx context.Context, ar *v1alpha1.AccessRequest, name string) error {
	have, err := r.read(ctx, ar, name)
	var foreign *notOursError
	if errors.As(err, &foreign) {
		have, err = nil, nil
	}
	if err != nil {
		return err
	}
	format := v1alpha1.OutputFormat("")
	if have.exists() {
		format = v1alpha1.OutputFormat(have.secret.Annotations[FormatAnnotation])
	}
	if format == v1alpha1.OutputClusterProfile || ar.Spec.Output.Format == v1alpha1.OutputClusterProfile {
		if err := r.removeProfile(ctx, ar, name); err != nil {
			return err
		}
	}
	if !have.exists() {
		return nil
	}
	return r.delete(ctx, have.secret)
}

// delete deletes the object that it is given, and no other of the same name.
func (r *Reconciler) delete(ctx context.Context, o client.Object) error {
	uid, version := o.GetUID(), o.GetResourceVersion()
	err := r.Client.Delete(ctx, o, client.Preconditions(metav1.Preconditions{UID: &uid, ResourceVersion: &version}))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting %T %q: %w", o, o.GetName(), err)
	}
	return nil
}

// keyOf is the key of a request.
func keyOf(ar *v1alpha1.AccessRequest) types.NamespacedName { return client.ObjectKeyFromObject(ar) }
