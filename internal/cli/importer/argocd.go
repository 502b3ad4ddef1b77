package importer

import (
	"encoding/json"
	"errors"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// argoLabel marks the Secrets of clusters, which Argo CD defines.
const argoLabel = "argocd.argoproj.io/secret-type"

// argoLocal is the address by which Argo CD knows the cluster that it runs in.
const argoLocal = "https://kubernetes.default.svc"

func readArgoCD(r *run, documents []Document) {
	for _, d := range documents {
		s := r.secrets[keyOf(d)]
		if kindOf(d) != "Secret" || s == nil {
			r.unknown(d)
			continue
		}
		if s.labels[argoLabel] != "cluster" {
			r.leaveOut(describe(d), "it has no label %s=cluster", argoLabel)
			continue
		}
		data := fieldsOf("", s.data)
		draft := r.draft(describe(d), data.text("name"), describe(d))
		draft.read(data)
		if draft.wish == "" {
			draft.wish = keyOf(d).name
		}
		if err := useArgoCD(draft, data); err != nil {
			draft.dismiss(err)
			continue
		}
		root := draft.read(fieldsOf("", d))
		root.ignore("data", "stringData", "type")
		meta := root.metadata()
		draft.labels = carry(meta.part("labels"), argoLabel)
		draft.add()
	}
}

func useArgoCD(d *draft, data *fields) error {
	d.server = data.text("server")
	data.drop("project", "a RemoteCluster belongs to no project")
	data.drop("namespaces", "a connection reaches what its identity may: an AccessGrant in the remote cluster bounds it by namespace")
	data.drop("clusterResources", "a connection reaches what its identity may")
	data.drop("shard", "clusters are spread over replicas by themselves")
	config := map[string]any{}
	if text := data.text("config"); text != "" && json.Unmarshal([]byte(text), &config) != nil {
		return errors.New(`its "config" is not the JSON that Argo CD documents`)
	}
	c := d.read(fieldsOf("config", config))
	c.drop("disableCompression", "answers are compressed where it pays")
	d.proxy = c.text("proxyUrl")
	tls := c.part("tlsClientConfig")
	d.serverName, d.ca = tls.text("serverName"), tls.base64("caData")
	if tls.flag("insecure") {
		tls.drop("insecure", noInsecure)
	}
	c.drop("username", noPassword)
	c.drop("password", noPassword)
	switch {
	case c.has("awsAuthConfig"):
		a := c.part("awsAuthConfig")
		if role := a.text("roleARN"); role != "" {
			d.role = &awsRole{arn: role}
		}
		a.drop("profile", "the token proves the manager's own identity, unless auth.eks.identityRef names another")
		d.auth = v1alpha1.Auth{Type: v1alpha1.AuthEKS, EKS: &v1alpha1.EKSAuth{ClusterName: a.text("clusterName")}}
		return nil
	case c.has("execProviderConfig"):
		e := c.part("execProviderConfig")
		e.ignore("apiVersion", "installHint")
		env := map[string]string{}
		vars := e.part("env")
		for name := range vars.values {
			env[name] = vars.text(name)
		}
		return d.plugin(plugin{e.text("command"), e.texts("args"), env}, e.path)
	case c.has("bearerToken"):
		return d.token(c.text("bearerToken"))
	case tls.has("certData") || tls.has("keyData"):
		return d.certificate(tls.base64("certData"), tls.base64("keyData"))
	case c.has("username"), c.has("password"):
		return errors.New("it has a password, and " + noPassword)
	case strings.TrimSuffix(d.server, "/") == argoLocal:
		d.auth = v1alpha1.Auth{Type: v1alpha1.AuthInCluster}
		d.note(ToDo, "", isLocal)
		return nil
	}
	return errors.New("it has no credential: hawser join makes one")
}

// carry are the labels that a RemoteCluster can have as well: people select by them.
func carry(labels *fields, known string) map[string]string {
	labels.ignore(known)
	kept := map[string]string{}
	for key := range labels.values {
		if key == known {
			continue
		}
		value := scalar(labels.values[key])
		domain, _, _ := strings.Cut(key, "/")
		switch {
		case len(validation.IsQualifiedName(key)) > 0 || len(validation.IsValidLabelValue(value)) > 0:
			labels.drop(key, "it is no label")
		case strings.HasSuffix(domain, "hawser.io") || key == v1alpha1.ManagedByLabel:
			labels.drop(key, "Hawser keeps it for itself")
		default:
			kept[key] = labels.text(key)
		}
	}
	if len(kept) == 0 {
		return nil
	}
	return kept
}
