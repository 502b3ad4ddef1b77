package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// unanswered says of an error that comes of no answer which cluster gave none, and what to look at it with. An
// error that an API server answered stays as it is. f is how the cluster was named; the zero value is the
// local one.
func (d *deps) unanswered(f remoteFlags, c *cluster, err error) error {
	var status apierrors.APIStatus
	var sent *url.Error
	if err == nil || errors.As(err, &status) || (!errors.As(err, &sent) && !errors.Is(err, context.DeadlineExceeded)) {
		return err
	}
	cause := err
	if sent != nil {
		cause = sent.Err // without the request, which says nothing
	}
	if errors.Is(cause, context.DeadlineExceeded) {
		cause = errors.New("no answer in time")
	}
	kubeconfig, at := d.kubeconfig, f.context
	if f.kubeconfig != "" {
		kubeconfig = f.kubeconfig
	}
	if !f.given() {
		at = d.context
	}
	look, which := []string{"kubectl"}, "the current context"
	if kubeconfig != "" {
		look = append(look, "--kubeconfig", kubeconfig)
		which += " of " + kubeconfig
	}
	if at != "" {
		look, which = append(look, "--context", at), fmt.Sprintf("context %q", at)
	}
	return fmt.Errorf("the cluster of %s does not answer at %s: %w. Look at it: %s get --raw /readyz", which, c.Config.Host, cause, strings.Join(look, " "))
}
