package service

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

// systemNamespace is the namespace whose UID is the cluster's id.
const systemNamespace = "kube-system"

// errOtherCluster says that another cluster answers.
var errOtherCluster = errors.New("another cluster answers under this name")

// verify fails if another cluster than the one of that id answers; with no id, never. It asks for the same as
// endpoint.Feed does, and may be asked by whoever may list namespaces.
func (c clients) verify(id string) func(context.Context) error {
	return func(ctx context.Context) error {
		if id == "" {
			return nil
		}
		list, err := c.kube.CoreV1().Namespaces().List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + systemNamespace})
		if err != nil {
			return fmt.Errorf("finding out which cluster answers: %w", err)
		}
		if len(list.Items) != 1 || string(list.Items[0].UID) != id {
			return errOtherCluster
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
		if other := t.verify(ctx); other != nil {
			return Objects{}, other
		}
	}
	return source, t.reconsider(ctx, err)
}

func (t *Table) verify(ctx context.Context) error {
	if t.Verify == nil {
		return nil
	}
	return t.Verify(ctx)
}

// sure makes sure that a cluster that we had something of before is still the same, before it is asked what has become of
// that.
func (t *Table) sure(ctx context.Context, since string) error {
	if since == "" || since == "0" {
		return nil
	}
	return t.verify(ctx)
}

// reconsider says why a cluster answers with an error, if it is because it is another one: of what we name, it knows nothing.
func (t *Table) reconsider(ctx context.Context, err error) error {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return err
	}
	if other := t.verify(ctx); errors.Is(other, errOtherCluster) {
		return other
	}
	return err
}

// list asks for a list, and makes sure of whose it is: that of another cluster would be taken for what this one has.
func (t *Table) list(ctx context.Context, source Objects, o metav1.ListOptions) (runtime.Object, error) {
	if err := t.sure(ctx, o.ResourceVersion); err != nil {
		return nil, err
	}
	list, err := source.List(ctx, o)
	if err != nil {
		return nil, t.reconsider(ctx, err)
	}
	if m, err := meta.ListAccessor(list); err == nil && m.GetContinue() != "" {
		return list, nil // the last part tells
	}
	if err := t.verify(ctx); err != nil {
		return nil, err
	}
	return list, nil
}

// watch begins a watch, and makes sure of whose it is.
func (t *Table) watch(ctx context.Context, source Objects, o metav1.ListOptions) (watch.Interface, error) {
	if err := t.sure(ctx, o.ResourceVersion); err != nil {
		return nil, err
	}
	w, err := source.Watch(ctx, o)
	if err != nil {
		return nil, t.reconsider(ctx, err)
	}
	if err := t.verify(ctx); err != nil {
		w.Stop()
		return nil, err
	}
	return w, nil
}
