package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/inventory/clusterprofile"
)

// readRequests reads the AccessRequests that are named NAMESPACE/NAME.
func readRequests(ctx context.Context, c client.Reader, names []string) ([]v1alpha1.AccessRequest, error) {
	var list []v1alpha1.AccessRequest
	for _, request := range names {
		namespace, name, ok := strings.Cut(request, "/")
		if !ok || namespace == "" || name == "" {
			return nil, usageError("--request %q: write NAMESPACE/NAME", request)
		}
		var areq v1alpha1.AccessRequest
		if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &areq); err != nil {
			return nil, fmt.Errorf("reading AccessRequest %q: %w", request, explainRead(err, "accessrequests.hawser.io", namespace, name))
		}
		if _, twice := requestFor(list, areq.Spec.ClusterRef.Name); twice {
			return nil, usageError("--request %s: there is another one for cluster %q", request, areq.Spec.ClusterRef.Name)
		}
		list = append(list, areq)
	}
	return list, nil
}

func requestFor(list []v1alpha1.AccessRequest, cluster string) (v1alpha1.AccessRequest, bool) {
	at := slices.IndexFunc(list, func(r v1alpha1.AccessRequest) bool { return r.Spec.ClusterRef.Name == cluster })
	if at < 0 {
		return v1alpha1.AccessRequest{}, false
	}
	return list[at], true
}

// onlyRequest finds the one AccessRequest for a cluster whose output hawser-auth reads.
func onlyRequest(ctx context.Context, c client.Reader, cluster string) (v1alpha1.AccessRequest, error) {
	var all v1alpha1.AccessRequestList
	if err := c.List(ctx, &all); err != nil {
		if apierrors.IsForbidden(err) {
			return v1alpha1.AccessRequest{}, errors.New("you may not list the AccessRequests of all namespaces: name yours with --request NAMESPACE/NAME")
		}
		return v1alpha1.AccessRequest{}, fmt.Errorf("listing AccessRequests: %w", err)
	}
	var fit []v1alpha1.AccessRequest
	var names []string
	for _, areq := range all.Items {
		readable := slices.Contains([]v1alpha1.OutputFormat{v1alpha1.OutputKubeconfig, v1alpha1.OutputClusterProfile}, areq.Spec.Output.Format)
		if areq.Spec.ClusterRef.Name == cluster && readable && areq.DeletionTimestamp.IsZero() {
			fit, names = append(fit, areq), append(names, areq.Namespace+"/"+areq.Name)
		}
	}
	switch len(fit) {
	case 0:
		return v1alpha1.AccessRequest{}, errors.New("there is no AccessRequest for it with output.format kubeconfig: make one, and name it with --request NAMESPACE/NAME")
	case 1:
		return fit[0], nil
	}
	return v1alpha1.AccessRequest{}, fmt.Errorf("there are %d AccessRequests for it: name one with --request: %s", len(fit), strings.Join(names, ", "))
}

// byRequest lets a person in by the token that the manager keeps for an AccessRequest.
func (d *deps) byRequest(ctx context.Context, c client.Reader, entry kubeContext, areq *v1alpha1.AccessRequest) (kubeContext, error) {
	if !meta.IsStatusConditionTrue(areq.Status.Conditions, v1alpha1.Ready) {
		fmt.Fprintf(d.err, "hawser: AccessRequest %s/%s is not Ready yet: %s\n", areq.Namespace, areq.Name, notReady(areq))
	}
	if entry.cluster == nil {
		secret, err := outputOf(ctx, c, areq)
		if err != nil {
			return entry, fmt.Errorf("its address is in the kubeconfig of AccessRequest %s/%s alone: %w", areq.Namespace, areq.Name, err)
		}
		access, err := readOutput(secret)
		if err != nil || access.cluster == nil {
			return entry, fmt.Errorf("its address is not in Secret %s/%s: let spec.output.format be kubeconfig", secret.Namespace, secret.Name)
		}
		entry.cluster = &clientcmdapi.Cluster{
			Server: access.cluster.Server, CertificateAuthorityData: access.cluster.CertificateAuthorityData,
			TLSServerName: access.cluster.TLSServerName, ProxyURL: access.cluster.ProxyURL,
		}
	}
	where, err := d.localArgs()
	entry.exec.Args = append([]string{"token", "--request", areq.Namespace + "/" + areq.Name}, where...)
	return entry, err
}

