package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/credential/exec"
	"github.com/hawser-io/hawser/export"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/fleettest/inventorytest"
	"github.com/hawser-io/hawser/internal/awstest"
	"github.com/hawser-io/hawser/internal/kinds"
	"github.com/hawser-io/hawser/inventory/clusterprofile"
)

// office is a local cluster in which somebody has an AccessRequest for cluster alpha.
type office struct {
	t         *testing.T
	primary   *fleettest.Cluster
	alpha     *fleettest.Cluster
	admin     client.Client
	namespace string // of the AccessRequest, which has its name
	account   string // that it has tokens of, in alpha
	token     string // that is kept for it
	secret    *corev1.Secret
}

func newOffice(t *testing.T, format v1alpha1.OutputFormat) *office {
	t.Helper()
	o := &office{t: t, primary: fleettest.Use(t, "primary"), alpha: fleettest.Use(t, "alpha")}
	scheme, err := kinds.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	if o.admin, err = client.New(o.primary.AdminConfig(), client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	o.primary.Install(t, "../../config/crd/hawser.io_accessrequests.yaml", "../../config/crd/hawser.io_remoteclusters.yaml", "../../inventory/clusterprofile/testdata/crd.yaml")
	o.namespace = o.primary.Namespace(t)
	there := o.alpha.Namespace(t)
	o.alpha.ServiceAccount(t, there, "granted")
	o.account, o.token = "system:serviceaccount:"+there+":granted", o.alpha.Token(t, there, "granted", time.Hour)
	o.request(format)
	return o
}

// request makes the AccessRequest and what the manager writes for it.
func (o *office) request(format v1alpha1.OutputFormat) {
	o.t.Helper()
	areq := &v1alpha1.AccessRequest{ObjectMeta: metav1.ObjectMeta{Namespace: o.namespace, Name: o.namespace}}
	areq.Spec = v1alpha1.AccessRequestSpec{ClusterRef: v1alpha1.ClusterRef{Name: o.namespace}, Grant: "view", Output: v1alpha1.AccessOutput{Format: format}}
	o.must(o.admin.Create(o.t.Context(), areq))
	end := time.Now().Add(time.Hour)
	out, err := export.Make(export.Access{
		Name: areq.Name, Namespace: areq.Namespace, Target: areq.Name, Cluster: "alpha",
		Endpoint: credential.Endpoint{Server: o.alpha.Server, CAData: o.alpha.CA()}, Token: credential.NewSecret(o.token), ExpiresAt: end,
	}, areq.Spec.Output)
	o.must(err)
	o.secret = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Namespace: areq.Namespace, Name: areq.Name,
		Labels:          map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedBy, v1alpha1.RequestLabel: areq.Name},
		Annotations:     map[string]string{v1alpha1.ExpiresAnnotation: end.Format(time.RFC3339)},
		OwnerReferences: []metav1.OwnerReference{{APIVersion: v1alpha1.GroupVersion.String(), Kind: "AccessRequest", Name: areq.Name, UID: areq.UID}},
	}, Type: out.Type, Data: map[string][]byte{}}
	for key, value := range out.Data {
		o.secret.Data[key] = []byte(value.Reveal())
	}
	o.must(o.admin.Create(o.t.Context(), o.secret))
	areq.Status.SecretName = areq.Name
	areq.Status.Conditions = []metav1.Condition{{Type: v1alpha1.Ready, Status: metav1.ConditionTrue, Reason: "Written", LastTransitionTime: metav1.Now()}}
	o.must(o.admin.Status().Update(o.t.Context(), areq))
}

func (o *office) must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

// person is a kubeconfig of the local cluster for somebody who may read one AccessRequest and its Secret, and
// nothing else.
func (o *office) person(p *plugin) (file string) {
	o.t.Helper()
	kube := o.primary.Client()
	o.primary.ServiceAccount(o.t, o.namespace, "ann")
	_, err := kube.RbacV1().Roles(o.namespace).Create(o.t.Context(), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "ann"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"accessrequests"}, ResourceNames: []string{o.namespace}, Verbs: []string{"get"}},
		{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{o.namespace}, Verbs: []string{"get"}},
	}}, metav1.CreateOptions{})
	o.must(err)
	_, err = kube.RbacV1().RoleBindings(o.namespace).Create(o.t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "ann"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "ann"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: o.namespace, Name: "ann"}},
	}, metav1.CreateOptions{})
	o.must(err)
	return o.kubeconfig(p, o.primary.TokenConfig(o.primary.Token(o.t, o.namespace, "ann", time.Hour)))
}

