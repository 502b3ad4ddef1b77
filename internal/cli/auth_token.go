package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientauthenticationv1 "k8s.io/client-go/pkg/apis/clientauthentication/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/export"
	"github.com/hawser-io/hawser/inventory/clusterprofile"
)

// maxTokenFile is more than any token that fits into a header.
const maxTokenFile = 64 << 10

func newAuthToken(d *deps, common *authFlags) *cobra.Command {
	var request, file string
	cmd := &cobra.Command{
		Use:   "token (--request NAMESPACE/NAME | --file PATH)",
		Short: "The token that an AccessRequest keeps, or one in a file",
		Long: `Print the token that the manager keeps fresh for an AccessRequest of the local cluster, which is
reached by --kubeconfig and --context, or by the pod's own account. You need the right to get
the AccessRequest and its Secret, in its namespace. Where the plugin is told which cluster it
is for, a token for another API server is not given away.

With --file it is the token in a file, such as a mounted Secret. --from-config may declare request.`,
		Example: `  hawser auth token --request team-a/alpha --context hub
  hawser auth token --file /var/run/secrets/alpha/token`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return d.auth(cmd, common, func(ctx context.Context, about *clientauthenticationv1.Cluster) (authAnswer, error) {
				request := request // of this run
				if err := common.fill(about, map[string]*string{"request": &request}); err != nil {
					return authAnswer{}, err
				}
				if (request == "") == (file == "") {
					return authAnswer{}, usageError("name an AccessRequest with --request NAMESPACE/NAME, or a file with --file")
				}
				if file != "" {
					return tokenInFile("file", file)
				}
				return d.authRequest(ctx, request, about)
			})
		},
	}
	cmd.Flags().StringVar(&request, "request", "", "AccessRequest of the local cluster: NAMESPACE/NAME")
	cmd.Flags().StringVar(&file, "file", "", "file with a token")
	_ = cmd.RegisterFlagCompletionFunc("request", cobra.NoFileCompletions)
	return cmd
}

// tokenInFile reads a token. Its errors name the file, and quote nothing of it.
func tokenInFile(flag, path string) (authAnswer, error) {
	if err := absolute(flag, path); err != nil {
		return authAnswer{}, err
	}
	file, err := os.Open(path)
	if err != nil {
		return authAnswer{}, fmt.Errorf("reading the token: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxTokenFile+1))
	if err != nil {
		return authAnswer{}, fmt.Errorf("reading the token: %w", err)
	}
	token, err := tokenOf(string(text))
	if err != nil {
		return authAnswer{}, fmt.Errorf("reading the token in %s: %w", path, err)
	}
	return authAnswer{Credential: token, Files: []string{path}}, nil
}

// tokenOf takes a text for a token, without the white space around it.
func tokenOf(text string) (credential.Credential, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return credential.Credential{}, fmt.Errorf("it is empty")
	case len(text) > maxTokenFile:
		return credential.Credential{}, fmt.Errorf("it is longer than %d KiB", maxTokenFile>>10)
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return credential.Credential{}, fmt.Errorf("it has characters that no HTTP header can carry")
	}
	return credential.NewToken(text, ""), nil
}

// authRequest takes the token that the manager keeps for an AccessRequest.
func (d *deps) authRequest(ctx context.Context, request string, about *clientauthenticationv1.Cluster) (authAnswer, error) {
	namespace, name, ok := strings.Cut(request, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return authAnswer{}, usageError("--request %q: write NAMESPACE/NAME", request)
	}
	here, err := d.local()
	if err != nil {
		return authAnswer{}, err
	}
	fault := func(err error) (authAnswer, error) {
		return authAnswer{}, fmt.Errorf("taking the token of AccessRequest %q: %w", request, err)
	}
	var areq v1alpha1.AccessRequest
	if err := here.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &areq); err != nil {
		return fault(explainRead(err, "accessrequests.hawser.io", namespace, name))
	}
	secret, err := outputOf(ctx, here.Client, &areq)
	if err != nil {
		return fault(err)
	}
	access, err := readOutput(secret)
	if err != nil {
		return fault(fmt.Errorf("Secret %q: %w: let spec.output.format be kubeconfig or clusterprofile, and see kubectl -n %s describe accessrequest %s", secret.Name, err, namespace, name)) //nolint:staticcheck // Secret is a kind
	}
	if about != nil && access.cluster != nil && !sameServer(about.Server, access.cluster.Server) {
		return fault(fmt.Errorf("it is for %s, and the plugin is asked for %.200s: it is shown to no other server", access.cluster.Server, about.Server))
	}
	if end := access.token.ExpiresAt; !end.IsZero() && !end.After(d.clock.Now()) {
		return fault(fmt.Errorf("it expired at %s: %s", end.Format(time.RFC3339), notReady(&areq)))
	}
	return authAnswer{Credential: access.token, Files: d.kubeconfigFiles()}, nil
}

