package awstest

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/fleettest"
)

// webhooks are where the API servers of the package's fleet ask, by the name of the cluster: TestMain and the tests
// have no other way to meet.
var webhooks struct {
	sync.Mutex
	byCluster map[string]*switchboard
}

// switchboard is the webhook of one API server. Which EKS cluster that is, each test says.
type switchboard struct {
	mu      sync.Mutex
	cluster *Cluster // nil between tests: nobody is let in
}

// ServeHTTP implements http.Handler.
func (s *switchboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	cluster := s.cluster
	s.mu.Unlock()
	if cluster == nil {
		http.Error(w, "no test plays this cluster now", http.StatusForbidden)
		return
	}
	cluster.account.server.reviewFor(w, r, cluster)
}

// Run is [fleettest.RunWith] for a fleet in which the API servers of the named clusters ask a webhook who a token
// belongs to, as those of EKS do. See [Cluster.ServeBy].
func Run(m *testing.M, opts fleettest.Options, clusters ...string) int {
	stop, err := startWebhooks(&opts, clusters)
	defer stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "awstest:", err)
		return 1
	}
	return fleettest.RunWith(m, opts)
}

func startWebhooks(opts *fleettest.Options, clusters []string) (stop func(), err error) {
	dir, err := os.MkdirTemp("", "awstest-")
	if err != nil {
		return func() {}, fmt.Errorf("making directory for webhooks: %w", err)
	}
	var servers []*http.Server
	stop = func() {
		for _, server := range servers {
			server.Close()
		}
		_ = os.RemoveAll(dir) // there is nobody left to tell
	}
	webhooks.Lock()
	defer webhooks.Unlock()
	webhooks.byCluster = map[string]*switchboard{}
	for _, name := range clusters {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return stop, fmt.Errorf("listening for webhook of cluster %q: %w", name, err)
		}
		board := &switchboard{}
		server := newHTTPServer(board)
		servers = append(servers, server)
		go server.Serve(l) //nolint:errcheck // returns when it is closed
		file := filepath.Join(dir, name+".kubeconfig")
		if err := os.WriteFile(file, webhookKubeconfig("http://"+l.Addr().String()), 0o600); err != nil {
			return stop, fmt.Errorf("writing webhook of cluster %q: %w", name, err)
		}
		webhooks.byCluster[name] = board
		opts.APIServerArgs = append(opts.APIServerArgs, APIServerArgs(name, file)...)
	}
	return stop, nil
}

// APIServerArgs are the [fleettest.Options] by which the API server of a cluster asks a webhook. The file is that of
// [Cluster.WebhookKubeconfig], and has to be there when the API server starts. The API server keeps a good answer
// for ten seconds.
func APIServerArgs(cluster, webhookKubeconfigFile string) []string {
	return []string{
		cluster + "=--authentication-token-webhook-config-file=" + webhookKubeconfigFile,
		cluster + "=--authentication-token-webhook-version=v1",
		cluster + "=--authentication-token-webhook-cache-ttl=1s",
	}
}

// ServeBy lets a cluster of the package's fleet play this EKS cluster until the test ends: its address, CA and
// issuer become those of the real API server, which asks this cluster's webhook. TestMain has called [Run].
func (c *Cluster) ServeBy(t testing.TB, name string) *fleettest.Cluster {
	t.Helper()
	if os.Getenv("HAWSER_FLEET") != "" {
		t.Skip("the API servers of a fleet that is up already ask no webhook")
	}
	webhooks.Lock()
	board := webhooks.byCluster[name]
	webhooks.Unlock()
	if board == nil {
		t.Fatalf("awstest: cluster %q has no webhook: name it in awstest.Run", name)
	}
	board.mu.Lock()
	defer board.mu.Unlock()
	if board.cluster != nil {
		t.Fatalf("awstest: cluster %q already plays EKS cluster %s", name, board.cluster.ARN())
	}
	api := fleettest.Use(t, name)
	c.SetEndpoint(api.Server, api.CA())
	c.SetIssuer(api.Server)
	board.cluster = c
	t.Cleanup(func() {
		board.mu.Lock()
		defer board.mu.Unlock()
		board.cluster = nil
	})
	return api
}

// OIDCProviderOf is [Account.OIDCProvider] for the service accounts of a real API server (IRSA), whose keys it
// makes public, as those of an EKS cluster are.
func (a *Account) OIDCProviderOf(t testing.TB, api *fleettest.Cluster, audiences ...string) string {
	t.Helper()
	_, err := api.Client().RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "awstest:public-issuer"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:service-account-issuer-discovery"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "system:unauthenticated"}},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatalf("awstest: publishing the issuer of cluster %q: %v", api.Name, err)
	}
	fleettest.Eventually(t, 10*time.Second, func() error { // the authorizer hears of it a moment later
		_, err := oidc.NewProvider(oidc.ClientContext(t.Context(), issuerClient(api.CA())), api.Server)
		return err
	})
	return a.OIDCProvider(api.Server, api.CA(), audiences...)
}
