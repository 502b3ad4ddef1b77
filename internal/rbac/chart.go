package rbac

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/member"
)

// LocalPlaceholder stands, in the chart's files of connections, for the name of a local cluster. No name of a cluster
// can contain it, which have no capitals.
const LocalPlaceholder = "LOCALCLUSTER"

// remoteFiles are the objects of the remote side as the chart includes them, by the name of the file: without
// namespaces and accounts, which its templates make.
//
// What all connections share is in files of its own, and what they share with the capability endpoints, too. Of a
// connection there is one file for each identity, with the capability endpoints, without anything that
// spec.requires asks for, and with no subjects but the connection's own.
func remoteFiles() (map[string][]byte, error) {
	objects := member.ControllerObjects(member.ControllerOptions{Gate: true})
	ofGate := func(o client.Object) bool { return o.GetName() == member.GateRole }
	files := map[string][]client.Object{
		"member-controllers": slices.DeleteFunc(slices.Clone(objects), ofGate),
		"gate":               slices.DeleteFunc(slices.Clone(objects), func(o client.Object) bool { return !ofGate(o) }),
	}
	for _, id := range []member.Identity{member.ServiceAccount, member.Certificate, member.RenewedCertificate, member.Foreign} {
		all := member.Objects(member.Options{
			Local: LocalPlaceholder, Identity: id, Capabilities: []v1alpha1.Capability{v1alpha1.CapabilityConnect, v1alpha1.CapabilityEndpoints},
		})
		files["member-connection-"+strings.ToLower(string(id))] = slices.DeleteFunc(slices.Clone(all), shared)
		files["member"] = slices.DeleteFunc(slices.Clone(all), func(o client.Object) bool { return !shared(o) || ofEndpoints(o) })
		files["member-endpoints"] = slices.DeleteFunc(all, func(o client.Object) bool { return !shared(o) || !ofEndpoints(o) })
	}
	texts := map[string][]byte{}
	for name, objs := range files {
		text, err := member.YAML(slices.DeleteFunc(objs, ofTemplates))
		if err != nil {
			return nil, fmt.Errorf("making file %s of the chart: %w", name, err)
		}
		texts[name] = append([]byte("# "+strings.Replace(generated, "internal/rbac", "member", 1)+"\n"), text...)
	}
	return texts, nil
}

// shared tells what all connections have in common.
func shared(o client.Object) bool { return o.GetLabels()[v1alpha1.LocalClusterLabel] == "" }

func ofEndpoints(o client.Object) bool { return o.GetName() == "hawser-endpoints" }

func ofTemplates(o client.Object) bool {
	switch o.(type) {
	case *corev1.Namespace, *corev1.ServiceAccount:
		return true
	}
	return false
}
