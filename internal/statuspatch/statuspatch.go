// Package statuspatch writes the status of one object, and of no other that has its name meanwhile: nothing holds
// most of Hawser's objects, so that a cache may still show one that was deleted and made again.
package statuspatch

import (
	"encoding/json"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Of replaces the status of an object, for a client's Status().Patch. The API server refuses it as invalid where
// the object that is there has another UID. Whoever uses it is the only one who writes that status.
func Of(status any) client.Patch { return patch{status} }

type patch struct{ status any }

// Type implements client.Patch.
func (patch) Type() types.PatchType { return types.JSONPatchType }

// Data implements client.Patch.
func (p patch) Data(obj client.Object) ([]byte, error) {
	return json.Marshal([]map[string]any{
		{"op": "test", "path": "/metadata/uid", "value": obj.GetUID()},
		{"op": "add", "path": "/status", "value": p.status}, // replaces one that is there
	})
}