// kubeconfig writes a kubeconfig of the local cluster with the context hub.
func (o *office) kubeconfig(p *plugin, as *rest.Config) (file string) {
	o.t.Helper()
	file = filepath.Join(p.home, "hub.yaml")
	c := clientcmdapi.NewConfig()
	c.Clusters["hub"] = &clientcmdapi.Cluster{Server: o.primary.Server, CertificateAuthorityData: o.primary.CA()}
	c.AuthInfos["hub"] = &clientcmdapi.AuthInfo{Token: as.BearerToken, ClientCertificateData: as.CertData, ClientKeyData: as.KeyData}
	c.Contexts["hub"] = &clientcmdapi.Context{Cluster: "hub", AuthInfo: "hub"}
	c.CurrentContext = "hub"
	o.must(clientcmd.WriteToFile(*c, file))
	return file
}

// whoAmI asks an API server by a real process of the plugin, which client-go starts.
func whoAmI(t *testing.T, config *rest.Config) (string, error) {
	t.Helper()
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(t.Context(), waitFor)
	defer cancel()
	review, err := kube.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return review.Status.UserInfo.Username, nil
}

// exec is a rest.Config whose credential the plugin gives.
func (p *plugin) exec(c *fleettest.Cluster, about bool, args ...string) *rest.Config {
	config := c.AnonymousConfig()
	config.ExecProvider = &clientcmdapi.ExecConfig{
		APIVersion: exec.V1, Command: p.path, Args: args, ProvideClusterInfo: about, InteractiveMode: clientcmdapi.NeverExecInteractiveMode,
	}
	for name, value := range p.env {
		config.ExecProvider.Env = append(config.ExecProvider.Env, clientcmdapi.ExecEnvVar{Name: name, Value: value})
	}
	return config
}

func TestClientGoEntersByAnAccessRequest(t *testing.T) {
	t.Parallel()
	o, p := newOffice(t, v1alpha1.OutputKubeconfig), newPlugin(t)
	p.env["KUBECONFIG"] = o.person(p)
	args := []string{"token", "--request", o.namespace + "/" + o.namespace}
	if who, err := whoAmI(t, p.exec(o.alpha, true, args...)); who != o.account || err != nil {
		t.Errorf("alpha takes us for %q (%v), want %q", who, err, o.account)
	}
	if who, err := whoAmI(t, p.exec(o.primary, true, args...)); err == nil || who != "" {
		t.Errorf("the token is shown to another server, which takes us for %q", who)
	}
	other := strings.Replace(asked, `"interactive":false`, `"interactive":false,"cluster":{"server":"https://elsewhere:6443"}`, 1)
	if got := p.run(other, args...); got.err == nil || !strings.Contains(got.stderr, "it is shown to no other server") {
		t.Errorf("got %+v", got)
	}
	o.secret.OwnerReferences = nil
	o.must(o.admin.Update(t.Context(), o.secret))
	if got := p.run(asked, args...); got.err == nil || !strings.Contains(got.stderr, "was not written for it") {
		t.Errorf("a Secret of somebody else's: got %+v", got)
	}
	if got := p.run(asked, "token", "--request", o.namespace+"/other"); got.err == nil || !strings.Contains(got.stderr, "create role NAME --verb=get --resource=accessrequests.hawser.io --resource-name=other") {
		t.Errorf("without rights: got %+v", got)
	}
}

// TestKubectlEntersByWhatHawserKubeconfigWrites reads the file as kubectl does.
func TestKubectlEntersByWhatHawserKubeconfigWrites(t *testing.T) {
	o, p := newOffice(t, v1alpha1.OutputKubeconfig), newPlugin(t)
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: o.namespace}}
	rc.Spec.Auth.Type = v1alpha1.AuthKubeconfig // its address is in its kubeconfig, and so in the output
	rc.Spec.Auth.Kubeconfig = &v1alpha1.KubeconfigAuth{SecretRef: v1alpha1.SecretKeyRef{Name: "input"}}
	o.must(o.admin.Create(t.Context(), rc))
	t.Cleanup(func() { _ = o.admin.Delete(context.Background(), rc) })
	hub := o.kubeconfig(p, o.primary.AdminConfig())
	into := filepath.Join(p.home, "out.yaml")
	p.env["KUBECONFIG"] = hub
	out, err := p.hawser("kubeconfig", o.namespace, "--into", into, "--use", "--command", p.path)
	if err != nil || !strings.Contains(out, "is in "+into) {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(into)
	o.must(err)
	if strings.Contains(string(text), o.token) {
		t.Error("the token is in it")
	}
	for name, value := range p.env { // kubectl hands its own environment on
		if name != "PATH" {
			t.Setenv(name, value)
		}
	}
	t.Setenv("KUBECONFIG", into) // in which the local cluster is not
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), &clientcmd.ConfigOverrides{}).ClientConfig()
	o.must(err)
	if who, err := whoAmI(t, config); who != o.account || err != nil {
		t.Errorf("alpha takes us for %q (%v), want %q", who, err, o.account)
	}
	if runs := p.runs(); len(runs) != 2 || !strings.HasSuffix(runs[1], "token --request "+o.namespace+"/"+o.namespace+" --context hub --kubeconfig "+hub) {
		t.Errorf("hawser ran as %q", runs)
	}
	// And kubectl itself, which runs the plugin as a process of its own.
	if who, err := o.alpha.Kubectl(t.Context(), into, "auth", "whoami", "--output", "jsonpath={.status.userInfo.username}"); who != o.account || err != nil {
		t.Errorf("alpha takes kubectl for %q (%v), want %q", who, err, o.account)
	}
}

