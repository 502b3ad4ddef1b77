package credential

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	testingclock "k8s.io/utils/clock/testing"
)

// world is a source and a cluster in memory: it decides what is at rest and what the cluster
// accepts. Rounds are run one by one; the goroutine of Run adds nothing but waiting.
type world struct {
	t     *testing.T
	clock *testingclock.FakeClock
	r     *Renewer

	input    []Credential
	inputErr error
	renewErr error
	down     error
	refused  map[string]bool
	minted   int
	proofs   []string
	inUse    string
	kept     string
	watched  bool
	last     State
	binding  *Binding
	shown    []Credential
	keepErr  error
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, clock: testingclock.NewFakeClock(time.Unix(1_000_000, 0)), refused: map[string]bool{}}
	w.r = &Renewer{Link: w, Clock: w.clock, Swap: func(c Credential) { w.inUse = c.Token.Reveal() }, Report: func(s State) { w.last = s }}
	w.r.SetSource(w)
	return w
}

func (w *world) token(name string, life time.Duration) Credential {
	now := w.clock.Now()
	c := Credential{Token: NewSecret(name), Origin: "input-1", IssuedAt: now, ObtainedAt: now, Watched: w.watched}
	if life > 0 {
		c.ExpiresAt = now.Add(life)
	}
	return c
}

func (w *world) Obtain(context.Context) ([]Credential, error) { return w.input, w.inputErr }

func (w *world) Renew(_ context.Context, current Credential, _ Link) (Credential, error) {
	if w.renewErr != nil {
		return Credential{}, w.renewErr
	}
	if w.refused[current.Token.Reveal()] {
		return Credential{}, ErrRefused
	}
	w.minted++
	next := w.token(fmt.Sprintf("minted-%d", w.minted), current.Lifetime())
	next.Origin = current.Origin
	return next, nil
}

func (w *world) Keep(_ context.Context, c Credential) error {
	if w.keepErr == nil {
		w.kept = c.Token.Reveal()
	}
	return w.keepErr
}

func (w *world) Prove(_ context.Context, c Credential) (Identity, error) {
	w.proofs, w.shown = append(w.proofs, c.Token.Reveal()), append(w.shown, c)
	if w.down != nil {
		return Identity{}, w.down
	}
	if w.refused[c.Token.Reveal()] {
		return Identity{}, ErrRefused
	}
	return Identity{User: "u", Binding: w.binding}, nil
}

func (w *world) Elsewhere(Credential) bool { return false }

func (w *world) Config(Credential) (*rest.Config, func(), error) { return nil, func() {}, nil }

// after lets time pass and runs one round, as Run would.
func (w *world) after(d time.Duration) time.Duration {
	w.clock.Step(d)
	return w.r.round(w.t.Context())
}

func (w *world) using(want string) {
	w.t.Helper()
	if w.inUse != want {
		w.t.Fatalf("in use is %q, want %q (state: input %v, renewal %v)", w.inUse, want, w.last.InputErr, w.last.RenewErr)
	}
}

func TestACredentialIsRenewedAtHalfOfItsLifeAndKept(t *testing.T) {
	w := newWorld(t)
	w.input = []Credential{w.token("first", time.Hour)}
	w.after(0)
	w.using("first")
	w.after(26 * time.Minute)
	w.using("first")
	w.after(8 * time.Minute)
	w.using("minted-1")
	if w.kept != "minted-1" {
		t.Errorf("kept %q", w.kept)
	}
	w.after(34 * time.Minute)
	w.using("minted-2")
}

func TestTheKeptCredentialComesBeforeTheInput(t *testing.T) {
	w := newWorld(t)
	w.input = []Credential{w.token("kept", time.Hour), w.token("input", time.Hour)}
	w.after(0)
	w.using("kept")
}

func TestARefusedKeptCredentialGivesWayToTheInput(t *testing.T) {
	w := newWorld(t)
	w.input = []Credential{w.token("kept", time.Hour), w.token("input", time.Hour)}
	w.refused["kept"] = true
	w.after(0)
	w.using("input")
}

