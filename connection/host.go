package connection

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// hostFor makes a host of a name that may be anything, and says which if it can. Requests go where the
// cluster is, whatever host they name.
func hostFor(name string) string {
	if len(validation.IsDNS1123Subdomain(name)) == 0 {
		return name
	}
	readable := strings.Map(func(r rune) rune {
		if (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') || (r >= '0' && r <= '9') {
			return r
		}
		return '-'
	}, name)
	sum := sha256.Sum256([]byte(name))
	return strings.Trim(readable, "-") + "-" + hex.EncodeToString(sum[:4])
}
