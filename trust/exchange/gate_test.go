package exchange

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestAtGateSaysWhereTheReasonIs(t *testing.T) {
	tests := map[string]struct {
		err  error
		want string // "" for nothing
	}{
		"it was refused":           {fmt.Errorf("exchanging: %w", &Error{Status: 400, Code: "invalid_request"}), "kubectl --context CONTEXT -n hawser logs deploy/hawser-gate; whom it believes and lets in: kubectl --context CONTEXT get trustedissuers,accessgrants"},
		"the gate is in trouble":   {&Error{Status: 503}, "kubectl --context CONTEXT -n hawser logs deploy/hawser-gate"},
		"nobody answers":           {errors.New("connection refused"), "kubectl --context CONTEXT -n hawser get deploy/hawser-gate"},
		"it was asked too often":   {&Error{Status: 429}, ""},
		"it is no error after all": {nil, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := AtGate(test.err)
			if !errors.Is(got, test.err) {
				t.Errorf("the error is lost: %v", got)
			}
			if got != nil && strings.Contains(got.Error(), "kubectl") != (test.want != "") || got != nil && !strings.Contains(got.Error(), test.want) {
				t.Errorf("it says %v, want %q", got, test.want)
			}
		})
	}
}
