package remotecluster

import (
	"context"
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/fleet"
)

// none is a source that has nothing.
type none struct{}

// Obtain implements credential.Source.
func (none) Obtain(context.Context) ([]credential.Credential, error) {
	return nil, errors.New("there is none")
}

// Renew implements credential.Source.
func (none) Renew(context.Context, credential.Credential, credential.Link) (credential.Credential, error) {
	return credential.Credential{}, errors.New("there is none")
}

// Nothing holds a RemoteCluster, so that it may be deleted and made again without anybody having seen it gone.
func TestAnotherObjectOfTheNameGetsAConnectionOfItsOwn(t *testing.T) {
	links := fleet.NewLinks(t.Context())
	t.Cleanup(links.Close)
	enqueued := make(chan string, 100)
	r := &Reconciler{
		Fleet: links, Local: "hub", Enqueue: func(name string) { enqueued <- name },
		Source: func(*v1alpha1.RemoteCluster) (credential.Source, error) { return none{}, nil },
	}
	object := func(uid types.UID) *v1alpha1.RemoteCluster {
		rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "alpha", UID: uid}}
		rc.Spec.Server, rc.Spec.Auth = "https://127.0.0.1:1", v1alpha1.Auth{Type: v1alpha1.AuthBearerToken}
		return rc
	}
	r.connect(object("first"))
	first, err := links.Get("alpha")
	if err != nil {
		t.Fatal(err)
	}
	r.connect(object("first"))
	if again, err := links.Get("alpha"); err != nil || again != first {
		t.Fatalf("the same object got another connection (%v)", err)
	}
	r.connect(object("second"))
	if _, err := links.Get("alpha"); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("the connection of the first goes on: %v", err)
	}
	for waiting := true; waiting; _, waiting = r.ending.Load("alpha") {
		<-enqueued // the end of the first is told
	}
	r.connect(object("second"))
	if second, err := links.Get("alpha"); err != nil || second == first {
		t.Errorf("the second has no connection of its own (%v)", err)
	}
}
