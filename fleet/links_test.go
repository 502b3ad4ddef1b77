package fleet_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/fleet"
)

// nothing is a source that has nothing.
type nothing struct{}

// Obtain implements credential.Source.
func (nothing) Obtain(context.Context) ([]credential.Credential, error) {
	return nil, errors.New("there is nothing")
}

// Renew implements credential.Source.
func (nothing) Renew(_ context.Context, c credential.Credential, _ credential.Link) (credential.Credential, error) {
	return c, nil
}

func add(t *testing.T, f *fleet.Links, name string) *connection.Connection {
	t.Helper()
	c, err := f.Add(connection.Spec{Name: name}, nothing{}, connection.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClustersComeAndGo(t *testing.T) {
	f := fleet.NewLinks(t.Context())
	defer f.Close()
	b, a := add(t, f, "b"), add(t, f, "a")
	if all := f.All(); len(all) != 2 || all[0] != a || all[1] != b {
		t.Errorf("All() = %v, want a and b in order", all)
	}
	if _, err := f.Add(connection.Spec{Name: "a"}, nothing{}, connection.Options{}); err == nil {
		t.Error("a name was taken twice")
	}
	if got, err := f.Get("a"); err != nil || got != a {
		t.Errorf("Get(a) = %v, %v", got, err)
	}
	<-f.Remove("a")
	if _, err := f.Get("a"); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("Get of a removed cluster: %v", err)
	}
	<-f.Remove("never-there")
	if again := add(t, f, "a"); again == a {
		t.Error("a cluster that came back is the old connection")
	}
}

func TestARemovedConnectionRefusesRequests(t *testing.T) {
	f := fleet.NewLinks(t.Context())
	defer f.Close()
	c := add(t, f, "a")
	<-f.Remove("a")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://a/version", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.HTTPClient().Do(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	if !errors.Is(err, connection.ErrClosed) {
		t.Errorf("error %v, want ErrClosed", err)
	}
}

func TestAClosedFleetTakesNoMore(t *testing.T) {
	f := fleet.NewLinks(t.Context())
	add(t, f, "a")
	f.Close()
	if _, err := f.Add(connection.Spec{Name: "b"}, nothing{}, connection.Options{}); err == nil {
		t.Error("a closed fleet took a cluster")
	}
}
