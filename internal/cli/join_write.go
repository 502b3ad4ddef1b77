package cli

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/advice"
	"github.com/hawser-io/hawser/internal/cli/install"
)

// secret is the input Secret as join makes it.
func (j *joining) secret() *corev1.Secret {
	return &corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: j.d.namespace, Name: v1alpha1.InputSecretName(j.name),
			Labels: map[string]string{
				v1alpha1.CredentialsLabel:   "true",
				v1alpha1.ManagedByLabel:     v1alpha1.ManagedBy,
				v1alpha1.RemoteClusterLabel: j.name,
			},
		},
		Type: corev1.SecretTypeOpaque,
	}
}

// writeSecret creates the input Secret or changes that which an earlier join made.
func (j *joining) writeSecret(ctx context.Context, data map[string][]byte, keepOld bool, report install.Report) error {
	wanted := j.secret()
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		var now corev1.Secret
		err := j.here.Client.Get(ctx, client.ObjectKeyFromObject(wanted), &now)
		if apierrors.IsNotFound(err) {
			wanted.Data = data
			if err := j.here.Client.Create(ctx, wanted.DeepCopy(), client.FieldOwner(v1alpha1.FieldManager)); err != nil {
				return fmt.Errorf("creating %s: %w", install.Describe(wanted), err)
			}
			report(wanted, install.Created)
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", install.Describe(wanted), err)
		}
		if !j.overwrites(&now) {
			return j.othersSecret(&now)
		}
		before := now.DeepCopy()
		if now.Labels == nil {
			now.Labels = map[string]string{}
		}
		maps.Copy(now.Labels, wanted.Labels)
		if !keepOld || now.Data == nil {
			now.Data = map[string][]byte{}
		}
		maps.Copy(now.Data, data)
		if reflect.DeepEqual(before, &now) {
			return nil
		}
		if err := j.here.Client.Update(ctx, &now, client.FieldOwner(v1alpha1.FieldManager)); err != nil {
			return fmt.Errorf("updating %s: %w", install.Describe(wanted), err)
		}
		report(wanted, install.Changed)
		return nil
	})
}

// overwrites reports whether the input Secret is ours to write.
func (j *joining) overwrites(now *corev1.Secret) bool {
	return now.Labels[v1alpha1.ManagedByLabel] == v1alpha1.ManagedBy || j.flags.replace
}

// othersSecret says how a new credential comes into an input Secret that is not ours.
func (j *joining) othersSecret(now *corev1.Secret) error {
	owner := now.Labels[v1alpha1.ManagedByLabel]
	if owner == advice.Helm {
		mend := advice.Cluster{Name: j.name, Auth: j.auth.Type, Local: j.local, Release: &advice.Release{Name: now.Annotations[advice.ReleaseNameAnnotation]}}
		return fmt.Errorf("%s is of %s, which would write over what is put there: %s", install.Describe(j.secret()), mend.Release, mend.Rejoin())
	}
	return fmt.Errorf("%s is somebody else's (%s: %q): put the new credential there by the way it came, or overwrite it with --replace",
		install.Describe(j.secret()), v1alpha1.ManagedByLabel, owner)
}

// writeCluster creates the RemoteCluster, or changes what join decides about and leaves the rest.
func (j *joining) writeCluster(ctx context.Context, list *changes) error {
	if j.existing == nil {
		rc := j.remoteCluster(nil)
		if err := j.here.Client.Create(ctx, rc, client.FieldOwner(v1alpha1.FieldManager)); err != nil {
			return explainMissingKind(fmt.Errorf("creating RemoteCluster %q: %w", j.name, err))
		}
		list.add(install.Created, fmt.Sprintf("RemoteCluster %q", j.name))
		j.written = rc
		return nil
	}
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		now, err := getCluster(ctx, j.here.Client, j.name)
		if err != nil {
			return err
		}
		next := j.remoteCluster(now)
		j.written = next
		if reflect.DeepEqual(now, next) {
			return nil
		}
		if err := j.here.Client.Update(ctx, next, client.FieldOwner(v1alpha1.FieldManager)); err != nil {
			return fmt.Errorf("updating RemoteCluster %q: %w", j.name, err)
		}
		list.add(install.Changed, fmt.Sprintf("RemoteCluster %q (%s)", j.name, strings.Join(differingFields(now.Spec, next.Spec), ", ")))
		return nil
	})
}

