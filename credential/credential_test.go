package credential

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func jwt(payload string) string {
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"none"}`)) + "." + enc([]byte(payload)) + "." + enc([]byte("sig"))
}

func TestNewTokenReadsTheTimesOfAJWT(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0).UTC() }
	cases := map[string]struct {
		token           string
		issued, expires time.Time
		subject         string
	}{
		"a service-account token":          {jwt(`{"iat":1000,"exp":4600,"sub":"system:serviceaccount:a:b"}`), at(1000), at(4600), "system:serviceaccount:a:b"},
		"nbf stands in for iat":            {jwt(`{"nbf":1000,"exp":4600}`), at(1000), at(4600), ""},
		"fractions are cut":                {jwt(`{"iat":1000.9,"exp":4600.9}`), at(1000), at(4600), ""},
		"no exp never expires":             {jwt(`{"iat":1000}`), at(1000), time.Time{}, ""},
		"an opaque token has no times":     {"opaque", time.Time{}, time.Time{}, ""},
		"a time that is none":              {jwt(`{"exp":"soon"}`), time.Time{}, time.Time{}, ""},
		"a time before 1970":               {jwt(`{"exp":-1}`), time.Time{}, time.Time{}, ""},
		"a time beyond the year 9999":      {jwt(`{"exp":1e300}`), time.Time{}, time.Time{}, ""},
		"a payload that is a list":         {jwt(`[]`), time.Time{}, time.Time{}, ""},
		"a payload that is no base64":      {"a.!.c", time.Time{}, time.Time{}, ""},
		"three parts of nothing":           {"..", time.Time{}, time.Time{}, ""},
		"longer than any header may carry": {jwt(`{"exp":4600,"x":"` + string(make([]byte, maxJWT)) + `"}`), time.Time{}, time.Time{}, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := NewToken(c.token, "")
			if !got.IssuedAt.Equal(c.issued) || !got.ExpiresAt.Equal(c.expires) || got.Subject != c.subject {
				t.Errorf("got %s – %s of %q", got.IssuedAt, got.ExpiresAt, got.Subject)
			}
		})
	}
}

func TestReadJWTTakesWhatATokenSaysOfItself(t *testing.T) {
	cases := map[string]struct {
		token string
		want  JWT
		wrong string
	}{
		"all of it": {token: jwt(`{"iss":"https://a","sub":"s","jti":"1","aud":["x","y"],"iat":1,"exp":2}`),
			want: JWT{Issuer: "https://a", Subject: "s", ID: "1", Audiences: []string{"x", "y"}, IssuedAt: time.Unix(1, 0).UTC(), ExpiresAt: time.Unix(2, 0).UTC()}},
		"a single audience":                     {token: jwt(`{"aud":"x"}`), want: JWT{Audiences: []string{"x"}}},
		"an empty audience is none":             {token: jwt(`{"aud":""}`)},
		"an audience that is a number":          {token: jwt(`{"aud":1,"sub":"s"}`), want: JWT{Subject: "s"}},
		"audiences of which one is a number":    {token: jwt(`{"aud":["x",1]}`)},
		"an identifier of another type is none": {token: jwt(`{"jti":1,"iss":{},"sub":"s"}`), want: JWT{Subject: "s"}},
		"a time that is none":                   {token: jwt(`{"exp":-1}`), wrong: "exp is no time"},
		"two parts":                             {token: "a.b", wrong: "no three parts"},
		"a payload that is a list":              {token: jwt(`[]`), wrong: "no JSON of the kind"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := ReadJWT(c.token)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("error %v, want %q", err, c.wrong)
			}
		})
	}
	if (JWT{Audiences: []string{"x", "y"}}).OnlyFor("x") || (JWT{}).OnlyFor("") || !(JWT{Audiences: []string{"x"}}).OnlyFor("x") {
		t.Error("OnlyFor is not about one audience alone")
	}
}

func TestLifeIsCountedByOurClockFromWhenWeGotIt(t *testing.T) {
	issued := time.Unix(10_000, 0)
	c := Credential{Token: NewSecret("x"), IssuedAt: issued, ExpiresAt: issued.Add(10 * time.Minute)}
	// The issuer's clock is seven minutes behind ours: by the stamps alone it would be nearly over at once.
	c.ObtainedAt = issued.Add(7 * time.Minute)
	at, ok := c.RenewAt(0.5)
	if want := c.ObtainedAt.Add(5 * time.Minute); !ok || !at.Equal(want) {
		t.Errorf("RenewAt = %s, %v; want %s", at, ok, want)
	}
	if c.ExpiredAt(issued.Add(16 * time.Minute)) {
		t.Error("it is over a minute too early")
	}
	if !c.ExpiredAt(issued.Add(17 * time.Minute)) {
		t.Error("it is not over in time")
	}
}

func TestJitterSpreadsRenewalsAroundHalfOfLife(t *testing.T) {
	issued := time.Unix(0, 0)
	c := Credential{IssuedAt: issued, ExpiresAt: issued.Add(100 * time.Minute)}
	for jitter, want := range map[float64]time.Duration{0: 45 * time.Minute, 0.5: 50 * time.Minute, 1: 55 * time.Minute} {
		if at, ok := c.RenewAt(jitter); !ok || at.Sub(issued).Round(time.Second) != want {
			t.Errorf("RenewAt(%v) is %s after issue, want %s", jitter, at.Sub(issued), want)
		}
	}
	if _, ok := (Credential{Token: NewSecret("x")}).RenewAt(0); ok {
		t.Error("a credential without an end is due")
	}
}

func FuzzNewToken(f *testing.F) {
	f.Add(jwt(`{"iat":1000,"exp":4600}`))
	f.Add("a.b.c")
	f.Add("..")
	f.Add(jwt(`{"exp":1e999}`))
	f.Fuzz(func(t *testing.T, token string) {
		c := NewToken(token, "")
		if c.Token.Reveal() != token {
			t.Fatal("the token changed")
		}
		if _, err := c.ExpiresAt.MarshalJSON(); err != nil {
			t.Fatalf("an expiry that no status can hold: %v", err)
		}
		c.ExpiredAt(time.Now())
	})
}

func TestABindingAdmitsNoStranger(t *testing.T) {
	ours := Endpoint{Server: "https://a", CAData: []byte("ca")}
	byCA := &Binding{Server: "https://a", CA: Fingerprint(ours.CAData), Roots: []string{"r1"}}
	bySystem := &Binding{Server: "https://a", CA: Fingerprint(nil)}
	public := Endpoint{Server: "https://a"}
	cases := map[string]struct {
		binding  *Binding
		endpoint Endpoint
		roots    []string
		want     bool
	}{
		"nothing was proved yet":                          {nil, Endpoint{Server: "https://x"}, nil, true},
		"the same server and CA":                          {byCA, ours, []string{"r1"}, true},
		"another address, vouched for by the same CA":     {byCA, Endpoint{Server: "https://b"}, []string{"r1"}, true},
		"an overlap of CAs":                               {byCA, ours, []string{"r2", "r1"}, true},
		"another address under another CA":                {byCA, Endpoint{Server: "https://b"}, []string{"r2"}, false},
		"the same address under another CA":               {byCA, ours, []string{"r2"}, false},
		"the same address under the system's roots":       {byCA, public, nil, false},
		"system roots, nothing changed":                   {bySystem, public, nil, true},
		"system roots, another address":                   {bySystem, Endpoint{Server: "https://b"}, nil, false},
		"system roots, another name asked of the server":  {bySystem, Endpoint{Server: "https://a", TLSServerName: "evil"}, nil, false},
		"system roots, a CA of somebody's choice":         {bySystem, ours, []string{"r1"}, false},
		"a public root in caData, another address":        {&Binding{Server: "https://a", CA: byCA.CA}, Endpoint{Server: "https://b", CAData: ours.CAData}, nil, false},
		"a public root in caData, nothing changed at all": {&Binding{Server: "https://a", CA: byCA.CA}, ours, nil, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := c.binding.Admits(c.endpoint, c.roots); got != c.want {
				t.Errorf("admits: %v, want %v", got, c.want)
			}
		})
	}
}
