package fleettest_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/hawser-io/hawser/fleettest"
)

// Exec upgrades its connection, which reverse proxies are good at breaking.
func TestExecPassesTheHTTPProxy(t *testing.T) {
	fleet, err := fleettest.Start(t.Context(), fleettest.Options{Clusters: []string{"pods"}, Pods: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := fleet.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	c, err := fleet.Cluster(t.Context(), "pods")
	if err != nil {
		t.Fatal(err)
	}
	config := c.HTTPProxy(t).AdminConfig()
	request := kubernetes.NewForConfigOrDie(config).CoreV1().RESTClient().Post().
		Namespace("shop").Resource("pods").Name("web-00000").SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Command: []string{"echo", "hello"}, Stdout: true}, scheme.ParameterCodec)
	for name, dial := range map[string]func() (remotecommand.Executor, error){
		"SPDY": func() (remotecommand.Executor, error) {
			return remotecommand.NewSPDYExecutor(config, "POST", request.URL())
		},
		"websocket": func() (remotecommand.Executor, error) { return websocket(config, request) },
	} {
		t.Run(name, func(t *testing.T) {
			executor, err := dial()
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := executor.StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdout: &out}); err != nil {
				t.Fatal(err)
			}
			if strings.TrimSpace(out.String()) != "hello" {
				t.Errorf("output %q, want hello", out.String())
			}
		})
	}
}

func websocket(config *rest.Config, request *rest.Request) (remotecommand.Executor, error) {
	return remotecommand.NewWebSocketExecutor(config, "GET", request.URL().String())
}
