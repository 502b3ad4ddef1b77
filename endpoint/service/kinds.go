package service

import (
	"context"
	"fmt"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	mcs "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	"github.com/hawser-io/hawser/endpoint/follow"
)

// table follows the objects of one kind.
type table = follow.Table[runtime.Object]

// DefaultLook is how often it is looked for kinds that are absent.
const DefaultLook = 30 * time.Second

// exportVersions are the versions of the multi-cluster services API that are understood, best first: what they have in
// common is written in the same way.
var exportVersions = []string{mcs.GroupVersion.Version, "v1alpha1"}

// clients reach one cluster.
type clients struct {
	kube    kubernetes.Interface
	dynamic dynamic.Interface
}

func newClients(config *rest.Config) (clients, error) {
	typed := rest.CopyConfig(config)
	typed.Timeout = 0 // it would cut every watch; tables set the deadlines
	typed.AcceptContentTypes, typed.ContentType = runtime.ContentTypeProtobuf+","+runtime.ContentTypeJSON, runtime.ContentTypeProtobuf
	kube, err := kubernetes.NewForConfig(typed)
	if err != nil {
		return clients{}, fmt.Errorf("making a client: %w", err)
	}
	untyped := rest.CopyConfig(config)
	untyped.Timeout = 0
	objects, err := dynamic.NewForConfig(untyped)
	if err != nil {
		return clients{}, fmt.Errorf("making a client: %w", err)
	}
	return clients{kube, objects}, nil
}

// services follows all of them.
func (c clients) services(context.Context) (follow.Source, error) {
	return follow.Source{
		List: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return c.kube.CoreV1().Services("").List(ctx, o)
		},
		Watch: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return c.kube.CoreV1().Services("").Watch(ctx, o)
		},
	}, nil
}

// namespaces follows their metadata only by name, which is all that is kept of them.
func (c clients) namespaces(context.Context) (follow.Source, error) {
	return follow.Source{
		List: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return c.kube.CoreV1().Namespaces().List(ctx, o)
		},
		Watch: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return c.kube.CoreV1().Namespaces().Watch(ctx, o)
		},
	}, nil
}

// slices follows the EndpointSlices with some labels.
func (c clients) slices(labels string) func(context.Context) (follow.Source, error) {
	return func(context.Context) (follow.Source, error) {
		return follow.Source{
			List: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				o.LabelSelector = labels
				return c.kube.DiscoveryV1().EndpointSlices("").List(ctx, o)
			},
			Watch: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
				o.LabelSelector = labels
				return c.kube.DiscoveryV1().EndpointSlices("").Watch(ctx, o)
			},
		}, nil
	}
}

// Backing slices are those that a cluster's own controllers make: slices with a source cluster were made of those of
// others, and would be told of in a circle.
const backingSlices = discoveryv1.LabelServiceName + ",!" + mcs.LabelSourceCluster

// multicluster follows the objects of a kind of the multi-cluster services API, in the best version that is served, and tells which that is.
func (c clients) multicluster(resource string, chosen func(version string)) func(context.Context) (follow.Source, error) {
	return func(ctx context.Context) (follow.Source, error) {
		for _, version := range exportVersions {
			all := c.dynamic.Resource(schema.GroupVersionResource{Group: mcs.GroupName, Version: version, Resource: resource})
			_, err := all.List(ctx, metav1.ListOptions{Limit: 1})
			if apierrors.IsNotFound(err) {
				continue
			}
			if err != nil {
				return follow.Source{}, err
			}
			chosen(version)
			return follow.Source{
				List:  func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return all.List(ctx, o) },
				Watch: all.Watch,
			}, nil
		}
		return follow.Source{}, follow.ErrAbsent
	}
}

// read makes a typed object of an unstructured one; nil where it is none.
func read[T any](o runtime.Object) *T {
	u, ok := o.(*unstructured.Unstructured)
	if !ok {
		return nil
	}
	typed := new(T)
	if runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, typed) != nil {
		return nil
	}
	return typed
}
