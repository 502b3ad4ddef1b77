package objects

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
)

// silent is an API server that takes requests and answers none.
type silent struct{ dynamic.ResourceInterface }

func (silent) List(ctx context.Context, _ metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (silent) Watch(ctx context.Context, _ metav1.ListOptions) (watch.Interface, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestAnAPIServerThatDoesNotAnswerIsAFault(t *testing.T) {
	for name, ask := range map[string]func(context.Context, *asker) error{
		"listing":  func(ctx context.Context, a *asker) error { _, err := a.list(ctx, metav1.ListOptions{}); return err },
		"watching": func(ctx context.Context, a *asker) error { _, err := a.watch(ctx, metav1.ListOptions{}); return err },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var faults []error
				a := &asker{objects: silent{}, what: "secrets", report: func(err error) { faults = append(faults, err) }}
				began := time.Now()
				err := ask(t.Context(), a)
				if err == nil || time.Since(began) != answerTimeout {
					t.Errorf("error %v after %s", err, time.Since(began))
				}
				if len(faults) != 1 || faults[0].Error() != name+" secrets: no answer within 1m0s" {
					t.Errorf("faults %v", faults)
				}
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				if ask(ctx, a) == nil || len(faults) != 1 {
					t.Errorf("our own end is told as a fault: %v", faults)
				}
			})
		})
	}
}

func TestWhatIsThereComesOldestFirst(t *testing.T) {
	object := func(name string, age int) any {
		u := &unstructured.Unstructured{Object: map[string]any{}}
		u.SetName(name)
		u.SetCreationTimestamp(metav1.Unix(int64(1e9-age), 0))
		return u
	}
	var told []string
	s := &store[metav1.PartialObjectMetadata]{
		known: map[types.NamespacedName]struct{}{},
		handler: Handler[metav1.PartialObjectMetadata]{
			Set:    func(key types.NamespacedName, _ *metav1.PartialObjectMetadata) { told = append(told, key.Name) },
			Delete: func(key types.NamespacedName) { told = append(told, "-"+key.Name) },
			Synced: func() { told = append(told, "synced") },
		},
	}
	for _, list := range [][]any{{object("b", 1), object("c", 1), object("a", 0), object("d", 2)}, {object("a", 0), object("d", 2), object("c", 1)}} {
		if err := s.Replace(list, "1"); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := strings.Join(told, " "), "d b c a synced -b d c a"; got != want {
		t.Errorf("told %s, want %s", got, want)
	}
}
