package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/bench"
)

const (
	noisyName  = "noisy"
	objectName = "event"
	sentKey    = "sent"
	writers    = 32
)

// scene is the two API servers, with one object for each quiet cluster and many for the noisy one.
type scene struct {
	*bench.Bench
	names       *bench.Names
	beta        *fleettest.Cluster // of the quiet
	noisy, calm kubernetes.Interface
	noise       atomic.Int64 // events that the noisy cluster has sent
}

func (s *scene) set() error {
	for _, name := range []string{"alpha", "beta"} {
		c, admin, err := s.Cluster(name)
		if err != nil {
			return err
		}
		account, err := bench.NewAccount(s.Ctx, c, admin)
		if err != nil {
			return err
		}
		token, err := account.Token(s.Ctx)
		if err != nil {
			return err
		}
		config := c.AdminConfig()
		config.QPS, config.ContentType = -1, runtime.ContentTypeProtobuf
		writer, err := kubernetes.NewForConfig(config)
		if err != nil {
			return err
		}
		if name == "alpha" {
			s.noisy = writer
			s.names.Set(bench.Named(noisyName, c, token.Credential))
			if err := s.makeNoisy(admin); err != nil {
				return err
			}
			continue
		}
		s.beta, s.calm = c, writer
		for i := range quiet {
			entry := bench.Named(quietName(i), c, token.Credential)
			entry.Namespace = quietName(i)
			s.names.Set(entry)
		}
		if err := s.makeQuiet(admin); err != nil {
			return err
		}
	}
	return nil
}

func quietName(i int) string { return fmt.Sprintf("quiet-%02d", i) }

func noisyObject(i int) *corev1.ConfigMap {
	return object(metav1.NamespaceDefault, fmt.Sprintf("%s-%d", objectName, i))
}

func object(namespace, name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Data:       map[string]string{sentKey: strconv.FormatInt(time.Now().UnixNano(), 10)},
	}
}

func (s *scene) makeNoisy(admin client.Client) error {
	return bench.Parallel(writers, noise, func(i int) error { return admin.Create(s.Ctx, noisyObject(i)) })
}

func (s *scene) makeQuiet(admin client.Client) error {
	return bench.Parallel(writers, quiet, func(i int) error {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: quietName(i)}}
		if err := admin.Create(s.Ctx, namespace); err != nil {
			return err
		}
		return admin.Create(s.Ctx, object(quietName(i), objectName))
	})
}

// writeQuiet changes the object of one quiet cluster after the other.
func (s *scene) writeQuiet(ctx context.Context) error {
	return write(ctx, s.calm, quietRate, &atomic.Int64{}, func(i int) *corev1.ConfigMap { return object(quietName(i%quiet), objectName) })
}

// writeNoise changes one object of the noisy cluster after the other.
func (s *scene) writeNoise(ctx context.Context, rate int) error {
	return write(ctx, s.noisy, rate, &s.noise, func(i int) *corev1.ConfigMap { return noisyObject(i % noise) })
}

// write writes so often a second until ctx ends, or less often where the API server takes no more, and counts.
func write(ctx context.Context, to kubernetes.Interface, rate int, count *atomic.Int64, next func(i int) *corev1.ConfigMap) error {
	if rate == 0 {
		return nil
	}
	turns, failed := make(chan int), make(chan error, writers)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(turns)
	for range writers {
		wg.Go(func() { // ends when turns is closed
			for i := range turns {
				o := next(i)
				_, err := to.CoreV1().ConfigMaps(o.Namespace).Update(context.WithoutCancel(ctx), o, metav1.UpdateOptions{})
				if err != nil {
					failed <- err
					return
				}
				count.Add(1)
			}
		})
	}
	begin := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for done := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return fmt.Errorf("writing: %w", err)
		case <-tick.C:
		}
		for due := int(time.Since(begin).Seconds() * float64(rate)); done < due; done++ {
			select {
			case turns <- done:
			case err := <-failed:
				return fmt.Errorf("writing: %w", err)
			case <-ctx.Done():
				return nil
			}
		}
	}
}
