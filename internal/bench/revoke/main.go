// Command revoke measures how long a cut connection goes on being let in: from
// the revocation to the last new request that the cluster accepts, from a thief
// who holds the credential and asks as often as it can.
package main

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/internal/bench"
	"github.com/hawser-io/hawser/internal/cli/install"
	"github.com/hawser-io/hawser/member"
)

const (
	runs  = 3
	quiet = 12 * time.Second // so long nothing is accepted until it counts as over: API servers remember a token for 10 s
)

func main() {
	bench.Main("revoke", []string{"alpha"}, func(b *bench.Bench) error {
		worst := map[member.Identity]time.Duration{}
		for range runs {
			for _, id := range []member.Identity{member.ServiceAccount, member.Certificate} {
				took, err := once(b, id)
				if err != nil {
					return fmt.Errorf("%s: %w", id, err)
				}
				b.Say("%s: last accepted after %s", id, took)
				worst[id] = max(worst[id], took)
			}
		}
		note := fmt.Sprintf("the worst of %d, from the revocation to the last accepted new request", runs)
		b.Add("connection_s", max(worst[member.ServiceAccount], worst[member.Certificate]).Seconds(), "s", note)
		b.Add("connection_token_s", worst[member.ServiceAccount].Seconds(), "s", note)
		b.Add("connection_cert_s", worst[member.Certificate].Seconds(), "s", note)
		return nil
	})
}

// once installs a connection, steals its credential, cuts it, and returns when the thief was last let in.
func once(b *bench.Bench, id member.Identity) (time.Duration, error) {
	cluster, admin, err := b.Cluster("alpha")
	if err != nil {
		return 0, err
	}
	if err := b.Member(admin, member.Options{Local: bench.Local, Identity: id}); err != nil {
		return 0, err
	}
	stolen := cluster.AnonymousConfig()
	if err := steal(b.Ctx, admin, id, stolen); err != nil {
		return 0, err
	}
	thief, err := kubernetes.NewForConfig(stolen)
	if err != nil {
		return 0, err
	}
	if err := ask(b.Ctx, thief); err != nil {
		return 0, fmt.Errorf("before the revocation: %w", err)
	}
	begin := time.Now()
	cut := install.CutAccount
	if id == member.Certificate {
		cut = install.CutBindings
	}
	if err := cut(b.Ctx, admin, bench.Local, func(client.Object, string) {}); err != nil {
		return 0, err
	}
	last := begin
	for time.Since(last) < quiet {
		if ask(b.Ctx, thief) == nil {
			last = time.Now()
		}
		if err := b.Ctx.Err(); err != nil {
			return 0, err
		}
	}
	return last.Sub(begin), nil
}

func steal(ctx context.Context, admin client.Client, id member.Identity, config *rest.Config) error {
	var c credential.Credential
	var err error
	if id == member.Certificate {
		if c, err = install.Certificate(ctx, admin, bench.Local, time.Hour); err != nil {
			return err
		}
		config.CertData, config.KeyData = c.Certificate.CertPEM, []byte(c.Certificate.KeyPEM.Reveal())
		return nil
	}
	if c, err = install.Token(ctx, admin, bench.Local, time.Hour); err != nil {
		return err
	}
	config.BearerToken = c.Token.Reveal()
	return nil
}

// ask makes a request that the connection has a right to.
func ask(ctx context.Context, thief kubernetes.Interface) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := thief.CoreV1().Namespaces().Get(ctx, "kube-system", metav1.GetOptions{})
	return err
}
