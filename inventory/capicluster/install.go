package capicluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/member"
)

const (
	// requestTimeout is the deadline of each request with the administrator's credential.
	requestTimeout = 10 * time.Second
	// An API server may need settleTime to notice what was just applied: the account, and the lifetime that
	// its namespace allows, reach admission by watches. It is asked again every pollInterval.
	settleTime   = 15 * time.Second
	pollInterval = 250 * time.Millisecond
)

// installer acts in a remote cluster with its administrator's credential. It touches nothing that Hawser did not make.
type installer struct {
	http      *http.Client
	objects   dynamic.Interface
	clientset kubernetes.Interface
}

func newInstaller(admin credential.Credential) (*installer, error) {
	config, err := configOf(admin)
	if err != nil {
		return nil, err
	}
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	i := &installer{http: httpClient}
	if i.objects, err = dynamic.NewForConfigAndClient(config, httpClient); err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	if i.clientset, err = kubernetes.NewForConfigAndClient(config, httpClient); err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	return i, nil
}

// close ends the connections: the administrator's credential is not needed again soon.
func (i *installer) close() { utilnet.CloseIdleConnectionsFor(i.http.Transport) }

// configOf is a configuration for clients that authenticate with a credential that brings its endpoint.
func configOf(c credential.Credential) (*rest.Config, error) {
	config := &rest.Config{
		Host:            c.Endpoint.Server,
		TLSClientConfig: rest.TLSClientConfig{CAData: c.Endpoint.CAData, ServerName: c.Endpoint.TLSServerName},
		BearerToken:     c.Token.Reveal(),
		Timeout:         requestTimeout,
		QPS:             -1,
		UserAgent:       "hawser-inventory-capicluster",
	}
	if c.Certificate != nil {
		config.CertData, config.KeyData = c.Certificate.CertPEM, []byte(c.Certificate.KeyPEM.Reveal())
	}
	if c.Endpoint.ProxyURL != "" {
		proxy, err := url.Parse(c.Endpoint.ProxyURL)
		if err != nil {
			return nil, errors.New("proxy-url is no URL")
		}
		config.Proxy = http.ProxyURL(proxy)
	}
	return config, nil
}

// install applies the member side, and removes what an earlier install with wider options left.
func (i *installer) install(ctx context.Context, o member.Options) error {
	objs := member.Objects(o)
	own := func(obj client.Object) bool { return isNamespace(obj, v1alpha1.MemberNamespace(o.Local)) }
	for _, obj := range objs {
		if own(obj) {
			applied, err := i.apply(ctx, obj)
			if err != nil {
				return err
			}
			member.SetOwner(objs, applied.GetUID())
		}
	}
	for _, obj := range objs {
		if own(obj) {
			continue
		}
		if _, err := i.apply(ctx, obj); err != nil {
			return err
		}
	}
	for _, obj := range member.Obsolete(o) {
		if err := i.remove(ctx, obj); err != nil {
			return err
		}
	}
	return nil
}

func isNamespace(obj client.Object, name string) bool {
	_, ok := obj.(*corev1.Namespace)
	return ok && obj.GetName() == name
}

// resource is where objects of a kind are.
func (i *installer) resource(obj client.Object) dynamic.ResourceInterface {
	kind, _ := meta.UnsafeGuessKindToResource(obj.GetObjectKind().GroupVersionKind())
	return i.objects.Resource(kind).Namespace(obj.GetNamespace())
}

