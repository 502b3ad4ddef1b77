package crds

import (
	"context"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	eventsv1client "k8s.io/client-go/kubernetes/typed/events/v1"
	"k8s.io/client-go/rest"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// ReasonNewerDefinition is that of the event which tells that a definition was left as it is.
const ReasonNewerDefinition = "NewerDefinition"

// warn tells, where people look, that a definition was left. There is no recorder yet at the start of a process.
func warn(ctx context.Context, config *rest.Config, o Outcome) error {
	client, err := eventsv1client.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("writing an event: %w", err)
	}
	host, _ := os.Hostname() // the pod's name
	_, err = client.Events(metav1.NamespaceDefault).Create(ctx, &eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{GenerateName: o.Name + "-"},
		EventTime:           metav1.NewMicroTime(time.Now()),
		ReportingController: v1alpha1.FieldManager,
		ReportingInstance:   v1alpha1.FieldManager + "-" + host,
		Regarding:           corev1.ObjectReference{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition", Name: o.Name},
		Type:                corev1.EventTypeWarning,
		Reason:              ReasonNewerDefinition,
		Action:              "Upgrade",
		Note:                o.Warning(),
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("writing an event: %w", err)
	}
	return nil
}
