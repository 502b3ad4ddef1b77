package wire

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hawser-io/hawser/endpoint/index"
)

// The kinds that are read.
const (
	KindPod            = "Pod"
	KindNode           = "Node"
	KindNamespace      = "Namespace"
	KindServiceAccount = "ServiceAccount"
)

// Object is what is read of a pod, node, namespace or service account, or of one of Calico's kinds. Of its ObjectMeta
// only name, namespace, uid, resourceVersion, deletionTimestamp and the annotations of Annotations are set: labels are in
// Own. It is not to be changed.
type Object struct {
	metav1.TypeMeta
	metav1.ObjectMeta

	// Own are the labels, in any order.
	Own []index.Label

	// Of pods:
	ServiceAccount string
	Node           string
	HostNetwork    bool
	Phase          string
	IP             string   // status.podIP
	IPs            []string // status.podIPs; of host endpoints expectedIPs, of network sets nets
	Ports          []index.Port

	// Of nodes:
	Addresses []NodeAddress
}

// NodeAddress is one of a node's, with its type: InternalIP, ExternalIP, Hostname, and others.
type NodeAddress struct{ Type, Address string }

// Annotations that are kept: the addresses of pods where the status lacks them, and the end of a list that is
// streamed.
const (
	CNIPodIP  = "cni.projectcalico.org/podIP"
	CNIPodIPs = "cni.projectcalico.org/podIPs"
	AWSPodIPs = "vpc.amazonaws.com/pod-ips"
)

// mostAnnotation is how many bytes of one are kept: more addresses than a pod has. Anybody who makes pods can write one of
// 256 KiB.
const mostAnnotation = 1024

func kept(annotation string) bool {
	switch annotation {
	case CNIPodIP, CNIPodIPs, AWSPodIPs, metav1.InitialEventsAnnotationKey:
		return true
	}
	return false
}

// DeepCopyObject implements runtime.Object. An Object does not change, and so is shared.
func (o *Object) DeepCopyObject() runtime.Object {
	shared := *o
	return &shared
}

// List is many Objects.
type List struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []Object
}

// DeepCopyObject implements runtime.Object. What is in a List does not change, and so is shared.
func (l *List) DeepCopyObject() runtime.Object {
	shared := *l
	return &shared
}

var (
	_ runtime.Object       = (*Object)(nil)
	_ metav1.Object        = (*Object)(nil)
	_ runtime.Object       = (*List)(nil)
	_ metav1.ListInterface = (*List)(nil)
)

func uid(b []byte) types.UID { return types.UID(b) }