// apply applies one object. The namespace that Hawser itself may run in is made where it is missing, and otherwise left
// to whoever made it; any other object that is not Hawser's is an error.
func (i *installer) apply(ctx context.Context, obj client.Object) (*unstructured.Unstructured, error) {
	resource := i.resource(obj)
	now, err := resource.Get(ctx, obj.GetName(), metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", describe(obj), err)
	case now.GetDeletionTimestamp() != nil:
		return nil, fmt.Errorf("applying %s: it is being deleted", describe(obj))
	case isNamespace(obj, v1alpha1.Namespace):
		return now, nil
	case now.GetLabels()[v1alpha1.ManagedByLabel] != v1alpha1.ManagedBy:
		return nil, fmt.Errorf("applying %s: it exists and is not Hawser's (no label %s=%s): rename or remove it", describe(obj), v1alpha1.ManagedByLabel, v1alpha1.ManagedBy)
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return nil, fmt.Errorf("converting %s: %w", describe(obj), err)
	}
	unstructured.RemoveNestedField(fields, "status")
	unstructured.RemoveNestedField(fields, "metadata", "creationTimestamp")
	applied, err := resource.Apply(ctx, obj.GetName(), &unstructured.Unstructured{Object: fields}, metav1.ApplyOptions{FieldManager: v1alpha1.FieldManager, Force: true})
	if err != nil {
		return nil, fmt.Errorf("applying %s: %w", describe(obj), err)
	}
	return applied, nil
}

// remove deletes an object, given by name, if it is Hawser's.
func (i *installer) remove(ctx context.Context, obj client.Object) error {
	resource := i.resource(obj)
	now, err := resource.Get(ctx, obj.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) || (err == nil && now.GetLabels()[v1alpha1.ManagedByLabel] != v1alpha1.ManagedBy) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", describe(obj), err)
	}
	uid := now.GetUID()
	err = resource.Delete(ctx, obj.GetName(), metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting %s: %w", describe(obj), err)
	}
	return nil
}

// mint makes a token of the member side's account. Right after an install the API server is given time to
// notice it.
func (i *installer) mint(ctx context.Context, local string, lifetime time.Duration, fresh bool) (credential.Credential, error) {
	namespace, account := v1alpha1.MemberNamespace(local), v1alpha1.MemberServiceAccount
	seconds := int64(lifetime / time.Second)
	var answer *authenticationv1.TokenRequest
	var last error
	err := wait.PollUntilContextTimeout(ctx, pollInterval, settleTime, true, func(ctx context.Context) (bool, error) {
		answer, last = i.clientset.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account,
			&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}, metav1.CreateOptions{})
		if last != nil && strings.Contains(last.Error(), "cannot create resource") {
			return false, last // RBAC: the kubeconfig is of no administrator
		}
		unsettled := apierrors.IsNotFound(last) || apierrors.IsForbidden(last) || apierrors.IsInvalid(last) || apierrors.IsInternalError(last)
		if fresh && unsettled {
			return false, nil
		}
		return last == nil, last
	})
	if apierrors.IsNotFound(last) && !fresh {
		return credential.Credential{}, credential.InvalidInput("service account %q in namespace %q is gone: somebody removed the member side, and it is not installed again before a restart", account, namespace)
	}
	if err != nil {
		return credential.Credential{}, fmt.Errorf("minting a token of service account %q in namespace %q: %w", account, namespace, cmp.Or(last, err))
	}
	c := credential.NewToken(answer.Status.Token, "")
	c.ExpiresAt = answer.Status.ExpirationTimestamp.Time
	return c, nil
}

// explain says what an answer of the API server says about the kubeconfig. Errors of the way there are left as they are.
func explain(err error) error {
	switch {
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("%w: %w", credential.ErrRefused, err)
	case apierrors.IsForbidden(err):
		return &credential.InputError{Reason: v1alpha1.ReasonInputForbidden, Err: err}
	}
	return err
}

// describe names an object as a person would: Role "hawser-connect" in namespace "hawser".
func describe(obj client.Object) string {
	kind := obj.GetObjectKind().GroupVersionKind().Kind
	if obj.GetNamespace() == "" {
		return fmt.Sprintf("%s %q", kind, obj.GetName())
	}
	return fmt.Sprintf("%s %q in namespace %q", kind, obj.GetName(), obj.GetNamespace())
}
