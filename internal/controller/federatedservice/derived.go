package federatedservice

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	mcs "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/service"
)

// keepDerived makes the Service that gives an import its address, or brings it to what it is to be. A Problem is why
// there is none, or it is not that.
func (c *Controller) keepDerived(ctx context.Context, key service.Key, im *mcs.ServiceImport, folded *service.Import) (*corev1.Service, service.Problem, error) {
	name := service.DerivedName(key.Namespace, key.Name)
	if len(folded.Ports) == 0 {
		return nil, service.Problem{Reason: string(mcs.ServiceImportReasonPending), Message: "no export has a port, and so there is nothing that an address could be for"}, c.dropDerived(ctx, key)
	}
	have := c.local.Service(key.Namespace, name)
	if have != nil && have.DeletionTimestamp != nil {
		return nil, service.Problem{Reason: string(mcs.ServiceImportReasonPending), Message: "the Service of an earlier import is being deleted"}, nil
	}
	if have != nil && !owned(have, im) { // it goes with an earlier import of the name
		return nil, service.Problem{}, c.again(c.dropDerived(ctx, key))
	}
	all := c.leader.kube.CoreV1().Services(key.Namespace)
	if have == nil {
		fresh := newDerived(key, name, im, folded)
		written, err := all.Create(ctx, fresh, metav1.CreateOptions{FieldManager: fieldManager})
		return c.wroteDerived(key, name, written, err)
	}
	next := have.DeepCopy()
	shape(&next.Spec, folded)
	if sameShape(&have.Spec, &next.Spec) {
		return have, service.Problem{}, nil
	}
	written, err := all.Update(ctx, next, metav1.UpdateOptions{FieldManager: fieldManager})
	if apierrors.IsInvalid(err) { // what is there has the address, and carries what it did
		return have, service.Problem{Reason: service.ReasonNotWritten, Message: fmt.Sprintf("the Service that has the address stays as it was, as the local cluster does not accept what it is to be: %s", err)}, nil
	}
	return c.wroteDerived(key, name, written, err)
}

func (*Controller) again(err error) error {
	if err != nil {
		return err
	}
	return errAgain
}

func (c *Controller) wroteDerived(key service.Key, name string, written *corev1.Service, err error) (*corev1.Service, service.Problem, error) {
	switch {
	case err == nil:
		c.local.WroteService(written)
		return written, service.Problem{}, nil
	case apierrors.IsAlreadyExists(err):
		if c.local.Service(key.Namespace, name) != nil || !c.local.HasService(key.Namespace, name) {
			return nil, service.Problem{}, errAgain // it is ours, or the watch has yet to tell
		}
		return nil, service.Problem{Reason: service.ReasonNotOurs, Message: fmt.Sprintf("Service %q, which is to have the address, is not made by Hawser, and so is left alone", name)}, nil
	case apierrors.IsInvalid(err):
		return nil, service.Problem{Reason: string(mcs.ServiceImportReasonIPFamilyNotSupported), Message: fmt.Sprintf("the local cluster does not accept the Service that is to have the address: %s", err)}, nil
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return nil, service.Problem{}, errAgain
	}
	return nil, service.Problem{}, fmt.Errorf("writing Service %q in namespace %q: %w", name, key.Namespace, err)
}

// derived is the Service that gives the import of a key its address, and stays; nil: there is none.
func (c *Controller) derived(key service.Key) *corev1.Service {
	s := c.local.Service(key.Namespace, service.DerivedName(key.Namespace, key.Name))
	if s == nil || !ours(s) || s.DeletionTimestamp != nil {
		return nil
	}
	return s
}

// dropDerived removes the Service of an import.
func (c *Controller) dropDerived(ctx context.Context, key service.Key) error {
	s := c.derived(key)
	if s == nil {
		return nil
	}
	err := c.leader.kube.CoreV1().Services(s.Namespace).Delete(ctx, s.Name, preconditions(s.UID))
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("deleting Service %q in namespace %q: %w", s.Name, s.Namespace, err)
	}
	return nil
}

func owned(s *corev1.Service, im *mcs.ServiceImport) bool {
	return slices.ContainsFunc(s.OwnerReferences, func(o metav1.OwnerReference) bool { return o.UID == im.UID })
}

func newDerived(key service.Key, name string, im *mcs.ServiceImport, folded *service.Import) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{
		Namespace: key.Namespace, Name: name,
		Labels:          map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedBy, mcs.LabelServiceName: key.Name},
		OwnerReferences: []metav1.OwnerReference{{APIVersion: im.APIVersion, Kind: mcs.ServiceImportKindName, Name: im.Name, UID: im.UID}},
	}}
	shape(&s.Spec, folded)
	switch len(folded.Families) {
	case 1:
		s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPFamily(folded.Families[0])}
	case 2:
		s.Spec.IPFamilyPolicy = new(corev1.IPFamilyPolicyPreferDualStack)
	}
	return s
}

// shape brings a Service to what exports say of how its address is used.
func shape(spec *corev1.ServiceSpec, folded *service.Import) {
	wanted := folded.Spec()
	var ports []corev1.ServicePort
	for _, p := range wanted.Ports {
		port := corev1.ServicePort{Name: p.Name, Protocol: p.Protocol, Port: p.Port, AppProtocol: p.AppProtocol}
		for _, old := range spec.Ports {
			if old.Name == p.Name {
				port.TargetPort = old.TargetPort // it is not used, and has a default
			}
		}
		ports = append(ports, port)
	}
	spec.Ports = ports
	spec.SessionAffinity = wanted.SessionAffinity
	spec.SessionAffinityConfig = wanted.SessionAffinityConfig
	spec.InternalTrafficPolicy = new(corev1.ServiceInternalTrafficPolicyCluster)
	if wanted.InternalTrafficPolicy != nil {
		spec.InternalTrafficPolicy = wanted.InternalTrafficPolicy
	}
	spec.TrafficDistribution = wanted.TrafficDistribution
}

func sameShape(a, b *corev1.ServiceSpec) bool {
	return equality.Semantic.DeepEqual(a.Ports, b.Ports) && a.SessionAffinity == b.SessionAffinity &&
		equality.Semantic.DeepEqual(a.SessionAffinityConfig, b.SessionAffinityConfig) &&
		equality.Semantic.DeepEqual(a.InternalTrafficPolicy, b.InternalTrafficPolicy) &&
		equality.Semantic.DeepEqual(a.TrafficDistribution, b.TrafficDistribution)
}
