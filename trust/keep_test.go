package trust

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// rotation is an issuer whose keys are fetched.
type rotation struct {
	*v1alpha1.TrustedIssuer
	t *testing.T
}

func fetchedIssuer(t *testing.T) *rotation {
	ti := ready(trusted(t))
	ti.Spec.JWKS = ""
	return &rotation{ti, t}
}

// fetch is what happens when the issuer was found to publish these keys.
func (r *rotation) fetch(at time.Time, signers ...signer) {
	r.t.Helper()
	keys, err := ParseJWKS([]byte(jwks(r.t, signers...)))
	if err != nil {
		r.t.Fatal(err)
	}
	r.Status.Keys = KeepKeys(r.TrustedIssuer, keys, at)
}

// fail is what happens when it could not be asked.
func (r *rotation) fail(at time.Time) { r.Status.Keys = KeepKeys(r.TrustedIssuer, nil, at) }

// believes reports whether a token that was just signed by s is.
func (r *rotation) believes(s signer, at time.Time) bool {
	r.t.Helper()
	token := s.sign(r.t, claims(map[string]any{"iat": at.Unix(), "nbf": nil, "exp": at.Add(time.Hour).Unix()}))
	_, err := mustNew(r.t, r.TrustedIssuer).Verify(token, at)
	return err == nil
}

func (r *rotation) unused() (why []string) {
	for _, k := range r.Status.Keys {
		why = append(why, k.KeyID+": "+k.Unused)
	}
	return why
}

func TestKeysOverlapOnRotation(t *testing.T) {
	old, next := rsaSigner(0), rsaSigner(1)
	r := fetchedIssuer(t)
	r.fetch(noon, old)
	later := noon.Add(time.Hour)
	r.fetch(later, next) // the issuer has rotated: old is not published any more

	steps := []struct {
		after time.Duration
		old   bool
		want  []string
	}{
		{0, true, []string{"rsa-1: ", "rsa-0: "}},
		{KeyOverlap - time.Second, true, []string{"rsa-1: ", "rsa-0: "}},
		{KeyOverlap, false, []string{"rsa-1: ", "rsa-0: " + NotAnyMore}},
		{KeyOverlap + keepRetired, false, []string{"rsa-1: "}},
	}
	for _, s := range steps {
		at := later.Add(s.after)
		if got := r.believes(old, at); got != s.old {
			t.Errorf("%s after the rotation the old key is believed: %v, want %v", s.after, got, s.old)
		}
		if !r.believes(next, at) {
			t.Errorf("%s after the rotation the new key is not believed", s.after)
		}
		r.fail(at)
		if diff := cmp.Diff(s.want, r.unused()); diff != "" {
			t.Errorf("%s after the rotation, keys (-want +got):\n%s", s.after, diff)
		}
	}
}

func TestKeysTellWhenTheyChange(t *testing.T) {
	old, next := rsaSigner(0), rsaSigner(1)
	r := fetchedIssuer(t)
	r.fetch(noon, old)
	if got := NextChange(r.Status.Keys); !got.IsZero() {
		t.Errorf("keys that are published change at %s", got)
	}
	r.fetch(noon, next)
	if got, want := NextChange(r.Status.Keys), noon.Add(KeyOverlap); !got.Equal(want) {
		t.Errorf("the old key goes out of use at %s, want %s", got, want)
	}
	r.fail(noon.Add(KeyOverlap))
	if got, want := NextChange(r.Status.Keys), noon.Add(KeyOverlap+keepRetired); !got.Equal(want) {
		t.Errorf("the old key is dropped at %s, want %s", got, want)
	}
}

func TestAKeyThatComesBackIsUsedAgain(t *testing.T) {
	a, b := rsaSigner(0), rsaSigner(1)
	r := fetchedIssuer(t)
	r.fetch(noon, a)
	r.fetch(noon.Add(time.Hour), b)
	r.fetch(noon.Add(2*time.Hour), a, b)
	if at := noon.Add(5 * time.Hour); !r.believes(a, at) || !r.believes(b, at) {
		t.Errorf("after it came back: %v", r.unused())
	}
	for _, k := range r.Status.Keys {
		if k.KeyID == a.kid && (!k.FirstSeen.Time.Equal(noon) || !k.LastSeen.Time.Equal(noon.Add(2*time.Hour))) {
			t.Errorf("seen from %s to %s", k.FirstSeen, k.LastSeen)
		}
	}
}

func TestAFailedFetchChangesNothing(t *testing.T) {
	s := rsaSigner(0)
	r := fetchedIssuer(t)
	r.fetch(noon, s)
	before := r.DeepCopy()
	r.fail(noon.Add(1000 * time.Hour))
	if diff := cmp.Diff(before.Status, r.Status); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
	if !r.believes(s, noon.Add(1000*time.Hour)) {
		t.Error("its tokens are refused")
	}
}

