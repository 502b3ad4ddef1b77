package importer

import (
	"errors"
	"strings"
	"unicode"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/inventory/registry"
)

// Names that Admiralty's chart gives, unless it was told otherwise.
const (
	admiraltyGroup      = "multicluster.admiralty.io"
	admiraltyKey        = "config"
	admiraltySourceRole = "admiralty-source"
	admiraltyViewerRole = "admiralty-cluster-summary-viewer"
)

// isLocal is what to know about a cluster that is the local one.
const isLocal = "the local cluster is a member of its own fleet anyway: apply this only where the manager runs with --management-only"

func readAdmiralty(r *run, documents []Document) {
	grants := map[string]bool{}
	for _, d := range documents {
		kind := kindOf(d)
		switch {
		case groupOf(d) != admiraltyGroup:
			r.unknown(d)
		case kind == "Target" || kind == "ClusterTarget":
			r.target(d, kind == "Target")
		case kind == "Source" || kind == "ClusterSource":
			r.source(d, kind == "Source", grants)
		default:
			r.unknown(d)
		}
	}
}

// target makes the RemoteCluster that a Target or ClusterTarget was.
func (r *run) target(doc Document, namespaced bool) {
	k := keyOf(doc)
	wish := k.name
	if namespaced {
		wish = k.namespace + "-" + k.name
	}
	d := r.draft(describe(doc), wish, describe(doc))
	root := d.read(fieldsOf("", doc))
	root.metadata()
	spec := root.part("spec")
	spec.drop("excludedLabelsRegexp", "there are no virtual nodes whose labels it could leave out")
	d.allowed = &v1alpha1.AllowedNamespaces{}
	if namespaced {
		if len(validation.IsDNS1123Label(k.namespace)) > 0 {
			d.dismiss(errors.New("it names no namespace that there could be"))
			return
		}
		d.allowed.Names = []string{k.namespace}
	}
	if err := d.useTarget(spec, k.namespace, namespaced); err != nil {
		d.dismiss(err)
		return
	}
	d.add()
}

func (d *draft) useTarget(spec *fields, namespace string, namespaced bool) error {
	self, ref := spec.flag("self"), spec.part("kubeconfigSecret")
	switch {
	case self == (ref.text("name") != ""):
		return errors.New("it has to have one of self and kubeconfigSecret, as Admiralty wants it, too")
	case self:
		d.auth = v1alpha1.Auth{Type: v1alpha1.AuthInCluster}
		d.note(ToDo, "spec.self", isLocal)
		return nil
	}
	if !namespaced {
		namespace = ref.text("namespace")
	} else {
		ref.drop("namespace", "the Secret of a Target is in the Target's own namespace")
	}
	secretKey := ref.text("key")
	if secretKey == "" {
		secretKey = admiraltyKey
	}
	return d.kubeconfigIn(v1alpha1.SecretKeyRef{Name: ref.text("name"), Namespace: namespace, Key: secretKey}, ref.text("context"))
}

// source makes the AccessGrant that a Source or ClusterSource was.
func (r *run) source(doc Document, namespaced bool, taken map[string]bool) {
	from, k := describe(doc), keyOf(doc)
	root := fieldsOf("", doc)
	root.metadata()
	spec := root.part("spec")
	grant := &v1alpha1.AccessGrant{TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "AccessGrant"}}
	wish := k.name
	grant.Spec.ClusterRoles = []string{admiraltySourceRole}
	var notes []Note
	note := func(kind NoteKind, field, message string) { notes = append(notes, Note{kind, from, field, message}) }
	if namespaced {
		wish = k.namespace + "-" + k.name
		if owned(k.namespace) || len(validation.IsDNS1123Label(k.namespace)) > 0 {
			r.leaveOut(from, "its namespace is one that cannot be granted")
			return
		}
		grant.Spec.Namespaces = &v1alpha1.GrantNamespaces{Names: []string{k.namespace}}
		note(NoCounterpart, "", "the right to read ClusterSummaries in the whole cluster ("+admiraltyViewerRole+"): it takes an AccessGrant of its own, with wholeCluster")
	} else {
		grant.Spec.WholeCluster = true
		grant.Spec.ClusterRoles = append(grant.Spec.ClusterRoles, admiraltyViewerRole)
	}
	r.subjects(grant, spec, k.namespace, namespaced)
	if len(grant.Spec.Subjects) == 0 {
		root.rest(func(path, why string) { note(LeftOut, path, why) })
		r.result.Notes = append(r.result.Notes, notes...)
		r.leaveOut(from, "nobody is left whom it could let in")
		return
	}
	note(ToDo, "", admiraltySourceRole+" lets them write Secrets and run commands in pods: put into spec.clusterRoles what is needed without Admiralty")
	root.rest(func(path, why string) { note(NoCounterpart, path, why) })
	grant.Name = registry.Name(wish, from, func(name string) bool { return taken[name] })
	taken[grant.Name] = true
	r.result.Items = append(r.result.Items, Item{grant, notes})
}

func (r *run) subjects(grant *v1alpha1.AccessGrant, spec *fields, namespace string, namespaced bool) {
	if user := spec.text("userName"); user != "" {
		switch {
		case strings.HasPrefix(user, "system:"):
			spec.drop("userName", "users of Kubernetes itself cannot be granted anything: hawser join gives a connection an identity")
		case len(user) > 512 || strings.ContainsFunc(user, unicode.IsControl):
			spec.drop("userName", "it is no user name")
		default:
			grant.Spec.Subjects = append(grant.Spec.Subjects, v1alpha1.GrantSubject{User: user})
		}
	}
	const made = "Hawser makes the accounts of a grant by itself: "
	switch {
	case !namespaced:
		spec.drop("serviceAccount", made+"write an AccessGrant with localCluster for each namespace of the cluster that comes in")
	case !spec.has("serviceAccountName"):
	case r.Local == "":
		spec.drop("serviceAccountName", made+"say with --local-name which cluster came in by this one")
	default:
		spec.ignore("serviceAccountName")
		grant.Spec.Subjects = append(grant.Spec.Subjects, v1alpha1.GrantSubject{LocalCluster: &v1alpha1.GrantLocalCluster{Name: r.Local, Namespace: namespace}})
	}
}

// owned tells the namespaces that no grant may name.
func owned(namespace string) bool {
	return namespace == v1alpha1.Namespace || namespace == v1alpha1.GrantsNamespace || strings.HasPrefix(namespace, v1alpha1.MemberNamespace(""))
}
