// Command ekstoken measures what it takes to make one token for an EKS cluster
// from credentials that are at hand, as the manager does every ten minutes for
// each of them.
package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/internal/awstest"
	"github.com/hawser-io/hawser/internal/bench"
)

const (
	rounds = 15
	tokens = 2000 // in each round
)

func main() {
	bench.Main("ekstoken", nil, func(b *bench.Bench) error {
		s, err := awstest.New(awstest.Options{})
		if err != nil {
			return err
		}
		defer s.Close()
		account := s.Account("111122223333")
		pod := account.Role("manager", awstest.Trust{Services: []string{"pods.eks.amazonaws.com"}})
		role := account.Role("member", awstest.Trust{Principals: []string{pod.ARN()}})
		cluster := account.EKS("eu-north-1", "prod", awstest.EKSOptions{})
		cluster.Entry(role.ARN(), []string{"hawser-members"}, "")
		keys := pod.Session("pod", time.Hour)
		sessions := &aws.Sessions{
			Clock: clock.RealClock{},
			Ground: func(context.Context) (awssdk.CredentialsProvider, error) {
				return credentials.StaticCredentialsProvider{Value: keys}, nil
			},
			STS: func(region string, creds awssdk.CredentialsProvider) aws.STSClient { return s.STS(region, creds) },
		}
		chain := aws.Chain{Ground: aws.Identity{Type: "controller"}, Roles: []aws.Identity{{Type: "role", Role: &aws.Role{ARN: role.ARN()}}}}
		creds := sessions.Provider(chain)
		token, err := aws.NewToken(b.Ctx, creds, "eu-north-1", "prod", time.Now()) // warms up, and assumes the role
		if err != nil {
			return err
		}
		if _, err := cluster.Review(token.Value.Reveal()); err != nil {
			return fmt.Errorf("the cluster refuses what is measured: %w", err)
		}
		us, allocs, err := measure(b.Ctx, creds)
		if err != nil {
			return err
		}
		b.Add("us", us, "µs", fmt.Sprintf("one token from a session that is good, %d bytes; median of %d rounds of %d", len(token.Value.Reveal()), rounds, tokens))
		b.Add("allocs", allocs, "", "")
		return nil
	})
}

// measure makes tokens for many names, as a fleet has them.
func measure(ctx context.Context, creds awssdk.CredentialsProvider) (us, allocs float64, err error) {
	var times []float64
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range rounds {
		begin := time.Now()
		for i := range tokens {
			if _, err := aws.NewToken(ctx, creds, "eu-north-1", names[i%len(names)], begin); err != nil {
				return 0, 0, err
			}
		}
		times = append(times, float64(time.Since(begin).Nanoseconds())/1000/tokens)
	}
	runtime.ReadMemStats(&after)
	slices.Sort(times)
	return times[len(times)/2], float64(after.Mallocs-before.Mallocs) / rounds / tokens, nil
}

var names = func() (names []string) {
	for i := range 100 {
		names = append(names, fmt.Sprintf("cluster-%s-%d", strings.Repeat("x", i%7), i))
	}
	return names
}()
