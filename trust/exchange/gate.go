package exchange

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// AtGate says of an error that an exchange at one of Hawser's own gates ended with where the reason is found: the
// gate tells no stranger why it refuses.
func AtGate(err error) error {
	const (
		kubectl = "kubectl --context CONTEXT -n " + v1alpha1.Namespace
		gate    = "deploy/" + v1alpha1.GateServiceAccount
	)
	var answer *Error
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &answer):
		return fmt.Errorf("%w. Look whether the gate runs, in the cluster that is entered: %s get %s", err, kubectl, gate)
	case answer.Status == http.StatusTooManyRequests:
		return err
	case answer.Status == http.StatusBadRequest:
		return fmt.Errorf("%w. Why, says the gate's log in the cluster that is entered: %s logs %s; whom it believes and lets in: kubectl --context CONTEXT get trustedissuers,accessgrants", err, kubectl, gate)
	}
	return fmt.Errorf("%w. Look at the gate's log in the cluster that is entered: %s logs %s", err, kubectl, gate)
}
