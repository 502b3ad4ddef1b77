package service

import (
	"errors"
	"fmt"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/follow"
)

func TestSaysWhatKeepsExportsFromBeingFollowed(t *testing.T) {
	exports := schema.GroupResource{Resource: "serviceexports"}
	const cannot = "its serviceexports cannot be listed"
	for name, test := range map[string]struct {
		err           error
		heard, silent string // what it says where services are followed, and where they are not
	}{
		"nothing":            {nil, "", ""},
		"a right is missing": {apierrors.NewForbidden(exports, "", errors.New("no")), "the connection may not list and watch serviceexports", "the connection may not list and watch serviceexports"},
		"an error":           {apierrors.NewInternalError(errors.New("a webhook")), cannot, cannot},
		"another cluster":    {endpoint.ErrOtherCluster, endpoint.ErrOtherCluster.Error(), endpoint.ErrOtherCluster.Error()},
		"no answer":          {errors.New("connection refused"), cannot, ""},
	} {
		t.Run(name, func(t *testing.T) {
			state := follow.State{Synced: true}
			if test.err != nil {
				state.Err = fmt.Errorf("following serviceexports: %w", test.err)
			}
			if heard, silent := exportsGap(state, true), exportsGap(state, false); heard != test.heard || silent != test.silent {
				t.Errorf("it says %q, and with services %q; want %q and %q", silent, heard, test.silent, test.heard)
			}
		})
	}
}
