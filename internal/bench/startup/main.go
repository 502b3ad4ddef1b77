// Command startup measures a cold start: from the moment that a manager is started until all of 200 RemoteClusters are
// Ready, with a credential of each to read, prove and report.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/bench"
	"github.com/hawser-io/hawser/internal/manager"
)

const (
	clusters = 200
	runs     = 3
)

func main() {
	bench.Main("startup", []string{"primary", "alpha", "beta"}, func(b *bench.Bench) error {
		local, admin, err := b.Cluster("primary")
		if err != nil {
			return err
		}
		if err := b.Install(local); err != nil {
			return err
		}
		n := bench.Size(clusters)
		if err := b.Declare(admin, n, "alpha", "beta"); err != nil {
			return err
		}
		config := local.TokenConfig(bench.AccountToken(b.Ctx, admin, v1alpha1.Namespace, "hawser"))
		var took []time.Duration
		for i := range runs {
			if err := b.Unready(admin); err != nil {
				return err
			}
			ctx, stop := context.WithCancel(b.Ctx)
			ended := make(chan error, 1)
			begin := time.Now()
			go func() { // ends with ctx
				ended <- manager.Run(ctx, manager.Options{
					ClusterName: bench.Local, ManagementOnly: true, Config: config, Log: logr.Discard(), MetricsAddr: "0", ProbeAddr: "0",
				})
			}()
			err := b.AllReady(admin, n)
			took = append(took, time.Since(begin))
			stop()
			if end := <-ended; err == nil {
				err = end
			}
			if err != nil {
				return err
			}
			b.Say("run %d: %s", i+1, took[i])
		}
		b.Add("seconds", bench.Median(took).Seconds(), "s", fmt.Sprintf("from the start of a manager until %d RemoteClusters, names of 2 API servers, are Ready; median of %d", n, runs))
		return nil
	})
}
