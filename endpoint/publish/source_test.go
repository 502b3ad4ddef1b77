package publish

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
)

// asked are the items that a queue asks for.
func asked(t *testing.T, ask func(context.Context, workqueue.TypedRateLimitingInterface[reconcile.Request])) (names []string) {
	t.Helper()
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
	ask(t.Context(), queue)
	for range queue.Len() {
		item, _ := queue.Get()
		names = append(names, item.String())
	}
	queue.ShutDown()
	slices.Sort(names)
	return names
}

func TestAControllerIsAskedForTheItemsOfItsKindWhoseObjectsHaveChanged(t *testing.T) {
	objects := &Objects{told: map[int]func(owner, bool){}}
	l := &Leader{objects: objects}
	ctx, cancel := context.WithCancel(t.Context())
	got := asked(t, func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		if err := l.Source(FederatedNetworkPolicy).Start(ctx, queue); err != nil {
			t.Fatal(err)
		}
		objects.tell(owner{Key{Kind: FederatedNetworkPolicy, Namespace: "shop", Name: "web"}, "a"}, false)
		objects.tell(owner{Key{Kind: EndpointSet, Name: "web"}, "a"}, false)
	})
	if !slices.Equal(got, []string{"shop/web"}) {
		t.Errorf("it asks for %v", got)
	}
	cancel()
	fleettest.Eventually(t, 30*time.Second, func() error {
		objects.mu.Lock()
		defer objects.mu.Unlock()
		if len(objects.told) > 0 {
			return errors.New("it is told of changes after its end")
		}
		return nil
	})
}

// policies are all that there are.
type policies []string

func (policies) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	panic("nobody gets one")
}

func (p policies) List(_ context.Context, into client.ObjectList, _ ...client.ListOption) error {
	all := into.(*v1alpha1.FederatedNetworkPolicyList)
	for _, name := range p {
		all.Items = append(all.Items, v1alpha1.FederatedNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}})
	}
	return nil
}

func TestEveryItemIsAskedForWhenAClusterChanges(t *testing.T) {
	all := EveryOne(policies{"a", "b"}, &v1alpha1.FederatedNetworkPolicyList{})
	for range 2 { // it keeps nothing
		got := asked(t, func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			all.Create(ctx, event.CreateEvent{Object: &v1alpha1.RemoteCluster{}}, queue)
		})
		if !slices.Equal(got, []string{"shop/a", "shop/b"}) {
			t.Errorf("it asks for %v", got)
		}
	}
}