// byEKS lets a person in by an AWS identity of their own.
func byEKS(entry kubeContext, rc *v1alpha1.RemoteCluster, f kubeconfigFlags) kubeContext {
	eks := rc.Spec.Auth.EKS
	entry.exec.Args = []string{"eks", "--cluster-name", rc.Spec.Auth.EKSClusterName(rc.Name), "--region", eks.Region}
	for _, role := range f.roles {
		entry.exec.Args = append(entry.exec.Args, "--role-arn", role)
	}
	for flag, value := range map[string]string{"--external-id": f.externalID, "--profile": f.profile} {
		if value != "" {
			entry.exec.Args = append(entry.exec.Args, flag+"="+value)
		}
	}
	slices.Sort(entry.exec.Args[5+2*len(f.roles):])
	return entry
}

// trusted refuses a cluster without a gate whose API server has not shown that it believes tokens of this one: it does
// not know who comes with one.
func trusted(rc *v1alpha1.RemoteCluster) error {
	if rc.Spec.Auth.OIDC.Exchange != nil || meta.IsStatusConditionTrue(rc.Status.Conditions, v1alpha1.Authenticated) {
		return nil
	}
	why := "no manager has reported on it yet"
	if c := meta.FindStatusCondition(rc.Status.Conditions, v1alpha1.Authenticated); c != nil {
		why = oneLine(c.Reason + ": " + c.Message)
	}
	return fmt.Errorf("it has no gate (auth.oidc.exchange), and its API server has not accepted a token of this cluster's issuer (%s): give it what hawser trust render --context CONTEXT prints (--authentication-config), or name its gate: hawser join %s --auth oidc --remote-context CONTEXT --gate-url https://HOST/token", why, rc.Name)
}

// byAccount lets a person in as a service account of the local cluster, whose tokens they may ask for.
func (d *deps) byAccount(entry kubeContext, rc *v1alpha1.RemoteCluster, f kubeconfigFlags) (kubeContext, error) {
	oidc := rc.Spec.Auth.OIDC
	if oidc.TokenFrom != v1alpha1.TokenFromServiceAccount {
		return entry, fmt.Errorf("its tokens are from %s, and not from service accounts: use --request", oidc.TokenFrom)
	}
	if err := trusted(rc); err != nil {
		return entry, err
	}
	id := rc.Spec.ClusterID
	if id == "" {
		id = rc.Status.ClusterID
	}
	audience := rc.Spec.Auth.OIDCAudience(id)
	if audience == "" {
		return entry, errors.New("its clusterID is not known yet, of which the audience is made")
	}
	args := []string{"oidc", "--service-account", f.serviceAccount, "--audience", audience}
	if exchange := oidc.Exchange; exchange != nil {
		args = append(args, "--gate-url", exchange.URL)
		if exchange.CAData != "" {
			config, err := json.Marshal(map[string]string{"exchangeCAData": exchange.CAData})
			if err != nil {
				return entry, fmt.Errorf("encoding the CA of the gate: %w", err)
			}
			entry.cluster.Extensions = map[string]runtime.Object{clusterprofile.ExecExtension: &runtime.Unknown{Raw: config, ContentType: runtime.ContentTypeJSON}}
			args = append(args, "--from-config", "exchangeCAData")
		}
		if f.grant != "" {
			args = append(args, "--grant", f.grant)
		}
	}
	where, err := d.localArgs()
	entry.exec.Args = append(args, where...)
	return entry, err
}

// localArgs name the local cluster so that it stays the same one, whichever context and file are current when
// the plugin runs. Nothing is named where that is the cluster that we run in.
func (d *deps) localArgs() ([]string, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = d.kubeconfig
	config, err := rules.Load()
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	name := d.context
	if name == "" {
		name = config.CurrentContext
	}
	context := config.Contexts[name]
	if context == nil {
		return nil, nil
	}
	args := []string{"--context", name}
	file := context.LocationOfOrigin
	cluster, user := config.Clusters[context.Cluster], config.AuthInfos[context.AuthInfo]
	if cluster != nil && user != nil && cluster.LocationOfOrigin == file && user.LocationOfOrigin == file { // else several files make it up
		if file, err = filepath.Abs(file); err != nil {
			return nil, fmt.Errorf("finding the kubeconfig: %w", err)
		}
		args = append(args, "--kubeconfig", file)
	}
	return args, nil
}
