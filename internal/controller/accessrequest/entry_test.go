package accessrequest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/hawser-io/hawser/credential"
)

var start = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

// lasting is a token that was obtained at start.
func lasting(id string, life time.Duration) *held {
	return &held{id: id, cred: credential.Credential{Token: credential.NewSecret("t"), IssuedAt: start, ObtainedAt: start, ExpiresAt: start.Add(life)}}
}

func TestWhenWhatIsDone(t *testing.T) {
	cases := map[string]struct {
		held *held
		at   time.Duration
		want step
	}{
		"there is no token":               {nil, 0, stepMint},
		"the token is for something else": {lasting("other", time.Hour), 0, stepMint},
		"the token is fresh":              {lasting("id", time.Hour), time.Minute, stepCheck},
		"before half of its life":         {lasting("id", time.Hour), 26 * time.Minute, stepCheck},
		"after half of its life":          {lasting("id", time.Hour), 34 * time.Minute, stepMint},
		"the token has ended":             {lasting("id", time.Hour), time.Hour, stepMint},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			e := &entry{want: want{id: "id", seed: "x"}, held: c.held}
			if got := e.step(start.Add(c.at)); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestWhatIsLearnedOfAnAttempt(t *testing.T) {
	forbidden := &refusal{apierrors.NewForbidden(schema.GroupResource{Resource: "serviceaccounts"}, "x", errors.New("no"))}
	cases := map[string]struct {
		outcome  outcome
		failures int
		held     bool
		due      time.Duration // about
	}{
		"a token": {outcome{held: lasting("id", time.Hour)}, 3, true, checkEvery},
		"a token of ten minutes is looked at as often": {outcome{held: lasting("id", 10*time.Minute)}, 0, true, checkEvery},
		"a refusal takes away what is there":           {outcome{held: lasting("id", time.Hour), err: forbidden}, 0, false, firstRetry},
		"a failure leaves what is there":               {outcome{held: lasting("id", time.Hour), err: errors.New("timeout")}, 0, true, firstRetry},
		"one more failure waits longer":                {outcome{held: lasting("id", time.Hour), err: errors.New("timeout")}, 2, true, 4 * firstRetry},
		"many failures wait no longer than that":       {outcome{err: errors.New("timeout")}, 1000, false, lastRetry},
		"a check that could not be made says nothing":  {outcome{held: lasting("id", time.Hour), checkErr: errors.New("timeout")}, 0, true, checkEvery},
		"a connection that went away waits for it":     {outcome{held: lasting("id", time.Hour), err: &notReadyError{"gone"}}, 5, true, time.Second},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := want{id: "id", seed: "x"}
			e := &entry{want: w, failures: c.failures, busy: true}
			e.learn(w, c.outcome, start)
			if got := e.known(start).held != nil; got != c.held || e.busy {
				t.Errorf("it has a token: %v, want %v; busy: %v", got, c.held, e.busy)
			}
			if got := e.due.Sub(start); got < c.due*9/10 || got > c.due*11/10 {
				t.Errorf("it is looked at again in %s, want about %s", got, c.due)
			}
		})
	}
}

func TestAnAttemptForWhatIsNotWantedAnyMoreIsForgotten(t *testing.T) {
	e := &entry{busy: true}
	e.ask(want{id: "old"})
	e.ask(want{id: "new"})
	e.learn(want{id: "old"}, outcome{held: lasting("old", time.Hour)}, start)
	if e.held != nil || e.busy || e.due.After(start) {
		t.Errorf("it kept %+v", e)
	}
}

func TestWhatIsWantedAnewIsAskedForAtOnce(t *testing.T) {
	e := &entry{want: want{id: "old"}, held: lasting("old", time.Hour), err: errors.New("x"), failures: 7, due: start.Add(time.Hour)}
	e.ask(want{id: "new"})
	if e.held != nil || e.err != nil || e.failures != 0 || e.due.After(start) {
		t.Errorf("it kept %+v", e)
	}
}

func TestALifetimeThatIsTooLongIsLowered(t *testing.T) {
	cases := map[string]struct {
		message string
		life    time.Duration
		want    time.Duration
	}{
		"to what the policy says":              {"a token of AccessGrant g lives at most 1800s: ask for less", time.Hour, 30 * time.Minute},
		"to half where nobody says":            {"no", time.Hour, 30 * time.Minute},
		"and never below what is ever granted": {"no", 15 * time.Minute, 10 * time.Minute},
		"and not to more":                      {"it lives at most 7200s", time.Hour, 30 * time.Minute},
		"and not to nonsense":                  {"it lives at most ...", time.Hour, 30 * time.Minute},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := shorter(c.message, c.life); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestWhatAClusterMayAnswer(t *testing.T) {
	w := want{cluster: "alpha", account: "g-1", lifetime: time.Hour}
	with := func(token string, life time.Duration) credential.Credential {
		return credential.Credential{Token: credential.NewSecret(token), IssuedAt: start, ExpiresAt: start.Add(life)}
	}
	cases := map[string]struct {
		answer credential.Credential
		want   string
	}{
		"a token":                        {with("abc", time.Hour), ""},
		"a shorter one":                  {with("abc", 10*time.Minute), ""},
		"nothing":                        {with("", time.Hour), "no token"},
		"two lines":                      {with("a\nb", time.Hour), "no token"},
		"far too much":                   {with(strings.Repeat("x", maxToken+1), time.Hour), "no token"},
		"one that ends before it begins": {with("abc", -time.Hour), "no lifetime"},
		"one that never ends":            {credential.Credential{Token: credential.NewSecret("abc"), IssuedAt: start}, "no lifetime"},
		"one that ends in a year":        {with("abc", 365*24*time.Hour), "far longer"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			err := acceptable(c.answer, w)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want %q", err, c.want)
			}
		})
	}
}

func TestAnErrorShowsNoTokenThatAClusterEchoes(t *testing.T) {
	for _, token := range []string{"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl", "k8s-aws-v1.aHR0cHM6Ly9zdHM"} {
		if got := describe(fmt.Errorf("you sent Bearer %s to me", token)); strings.Contains(got, token) || !strings.Contains(got, "[redacted]") {
			t.Errorf("it shows %q", got)
		}
	}
	if got := describe(errors.New(strings.Repeat("ä", 5000))); len(got) > 1100 {
		t.Errorf("it shows %d bytes", len(got))
	}
}

func TestALabelHoldsEveryName(t *testing.T) {
	long := strings.Repeat("a", 200)
	if got := labelOf("short"); got != "short" {
		t.Errorf("got %q", got)
	}
	if a, b := labelOf(long+"1"), labelOf(long+"2"); a == b || len(a) > 63 {
		t.Errorf("got %q and %q", a, b)
	}
}
