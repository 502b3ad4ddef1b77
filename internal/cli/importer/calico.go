package importer

import (
	"errors"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// calicoKey is the key of a clusterAccessSecret that holds the kubeconfig.
const calicoKey = "kubeconfig"

// etcdFields are what says how to reach an etcd, in a RemoteClusterConfiguration and in its Secret.
var etcdFields = []string{
	"etcdEndpoints", "etcdUsername", "etcdPassword", "etcdKeyFile", "etcdCertFile", "etcdCACertFile", "etcdKey", "etcdCert", "etcdCACert",
}

const noEtcd = "a cluster is read through its API server, never through its etcd"

func readCalico(r *run, documents []Document) {
	for _, doc := range documents {
		group := groupOf(doc)
		if kindOf(doc) != "RemoteClusterConfiguration" || (group != "projectcalico.org" && group != "crd.projectcalico.org") {
			r.unknown(doc)
			continue
		}
		d := r.draft(describe(doc), keyOf(doc).name, describe(doc))
		d.capabilities = []v1alpha1.Capability{v1alpha1.CapabilityEndpoints} // what Calico read them for
		root := d.read(fieldsOf("", doc))
		meta := root.metadata()
		d.labels = carry(meta.part("labels"), "")
		spec := root.part("spec")
		spec.part("syncOptions").drop("overlayRoutingMode", "routing between clusters is the business of the network")
		for _, field := range etcdFields {
			spec.drop(field, noEtcd)
		}
		if err := d.useCalico(spec); err != nil {
			d.dismiss(err)
			continue
		}
		d.add()
	}
}

func (d *draft) useCalico(spec *fields) error {
	store := spec.text("datastoreType")
	if ref := spec.part("clusterAccessSecret"); ref.text("name") != "" {
		ref.ignore("kind")
		where := key{ref.text("namespace"), ref.text("name")}
		if s := d.run.secrets[where]; s != nil {
			data := fieldsOf("", s.data)
			if store = data.text("datastoreType"); data.text(calicoKey) == "" && store != "kubernetes" {
				return errors.New("its datastore is etcd: " + noEtcd)
			}
		}
		err := d.kubeconfigIn(v1alpha1.SecretKeyRef{Namespace: where.namespace, Name: where.name, Key: calicoKey}, "")
		for _, f := range d.inputs {
			f.ignore("datastoreType")
			for _, field := range etcdFields {
				f.drop(field, noEtcd)
			}
		}
		return err
	}
	return d.useInline(spec, store)
}

// useInline takes what stands in the object itself.
func (d *draft) useInline(spec *fields, store string) error {
	if store == "etcdv3" && !spec.has("kubeconfigInline") && !spec.has("k8sAPIEndpoint") {
		return errors.New("its datastore is etcd: " + noEtcd)
	}
	for _, field := range []string{"kubeconfig", "k8sCAFile", "k8sCertFile", "k8sKeyFile"} {
		spec.drop(field, "it names a file of Calico's own pods")
	}
	endpoint, token := spec.text("k8sAPIEndpoint"), spec.text("k8sAPIToken")
	var err error
	if text := spec.text("kubeconfigInline"); text != "" {
		err = d.inlineKubeconfig(text)
	} else if token == "" {
		return errors.New("its credential is in files of Calico's own pods: hawser join makes one of Hawser's own")
	}
	if endpoint != "" {
		d.server = endpoint
	}
	if spec.flag("k8sInsecureSkipTLSVerify") {
		spec.drop("k8sInsecureSkipTLSVerify", noInsecure)
	}
	if token != "" {
		return d.token(token)
	}
	return err
}

func (d *draft) inlineKubeconfig(text string) error {
	documents, err := Read([]byte(text))
	if err != nil || len(documents) != 1 {
		return errors.New("its kubeconfigInline is no kubeconfig")
	}
	k := parseKubeconfig(documents[0])
	return k.use(d, k.current())
}