func TestAFailedRenewalKeepsTheOldOneAndBacksOff(t *testing.T) {
	w := newWorld(t)
	w.input = []Credential{w.token("first", time.Hour)}
	w.after(0)
	w.renewErr = errors.New("down")
	w.after(34 * time.Minute)
	w.using("first")
	if w.last.RenewErr == nil {
		t.Fatal("the failure is not told")
	}
	first := w.last.Failures
	for range 20 { // 20 rounds a second apart: far fewer attempts
		w.after(time.Second)
	}
	if n := w.last.Failures - first; n < 2 || n > 6 {
		t.Errorf("%d attempts in 20 s, want a few", n)
	}
	w.renewErr = nil
	w.after(time.Minute)
	w.using("minted-1")
	if w.last.RenewErr != nil {
		t.Errorf("the failure outlives the success: %v", w.last.RenewErr)
	}
}

func TestAnUnprovedSuccessorIsNotUsed(t *testing.T) {
	w := newWorld(t)
	w.input = []Credential{w.token("first", time.Hour)}
	w.after(0)
	w.refused["minted-1"] = true
	w.after(34 * time.Minute)
	w.using("first")
	w.after(time.Minute)
	w.using("minted-2")
}

func TestABadInputLeavesTheCredentialInUse(t *testing.T) {
	cases := map[string]func(w *world){
		"missing": func(w *world) { w.inputErr = &InputError{"InputMissing", errors.New("gone")} },
		"new and refused": func(w *world) {
			c := w.token("bad", time.Hour)
			c.Origin = "input-2"
			w.input = []Credential{c}
			w.refused["bad"] = true
		},
		"new and expired": func(w *world) { c := w.token("old", time.Nanosecond); c.Origin = "input-2"; w.input = []Credential{c} },
		"new, and the cluster is down": func(w *world) {
			c := w.token("new", time.Hour)
			c.Origin = "input-2"
			w.input = []Credential{c}
			w.down = errors.New("down")
		},
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.input = []Credential{w.token("first", time.Hour)}
			w.after(0)
			spoil(w)
			w.r.Refresh()
			w.after(time.Second)
			w.using("first")
			if w.last.InputErr == nil {
				t.Error("the fault is not told")
			}
			w.down = nil
			w.after(34 * time.Minute)
			if w.inUse == "first" {
				t.Error("renewal stopped because of the bad input")
			}
		})
	}
}

func TestAChangedInputTakesOver(t *testing.T) {
	w := newWorld(t)
	w.input = []Credential{w.token("first", time.Hour)}
	w.after(0)
	next := w.token("second", time.Hour)
	next.Origin = "input-2"
	w.input = []Credential{next}
	w.r.Refresh()
	w.after(time.Second)
	w.using("second")
}

func TestAnUnchangedInputIsNotShownAgain(t *testing.T) {
	w := newWorld(t)
	w.input = []Credential{w.token("first", time.Hour)}
	w.after(0)
	w.r.Refresh()
	w.after(time.Second)
	w.after(2 * time.Minute)
	if len(w.proofs) != 1 {
		t.Errorf("proofs: %v, want one", w.proofs)
	}
}

func TestOne401CausesOneForcedRenewal(t *testing.T) {
	w := newWorld(t)
	w.input = []Credential{w.token("first", time.Hour)}
	w.after(0)
	first := w.last.Credential
	for range 100 {
		w.r.Refused(first)
	}
	w.after(time.Second)
	w.using("minted-1")
	for range 100 { // late answers to requests with the old one
		w.r.Refused(first)
		w.after(time.Millisecond)
	}
	if w.minted != 1 {
		t.Errorf("%d renewals, want 1", w.minted)
	}
}

func TestAServerThatRefusesWhatItIssuesIsNotAskedAtEvery401(t *testing.T) {
	w := newWorld(t)
	w.input = []Credential{w.token("first", time.Hour)}
	w.after(0)
	for range 60 {
		w.r.Refused(w.last.Credential)
		w.after(time.Second)
	}
	if w.minted < 2 || w.minted > 4 {
		t.Errorf("%d renewals in a storm of a minute, want 2 to 4", w.minted)
	}
}

func TestADeadCredentialIsReplacedByTheInputWhenThatIsMended(t *testing.T) {
	w := newWorld(t)
	w.input = []Credential{w.token("first", time.Hour)}
	w.after(0)
	w.refused["first"] = true
	w.r.Refused(w.last.Credential)
	w.after(time.Second)
	if !w.last.Dead || !errors.Is(w.last.InputErr, ErrRefused) {
		t.Fatalf("dead=%v, input error %v", w.last.Dead, w.last.InputErr)
	}
	mended := w.token("mended", time.Hour)
	mended.Origin = "input-2"
	w.input = []Credential{mended}
	w.r.Refresh()
	w.after(time.Second)
	w.using("mended")
	if w.last.Dead {
		t.Error("still dead")
	}
}

