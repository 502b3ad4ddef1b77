// Command ekschain measures how often STS is asked for a large fleet: 1,000 EKS
// clusters over 50 identities in chains of three roles, from a cold start on,
// for some hours of an injected clock. STS is one that verifies every call.
package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/credential/eks"
	"github.com/hawser-io/hawser/internal/awstest"
	"github.com/hawser-io/hawser/internal/bench"
	"github.com/hawser-io/hawser/internal/manager"
)

const (
	clusters = 1000
	accounts = 7 // each with a role that is assumed from the hub's,
	leaves   = 6 // and from which this many are assumed: 1 + 7 + 42 = 50 identities
	hours    = 6 // after the first, which is the cold start
	region   = "eu-north-1"
	step     = 250 * time.Millisecond
)

func main() {
	bench.Main("ekschain", nil, func(b *bench.Bench) error {
		w, err := measure(b, manager.STSPerSecond)
		if err != nil {
			return err
		}
		cold, steady, peak, _ := w.count()
		b.Add("sts_calls_per_hour", float64(steady)/hours, "", fmt.Sprintf("AssumeRole calls for %d clusters over %d identities, mean of %d hours; %d in the first", clusters, w.identities, hours, cold))
		b.Add("peak_per_second", float64(peak), "", "the busiest second, the cold start included")
		b.Add("tokens_per_hour", float64(w.tokens.Load())/(hours+1), "", "")
		if w, err = measure(b, 0); err != nil {
			return err
		}
		_, _, most, later := w.count()
		b.Add("unpaced_peak_per_second", float64(later), "", fmt.Sprintf("the same without our limit of %d a second, after the first hour: what jitter alone does; %d in the cold start", manager.STSPerSecond, most))
		return nil
	})
}

// measure runs a fleet for some hours.
func measure(b *bench.Bench, perSecond int) (*world, error) {
	w, err := newWorld(perSecond)
	if err != nil {
		return nil, err
	}
	defer w.server.Close()
	w.begin = w.clock.Now()
	if err := w.run(b.Ctx, w.begin.Add((hours+1)*time.Hour), b.Say); err != nil {
		return nil, err
	}
	if failed := w.failed.Load(); failed > 0 {
		return nil, fmt.Errorf("%d tokens could not be made", failed)
	}
	return w, nil
}

// world is a fleet without its clusters: what makes their tokens.
type world struct {
	server         *awstest.Server
	begin          time.Time
	clock          *clocktesting.FakeClock
	identities     int
	sources        []*eks.Source
	due            []time.Time
	pending        []atomic.Bool
	tokens, failed atomic.Int64
	outstanding    atomic.Int64
}

func newWorld(perSecond int) (*world, error) {
	w := &world{clock: clocktesting.NewFakeClock(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)), pending: make([]atomic.Bool, clusters)}
	var err error
	if w.server, err = awstest.New(awstest.Options{Clock: w.clock}); err != nil {
		return nil, err
	}
	hub := w.server.Account("100000000000")
	pod := hub.Role("manager", awstest.Trust{Services: []string{"pods.eks.amazonaws.com"}})
	pod.SetMaxSession(12 * time.Hour)
	keys := pod.Session("pod", 12*time.Hour)
	root := hub.Role("root", awstest.Trust{Principals: []string{pod.ARN()}})
	root.Allow("sts:AssumeRole", "*")
	chains := w.chains(root)
	sessions := &aws.Sessions{
		Clock: w.clock, PerSecond: perSecond,
		Ground: func(context.Context) (awssdk.CredentialsProvider, error) {
			return credentials.StaticCredentialsProvider{Value: keys}, nil
		},
		STS: func(region string, creds awssdk.CredentialsProvider) aws.STSClient {
			return w.server.STS(region, creds)
		},
	}
	for i := range clusters {
		chain := chains[i%len(chains)]
		w.sources = append(w.sources, &eks.Source{
			Cluster: fmt.Sprintf("cluster-%d", i), Region: region, Sessions: sessions, Clock: w.clock,
			Resolve: func(context.Context, aws.Ref) (aws.Chain, error) { return chain, nil },
		})
		w.due = append(w.due, w.clock.Now())
	}
	return w, nil
}

// chains are those of the leaves, three roles each.
func (w *world) chains(root *awstest.Role) []aws.Chain {
	identity := func(name, arn string) aws.Identity {
		w.identities++
		return aws.Identity{Ref: aws.Ref{Kind: v1alpha1.KindAWSIdentity, Name: name}, Type: v1alpha1.AWSRoleIdentity, Role: &aws.Role{ARN: arn}}
	}
	first := identity("root", root.ARN())
	var chains []aws.Chain
	for a := range accounts {
		account := w.server.Account(fmt.Sprintf("2%011d", a))
		role := account.Role("hop", awstest.Trust{Principals: []string{root.ARN()}})
		second := identity(fmt.Sprintf("account-%d", a), role.ARN())
		for l := range leaves {
			leaf := account.Role(fmt.Sprintf("leaf-%d", l), awstest.Trust{Principals: []string{role.ARN()}})
			third := identity(fmt.Sprintf("leaf-%d-%d", a, l), leaf.ARN())
			chains = append(chains, aws.Chain{Ground: aws.Identity{Type: v1alpha1.AWSControllerIdentity}, Roles: []aws.Identity{first, second, third}})
		}
	}
	return chains
}

// run moves the clock. Each token is made when the connection's renewer would: at first all at once, then
// after ten minutes with its jitter.
func (w *world) run(ctx context.Context, end time.Time, say func(string, ...any)) error {
	for hour := w.clock.Now(); w.clock.Now().Before(end); w.clock.Step(step) {
		now := w.clock.Now()
		if now.Sub(hour) >= time.Hour {
			say("%s: %d tokens", now.Format(time.TimeOnly), w.tokens.Load())
			hour = now
		}
		for i := range w.sources {
			if !w.pending[i].Load() && !now.Before(w.due[i]) {
				w.pending[i].Store(true)
				w.outstanding.Add(1)
				go w.renew(ctx, i)
			}
		}
		if err := w.settle(ctx); err != nil {
			return err
		}
	}
	return nil
}

// settle waits until nothing goes on but what waits for the clock.
func (w *world) settle(ctx context.Context) error {
	for quiet := 0; w.outstanding.Load() > 0 && quiet < 3; {
		if w.server.InFlight("*") == 0 {
			quiet++
		} else {
			quiet = 0
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

func (w *world) renew(ctx context.Context, i int) {
	defer w.outstanding.Add(-1)
	defer w.pending[i].Store(false)
	list, err := w.sources[i].Obtain(ctx)
	if err != nil {
		w.failed.Add(1)
		w.due[i] = w.clock.Now().Add(time.Second)
		return
	}
	w.tokens.Add(1)
	w.due[i] = dueAt(list[0])
}

func dueAt(c credential.Credential) time.Time {
	at, _ := c.RenewAt(rand.Float64())
	return at
}

// count returns the calls of the first hour, those after it, and those of the busiest second in all and after
// the first hour.
func (w *world) count() (cold, steady, peak, later int) {
	seconds := map[int64]int{}
	for _, call := range w.server.CallsOf("AssumeRole") {
		at := call.Time.Unix()
		seconds[at]++
		peak = max(peak, seconds[at])
		if call.Time.Sub(w.begin) < time.Hour {
			cold++
			continue
		}
		steady++
		later = max(later, seconds[at])
	}
	return cold, steady, peak, later
}