// hawser runs a command of hawser's.
func (p *plugin) hawser(args ...string) (string, error) {
	p.t.Helper()
	q := *p
	q.path = filepath.Join(filepath.Dir(p.path), "hawser")
	cmd, out, stderr := q.startAs("hawser", "", args...)
	err := cmd.Wait()
	return out.String() + stderr.String(), err
}

// TestArgoCDEntersByAnExecProvider makes a rest.Config of a cluster Secret as Argo CD does
// (pkg/apis/application/v1alpha1, Cluster.RawRestConfig).
func TestArgoCDEntersByAnExecProvider(t *testing.T) {
	t.Parallel()
	o, p := newOffice(t, v1alpha1.OutputKubeconfig), newPlugin(t)
	p.env["KUBECONFIG"] = o.person(p)
	text, err := json.Marshal(map[string]any{
		"tlsClientConfig": map[string]any{"caData": o.alpha.CA()},
		"execProviderConfig": map[string]any{
			"command": p.path, "args": []string{"token", "--request", o.namespace + "/" + o.namespace}, "env": p.env, "apiVersion": exec.V1,
		},
	})
	o.must(err)
	var read struct {
		TLS  struct{ CAData []byte } `json:"tlsClientConfig"`
		Exec struct {
			Command     string            `json:"command"`
			Args        []string          `json:"args"`
			Env         map[string]string `json:"env"`
			APIVersion  string            `json:"apiVersion"`
			InstallHint string            `json:"installHint"`
		} `json:"execProviderConfig"`
	}
	o.must(json.Unmarshal(text, &read))
	config := &rest.Config{Host: o.alpha.Server, TLSClientConfig: rest.TLSClientConfig{CAData: read.TLS.CAData}}
	config.ExecProvider = &clientcmdapi.ExecConfig{
		APIVersion: read.Exec.APIVersion, Command: read.Exec.Command, Args: read.Exec.Args, InstallHint: read.Exec.InstallHint,
		InteractiveMode: clientcmdapi.NeverExecInteractiveMode,
	}
	for name, value := range read.Exec.Env {
		config.ExecProvider.Env = append(config.ExecProvider.Env, clientcmdapi.ExecEnvVar{Name: name, Value: value})
	}
	if who, err := whoAmI(t, config); who != o.account || err != nil {
		t.Errorf("alpha takes Argo CD for %q (%v), want %q", who, err, o.account)
	}
}