func TestAStormThatPassesLeavesNoMark(t *testing.T) {
	w := newWorld(t)
	w.input = []Credential{w.token("first", time.Hour)}
	w.after(0)
	w.refused["first"] = true
	w.r.Refused(w.last.Credential)
	w.after(time.Second)
	delete(w.refused, "first")
	w.r.Accepted(w.last.Credential)
	w.after(time.Second)
	if w.last.Dead {
		t.Error("still dead, though the cluster accepts the credential again")
	}
}

func TestAnExpiredCredentialMakesTheInputBeTriedAtOnce(t *testing.T) {
	w := newWorld(t)
	w.input = []Credential{w.token("first", time.Hour)}
	w.after(0)
	w.renewErr = errors.New("down")
	w.after(59*time.Minute + 30*time.Second)
	pause := w.after(0)
	if pause > 30*time.Second {
		t.Errorf("sleeps %s past the end of the credential", pause)
	}
	fresh := w.token("fresh", time.Hour)
	w.input = []Credential{fresh}
	w.after(31 * time.Second)
	w.using("fresh")
}

func TestAWatchedCredentialIsNeverRenewed(t *testing.T) {
	w := newWorld(t)
	w.watched = true
	w.input = []Credential{w.token("first", time.Hour)}
	w.after(0)
	w.r.Refused(w.last.Credential)
	w.after(time.Second)
	w.r.Renew()
	w.after(50 * time.Minute)
	if w.minted != 0 {
		t.Errorf("%d renewals of a watched credential", w.minted)
	}
}

func TestASourceThatRenewsTakesOverFromOneThatWatches(t *testing.T) {
	w := newWorld(t)
	w.watched = true
	w.input = []Credential{w.token("first", time.Hour)}
	w.after(0)
	w.watched = false
	w.input[0].Watched = false
	w.r.SetSource(w)
	w.after(time.Second)
	w.r.Renew()
	w.after(time.Second)
	w.using("minted-1")
}

func TestASuccessorInheritsTheBinding(t *testing.T) {
	w := newWorld(t)
	w.binding = &Binding{Server: "https://a"}
	w.input = []Credential{w.token("first", time.Hour)}
	w.after(0)
	w.after(34 * time.Minute)
	w.using("minted-1")
	if last := w.shown[len(w.shown)-1]; last.Binding == nil || last.Binding.Server != "https://a" {
		t.Errorf("the renewed token was shown without the binding of its predecessor: %+v", last.Binding)
	}
}

func TestWhatWasKeptIsUsedWhileTheInputIsWrong(t *testing.T) {
	w := newWorld(t)
	w.input = []Credential{w.token("kept", time.Hour)}
	w.inputErr = &InputError{"InputMissing", errors.New("gone")}
	w.after(0)
	w.using("kept")
	if w.last.InputErr == nil {
		t.Error("the fault of the input is not told")
	}
}

func TestAFailedKeepIsRepeated(t *testing.T) {
	w := newWorld(t)
	w.input = []Credential{w.token("first", time.Hour)}
	w.keepErr = errors.New("conflict")
	w.after(0)
	if w.last.KeepErr == nil || w.kept != "" {
		t.Fatalf("kept %q, error %v", w.kept, w.last.KeepErr)
	}
	w.keepErr = nil
	w.after(2 * time.Second)
	if w.last.KeepErr != nil || w.kept != "first" {
		t.Errorf("kept %q, error %v", w.kept, w.last.KeepErr)
	}
}

func TestATokenWithoutAnEndIsRenewedAtOnce(t *testing.T) {
	w := newWorld(t)
	w.input = []Credential{w.token("endless", 0)}
	w.after(0)
	w.after(0)
	w.using("minted-1")
}

func TestRunEndsWithItsContext(t *testing.T) {
	w := newWorld(t)
	w.input = []Credential{w.token("first", time.Hour)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.r.Run(ctx) }()
	cancel()
	<-done
}
