// Package remotecluster is the inventory of RemoteCluster objects: from one
// object to the plain data of a connection, by pure functions, and, for programs
// that are not Hawser, from all objects to the clusters of a fleet. Hawser's own
// manager needs only the former: the controller of the same name reads the objects.
package remotecluster

import (
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/internal/advice"
	"github.com/hawser-io/hawser/member"
)

// Spec returns what a RemoteCluster asks for, seen from the local cluster of that name. Its errors
// are *connection.SpecErrors: they tell what the API server's own validation cannot.
func Spec(rc *v1alpha1.RemoteCluster, local string) (connection.Spec, error) {
	ca, err := decodeCA(rc.Spec.CAData)
	if err != nil {
		return connection.Spec{}, err
	}
	spec := connection.Spec{
		Name:     rc.Name,
		AuthType: string(rc.Spec.Auth.Type),
		Endpoint: credential.Endpoint{
			Server:        rc.Spec.Server,
			CAData:        ca,
			TLSServerName: rc.Spec.TLSServerName,
			ProxyURL:      rc.Spec.ProxyURL,
		},
		ClusterID: rc.Spec.ClusterID,
		QPS:       float32(rc.Spec.QPS),
		Burst:     int(rc.Spec.Burst),
		Local:     local,
		Release:   advice.ReleaseOf(rc),
		Checks:    member.Checks(local, rc.Spec.Capabilities, rc.Spec.Requires, member.IdentityOf(rc.Spec.Auth)),
	}
	if spec.ClusterID == "" {
		spec.ClusterID = rc.Status.ClusterID // the first that answered, remembered over restarts
	}
	if rc.Spec.Timeout != nil {
		spec.Timeout = rc.Spec.Timeout.Duration
	}
	return spec, nil
}

func decodeCA(data string) ([]byte, error) {
	if data == "" {
		return nil, nil
	}
	ca, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return nil, &connection.SpecError{Err: fmt.Errorf("caData is no base64: %w", err)}
	}
	if block, _ := pem.Decode(ca); block == nil || block.Type != "CERTIFICATE" {
		return nil, &connection.SpecError{Err: errors.New("caData is base64 of something else than a PEM certificate")}
	}
	return ca, nil
}
