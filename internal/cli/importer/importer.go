// Package importer makes Hawser objects of what other tools left behind: Helm values of mirrord, Targets and
// Sources of Admiralty, RemoteClusterConfigurations of Calico, cluster Secrets of Argo CD, and kubeconfigs.
//
// Documents go in, objects and notes come out: every field that has no counterpart is a note, and so is every
// object that was left out. No credential comes out unless Options.WithSecrets asks for it, in no note ever, and
// nothing is executed, no file opened and no address called because an input says so.
package importer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/inventory/registry"
)

// Options say for whom the objects are.
type Options struct {
	// Namespace that Hawser runs in, in the local cluster.
	Namespace string
	// Local is the name of the local cluster, as hawser join gives it. Only AccessGrants need it.
	Local string
	// Contexts of a kubeconfig that are wanted. Empty means all.
	Contexts []string
	// WithSecrets puts credentials into input Secrets (hawser-cluster-<name>). Without it they are left out.
	WithSecrets bool
	// Now is the time by which credentials are said to have expired.
	Now time.Time
}

// Result is what came of an input.
type Result struct {
	// Items in the order in which to apply them.
	Items []Item
	// Notes about what no item came of.
	Notes []Note
}

// Item is one object, with what is to be known about it.
type Item struct {
	Object client.Object
	Notes  []Note
}

// All returns the notes of the items and of the rest.
func (r Result) All() []Note {
	var all []Note
	for _, item := range r.Items {
		all = append(all, item.Notes...)
	}
	return append(all, r.Notes...)
}

// NoteKind says what a Note is about.
type NoteKind string

// What notes are about.
const (
	// NoCounterpart is a field that nothing was made of.
	NoCounterpart NoteKind = "no counterpart"
	// ToDo is what the objects need to work.
	ToDo NoteKind = "to do"
	// LeftOut is an object, or a part that should have become one, of which nothing was made.
	LeftOut NoteKind = "left out"
)

// Note is one thing to know about what was imported. It quotes no credential.
type Note struct {
	Kind NoteKind
	// From is the object of the input.
	From string
	// Field of it. Empty for the whole.
	Field string
	// Message says why, or what to do. May be empty where Kind says all.
	Message string
}

// String is the note on one line, with nothing that a terminal or a YAML comment would take for a command.
func (n Note) String() string {
	text := n.From + ": " + string(n.Kind)
	if n.Field != "" {
		text += ": " + n.Field
	}
	if n.Message != "" {
		text += ": " + n.Message
	}
	return printable(text)
}

// printable is text on one line, without control characters.
func printable(text string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || unicode.IsSpace(r) {
			return r
		}
		return '?'
	}, text)), " ")
}

// Import makes objects of documents, as source reads them. Objects of kinds that the source does not know are notes.
func Import(source string, documents []Document, o Options) (Result, error) {
	i := slices.IndexFunc(sources, func(s definition) bool { return s.name == source })
	if i < 0 {
		return Result{}, fmt.Errorf("there is no source %q: there is only %s", source, strings.Join(Names(), ", "))
	}
	r := &run{
		Options: o, taken: map[string]bool{}, identities: map[string]string{}, secrets: map[key]*secret{},
	}
	for _, d := range documents {
		r.learn(d)
	}
	sources[i].read(r, documents)
	slices.SortStableFunc(r.result.Items, func(a, b Item) int { return cmp.Compare(rank(a.Object), rank(b.Object)) })
	return r.result, nil
}

// rank puts first what others name: an input Secret stands before the RemoteCluster that needs it.
func rank(obj client.Object) int {
	switch obj.GetObjectKind().GroupVersionKind().Kind {
	case "AWSIdentity":
		return 0
	case "AccessGrant":
		return 2
	}
	return 1
}

// definition is a source of clusters: who left it behind, and how it is read.
type definition struct {
	name, title string
	read        func(*run, []Document)
}

var sources = []definition{
	{"mirrord", "Helm values of the mirrord operator, or its ConfigMap", readMirrord},
	{"admiralty", "Targets, ClusterTargets, Sources and ClusterSources of Admiralty", readAdmiralty},
	{"calico", "RemoteClusterConfigurations of Calico", readCalico},
	{"argocd", "cluster Secrets of Argo CD", readArgoCD},
	{"kubeconfig", "contexts of kubeconfig files", readKubeconfigs},
}

// Names of the sources.
func Names() []string {
	var names []string
	for _, s := range sources {
		names = append(names, s.name)
	}
	return names
}

// Title says what a source reads.
func Title(source string) string {
	for _, s := range sources {
		if s.name == source {
			return s.title
		}
	}
	return ""
}

// run is one import.
type run struct {
	Options
	result     Result
	taken      map[string]bool   // names of RemoteClusters
	identities map[string]string // names of AWSIdentities, by what they are
	secrets    map[key]*secret
}

func (r *run) name(wish, id string) string {
	name := registry.Name(wish, id, func(name string) bool { return r.taken[name] })
	r.taken[name] = true
	return name
}

func (r *run) leaveOut(from, format string, args ...any) {
	r.result.Notes = append(r.result.Notes, Note{Kind: LeftOut, From: from, Message: fmt.Sprintf(format, args...)})
}

// unknown notes a document that the source has no use for. Secrets are only there to be looked up.
func (r *run) unknown(d Document) {
	if kind := kindOf(d); kind != "Secret" && kind != "ConfigMap" {
		r.leaveOut(describe(d), "objects of this kind are not read here")
	}
}
