package importer

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/hawser-io/hawser/api/v1alpha1"
	source "github.com/hawser-io/hawser/credential/kubeconfig"
)

// kubeconfigIn takes the kubeconfig that a Secret holds. Where Hawser would take it as it is, the RemoteCluster
// follows it in its place, and whoever renews it there goes on renewing it; with Options.WithSecrets it is copied.
func (d *draft) kubeconfigIn(ref v1alpha1.SecretKeyRef, context string) error {
	if len(validation.IsDNS1123Subdomain(ref.Name)) > 0 || len(validation.IsDNS1123Label(ref.Namespace)) > 0 ||
		len(validation.IsConfigMapKey(ref.Key)) > 0 || len(context) > 253 {
		return errors.New("it names no Secret that there could be")
	}
	where := key{ref.Namespace, ref.Name}
	s := d.run.secrets[where]
	if s == nil {
		d.follow(ref, context)
		d.note(ToDo, "", "Secret %q was not among what was read: a kubeconfig in it with a plugin, a file or a password will be refused, and the condition Authenticated will say so", where)
		return nil
	}
	data := d.read(fieldsOf(fmt.Sprintf("Secret %q", where), s.data))
	text := data.text(ref.Key)
	if text == "" {
		return fmt.Errorf("key %q of Secret %q is empty or missing", ref.Key, where)
	}
	documents, err := Read([]byte(text))
	if err != nil || len(documents) != 1 {
		return fmt.Errorf("key %q of Secret %q is no kubeconfig", ref.Key, where)
	}
	_, refused := source.Parse([]byte(text), context)
	if refused == nil && !d.run.WithSecrets {
		d.follow(ref, context)
		return nil
	}
	k := parseKubeconfig(documents[0])
	if context == "" {
		context = k.current()
	}
	return k.use(d, context)
}

// follow has the RemoteCluster read a Secret where it is.
func (d *draft) follow(ref v1alpha1.SecretKeyRef, context string) {
	d.auth = v1alpha1.Auth{Type: v1alpha1.AuthKubeconfig, Kubeconfig: &v1alpha1.KubeconfigAuth{SecretRef: ref, Context: context}}
	todo := "the kubeconfig stays where it is (--with-secrets copies it)"
	if s := d.run.secrets[key{ref.Namespace, ref.Name}]; s == nil || s.labels[v1alpha1.CredentialsLabel] != "true" {
		todo += fmt.Sprintf("; label it: kubectl -n %s label secret %s %s=true", ref.Namespace, ref.Name, v1alpha1.CredentialsLabel)
	}
	if ref.Namespace != d.run.Namespace {
		todo += "; let the manager get it: the condition Authenticated prints the Role"
	}
	d.note(ToDo, "", "%s", todo)
}
