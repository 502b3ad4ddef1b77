package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/bench"
)

// group is some replicas of a fleet.
type group struct {
	*bench.Bench
	*bench.Replicas
	n    int
	kube kubernetes.Interface
}

func (g *group) set() error {
	local, admin, err := g.Cluster("primary")
	if err != nil {
		return err
	}
	if g.kube, err = kubernetes.NewForConfig(local.AdminConfig()); err != nil {
		return err
	}
	if g.Replicas, err = g.Bench.Replicas(local, admin, "--management-only", "--probe-interval", interval.String()); err != nil {
		return err
	}
	return g.Declare(admin, g.n, "alpha", "beta")
}

func (g *group) end() {
	if g.Replicas != nil {
		g.End(false)
	}
}

// look is how often the metrics of the replicas are read, which costs them and this machine more than they do meanwhile.
const look = 250 * time.Millisecond

// up waits until every connection is up in one of some replicas, and each of these has about its share.
func (g *group) up(replicas []string) error {
	ctx, cancel := context.WithTimeout(g.Ctx, 3*time.Minute)
	defer cancel()
	return fleettest.Until(ctx, look, bench.Done(func() bool {
		total := 0
		for _, r := range replicas {
			up := len(isUp.FindAllString(g.Metrics(r), -1))
			if up < g.n*9/(10*len(replicas)) {
				return false
			}
			total += up
		}
		return total >= g.n
	}))
}

var (
	isUp   = regexp.MustCompile(`(?m)^hawser_cluster_up\{[^}]*\} 1$`)
	probed = regexp.MustCompile(`(?m)^hawser_probe_duration_seconds_count\{[^}]*result="ok"\} (\S+)$`)
)

// probes is how many there were at the connections that some replicas have now.
func (g *group) probes(replicas []string) (n float64) {
	for _, r := range replicas {
		for _, m := range probed.FindAllStringSubmatch(g.Metrics(r), -1) {
			k, _ := strconv.ParseFloat(m[1], 64) // the pattern holds it to a number
			n += k
		}
	}
	return n
}

// leaseWrites counts the changes of all Leases for some time.
func (g *group) leaseWrites(during time.Duration) (perSecond float64, err error) {
	list, err := g.kube.CoordinationV1().Leases(v1alpha1.Namespace).List(g.Ctx, metav1.ListOptions{})
	if err != nil {
		return 0, fmt.Errorf("listing Leases: %w", err)
	}
	w, err := g.kube.CoordinationV1().Leases(v1alpha1.Namespace).Watch(g.Ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		return 0, fmt.Errorf("watching Leases: %w", err)
	}
	defer w.Stop()
	end, n := time.After(during), 0
	for {
		select {
		case <-end:
			return float64(n) / during.Seconds(), nil
		case _, open := <-w.ResultChan():
			if !open {
				return 0, errors.New("watching Leases: it ended")
			}
			n++
		}
	}
}
