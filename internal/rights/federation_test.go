package rights_test

import (
	"fmt"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/mcs-api/config/crd"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
)

// fixtures are the kinds of others that endpoints are read from and become.
const fixtures = "../../endpoint/calico/testdata/"

// federation lets the manager follow the endpoints of alpha and of the local cluster, and make of them everything that
// it can. It comes last: some of its roles are for the whole cluster what others are for a namespace.
func (w *world) federation(ada, vera *rest.Config) {
	w.t.Helper()
	w.stop("primary/" + manager)
	w.calico(w.primary)
	w.calico(w.alpha)
	w.primary.Install(w.t, "../../config/endpoints/*.yaml", fixtures+"ciliumcidrgroups.cilium.io.yaml", fixtures+"clusternetworkpolicies.policy.networking.k8s.io.yaml")
	const ns = "federated"
	for _, c := range []*fleettest.Cluster{w.primary, w.alpha} {
		for _, text := range [][]byte{crd.ServiceExportCRD, crd.ServiceImportCRD} {
			if err := c.Apply(w.t.Context(), text); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	for _, c := range []client.Client{w.admin, w.far} {
		w.create(c, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})
	}
	w.startManager("--endpoints", "--query-bind-address", "0")
	w.hawser(ada, "join", "alpha", "--remote-context", "alpha", "--capabilities", "endpoints")
	if err := w.admin.Patch(w.t.Context(), &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "alpha"}}, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"endpointCIDRs":["10.65.0.0/16"]}}`))); err != nil {
		w.t.Fatal(err)
	}
	w.ready("alpha")
	w.ranges()
	w.pod(ns, "one", "10.65.0.1")

	w.authors(ada)
	w.sets(ns)
	w.policies(ns)
	w.services(ns)
	w.moveCalico(ns)
	c := clientOf(w.t, vera)
	for _, list := range []client.ObjectList{&v1alpha1.EndpointSetList{}, &v1alpha1.FederatedNetworkPolicyList{}} {
		w.read(c, list)
	}
	for _, obj := range federated("default") {
		if err := c.Get(w.t.Context(), client.ObjectKeyFromObject(obj), obj); client.IgnoreNotFound(err) != nil {
			w.t.Error(err)
		}
	}
}

// authors writes what is federated, as people who may write what comes of it; and asks what becomes of it.
func (w *world) authors(ada *rest.Config) {
	w.t.Helper()
	writes := rbacv1.PolicyRule{APIGroups: []string{"networking.k8s.io"}, Resources: []string{"networkpolicies"}, Verbs: []string{"create", "update", "delete"}}
	w.create(w.admin, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "writer-of-policies"}, Rules: []rbacv1.PolicyRule{writes}})
	w.bind(w.admin, "ada", "writer-of-policies")
	w.bind(w.admin, "paul", "writer-of-policies", "hawser-policy-author")
	paul := clientOf(w.t, person(w.t, w.primary, "paul"))
	w.write(w.admin, clientOf(w.t, ada), federated("default")...)
	w.write(paul, paul, federated("default")[1])
	w.read(paul, &v1alpha1.FederatedNetworkPolicyList{})

	w.create(w.admin, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: "hawser-endpoints-viewer-eve"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "hawser-endpoints-viewer"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "person:eve"}},
	})
	eve := clientOf(w.t, person(w.t, w.primary, "eve"))
	w.eventually("the right to list the manager's pods", func() error {
		return eve.List(w.t.Context(), &corev1.PodList{}, client.InNamespace(v1alpha1.Namespace))
	})
	if err := eve.Get(w.t.Context(), client.ObjectKey{Namespace: v1alpha1.Namespace, Name: "some"}, &corev1.Pod{}); !apierrors.IsNotFound(err) {
		w.t.Error(err)
	}
	// Nothing here runs pods: that there is none is as far as a port-forward comes.
	core := kubernetes.NewForConfigOrDie(person(w.t, w.primary, "eve")).CoreV1().RESTClient()
	for _, verb := range []string{"GET", "POST"} {
		if err := core.Verb(verb).Namespace(v1alpha1.Namespace).Resource("pods").Name("some").SubResource("portforward").Do(w.t.Context()).Error(); !apierrors.IsNotFound(err) {
			w.t.Error(err)
		}
	}
}

// federated are objects that nothing comes of.
func federated(namespace string) []client.Object {
	nowhere := v1alpha1.ClusterScope{Names: []string{"nowhere"}}
	return []client.Object{
		&v1alpha1.EndpointSet{ObjectMeta: metav1.ObjectMeta{Name: "some"}, Spec: v1alpha1.EndpointSetSpec{Selector: "has(never)", Clusters: nowhere}},
		&v1alpha1.FederatedNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "some"}, Spec: v1alpha1.FederatedNetworkPolicySpec{Selector: "has(never)", Clusters: nowhere}},
	}
}

// calico installs Calico's kinds, in its API and in its storage, as a cluster has them that runs Calico's API server.
func (w *world) calico(c *fleettest.Cluster) {
	w.t.Helper()
	for _, kind := range []string{"hostendpoints", "networksets", "globalnetworksets", "ippools"} {
		text, err := os.ReadFile(fixtures + kind + ".projectcalico.org.yaml")
		if err != nil {
			w.t.Fatal(err)
		}
		store := strings.NewReplacer(kind+".projectcalico.org", kind+".crd.projectcalico.org", "group: projectcalico.org", "group: crd.projectcalico.org", "name: v3", "name: v1").Replace(string(text))
		for _, text := range []string{string(text), store} {
			if err := c.Apply(w.t.Context(), []byte(text)); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	c.Install(w.t, fixtures+"networkpolicies.projectcalico.org.yaml")
}

// ranges reads of alpha what hawser check addresses reads.
func (w *world) ranges() {
	w.t.Helper()
	connection := clientOf(w.t, w.alpha.TokenConfig(w.memberToken(w.alpha)))
	for _, kind := range []schema.GroupVersionKind{
		{Group: "crd.projectcalico.org", Version: "v1", Kind: "IPPoolList"}, {Group: "projectcalico.org", Version: "v3", Kind: "IPPoolList"},
		{Group: "networking.k8s.io", Version: "v1", Kind: "ServiceCIDRList"},
	} {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind)
		w.eventually("a list of "+kind.Kind, func() error { return connection.List(w.t.Context(), list) })
	}
}

// moveCalico takes the storage away: what is read of it is then read of the API.
func (w *world) moveCalico(ns string) {
	w.t.Helper()
	for _, kind := range []string{"HostEndpoint", "NetworkSet", "GlobalNetworkSet"} {
		for _, c := range []client.Client{w.admin, w.far} {
			def := &unstructured.Unstructured{}
			def.SetAPIVersion("apiextensions.k8s.io/v1")
			def.SetKind("CustomResourceDefinition")
			def.SetName(strings.ToLower(kind) + "s.crd.projectcalico.org")
			w.delete(c, def)
		}
	}
	set := &v1alpha1.EndpointSet{ObjectMeta: metav1.ObjectMeta{Name: "hosts"}, Spec: v1alpha1.EndpointSetSpec{
		Selector: "has(late)", Clusters: v1alpha1.ClusterScope{Local: true, All: true}, Outputs: []v1alpha1.EndpointOutput{{Name: "cm", ConfigMap: &v1alpha1.ConfigMapOutput{Namespace: ns}}},
	}}
	w.create(w.admin, set)
	want := int64(0)
	for i, spec := range []string{`{"expectedIPs":["10.65.9.%d"],"node":"n"}`, `{"nets":["10.65.9.%d/32"]}`, `{"nets":["10.65.9.%d/32"]}`} {
		for n, c := range []client.Client{w.admin, w.far} {
			kind := []string{"HostEndpoint", "NetworkSet", "GlobalNetworkSet"}[i]
			text := fmt.Sprintf(`{"apiVersion":"projectcalico.org/v3","kind":%q,"metadata":{"name":"late","labels":{"late":"1"}},"spec":%s}`, kind, fmt.Sprintf(spec, 10*i+n))
			u := &unstructured.Unstructured{}
			if err := u.UnmarshalJSON([]byte(text)); err != nil {
				w.t.Fatal(err)
			}
			if kind == "NetworkSet" {
				u.SetNamespace(ns)
			}
			w.create(c, u)
			want++
		}
	}
	w.counts(set, want)
	w.delete(w.admin, set)
}

// pod makes a pod that runs in alpha, as far as anybody knows, or gives it another address.
func (w *world) pod(ns, name, ip string) {
	w.t.Helper()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Labels: map[string]string{"app": "web"}}, Spec: corev1.PodSpec{
		NodeName: "n", Containers: []corev1.Container{{Name: "c", Image: "i", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}},
	}}
	w.create(w.far, p)
	status := corev1.PodStatus{Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}}}
	p.Status = status
	if err := w.far.Status().Update(w.t.Context(), p); err != nil {
		w.t.Fatal(err)
	}
}

func statusOf(obj client.Object) *v1alpha1.FederationStatus {
	if set, ok := obj.(*v1alpha1.EndpointSet); ok {
		return &set.Status
	}
	return &obj.(*v1alpha1.FederatedNetworkPolicy).Status
}

// counts waits until something that is federated is Ready, and has so many endpoints.
func (w *world) counts(obj client.Object, endpoints int64) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%T %s to have %d endpoints", obj, obj.GetName(), endpoints), func() error {
		if err := w.admin.Get(w.t.Context(), client.ObjectKeyFromObject(obj), obj); err != nil {
			return err
		}
		s := statusOf(obj)
		if !meta.IsStatusConditionTrue(s.Conditions, v1alpha1.Ready) || s.Endpoints != endpoints || s.ObservedGeneration != obj.GetGeneration() {
			return fmt.Errorf("it is %+v", *s)
		}
		return nil
	})
}

func (w *world) edit(obj client.Object, change func()) {
	w.t.Helper()
	w.eventually("an edit of "+obj.GetName(), func() error {
		if err := w.admin.Get(w.t.Context(), client.ObjectKeyFromObject(obj), obj); err != nil {
			return err
		}
		change()
		return w.admin.Update(w.t.Context(), obj)
	})
}

// sets makes every output of an EndpointSet, changes what is in it, and takes the outputs away.
func (w *world) sets(ns string) {
	w.t.Helper()
	all := metav1.LabelSelector{}
	set := &v1alpha1.EndpointSet{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: v1alpha1.EndpointSetSpec{
		Selector: `app == "web"`, Clusters: v1alpha1.ClusterScope{All: true},
		Outputs: []v1alpha1.EndpointOutput{
			{Name: "cm", ConfigMap: &v1alpha1.ConfigMapOutput{Namespace: ns}},
			{Name: "np", NetworkPolicy: &v1alpha1.NetworkPolicyOutput{Namespace: ns, PodSelector: all, Types: []v1alpha1.PolicyType{v1alpha1.PolicyTypeIngress}}},
			{Name: "ns", CalicoNetworkSet: &v1alpha1.CalicoNetworkSetOutput{Namespace: ns}},
			{Name: "gns", CalicoNetworkSet: &v1alpha1.CalicoNetworkSetOutput{}},
			{Name: "cg", CiliumCIDRGroup: &v1alpha1.CiliumCIDRGroupOutput{}},
		},
	}}
	w.create(w.admin, set)
	w.counts(set, 1)
	w.pod(ns, "two", "10.65.0.2")
	w.counts(set, 2)
	w.eventually("two addresses in each output", func() error {
		var cm corev1.ConfigMap
		if err := w.admin.Get(w.t.Context(), client.ObjectKey{Namespace: ns, Name: "web-cm-alpha"}, &cm); err != nil || strings.Count(cm.Data["addresses"], "10.65.") != 2 {
			return fmt.Errorf("it has %q, or: %w", cm.Data["addresses"], err)
		}
		return nil
	})
	w.edit(set, func() { set.Spec.Outputs = nil })
	w.counts(set, 2)
	w.eventually("the outputs to be gone", func() error {
		var maps corev1.ConfigMapList
		var policies networkingv1.NetworkPolicyList
		managed := client.MatchingLabels{v1alpha1.ManagedByLabel: v1alpha1.ManagedBy}
		if err := w.admin.List(w.t.Context(), &maps, client.InNamespace(ns), managed); err != nil {
			return err
		}
		if err := w.admin.List(w.t.Context(), &policies, client.InNamespace(ns), managed); err != nil {
			return err
		}
		if n := len(maps.Items) + len(policies.Items); n > 0 {
			return fmt.Errorf("%d are there", n)
		}
		return nil
	})
	w.delete(w.admin, set)
}

// policies renders one policy to each target after the other.
func (w *world) policies(ns string) {
	w.t.Helper()
	web := "app == 'web'"
	p := &v1alpha1.FederatedNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "shop"}, Spec: v1alpha1.FederatedNetworkPolicySpec{
		Selector: "role == 'shop'", Clusters: v1alpha1.ClusterScope{Names: []string{"alpha"}},
		Egress: []v1alpha1.FederatedRule{{Action: "Allow", Protocol: "TCP", Destination: &v1alpha1.FederatedPeer{Selector: &web, Ports: []intstr.IntOrString{intstr.FromInt32(443)}}}},
	}}
	w.create(w.admin, p)
	endpoints := int64(2)
	w.counts(p, endpoints)
	for _, target := range []v1alpha1.PolicyTarget{v1alpha1.TargetCalico, v1alpha1.TargetClusterNetworkPolicy, v1alpha1.TargetNetworkPolicy} {
		w.edit(p, func() {
			p.Spec.Target, p.Spec.ClusterNetworkPolicy = target, nil
			if target == v1alpha1.TargetClusterNetworkPolicy {
				p.Spec.ClusterNetworkPolicy = &v1alpha1.ClusterNetworkPolicyTarget{Priority: 10}
			}
		})
		w.counts(p, endpoints)
		endpoints++
		w.pod(ns, fmt.Sprintf("of-%d", endpoints), fmt.Sprintf("10.65.0.%d", endpoints))
		w.counts(p, endpoints)
		// What is of no cluster changes, too.
		w.edit(p, func() { p.Spec.Selector = fmt.Sprintf("role == 'shop' && step != '%d'", endpoints) })
		w.counts(p, endpoints)
	}
	w.delete(w.admin, p)
}

// services gives a Service the endpoints of alpha's, and imports what both export.
func (w *world) services(ns string) {
	w.t.Helper()
	ports := []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}}
	for _, c := range []client.Client{w.admin, w.far} {
		export := &unstructured.Unstructured{}
		export.SetAPIVersion("multicluster.x-k8s.io/v1beta1")
		export.SetKind("ServiceExport")
		export.SetNamespace(ns)
		export.SetName("backend")
		w.create(c, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "backend", Labels: map[string]string{"app": "backend"}}, Spec: corev1.ServiceSpec{Ports: ports}}, export)
	}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: ns, Name: "backend-1", Labels: map[string]string{discoveryv1.LabelServiceName: "backend"}},
		AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.65.0.1"}}},
		Ports: []discoveryv1.EndpointPort{{Name: new("http"), Port: new(int32(8080)), Protocol: new(corev1.ProtocolTCP)}},
	}
	w.create(w.far, slice)
	all := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "all", Annotations: map[string]string{"hawser.io/serviceSelector": `app == "backend"`}},
		Spec:       corev1.ServiceSpec{Ports: ports},
	}
	w.create(w.admin, all)
	has := func(want string) {
		w.t.Helper()
		w.eventually("EndpointSlices with "+want, func() error {
			var slices discoveryv1.EndpointSliceList
			if err := w.admin.List(w.t.Context(), &slices, client.InNamespace(ns), client.MatchingLabels{discoveryv1.LabelServiceName: "all"}); err != nil {
				return err
			}
			got := ""
			for _, s := range slices.Items {
				for _, e := range s.Endpoints {
					got += e.Addresses[0]
				}
			}
			if got != want {
				return fmt.Errorf("there is %q", got)
			}
			return nil
		})
	}
	has("10.65.0.1")
	imported := &unstructured.Unstructured{}
	imported.SetAPIVersion("multicluster.x-k8s.io/v1beta1")
	imported.SetKind("ServiceImport")
	importedPorts := func(want int) {
		w.t.Helper()
		w.eventually(fmt.Sprintf("an import with %d ports", want), func() error {
			if err := w.admin.Get(w.t.Context(), client.ObjectKey{Namespace: ns, Name: "backend"}, imported); err != nil {
				return err
			}
			if ports, _, _ := unstructured.NestedSlice(imported.Object, "spec", "ports"); len(ports) != want {
				return fmt.Errorf("it has %v", ports)
			}
			return nil
		})
	}
	importedPorts(1)
	for _, c := range []client.Client{w.admin, w.far} {
		if err := c.Patch(w.t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "backend"}}, client.RawPatch(types.JSONPatchType,
			[]byte(`[{"op":"add","path":"/spec/ports/-","value":{"name":"metrics","port":9090}}]`))); err != nil {
			w.t.Fatal(err)
		}
	}
	importedPorts(2)
	if err := w.far.Patch(w.t.Context(), slice, client.RawPatch(types.MergePatchType, []byte(`{"endpoints":[{"addresses":["10.65.0.9"]}]}`))); err != nil {
		w.t.Fatal(err)
	}
	has("10.65.0.9")
	w.edit(all, func() { all.Annotations = nil })
	has("")
	for _, c := range []client.Client{w.admin, w.far} {
		export := &unstructured.Unstructured{}
		export.SetAPIVersion("multicluster.x-k8s.io/v1beta1")
		export.SetKind("ServiceExport")
		export.SetNamespace(ns)
		export.SetName("backend")
		w.delete(c, export)
	}
	w.eventually("the import to be gone", func() error {
		if err := w.admin.Get(w.t.Context(), client.ObjectKey{Namespace: ns, Name: "backend"}, imported); !apierrors.IsNotFound(err) {
			return fmt.Errorf("it is there, or: %w", err)
		}
		return nil
	})
}
