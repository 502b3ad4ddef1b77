package manager_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/manager"
)

// process is `hawser manager` as people run it.
type process struct {
	cmd            *exec.Cmd
	metrics, probe string

	mu  sync.Mutex
	log []byte
}

// programDir holds the program, once it is built.
var programDir string

var program = sync.OnceValues(func() (path string, err error) {
	if programDir, err = os.MkdirTemp("", "hawser-"); err != nil {
		return "", err
	}
	path = filepath.Join(programDir, "hawser")
	if out, err := exec.Command("go", "build", "-o", path, "../../cmd/hawser").CombinedOutput(); err != nil {
		return "", fmt.Errorf("building hawser: %w\n%s", err, out)
	}
	return path, nil
})

// binary builds the program once.
func binary(t *testing.T) string {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func (h *hub) run(path string) *process {
	h.t.Helper()
	p := &process{metrics: freeAddress(h.t), probe: freeAddress(h.t)}
	p.cmd = exec.Command(path, "manager", "--cluster-name", h.local, "--management-only", "--kubeconfig", h.kubeconfig(),
		"--probe-interval", "1s", "--metrics-bind-address", p.metrics, "--health-probe-bind-address", p.probe)
	p.cmd.Stderr = p
	if err := p.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		if h.t.Failed() {
			h.t.Logf("the process logged:\n%s", p.logged())
		}
	})
	return p
}

// Write keeps what a process logs, also for the search for secrets.
func (p *process) Write(text []byte) (int, error) {
	texts.Store(string(text), "a process's log")
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = append(p.log, text...)
	return len(text), nil
}

func (p *process) logged() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.log)
}

// freeAddress is below the ports that the system gives to outgoing connections, which would else have it before
// the process does.
func freeAddress(t *testing.T) string {
	t.Helper()
	const first, last = 20000, 31999
	for range 200 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(last-first+1)))
		if err == nil {
			_ = l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("there is no free port")
	return ""
}

// kubeconfig writes one for the manager's service account.
func (h *hub) kubeconfig() string {
	h.t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: h.cluster.Server, CertificateAuthorityData: h.cluster.CA()}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: remember(h.cluster.Token(h.t, v1alpha1.Namespace, "hawser", time.Hour))}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "x"
	path := filepath.Join(h.t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		h.t.Fatal(err)
	}
	return path
}

func TestAManagerThatIsKilledInTheMiddleOfARenewal(t *testing.T) {
	h, alpha := startHubAside(t), fleettest.Use(t, "alpha")
	h.stop() // the process takes its place
	path := binary(t)
	proxy := alpha.HTTPProxy(t)
	first := h.run(path)
	h.tieByToken("alpha", alpha, proxy.URL)
	h.ready("alpha")

	// Killed when the new token has been minted, and before it is put to use.
	minted := make(chan struct{}, 1)
	proxy.OnRequest(func(r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/token") {
			select {
			case minted <- struct{}{}:
			default:
			}
		}
	})
	proxy.Fail(http.StatusServiceUnavailable, func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "selfsubjectreviews") })
	h.update("alpha", func(rc *v1alpha1.RemoteCluster) {
		metav1.SetMetaDataAnnotation(&rc.ObjectMeta, v1alpha1.RenewAnnotation, time.Now().Add(time.Second).Format(time.RFC3339Nano))
	})
	<-minted
	if err := first.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = first.cmd.Wait()
	proxy.RestoreHTTP()
	before := len(proxy.Requests())

	// It cannot give its Lease back, which ends a quarter of a minute later, or now.
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: manager.LeaderLease}}
	if err := h.admin.Delete(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	second := h.run(path)
	eventually(t, "the new manager to probe", func() error {
		for _, r := range proxy.Requests()[before:] {
			if strings.HasSuffix(r.Path, "/kube-system") {
				return nil
			}
		}
		return errors.New("it has not, yet")
	})
	h.ready("alpha")
	second.serves(t)
	if err := second.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := second.cmd.Wait(); err != nil {
		t.Errorf("a graceful stop ended with %v", err)
	}
}

// serves checks health and metrics of a manager that holds a connection to alpha.
func (p *process) serves(t *testing.T) {
	t.Helper()
	for _, path := range []string{"/healthz", "/readyz"} {
		if body := fetch(t, "http://"+p.probe+path); body != "ok" {
			t.Errorf("%s answers %q", path, body)
		}
	}
	wanted := []string{
		`hawser_cluster_up{cluster="alpha"} 1`,
		`hawser_cluster_condition{cluster="alpha",condition="Authorized"} 1`,
		`hawser_cluster_info{auth="bearerToken",cluster="alpha",cluster_id="[0-9a-f-]{36}",version="v1[^"]+"} 1`,
		`hawser_credential_expiry_seconds{cluster="alpha"} 1\.`,
		`hawser_credential_renewals_total{cluster="alpha"} \d`,
		`hawser_probe_duration_seconds_count{cluster="alpha",result="ok"} \d`,
	}
	eventually(t, "the metrics of a link that is up", func() error { // the status may be older than this manager
		metrics := fetch(t, "http://"+p.metrics+"/metrics")
		for _, want := range wanted {
			if !regexp.MustCompile(want).MatchString(metrics) {
				return fmt.Errorf("they have no %s", want)
			}
		}
		return nil
	})
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
