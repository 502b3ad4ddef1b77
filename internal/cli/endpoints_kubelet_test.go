package cli

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// kubelet forwards ports of the pods of one node, and nothing else: to this machine, where the manager of a test is.
// Those of pod hawser-1 it fails to.
type kubelet struct {
	f    *field
	node string
}

func startKubelet(t *testing.T, f *field) *kubelet {
	t.Helper()
	dir := f.use("primary").Dir()
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "kubelet.crt"), filepath.Join(dir, "kubelet.key"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(forwardPort))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	k := &kubelet{f: f, node: "node-of-" + f.local}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: k.node}}
	f.make(f.here, node)
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "127.0.0.1"}}
	node.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(server.Listener.Addr().(*net.TCPAddr).Port)
	if err := f.here.Client.Status().Update(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	return k
}

// managerPod makes a pod that a manager seems to run in.
func (k *kubelet) managerPod(name string) { k.pod(name, corev1.PodRunning) }

// ended makes one that a manager ran in, as it is there after an eviction.
func (k *kubelet) ended(name string) { k.pod(name, corev1.PodFailed) }

func (k *kubelet) pod(name string, phase corev1.PodPhase) {
	f := k.f
	f.t.Helper()
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: name, Labels: map[string]string{"app.kubernetes.io/name": "hawser", "app.kubernetes.io/component": "manager"}},
		Spec:       corev1.PodSpec{NodeName: k.node, ServiceAccountName: "hawser", Containers: []corev1.Container{{Name: "hawser", Image: "i"}}},
	}
	f.make(f.here, p)
	p.Status.Phase = phase
	if err := f.here.Client.Status().Update(f.t.Context(), p); err != nil {
		f.t.Fatal(err)
	}
}

// forwardPort is what a kubelet does with /portForward/NAMESPACE/POD.
func forwardPort(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, "/portForward/") {
		http.NotFound(w, r)
		return
	}
	if _, err := httpstream.Handshake(r, w, []string{portforward.PortForwardProtocolV1Name}); err != nil {
		return
	}
	streams := make(chan httpstream.Stream, 2)
	link := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(s httpstream.Stream, replied <-chan struct{}) error {
		go func() {
			<-replied
			streams <- s
		}()
		return nil
	})
	if link == nil {
		return
	}
	defer func() { _ = link.Close() }()
	var data, faults httpstream.Stream
	for data == nil || faults == nil {
		select {
		case s := <-streams:
			if s.Headers().Get(corev1.StreamType) == corev1.StreamTypeError {
				faults = s
			} else {
				data = s
			}
		case <-link.CloseChan():
			return
		}
	}
	if err := forwardTo(data, strings.HasSuffix(r.URL.Path, "/hawser-1")); err != nil {
		fmt.Fprint(faults, err)
	}
	_ = faults.Close()
	_ = data.Close()
	<-link.CloseChan()
}

func forwardTo(data httpstream.Stream, broken bool) error {
	if broken {
		return errors.New("the network namespace is gone")
	}
	to, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", data.Headers().Get(corev1.PortHeader)))
	if err != nil {
		return err
	}
	defer func() { _ = to.Close() }()
	go func() { _, _ = io.Copy(to, data) }() // ends with either of them
	_, err = io.Copy(data, to)
	return err
}