func TestPinnedKeysKeepOthersOut(t *testing.T) {
	good, other := rsaSigner(0), rsaSigner(1)
	r := fetchedIssuer(t)
	r.fetch(noon, good, other)
	for _, k := range r.Status.Keys {
		if k.KeyID == good.kid {
			r.Spec.PinnedKeys = []string{k.Thumbprint}
		}
	}
	if r.believes(other, noon) {
		t.Error("a key that is not pinned is believed before the status says so")
	}
	r.fetch(noon, good, other)
	if diff := cmp.Diff([]string{"rsa-0: ", "rsa-1: " + NotPinned}, r.unused()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !r.believes(good, noon) || r.believes(other, noon) {
		t.Error("it is not the pinned key that is believed")
	}
	t.Run("also where the status lies about the thumbprint", func(t *testing.T) {
		lie := &rotation{r.DeepCopy(), t}
		for i := range lie.Status.Keys {
			lie.Status.Keys[i].Thumbprint, lie.Status.Keys[i].Unused = lie.Spec.PinnedKeys[0], ""
		}
		if lie.believes(other, noon) {
			t.Error("the other key is believed")
		}
	})
	t.Run("also among those of the spec", func(t *testing.T) {
		r.Spec.JWKS = jwks(t, good, other)
		if !r.believes(good, noon) || r.believes(other, noon) {
			t.Error("it is not the pinned key that is believed")
		}
	})
}

func TestKeysOfAnotherIssuerVerifyNothing(t *testing.T) {
	s := rsaSigner(0)
	r := fetchedIssuer(t)
	r.fetch(noon, s)
	r.Spec.URL = "https://c.example.com"
	_, err := mustNew(t, r.TrustedIssuer).Verify(s.sign(t, claims(map[string]any{"iss": r.Spec.URL})), noon)
	if got := reasonOf(t, err); got != UnknownKey {
		t.Errorf("right after the edit: %q, want %q", got, UnknownKey)
	}
	r.fail(noon)
	if len(r.Status.Keys) != 0 {
		t.Errorf("they are kept: %v", r.unused())
	}
}

func TestKeysThatCameAnotherWayMustBeFoundAgain(t *testing.T) {
	good, other := rsaSigner(0), rsaSigner(1)
	for name, edit := range map[string]func(*v1alpha1.TrustedIssuerSpec){
		"another discoveryURL": func(spec *v1alpha1.TrustedIssuerSpec) { spec.DiscoveryURL = "https://mirror.example.com/b" },
		"another CA":           func(spec *v1alpha1.TrustedIssuerSpec) { spec.CAData = "AAAA" },
	} {
		t.Run(name, func(t *testing.T) {
			r := fetchedIssuer(t)
			r.fetch(noon, good, other)
			edit(&r.Spec)
			r.fail(noon)
			if !r.believes(good, noon.Add(KeyOverlap-time.Second)) {
				t.Error("an edit interrupts those whose tokens are good")
			}
			r.fetch(noon.Add(time.Minute), good)
			if after := noon.Add(KeyOverlap); !r.believes(good, after) || r.believes(other, after) {
				t.Errorf("after the overlap it is not the key that was found again: %v", r.unused())
			}
		})
	}
}

func TestKeysOfTheSpecAreAllThereAre(t *testing.T) {
	a, b := rsaSigner(0), rsaSigner(1)
	r := &rotation{trusted(t, a), t}
	r.fetch(noon, a)
	before := r.DeepCopy()
	r.fetch(noon.Add(time.Hour), a)
	if diff := cmp.Diff(before.Status, r.Status); diff != "" {
		t.Errorf("looking again writes again (-before +after):\n%s", diff)
	}
	r.Spec.JWKS = jwks(t, b)
	r.fetch(noon.Add(time.Hour), b)
	if diff := cmp.Diff([]string{"rsa-1: "}, r.unused()); diff != "" {
		t.Errorf("after an edit (-want +got):\n%s", diff)
	}
	if r.believes(a, noon.Add(time.Hour)) {
		t.Error("the key that was taken out is believed")
	}
}

func TestAnIssuerCannotFillTheStatus(t *testing.T) {
	r := fetchedIssuer(t)
	for i := range 5 {
		var signers []signer
		for range MaxKeys {
			signers = append(signers, edSigner(t, ""))
		}
		r.fetch(noon.Add(time.Duration(i)*time.Minute), signers...)
	}
	if len(r.Status.Keys) > MaxKeys+maxRetired {
		t.Errorf("it has %d keys", len(r.Status.Keys))
	}
	published := 0
	for _, k := range r.Status.Keys {
		if k.LastSeen.Time.Equal(noon.Add(4 * time.Minute)) {
			published++
		}
	}
	if published != MaxKeys {
		t.Errorf("%d of the keys that are published are kept, want %d", published, MaxKeys)
	}
}