// outputOf reads the Secret that an AccessRequest has written.
func outputOf(ctx context.Context, c client.Reader, areq *v1alpha1.AccessRequest) (*corev1.Secret, error) {
	key := client.ObjectKey{Namespace: areq.Namespace, Name: cmp.Or(areq.Status.SecretName, areq.Spec.Output.SecretName, areq.Name)}
	var secret corev1.Secret
	err := c.Get(ctx, key, &secret)
	switch {
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("it has written no Secret: %s", notReady(areq))
	case err != nil:
		return nil, explainRead(err, "secrets", key.Namespace, key.Name)
	case secret.Labels[v1alpha1.ManagedByLabel] != v1alpha1.ManagedBy || !slices.ContainsFunc(secret.OwnerReferences, func(o metav1.OwnerReference) bool { return o.UID == areq.UID }):
		return nil, fmt.Errorf("Secret %q was not written for it: %s", key.Name, notReady(areq)) //nolint:staticcheck // Secret is a kind
	}
	return &secret, nil
}

// notReady says what the manager says of a request.
func notReady(areq *v1alpha1.AccessRequest) string {
	ready := meta.FindStatusCondition(areq.Status.Conditions, v1alpha1.Ready)
	switch {
	case ready == nil:
		return "the manager has not looked at it yet"
	case ready.Status == metav1.ConditionTrue:
		return "the manager calls it Ready"
	}
	return fmt.Sprintf("the manager says %s: %s", ready.Reason, oneLine(ready.Message))
}

// explainRead says which right is missing.
func explainRead(err error, resource, namespace, name string) error {
	if !apierrors.IsForbidden(err) {
		return err
	}
	return fmt.Errorf("%w. Repair: kubectl -n %s create role NAME --verb=get --resource=%s --resource-name=%s, and bind it to you", err, namespace, resource, name)
}

// output is what a Secret of an AccessRequest gives access to.
type output struct {
	token   credential.Credential
	cluster *clientcmdapi.Cluster // nil where it does not say
}

// readOutput reads the formats kubeconfig and clusterprofile, which hold the token under a key of its own, and a
// kubeconfig that says where the cluster is.
func readOutput(secret *corev1.Secret) (output, error) {
	var out output
	for _, key := range []string{v1alpha1.DefaultKubeconfigKey, clusterprofile.SecretKey} {
		config, err := clientcmd.Load(secret.Data[key])
		if err != nil {
			continue
		}
		if context := config.Contexts[config.CurrentContext]; context != nil && config.Clusters[context.Cluster] != nil {
			out.cluster = config.Clusters[context.Cluster]
		}
	}
	text := string(secret.Data[export.TokenKey])
	var err error
	if out.token, err = tokenOf(text); err != nil {
		return out, fmt.Errorf("it holds no token that can be read here")
	}
	if stated, err := time.Parse(time.RFC3339, secret.Annotations[v1alpha1.ExpiresAnnotation]); err == nil {
		if out.token.ExpiresAt.IsZero() || stated.Before(out.token.ExpiresAt) {
			out.token.ExpiresAt = stated
		}
	}
	return out, nil
}

// sameServer compares two addresses of API servers.
func sameServer(a, b string) bool { return strings.TrimRight(a, "/") == strings.TrimRight(b, "/") }

// kubeconfigFiles are those that say which cluster is the local one.
func (d *deps) kubeconfigFiles() []string {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = d.kubeconfig
	return rules.GetLoadingPrecedence()
}