// remoteCluster is now, or a new one, as join wants it.
func (j *joining) remoteCluster(now *v1alpha1.RemoteCluster) *v1alpha1.RemoteCluster {
	rc := &v1alpha1.RemoteCluster{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "RemoteCluster"},
		ObjectMeta: metav1.ObjectMeta{Name: j.name},
	}
	if now != nil {
		rc = now.DeepCopy()
	}
	delete(rc.Annotations, v1alpha1.RevokedAnnotation)
	spec := &rc.Spec
	spec.Auth, spec.ClusterID, spec.Capabilities, spec.Disabled = j.auth, j.clusterID, j.capabilities(), false
	if j.given("endpoint-cidrs") {
		spec.EndpointCIDRs = j.flags.endpointCIDRs
	}
	spec.Server, spec.CAData, spec.TLSServerName, spec.ProxyURL = "", "", "", ""
	if j.auth.Type != v1alpha1.AuthKubeconfig { // which brings its own
		spec.Server, spec.TLSServerName, spec.ProxyURL = j.endpoint.Server, j.endpoint.TLSServerName, j.endpoint.ProxyURL
		spec.CAData = base64.StdEncoding.EncodeToString(j.endpoint.CAData)
	}
	return rc
}

// tieTogether makes what join has made end together, where the input Secret is join's: the Secret goes with
// the RemoteCluster, also where no manager runs, and the RemoteCluster stays until the manager has removed
// the member install, which nobody but the connection could do without somebody's rights over there. A member
// install of a Helm release is Helm's to remove, and holds nothing.
func (j *joining) tieTogether(ctx context.Context) error {
	var input corev1.Secret
	if err := j.here.Client.Get(ctx, client.ObjectKeyFromObject(j.secret()), &input); err != nil {
		return fmt.Errorf("reading %s: %w", install.Describe(j.secret()), err)
	}
	if input.Labels[v1alpha1.ManagedByLabel] != v1alpha1.ManagedBy {
		return nil
	}
	owner := metav1.OwnerReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: "RemoteCluster", Name: j.name, UID: j.written.UID}
	if !slices.Contains(input.OwnerReferences, owner) {
		before := input.DeepCopy()
		input.OwnerReferences = []metav1.OwnerReference{owner}
		if err := j.here.Client.Patch(ctx, &input, client.MergeFrom(before), client.FieldOwner(v1alpha1.FieldManager)); err != nil {
			return fmt.Errorf("updating %s: %w", install.Describe(j.secret()), err)
		}
	}
	release, err := install.ReleaseOf(ctx, j.there.Client, j.local)
	if err != nil || release != nil {
		return err
	}
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		now, err := getCluster(ctx, j.here.Client, j.name)
		if err != nil {
			return err
		}
		before := now.DeepCopy()
		if now.Labels[v1alpha1.ManagedByLabel] == advice.Helm || !controllerutil.AddFinalizer(now, v1alpha1.Finalizer) {
			return nil
		}
		if err := j.here.Client.Patch(ctx, now, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
			return fmt.Errorf("updating RemoteCluster %q: %w", j.name, err)
		}
		return nil
	})
}

// differingFields names what differs between two specs; what is not in the spec is the revocation.
func differingFields(a, b v1alpha1.RemoteClusterSpec) []string {
	fields := func(spec v1alpha1.RemoteClusterSpec) map[string]json.RawMessage {
		var m map[string]json.RawMessage
		text, _ := json.Marshal(spec)
		_ = json.Unmarshal(text, &m)
		return m
	}
	before, after := fields(a), fields(b)
	var differing []string
	for name := range maps.Keys(before) {
		if string(before[name]) != string(after[name]) {
			differing = append(differing, name)
		}
	}
	for name := range maps.Keys(after) {
		if _, known := before[name]; !known {
			differing = append(differing, name)
		}
	}
	if len(differing) == 0 {
		return []string{"no longer revoked"}
	}
	slices.Sort(differing)
	return differing
}
