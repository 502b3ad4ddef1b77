// Command revoke measures how long a cut connection goes on being let in: from
// the start of `hawser revoke` to the last new request that the cluster accepts,
// from a thief who holds the credential and asks as often as it can.
package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/bench"
	"github.com/hawser-io/hawser/internal/cli"
)

const (
	runs  = 3
	quiet = 12 * time.Second // so long nothing is accepted until it counts as over: API servers remember a token for 10 s
)

// ways to authenticate, as join has them.
var ways = map[string][]string{"token": {"--auth", "bearerToken"}, "cert": {"--auth", "mtls", "--renew", "watch"}}

func main() {
	bench.Main("revoke", []string{"primary", "alpha"}, func(b *bench.Bench) error {
		s := &scene{Bench: b}
		if err := s.set(); err != nil {
			return err
		}
		defer s.end()
		worst := map[string]time.Duration{}
		for range runs {
			for way, args := range ways {
				took, err := s.once(args)
				if err != nil {
					return fmt.Errorf("%s: %w", way, err)
				}
				b.Say("%s: last accepted after %s", way, took)
				worst[way] = max(worst[way], took)
			}
		}
		note := fmt.Sprintf("the worst of %d, from the start of hawser revoke to the last accepted new request", runs)
		b.Add("connection_s", max(worst["token"], worst["cert"]).Seconds(), "s", note)
		b.Add("connection_token_s", worst["token"].Seconds(), "s", note)
		b.Add("connection_cert_s", worst["cert"].Seconds(), "s", note)
		if err := issuer(b); err != nil {
			return err
		}
		return accessGrant(b)
	})
}

// scene is a primary cluster with a manager, and a cluster to be joined and cut off.
type scene struct {
	*bench.Bench
	primary client.Client
	alpha   *fleettest.Cluster
	end     func()
}

func (s *scene) set() error {
	primary, admin, err := s.Cluster("primary")
	if err != nil {
		return err
	}
	s.primary = admin
	if s.alpha, _, err = s.Cluster("alpha"); err != nil {
		return err
	}
	if err := s.Install(primary); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(s.Ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- s.hawser(ctx, "manager", "--cluster-name", bench.Local, "--management-only", "--probe-interval", "1s", "--metrics-bind-address", "0", "--health-probe-bind-address", "0")
	}()
	s.end = func() {
		cancel()
		if err := <-ended; err != nil {
			s.Say("the manager ended with %s", err)
		}
	}
	return bench.Until(ctx, "the manager", func() bool {
		key := client.ObjectKey{Namespace: v1alpha1.Namespace, Name: v1alpha1.ManagerConfigMap}
		return s.primary.Get(ctx, key, &corev1.ConfigMap{}) == nil
	})
}

// hawser runs a command of the command line on the fleet.
func (s *scene) hawser(ctx context.Context, args ...string) error {
	var said bytes.Buffer
	args = append([]string{"hawser", "--kubeconfig", s.Fleet.Kubeconfig(), "--context", "primary"}, args...)
	if code := cli.Run(ctx, args, nil, &said, &said); code != 0 && ctx.Err() == nil {
		return fmt.Errorf("hawser %s: exit code %d: %s", args[5], code, said.Bytes())
	}
	return nil
}

// once joins a cluster, steals the connection's credential, revokes it, and returns when the thief was last let in.
func (s *scene) once(auth []string) (time.Duration, error) {
	if err := s.hawser(s.Ctx, append([]string{"join", "alpha", "--remote-context", "alpha", "--replace"}, auth...)...); err != nil {
		return 0, err
	}
	thief, err := s.steal()
	if err != nil {
		return 0, err
	}
	if err := ask(s.Ctx, thief); err != nil {
		return 0, fmt.Errorf("before the revocation: %w", err)
	}
	begin, done := time.Now(), make(chan error, 1)
	go func() { done <- s.hawser(s.Ctx, "revoke", "alpha", "--remote-context", "alpha") }()
	last := begin
	for time.Since(last) < quiet {
		if ask(s.Ctx, thief) == nil {
			last = time.Now()
		}
		if err := s.Ctx.Err(); err != nil {
			return 0, err
		}
	}
	if err := <-done; err != nil {
		return 0, err
	}
	// What was cut off is not joined again as it was: a certificate that lost its rights would have them back.
	if err := s.hawser(s.Ctx, "leave", "alpha", "--remote-context", "alpha"); err != nil {
		return 0, err
	}
	return last.Sub(begin), nil
}

// steal takes what join put into the Secret.
func (s *scene) steal() (kubernetes.Interface, error) {
	var secret corev1.Secret
	key := client.ObjectKey{Namespace: v1alpha1.Namespace, Name: v1alpha1.InputSecretName("alpha")}
	if err := s.primary.Get(s.Ctx, key, &secret); err != nil {
		return nil, err
	}
	config := s.alpha.AnonymousConfig()
	config.TLSClientConfig = rest.TLSClientConfig{
		CAData: s.alpha.CA(), CertData: secret.Data[v1alpha1.TLSCertKey], KeyData: secret.Data[v1alpha1.TLSKeyKey],
	}
	config.BearerToken = string(secret.Data[v1alpha1.BearerTokenKey])
	return kubernetes.NewForConfig(config)
}

// ask makes a request that the connection has a right to.
func ask(ctx context.Context, thief kubernetes.Interface) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := thief.CoreV1().Namespaces().Get(ctx, "kube-system", metav1.GetOptions{})
	return err
}
