package cli

import (
	"context"
	"encoding/base64"
	"fmt"
	"reflect"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/internal/cli/install"
	"github.com/hawser-io/hawser/member"
)

// apply brings both sides to what was decided: the member side, the credential, its Secret, and
// only then the RemoteCluster, so that the manager finds all that it needs.
func (j *joining) apply(ctx context.Context) error {
	if err := j.mayKeep(ctx); err != nil { // before anything is made over there
		return err
	}
	if err := j.applyMember(ctx); err != nil {
		return err
	}
	switch j.auth.Type {
	case v1alpha1.AuthEKS:
		return j.applyEKS(ctx)
	case v1alpha1.AuthOIDC:
		return j.applyOIDC(ctx)
	}

	list := changes{d: j.d, title: "In the local cluster:"}
	usable, err := j.stillGood(ctx)
	if err != nil {
		return err
	}
	var data map[string][]byte
	if !usable {
		if j.existing != nil { // so that wait can tell the new one from the old one
			if err := j.d.afterTheSecond(ctx, j.existing.Status.Credential); err != nil {
				return err
			}
		}
		if data, err = j.newCredential(ctx); err != nil {
			return err
		}
		j.fresh = true
		// The Secret keeps what the old way needs until the RemoteCluster has moved to the new one.
		if err := j.writeSecret(ctx, data, true, list.report); err != nil {
			return err
		}
	}
	if err := j.writeCluster(ctx, &list); err != nil {
		return err
	}
	if !usable {
		if err := j.writeSecret(ctx, data, false, func(client.Object, string) {}); err != nil {
			return err
		}
	}
	if err := j.tieTogether(ctx); err != nil {
		return err
	}
	list.end()
	return nil
}

// applyMember installs the member side. While a cluster moves to another identity the old one keeps
// its rights, so that the connection goes on; settle takes them away.
func (j *joining) applyMember(ctx context.Context) error {
	if j.auth.Type == v1alpha1.AuthOIDC {
		return j.applyFederation(ctx)
	}
	list := changes{d: j.d, title: "In the remote cluster:"}
	options := j.options
	if j.moving {
		if _, own := ownSubject(j.existing.Status.Credential.Subject, j.local); own {
			options.Users = []string{j.existing.Status.Credential.Subject}
		}
		options.Groups = append(options.Groups, member.GroupsOf(j.existing.Spec.Auth)...)
	}
	report := func(obj client.Object, what string) {
		if _, account := obj.(*corev1.ServiceAccount); account && what == install.Created {
			j.newAccount = true
		}
		list.report(obj, what)
	}
	if err := install.Apply(ctx, j.there.Client, options, report); err != nil {
		return valuesFor(err, options)
	}
	if !j.moving {
		if err := install.Prune(ctx, j.there.Client, j.options, list.report); err != nil {
			return err
		}
	}
	list.end()
	return nil
}

// settle ends a move to another identity: the old one loses its rights.
func (j *joining) settle(ctx context.Context) error {
	if !j.moving {
		return nil
	}
	list := changes{d: j.d, title: "In the remote cluster, where the old identity is of no more use:"}
	if j.auth.Type == v1alpha1.AuthOIDC {
		return j.settleOIDC(ctx, list.report)
	}
	if err := j.leaveOIDC(ctx, list.report); err != nil {
		return err
	}
	if err := install.Apply(ctx, j.there.Client, j.options, list.report); err != nil {
		return valuesFor(err, j.options)
	}
	return install.Prune(ctx, j.there.Client, j.options, list.report)
}

