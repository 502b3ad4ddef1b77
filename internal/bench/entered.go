package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/cli"
	"github.com/hawser-io/hawser/internal/gate"
	"github.com/hawser-io/hawser/member"
)

// Entered is a cluster that lets identities of others in: what `hawser member manifests --controllers
// --gate` prints is applied, and member controllers and a gate run with exactly these rights, in this process.
type Entered struct {
	Cluster *fleettest.Cluster
	Admin   client.Client
	// GateURL is the token endpoint, GateCA what vouches for it, PEM.
	GateURL string
	GateCA  []byte
	// Audience of tokens for this cluster.
	Audience string

	bench *Bench
	dir   string
	end   func()
	ended []<-chan error
}

// Enter starts a cluster that can be entered. Without limits the gate has its own. Call End when done.
func (b *Bench) Enter(name string, limits gate.Limits) (*Entered, error) {
	if limits == (gate.Limits{}) {
		limits = gate.DefaultLimits()
	}
	c, admin, err := b.Cluster(name)
	if err != nil {
		return nil, err
	}
	e := &Entered{Cluster: c, Admin: admin, bench: b, end: func() {}}
	if e.dir, err = os.MkdirTemp("", "bench-"); err != nil {
		return nil, fmt.Errorf("making a directory: %w", err)
	}
	if err := errors.Join(e.install(), e.start(limits)); err != nil {
		e.End()
		return nil, fmt.Errorf("making cluster %q ready to be entered: %w", name, err)
	}
	return e, nil
}

// End stops what runs.
func (e *Entered) End() {
	e.end()
	for _, ended := range e.ended {
		if err := <-ended; err != nil {
			e.bench.Say("%s", err)
		}
	}
	_ = os.RemoveAll(e.dir)
}

// install applies the manifests as kubectl would, kinds first.
func (e *Entered) install() error {
	var manifests, said bytes.Buffer
	if code := cli.Run(e.bench.Ctx, []string{"hawser", "member", "manifests", "--controllers", "--gate"}, nil, &manifests, &said); code != 0 {
		return fmt.Errorf("hawser member manifests: exit code %d: %s", code, said.Bytes())
	}
	if err := e.Cluster.Apply(e.bench.Ctx, manifests.Bytes()); err != nil {
		return err
	}
	var ns corev1.Namespace
	if err := e.Admin.Get(e.bench.Ctx, client.ObjectKey{Name: metav1.NamespaceSystem}, &ns); err != nil {
		return err
	}
	e.Audience = v1alpha1.DefaultAudience(string(ns.UID))
	return nil
}

// start runs member controllers and gate, each by a token of its account. Both end with End.
func (e *Entered) start(limits gate.Limits) error {
	kubeconfig, err := e.kubeconfig(member.ControllersServiceAccount)
	if err != nil {
		return err
	}
	token, err := Mint(e.bench.Ctx, e.Cluster, v1alpha1.Namespace, v1alpha1.GateServiceAccount)
	if err != nil {
		return err
	}
	certFile, keyFile, err := e.certificate()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(e.bench.Ctx)
	e.end = cancel
	e.run("member controllers", func() error {
		var said bytes.Buffer
		args := []string{"hawser", "--kubeconfig", kubeconfig, "member", "controllers", "--metrics-bind-address", "0", "--health-probe-bind-address", "0"}
		if code := cli.Run(ctx, args, nil, io.Discard, &said); code != 0 && ctx.Err() == nil {
			return fmt.Errorf("exit code %d: %s", code, said.Bytes())
		}
		return nil
	})
	started := make(chan string, 1)
	gateEnded := e.run("gate", func() error {
		return gate.Run(ctx, gate.Options{
			Address: "127.0.0.1:0", CertFile: certFile, KeyFile: keyFile, MetricsAddr: "0", ProbeAddr: "0", Limits: limits,
			Config: e.Cluster.TokenConfig(token), Log: logr.Discard(), Started: func(address string) { started <- address },
		})
	})
	select {
	case address := <-started:
		e.GateURL = "https://" + address + "/token"
		return nil
	case <-gateEnded:
		return errors.New("the gate did not start")
	}
}

// run runs a program until its context ends. What it returns is closed then.
func (e *Entered) run(name string, program func() error) <-chan struct{} {
	ended, over := make(chan error, 1), make(chan struct{})
	e.ended = append(e.ended, ended)
	go func() {
		defer close(over)
		err := program()
		if err != nil {
			err = fmt.Errorf("running the %s: %w", name, err)
		}
		ended <- err
	}()
	return over
}
