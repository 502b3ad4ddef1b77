package importer

import (
	"cmp"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Names that the mirrord operator's chart gives.
const (
	mirrordConfigMap   = "mirrord-configmap"
	mirrordLabel       = "operator.metalbear.co/remote-cluster-credentials"
	mirrordSecret      = "mirrord-cluster-" // and the name of the cluster
	mirrordClustersKey = "clusters-config.yaml"
	mirrordConfigKey   = "multicluster-config.yaml"
)

func readMirrord(r *run, documents []Document) {
	for _, d := range documents {
		switch {
		case kindOf(d) == "":
			r.mirrordValues(d)
		case kindOf(d) == "ConfigMap" && keyOf(d).name == mirrordConfigMap:
			r.mirrordConfigMap(d)
		default:
			r.unknown(d)
		}
	}
}

// mirrordValues reads Helm values.
func (r *run) mirrordValues(d Document) {
	const from = "Helm values"
	note := func(kind NoteKind, field, message string) {
		r.result.Notes = append(r.result.Notes, Note{kind, from, field, message})
	}
	root := fieldsOf("", d)
	operator := root.part("operator")
	if operator.flag("multiClusterMember") || operator.has("multiClusterMemberIamGroup") || operator.has("multiClusterMemberAzureGroup") {
		note(ToDo, "operator.multiClusterMember", "this cluster is entered by others: hawser member manifests --local NAME prints what it needs for each")
	}
	operator.ignore("multiClusterMember", "multiClusterMemberIamGroup", "multiClusterMemberAzureGroup")
	if account := root.part("sa"); account.has("roleArn") || account.has("azureClientId") {
		account.ignore("roleArn", "azureClientId")
		note(ToDo, "sa", "the cloud identity of the operator's service account: give Hawser's service account one of its own (annotations eks.amazonaws.com/role-arn, azure.workload.identity/client-id)")
	}
	if !operator.has("multiCluster") {
		r.leaveOut(from, "there is no operator.multiCluster in them")
	} else {
		multi := operator.part("multiCluster")
		clusters := multi.part("clusters")
		var entries []*fields
		for _, name := range slices.Sorted(maps.Keys(clusters.values)) {
			if m, ok := clusters.values[name].(map[string]any); ok {
				clusters.ignore(name)
				m = maps.Clone(m)
				m["name"] = name
				entries = append(entries, fieldsOf("operator.multiCluster.clusters."+name, m))
			}
		}
		r.mirrordClusters(from, multi, entries)
	}
	r.ownSettings(from, root, operator)
}

// ownSettings names what is about the operator itself in one note: the chart has hundreds of values.
func (r *run) ownSettings(from string, root, operator *fields) {
	var names []string
	for _, f := range []*fields{root, operator} {
		for _, key := range slices.Sorted(maps.Keys(f.values)) {
			if !f.seen[key] && !empty(f.values[key]) {
				names = append(names, f.at(key))
			}
		}
	}
	if len(names) > 0 {
		r.result.Notes = append(r.result.Notes, Note{NoCounterpart, from, strings.Join(names, ", "), "settings of the operator itself, not of its connections"})
	}
}

// mirrordConfigMap reads what the chart made of the values.
func (r *run) mirrordConfigMap(d Document) {
	from := describe(d)
	root := fieldsOf("", d)
	root.metadata().ignore("labels", "annotations") // of the chart
	data := root.part("data")
	config, err := Read([]byte(data.text(mirrordConfigKey)))
	clusters, err2 := Read([]byte(data.text(mirrordClustersKey)))
	if errors.Join(err, err2) != nil || len(config) > 1 || len(clusters) > 1 {
		r.leaveOut(from, "%s or %s in it is no YAML", mirrordConfigKey, mirrordClustersKey)
		return
	}
	multi, list := fieldsOf(mirrordConfigKey, nil), fieldsOf(mirrordClustersKey, nil)
	if len(config) == 1 {
		multi = fieldsOf(mirrordConfigKey, config[0])
	}
	if len(clusters) == 1 {
		list = fieldsOf(mirrordClustersKey, clusters[0])
	}
	r.mirrordClusters(from, multi, list.list("clusters"))
	tell := func(path, why string) { r.result.Notes = append(r.result.Notes, Note{NoCounterpart, from, path, why}) }
	root.rest(tell)
	list.rest(tell)
}

// mirrordClusters makes a RemoteCluster of each entry, and the manager's flags of the rest.
func (r *run) mirrordClusters(from string, multi *fields, entries []*fields) {
	manager := map[string]string{"cluster-name": multi.text("clusterName")}
	fallback := multi.text("defaultCluster")
	for _, entry := range entries {
		name := entry.text("name")
		d := r.draft(fmt.Sprintf("%s, cluster %q", from, name), name, from+name)
		d.read(entry)
		isDefault := entry.flag("isDefault")
		if err := d.useMirrord(entry, name); err != nil {
			d.dismiss(err)
			continue
		}
		made := d.add()
		if isDefault && fallback != "" && fallback != name {
			r.result.Notes = append(r.result.Notes, Note{NoCounterpart, from, entry.at("isDefault"), "the default cluster is " + fallback})
		}
		if made != "" && (name == fallback || (isDefault && fallback == "")) {
			manager["default-cluster"] = made
		}
	}
	if fallback != "" && manager["default-cluster"] == "" && fallback != manager["cluster-name"] {
		multi.drop("defaultCluster", "there is no such cluster here")
	}
	r.mirrordManager(from, multi, manager)
}

// mirrordManager says how the manager is started, and what is left.
func (r *run) mirrordManager(from string, multi *fields, manager map[string]string) {
	if multi.has("enabled") && !multi.flag("enabled") {
		r.result.Notes = append(r.result.Notes, Note{ToDo, from, multi.at("enabled"), "it was switched off: these connections were not in use"})
	}
	multi.ignore("enabled")
	r.result.Notes = append(r.result.Notes, Note{ToDo, from, "", "start the manager with what stood here: " + managerCommand(manager, multi.flag("managementOnly"))})
	multi.rest(func(path, why string) {
		if why == "" {
			why = "it is about sessions, not connections"
		}
		r.result.Notes = append(r.result.Notes, Note{NoCounterpart, from, path, why})
	})
}

// managerCommand starts the manager with the given flags.
func managerCommand(flags map[string]string, managementOnly bool) string {
	command := "hawser manager"
	for _, flag := range []string{"cluster-name", "default-cluster"} {
		if value := flags[flag]; len(validation.IsDNS1123Label(value)) == 0 {
			command += " --" + flag + " " + value
		}
	}
	if managementOnly {
		command += " --management-only"
	}
	return command
}

func (d *draft) useMirrord(entry *fields, name string) error {
	d.server, d.ca = entry.text("server"), entry.base64("caData")
	entry.drop("namespace", "what Hawser needs in a cluster that is entered is in a namespace hawser-from-<local cluster> everywhere")
	data := d.mirrordSecret(name)
	switch auth := entry.text("authType"); auth {
	case "bearerToken":
		d.auth = v1alpha1.Auth{Type: v1alpha1.AuthBearerToken}
		// The Secret is what the operator renewed; the values hold what it began with.
		if token := cmp.Or(data.text("bearerToken"), entry.text("bearerToken")); token != "" {
			return d.token(token)
		}
	case "mtls":
		d.auth = v1alpha1.Auth{Type: v1alpha1.AuthMTLS, MTLS: &v1alpha1.MTLSAuth{Renew: v1alpha1.RenewByWatch}}
		cert, key := cmp.Or(data.text("tls.crt"), entry.text("tlsCrt")), cmp.Or(data.text("tls.key"), entry.text("tlsKey"))
		if cert != "" || key != "" {
			return d.certificate(pemOf(cert), pemOf(key))
		}
	case "eks":
		d.auth = v1alpha1.Auth{Type: v1alpha1.AuthEKS, EKS: &v1alpha1.EKSAuth{ClusterName: name, Region: entry.text("region")}}
		return nil
	case "aks":
		d.entra(entry.text("tenantId"), entry.text("clientId"), aksServer)
		return nil
	case "":
		return errors.New("it has no authType")
	default:
		return errors.New("its authType is none that the operator knows")
	}
	d.note(ToDo, "", "no credential was among what was read: hawser join makes one of Hawser's own")
	return nil
}

// mirrordSecret is what the operator keeps for a cluster; the first by name, where several namespaces have one.
func (d *draft) mirrordSecret(name string) *fields {
	var found []key
	for k, s := range d.run.secrets {
		if k.name == mirrordSecret+name && s.labels[mirrordLabel] == "true" {
			found = append(found, k)
		}
	}
	if len(found) == 0 {
		return fieldsOf("", nil)
	}
	k := slices.MinFunc(found, func(a, b key) int { return cmp.Compare(a.namespace, b.namespace) })
	return d.read(fieldsOf(fmt.Sprintf("Secret %q", k), d.run.secrets[k].data))
}

// pemOf is text that may be PEM, or the base64 of it: the chart's words say the one, its examples the other.
func pemOf(text string) []byte {
	if block, _ := pem.Decode([]byte(text)); block != nil {
		return []byte(text)
	}
	f := fieldsOf("", map[string]any{"": text})
	return f.base64("")
}