// TestAClusterProfileNamesThePlugin has our own inventory as the consumer, which runs the plugin as the
// operator's file says.
func TestAClusterProfileNamesThePlugin(t *testing.T) {
	t.Parallel()
	o, p := newOffice(t, v1alpha1.OutputClusterProfile), newPlugin(t)
	p.env["KUBECONFIG"] = o.person(p)
	out, err := export.Make(export.Access{
		Name: o.namespace, Namespace: o.namespace, Target: o.namespace, Cluster: "alpha",
		Endpoint: credential.Endpoint{Server: o.alpha.Server, CAData: o.alpha.CA()}, Token: credential.NewSecret(o.token),
	}, v1alpha1.AccessOutput{Format: v1alpha1.OutputClusterProfile})
	o.must(err)
	o.profile("alpha", out.Profile.AccessProviders)
	var env []map[string]string
	for name, value := range p.env {
		env = append(env, map[string]string{"name": name, "value": value})
	}
	for name, provider := range map[string]map[string]any{
		"its arguments": {"execConfig": map[string]any{"apiVersion": exec.V1, "command": p.path, "args": []string{"token"}, "env": env, "provideClusterInfo": true}, "profileSourcedCLIArgsPolicy": "Append"},
		"its configuration, as far as it is declared": {"execConfig": map[string]any{
			"apiVersion": exec.V1, "command": p.path, "args": []string{"token", "--from-config", "request"}, "env": env, "provideClusterInfo": true}},
	} {
		t.Run("by "+name, func(t *testing.T) {
			provider["name"] = export.ProviderHawser
			text, err := json.Marshal(map[string]any{"providers": []any{provider}})
			o.must(err)
			providers, err := exec.ParseProviders(text)
			o.must(err)
			profiles := &clusterprofile.Inventory{Config: o.primary.AdminConfig(), Namespace: o.namespace, Providers: providers}
			conn := inventorytest.Connect(t, inventorytest.Start(t, profiles).Told(t, o.namespace+"/alpha"))
			fleettest.Eventually(t, waitFor, func() error {
				if who := conn.State().Subject; who != o.account {
					return fmt.Errorf("alpha takes it for %q: %+v", who, conn.State().Conditions)
				}
				return nil
			})
		})
	}
}

// profile makes a healthy ClusterProfile.
func (o *office) profile(name string, providers []clusterprofile.AccessProvider) {
	o.t.Helper()
	u := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"clusterManager": map[string]any{"name": "test"}}}}
	u.SetGroupVersionKind(clusterprofile.Kind)
	u.SetNamespace(o.namespace)
	u.SetName(name)
	o.must(o.admin.Create(o.t.Context(), u))
	text, err := json.Marshal(map[string]any{"accessProviders": providers, "conditions": []any{
		map[string]any{"type": "ControlPlaneHealthy", "status": "True", "reason": "Probed", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}}})
	o.must(err)
	var status map[string]any
	o.must(json.Unmarshal(text, &status))
	u.Object["status"] = status
	o.must(o.admin.Status().Update(o.t.Context(), u))
}

