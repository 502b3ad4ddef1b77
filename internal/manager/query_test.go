package manager_test

import (
	"strings"
	"testing"

	"github.com/hawser-io/hawser/internal/manager"
)

func TestQuestionsAboutEndpointsAreAnsweredOnLoopbackAlone(t *testing.T) {
	for _, test := range []struct{ name, addr, want string }{
		{"every address", ":8082", "has to be a loopback address"},
		{"every address, said so", "0.0.0.0:8082", "has to be a loopback address"},
		{"an address of the pod", "10.1.0.7:8082", "has to be a loopback address"},
		{"a name, which may be anybody", "localhost:8082", "has to be a loopback address"},
		{"no port", "127.0.0.1", "missing port"},
		{"loopback", "127.0.0.1:8082", "/nonexistent/tokens"}, // which is refused next
		{"loopback of IPv6", "[::1]:8082", "/nonexistent/tokens"},
		{"nowhere", "0", "/nonexistent/tokens"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := manager.Run(t.Context(), manager.Options{ClusterName: "hub", QueryAddr: test.addr, TokenDir: "/nonexistent/tokens"})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("want an error with %q, got %v", test.want, err)
			}
		})
	}
}