// stillGood reports whether the credential at rest is the one that would be made now, accepted by the
// cluster, and not about to end without anybody to renew it.
func (j *joining) stillGood(ctx context.Context) (bool, error) {
	rc := j.existing
	if j.newAccount {
		return false, nil // tokens of the old account are dead, though the API server may not have noticed yet
	}
	if rc == nil || rc.Spec.Auth.Type != j.auth.Type || rc.Spec.Auth.RenewsByCSR() != j.auth.RenewsByCSR() || rc.Annotations[v1alpha1.RevokedAnnotation] != "" {
		return false, nil
	}
	source, err := j.d.sourceOf(ctx, j.here, rc)
	if err != nil {
		return false, err
	}
	list, err := source.Obtain(ctx)
	if err != nil || len(list) == 0 || !j.asWanted(list[0]) {
		return false, nil // it will be made anew
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := j.d.open(ctx, j.here, rc, j.local)
	if err != nil {
		return false, nil // it will be made anew
	}
	// With another that is kept the connection goes on, and this one is what the repair is asked for.
	return conn.State().Condition(v1alpha1.CredentialFresh).Reason != v1alpha1.ReasonInputRefused, nil
}

// mayKeep fails where a new credential would have no place: its Secret is somebody else's.
func (j *joining) mayKeep(ctx context.Context) error {
	if j.auth.Type == v1alpha1.AuthEKS || j.auth.Type == v1alpha1.AuthOIDC {
		return nil // nothing is kept
	}
	var now corev1.Secret
	err := j.here.Client.Get(ctx, client.ObjectKeyFromObject(j.secret()), &now)
	if err != nil || j.overwrites(&now) {
		return client.IgnoreNotFound(err)
	}
	if usable, err := j.stillGood(ctx); err != nil || usable {
		return err
	}
	return j.othersSecret(&now)
}

// asWanted compares a credential at rest with the one that would be made.
func (j *joining) asWanted(c credential.Credential) bool {
	spec := j.existing.Spec
	at := credential.Endpoint{Server: spec.Server, TLSServerName: spec.TLSServerName, ProxyURL: spec.ProxyURL}
	at.CAData, _ = base64.StdEncoding.DecodeString(spec.CAData)
	if c.Endpoint != nil {
		at = *c.Endpoint
	}
	_, own := ownSubject(c.Subject, j.local)
	end, expires := c.Deadline()
	switch {
	case !own, !reflect.DeepEqual(at, j.endpoint):
		return false
	case expires && !j.renews() && end.Sub(j.d.clock.Now()) < c.Lifetime()/2:
		return false
	}
	// Signers backdate certificates by some minutes.
	return j.flags.lifetime == 0 || (c.Lifetime()-j.lifetime).Abs() <= 10*time.Minute
}

// newCredential makes the credential and returns it as a Secret holds it.
func (j *joining) newCredential(ctx context.Context) (map[string][]byte, error) {
	if j.auth.Type == v1alpha1.AuthMTLS {
		c, err := install.Certificate(ctx, j.there.Client, j.local, j.lifetime)
		if err != nil {
			return nil, err
		}
		return map[string][]byte{
			v1alpha1.TLSCertKey: c.Certificate.CertPEM,
			v1alpha1.TLSKeyKey:  []byte(c.Certificate.KeyPEM.Reveal()),
		}, nil
	}
	token, err := install.Token(ctx, j.there.Client, j.local, j.lifetime)
	if err != nil {
		return nil, err
	}
	if j.auth.Type == v1alpha1.AuthBearerToken {
		return map[string][]byte{v1alpha1.BearerTokenKey: []byte(token.Token.Reveal())}, nil
	}
	text, err := kubeconfigOf(j.name, j.endpoint, token.Token)
	return map[string][]byte{v1alpha1.DefaultKubeconfigKey: text}, err
}

func kubeconfigOf(name string, at credential.Endpoint, token credential.Secret) ([]byte, error) {
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{
		Server: at.Server, CertificateAuthorityData: at.CAData, TLSServerName: at.TLSServerName, ProxyURL: at.ProxyURL,
	}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: token.Reveal()}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	text, err := clientcmd.Write(*config)
	if err != nil {
		return nil, fmt.Errorf("encoding the kubeconfig: %w", err)
	}
	return text, nil
}