func TestEKSByAChainOfRoles(t *testing.T) {
	t.Parallel()
	p := newPlugin(t)
	s := awstest.Start(t, awstest.Options{})
	hub, account := s.Account("111122223333"), s.Account("444455556666")
	ann := hub.User("ann")
	ops := hub.Role("ops", awstest.Trust{Principals: []string{ann.ARN()}})
	entry := account.Role("entry", awstest.Trust{Principals: []string{ops.ARN()}, ExternalID: "one-two"})
	ann.Allow("sts:AssumeRole", ops.ARN())
	ops.Allow("sts:AssumeRole", entry.ARN())
	prod := account.EKS("eu-north-1", "prod", awstest.EKSOptions{})
	alpha := prod.ServeBy(t, "alpha")
	prod.Entry(entry.ARN(), []string{"people"}, "ops-of-prod")
	p.setenv(s.Env())
	p.setenv(awstest.CredentialEnv(ann.Keys()))
	args := []string{"eks", "--cluster-name", "prod", "--region", "eu-north-1", "--role-arn", ops.ARN(), "--role-arn", entry.ARN(), "--external-id", "one-two"}
	if who, err := whoAmI(t, p.exec(alpha, true, args...)); who != "ops-of-prod" || err != nil {
		t.Errorf("the cluster takes us for %q (%v)", who, err)
	}
	calls := len(s.CallsOf("AssumeRole"))
	if _, err := whoAmI(t, p.exec(alpha, true, args...)); err != nil || len(s.CallsOf("AssumeRole")) != calls || calls != 2 {
		t.Errorf("%v: roles are assumed %d times, and %d times then", err, calls, len(s.CallsOf("AssumeRole")))
	}
	config := `"cluster":{"server":"` + alpha.Server + `","config":{"clusterName":"prod","region":"eu-north-1","roleARN":"arn:aws:iam::1:role/x"}}`
	by := strings.Replace(asked, `"interactive":false`, `"interactive":false,`+config, 1)
	if got := p.run(by, "eks", "--from-config", "clusterName,region"); got.err != nil || !strings.HasPrefix(got.token, "k8s-aws-v1.") {
		t.Errorf("by the cluster's configuration: got %+v", got)
	}
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"what is not declared is not taken":           {[]string{"eks"}, "--cluster-name is missing"},
		"what cannot be declared is an error":         {[]string{"eks", "--from-config", "roleARN"}, "there is no such parameter here"},
		"what is given twice is an error":             {[]string{"eks", "--from-config", "region", "--region", "eu-west-1"}, "it is given as a flag, too"},
		"a role that AWS refuses names the repair":    {append([]string{"eks", "--external-id", "wrong"}, args[1:9]...), "Repair:"},
		"a region that is none is refused, not asked": {[]string{"eks", "--cluster-name", "prod", "--region", "evil.example.com/"}, "is no region"},
	} {
		if got := p.run(by, test.args...); got.err == nil || !strings.Contains(got.stderr, test.want) {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

// TestOIDCThroughAGate has a gate that verifies what it is shown by the API server that issued it.
func TestOIDCThroughAGate(t *testing.T) {
	t.Parallel()
	o, p, g := newOffice(t, v1alpha1.OutputKubeconfig), newPlugin(t), newGate(t)
	kube := o.primary.Client()
	o.primary.ServiceAccount(t, o.namespace, "deployer")
	g.set(func(form map[string]string) (string, time.Duration, error) {
		review, err := kube.AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{
			Spec: authenticationv1.TokenReviewSpec{Token: form["subject_token"], Audiences: []string{"hawser:alpha"}},
		}, metav1.CreateOptions{})
		if err != nil || review.Status.User.Username != "system:serviceaccount:"+o.namespace+":deployer" || form["scope"] != "deploy" || form["lifetime"] != "1800" {
			return "", 0, fmt.Errorf("refused: %w, %+v, %s", err, review.Status, form["scope"])
		}
		return o.token, 30 * time.Minute, nil
	})
	p.env["KUBECONFIG"] = o.kubeconfig(p, o.primary.AdminConfig())
	args := func(audience string) []string {
		return []string{"oidc", "--service-account", o.namespace + "/deployer", "--audience", audience,
			"--gate-url", g.URL, "--gate-ca-file", g.ca, "--grant", "deploy", "--lifetime", "30m"}
	}
	if who, err := whoAmI(t, p.exec(o.alpha, true, args("hawser:alpha")...)); who != o.account || err != nil {
		t.Errorf("alpha takes us for %q (%v), want %q", who, err, o.account)
	}
	asked1 := g.asked()
	if got := p.run(asked, args(o.primary.Server)...); got.err == nil || !strings.Contains(got.stderr, "the local API server accepts it itself") {
		t.Errorf("with an audience of the local API server's: got %+v", got)
	}
	for name, token := range map[string]string{
		"it is for another audience": jobToken("hawser:beta", time.Hour), "it is for 2 audiences": jobToken([]string{"hawser:alpha", "hawser:beta"}, time.Hour),
		"has ended": jobToken("hawser:alpha", -time.Minute), "is no JWT": "opaque", "names no audience": jobToken(nil, time.Hour),
	} {
		p.env["JOB_TOKEN"] = token
		got := p.run(asked, append([]string{"oidc", "--token-env", "JOB_TOKEN"}, args("hawser:alpha")[3:]...)...)
		want := strings.TrimPrefix(strings.Replace(name, "it is for", "the token is for", 1), "it ")
		if got.err == nil || !strings.Contains(got.stderr, want) || strings.Contains(got.stderr, token) && token != "opaque" {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	if g.asked() != asked1 {
		t.Error("a token that is not for it was shown to the gate")
	}
}

// TestWhoNeedsItselfIsToldSo has a local cluster that is reached by the very answer that is asked for.
func TestWhoNeedsItselfIsToldSo(t *testing.T) {
	t.Parallel()
	p := newPlugin(t)
	args := []string{"token", "--request", "team-a/alpha"}
	c := clientcmdapi.NewConfig()
	c.Clusters["loop"] = &clientcmdapi.Cluster{Server: "https://127.0.0.1:1"}
	c.AuthInfos["loop"] = &clientcmdapi.AuthInfo{Exec: &clientcmdapi.ExecConfig{APIVersion: exec.V1, Command: p.path, Args: args, InteractiveMode: clientcmdapi.NeverExecInteractiveMode}}
	c.Contexts["loop"] = &clientcmdapi.Context{Cluster: "loop", AuthInfo: "loop"}
	c.CurrentContext = "loop"
	p.env["KUBECONFIG"] = filepath.Join(p.home, "loop.yaml")
	if err := clientcmd.WriteToFile(*c, p.env["KUBECONFIG"]); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	got := p.run(asked, args...)
	if got.err == nil || !strings.Contains(got.stderr, "finding this credential takes this credential") || time.Since(begin) > 20*time.Second {
		t.Errorf("got %+v after %s", got, time.Since(begin))
	}
}
