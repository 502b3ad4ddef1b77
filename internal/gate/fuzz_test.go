package gate

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// FuzzExchange sends anything to the token endpoint. What comes out is one of a few answers, and a token
// only for what the issuer signed.
func FuzzExchange(f *testing.F) {
	d := refusingDoor(f)
	d.log = &lines{} // kept short
	good := d.token(nil)
	for _, test := range refusals(f, d) {
		fields := form(test.changes)
		fields.Set("subject_token", test.token)
		f.Add(fields.Encode())
	}
	for _, scope := range []string{"", "ci", "ci theirs"} {
		f.Add(form(url.Values{"subject_token": {good}, "scope": {scope}, "lifetime": {"600"}, "audience": {cluster}}).Encode())
	}
	f.Add("subject_token=" + good + ";grant_type=a&&=%zz")
	f.Fuzz(func(t *testing.T, body string) {
		d.clk.Step(time.Second / 100) // the limits fill up again
		d.log.mu.Lock()
		d.log.text = nil
		d.log.mu.Unlock()
		w := d.postBody(t.Context(), body)
		if got := w.Header().Get("Cache-Control"); got != "no-store" {
			t.Errorf("Cache-Control is %q", got)
		}
		switch w.Code {
		case http.StatusOK:
			fields, err := url.ParseQuery(body)
			if err != nil || !sameToken(good, fields.Get("subject_token")) {
				t.Errorf("a token for %q", body)
			}
		case http.StatusBadRequest:
			var said failure
			if err := json.Unmarshal(w.Body.Bytes(), &said); err != nil {
				t.Errorf("%v: %s", err, w.Body)
			}
			if !slices.Contains([]string{"invalid_request", "invalid_target", "unsupported_grant_type"}, said.Error) {
				t.Errorf("error %q", said.Error)
			}
		default:
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if strings.Contains(d.log.all(), "panic") {
			t.Error(d.log.all())
		}
	})
}

// sameToken tells tokens with the same content, however the last bits of their base64 are filled up.
func sameToken(a, b string) bool {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	return slices.EqualFunc(x, y, func(a, b string) bool {
		p, errA := base64.RawURLEncoding.DecodeString(a)
		q, errB := base64.RawURLEncoding.DecodeString(b)
		return errA == nil && errB == nil && string(p) == string(q)
	})
}
