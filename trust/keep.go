package trust

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

const (
	// KeyOverlap is how long tokens are verified with a key that its issuer publishes no more: those
	// that it signed before are still around.
	KeyOverlap = 10 * time.Minute
	// keepRetired is how long such a key is shown after that.
	keepRetired = 24 * time.Hour
	// maxRetired is how many of them are.
	maxRetired = 32
)

// Why no token is verified with a key: IssuerKey.Unused.
const (
	NotPinned  = "not pinned"
	NotAnyMore = "no longer published"
)

// keptKey is what stands in IssuerKey.JWK: a public key, and two members of our own by which it is
// kept. Their names are ours (RFC 7517, section 4: members that are not understood are ignored).
type keptKey struct {
	publicJWK
	// Issuer is the url whose key it is. A key of another one verifies nothing. It is empty for keys
	// that stood in the spec.
	Issuer string `json:"hawser.io/issuer,omitempty"`
	// Way is a hash of the way on which it was fetched. A key that came another way is treated as one
	// that is published no more.
	Way string `json:"hawser.io/way,omitempty"`
	// Missing is when it was first found not to be published.
	Missing string `json:"hawser.io/missing,omitempty"`
}

// wayOf says on whose word keys are believed to be the issuer's.
func wayOf(spec *v1alpha1.TrustedIssuerSpec) string {
	sum := sha256.Sum256([]byte(spec.DiscoveryURL + "\x00" + spec.CAData))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// KeepKeys is the next status.keys of a TrustedIssuer. published are the keys that the issuer was just
// found to publish; none means that it was not asked, or that asking failed: then keys only age.
// A key that is published no more stays in use for KeyOverlap, is shown for a day, and is dropped.
// So is one that was fetched from elsewhere, or under another CA, until it is found again. Where the
// spec names pinned keys no other is in use, and where it holds the keys itself these are all there are.
func KeepKeys(ti *v1alpha1.TrustedIssuer, published []Key, now time.Time) []v1alpha1.IssuerKey {
	stamp, issuer, way := metav1.NewTime(now.Truncate(time.Second)), ti.Spec.URL, wayOf(&ti.Spec)
	inline := ti.Spec.JWKS != ""
	if inline {
		issuer, way = "", ""
	}
	kept, had := map[string]v1alpha1.IssuerKey{}, map[string]v1alpha1.IssuerKey{}
	for _, have := range ti.Status.Keys {
		had[have.Thumbprint] = have
		var k keptKey
		if json.Unmarshal([]byte(have.JWK), &k) != nil || k.Issuer != issuer || (inline && len(published) > 0) {
			continue
		}
		if k.Missing == "" && (len(published) > 0 || k.Way != way) {
			k.Missing = stamp.UTC().Format(time.RFC3339)
		}
		if have, ok := aged(have, k, now); ok {
			kept[have.Thumbprint] = have
		}
	}
	for _, k := range published {
		next := v1alpha1.IssuerKey{
			Thumbprint: k.Thumbprint, KeyID: k.ID, Algorithm: k.Algorithm, FirstSeen: stamp, LastSeen: stamp,
			JWK: keptKey{publicJWK: k.public(), Issuer: issuer, Way: way}.text(),
		}
		if have, ok := had[k.Thumbprint]; ok {
			next.FirstSeen = have.FirstSeen
			if inline { // nobody looks again and again at what stands in the spec
				next.LastSeen = have.LastSeen
			}
		}
		kept[k.Thumbprint] = next
	}
	return ordered(kept, ti.Spec.PinnedKeys)
}

// aged returns a key as it is at a time, or false where it is dropped.
func aged(have v1alpha1.IssuerKey, k keptKey, now time.Time) (v1alpha1.IssuerKey, bool) {
	have.JWK, have.Unused = k.text(), ""
	if k.Missing == "" {
		return have, true
	}
	missing, _ := time.Parse(time.RFC3339, k.Missing) // what cannot be read was long ago
	if age := now.Sub(missing); age >= KeyOverlap+keepRetired {
		return have, false
	} else if age >= KeyOverlap {
		have.Unused = NotAnyMore
	}
	return have, true
}

// ordered puts keys in use first, then the newest.
func ordered(kept map[string]v1alpha1.IssuerKey, pinned []string) []v1alpha1.IssuerKey {
	for thumbprint, k := range kept {
		if k.Unused == "" && len(pinned) > 0 && !slices.Contains(pinned, thumbprint) {
			k.Unused = NotPinned
			kept[thumbprint] = k
		}
	}
	keys := slices.SortedFunc(maps.Values(kept), func(a, b v1alpha1.IssuerKey) int {
		return cmp.Or(strings.Compare(a.Unused, b.Unused), b.LastSeen.Compare(a.LastSeen.Time), b.FirstSeen.Compare(a.FirstSeen.Time), strings.Compare(a.Thumbprint, b.Thumbprint))
	})
	return keys[:min(len(keys), MaxKeys+maxRetired)]
}

// NextChange is when keys change by themselves: when the first of those that are published no more
// goes out of use, or is dropped. It is zero where none does.
func NextChange(keys []v1alpha1.IssuerKey) (next time.Time) {
	for _, have := range keys {
		var k keptKey
		if json.Unmarshal([]byte(have.JWK), &k) != nil || k.Missing == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, k.Missing)
		if err != nil {
			continue
		}
		at = at.Add(KeyOverlap)
		if have.Unused == NotAnyMore {
			at = at.Add(keepRetired)
		}
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return next
}

// usedKey is a key that tokens are verified with, until a time where there is one.
type usedKey struct {
	Key
	until time.Time
}

func (k *usedKey) usable(now time.Time) bool { return k.until.IsZero() || now.Before(k.until) }

// usedKeys are those of an issuer that are in use, by the spec as it is now: a status that is older
// than the spec lets no key in that the spec rules out.
func usedKeys(ti *v1alpha1.TrustedIssuer) ([]usedKey, error) {
	var keys []usedKey
	if ti.Spec.JWKS != "" {
		inline, err := ParseJWKS([]byte(ti.Spec.JWKS))
		if err != nil {
			return nil, fmt.Errorf("spec.jwks: %w", err)
		}
		for _, k := range inline {
			keys = append(keys, usedKey{Key: k})
		}
	} else {
		keys = fetchedKeys(ti)
	}
	if pinned := ti.Spec.PinnedKeys; len(pinned) > 0 {
		keys = slices.DeleteFunc(keys, func(k usedKey) bool { return !slices.Contains(pinned, k.Thumbprint) })
	}
	return keys, nil
}

func fetchedKeys(ti *v1alpha1.TrustedIssuer) (keys []usedKey) {
	for _, have := range ti.Status.Keys {
		var kept keptKey
		if have.Unused == NotAnyMore || json.Unmarshal([]byte(have.JWK), &kept) != nil || kept.Issuer != ti.Spec.URL {
			continue
		}
		// The thumbprint is computed anew: what pins are compared with is the key, not what the status says of it.
		k, ok, err := parseKey([]byte(have.JWK))
		if !ok || err != nil {
			continue
		}
		used := usedKey{Key: k}
		if kept.Missing != "" {
			missing, err := time.Parse(time.RFC3339, kept.Missing)
			if err != nil {
				continue
			}
			used.until = missing.Add(KeyOverlap)
		}
		keys = append(keys, used)
	}
	return keys
}

func (k *Key) public() publicJWK {
	var public publicJWK
	text, err := k.jwk.MarshalJSON()
	if err != nil || json.Unmarshal(text, &public) != nil {
		return publicJWK{} // a key without numbers: it was parsed from text, so this does not happen
	}
	return public
}

func (k keptKey) text() string {
	text, err := json.Marshal(k)
	if err != nil { // it holds nothing but texts
		return ""
	}
	return string(text)
}
