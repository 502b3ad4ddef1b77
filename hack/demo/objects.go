package main

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/fleettest"
)

var getOptions metav1.GetOptions

// await waits for as long as a step may take.
func await(ctx context.Context, what string, check func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := fleettest.Until(ctx, 200*time.Millisecond, func() error { return check(ctx) }); err != nil {
		return fmt.Errorf("waiting %s: %w", what, err)
	}
	return nil
}
