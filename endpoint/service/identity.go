package service

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/hawser-io/hawser/endpoint"
)

// verify fails if another cluster than the one of that id answers; with no id, never. It asks for the same as
// endpoint.Feed does, and may be asked by whoever may list namespaces.
func (c clients) verify(id string) endpoint.Verify {
	if id == "" {
		return nil
	}
	return func(ctx context.Context) error {
		list, err := c.kube.CoreV1().Namespaces().List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + endpoint.SystemNamespace})
		if err != nil {
			return fmt.Errorf("finding out which cluster answers: %w", err)
		}
		if len(list.Items) != 1 || string(list.Items[0].UID) != id {
			return endpoint.ErrOtherCluster
		}
		return nil
	}
}

// open looks for what to follow. What another cluster has, or lacks, says nothing.
func (t *Table) open(ctx context.Context) (Objects, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	source, err := t.Open(ctx)
	if errors.Is(err, ErrAbsent) {
		if other := t.Verify.Now(ctx); other != nil {
			return Objects{}, other
		}
	}
	return source, t.Verify.Reconsider(ctx, err)
}

// list asks for a list, and makes sure of whose it is: that of another cluster would be taken for what this one has.
func (t *Table) list(ctx context.Context, source Objects, o metav1.ListOptions) (runtime.Object, error) {
	if err := t.Verify.Sure(ctx, o.ResourceVersion); err != nil {
		return nil, err
	}
	list, err := source.List(ctx, o)
	if err != nil {
		return nil, t.Verify.Reconsider(ctx, err)
	}
	if m, err := meta.ListAccessor(list); err == nil && m.GetContinue() != "" {
		return list, nil // the last part tells
	}
	if err := t.Verify.Now(ctx); err != nil {
		return nil, err
	}
	return list, nil
}

// watch begins a watch, and makes sure of whose it is.
func (t *Table) watch(ctx context.Context, source Objects, o metav1.ListOptions) (watch.Interface, error) {
	if err := t.Verify.Sure(ctx, o.ResourceVersion); err != nil {
		return nil, err
	}
	w, err := source.Watch(ctx, o)
	if err != nil {
		return nil, t.Verify.Reconsider(ctx, err)
	}
	if err := t.Verify.Now(ctx); err != nil {
		w.Stop()
		return nil, err
	}
	return w, nil
}
