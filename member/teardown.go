package member

import (
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Teardown returns, by name only, what a connection deletes to remove itself from the remote
// cluster by its own right, in this order: first what it reads with, then its right to delete
// bindings, then its namespace, by a right that lies in that namespace. Its account comes after, only
// so that its tokens die some seconds earlier than with the namespace. It is empty for a Foreign
// identity, which holds no such right.
//
// What counts is the namespace: once its deletion is accepted, the connection is gone. For the rest,
// NotFound is as good as deleted, and so are Forbidden and Unauthorized: when a teardown is repeated after
// it was interrupted, the right to a step may be gone with what it was for.
//
// Whoever deletes the binding of a role by a right from that role cannot delete the role afterwards.
// The ClusterRole hawser-from-<local> therefore stays, bound to nobody, unless SetOwner
// tied it to the namespace. What all connections share stays in any case.
func Teardown(local string, id Identity) []client.Object {
	if id == Foreign {
		return nil
	}
	var objs []client.Object
	if id == RenewedCertificate {
		objs = append(objs, &certificatesv1.CertificateSigningRequest{
			TypeMeta:   kind("certificates.k8s.io/v1", "CertificateSigningRequest"),
			ObjectMeta: meta("", RequestName(local), local),
		})
	}
	objs = append(objs,
		clusterRoleBinding(partEndpoints, local),
		clusterRoleBinding(partRequires, local),
		clusterRole(partRequires, local),
		clusterRoleBinding(partConnect, local),
		binding(partConnect, home, local),
		clusterRoleBinding(partSelf, local),
		&corev1.Namespace{TypeMeta: kind("v1", "Namespace"), ObjectMeta: meta("", v1alpha1.MemberNamespace(local), local)},
	)
	if id == ServiceAccount {
		objs = append(objs, account(v1alpha1.MemberNamespace(local), v1alpha1.MemberServiceAccount, local))
	}
	return objs
}
