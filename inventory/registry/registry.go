// Package registry owns what the places have in common whose clusters become RemoteClusters: how such a
// RemoteCluster is named, told apart from those of others, and written. What a place makes of its clusters,
// its own package decides without reaching anything; its controller reads the objects.
package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
)

// FieldManager owns the fields of a RemoteCluster that an inventory fills in. What others add is theirs.
const FieldManager = "hawser-inventory"

// MaxName is how long the name of a RemoteCluster may be: namespaces and Secrets are named after it.
const MaxName = 50

// Name makes a name for a new RemoteCluster: the wish as a DNS label, if that is short enough and free.
// Otherwise it ends with a hash of id, which tells the cluster from all others.
func Name(wish, id string, taken func(name string) bool) string {
	plain := label(wish)
	if plain != "" && len(plain) <= MaxName && !taken(plain) {
		return plain
	}
	sum := sha256.Sum256([]byte(id))
	hash := hex.EncodeToString(sum[:])
	for length := 6; ; length += 2 { // six are enough unless somebody took just this name
		cut := strings.TrimRight(plain[:min(len(plain), MaxName-1-length)], "-")
		name := strings.TrimLeft(cut+"-"+hash[:length], "-")
		if !taken(name) || length >= 40 {
			return name
		}
	}
}

// label makes a DNS label of a name: lower case, and a dash for whatever a label cannot hold.
func label(name string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		if (r >= 'a' && r <= 'z') || (r >= '0' && r <= '9') {
			return r
		}
		return '-'
	}, strings.ToLower(name)), "-")
}

// EKSCluster is what tells an EKS cluster from all others.
type EKSCluster struct{ Name, AccountID, Region, Server string }

// IsNamedBy reports whether a RemoteCluster is for this EKS cluster: by its name, region and account, or
// by its server.
func (c EKSCluster) IsNamedBy(rc *v1alpha1.RemoteCluster) bool {
	if rc.Spec.Server != "" && address(rc.Spec.Server) == address(c.Server) {
		return true
	}
	eks := rc.Spec.Auth.EKS
	return eks != nil && c.AccountID != "" && eks.AccountID == c.AccountID && eks.Region == c.Region &&
		rc.Spec.Auth.EKSClusterName(rc.Name) == c.Name
}

// address is a server's URL in the one way of writing it by which two can be compared.
func address(server string) string {
	u, err := url.Parse(server)
	if err != nil {
		return server
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	port := u.Port()
	if port == "" {
		port = "443"
	}
	return host + ":" + port + strings.TrimSuffix(u.Path, "/")
}

// Unusable says what keeps an EKS cluster from being connected to: nothing, while it is up, also while it is
// being updated. One that is being created has no address or CA yet; one that is being deleted is not worth it.
func Unusable(c aws.Cluster) string {
	switch {
	case slices.Contains([]string{"CREATING", "PENDING", "FAILED", "DELETING"}, c.Status):
		return "it is " + c.Status
	case c.Server == "":
		return "it has no endpoint yet"
	case len(c.CAData) == 0:
		return "it has no certificate authority yet"
	}
	return ""
}
