package gate

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

func TestServingCertificateFollowsItsFiles(t *testing.T) {
	files, clk, log := newCertificate(t), clocktesting.NewFakeClock(now), &lines{}
	c, err := readCertificate(files.certFile, files.keyFile, clk, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	serves := func() []byte {
		t.Helper()
		got, err := c.get(nil)
		if err != nil || got == nil {
			t.Fatalf("got %v, %v", got, err)
		}
		return got.Leaf.Raw
	}
	first := serves()
	if c.expiry().IsZero() {
		t.Error("it is not known when it ends")
	}

	files.replace()
	if !bytes.Equal(serves(), first) {
		t.Error("the files were read again within a second")
	}
	clk.Step(time.Second)
	second := serves()
	if bytes.Equal(second, first) {
		t.Error("the new one is not in use after a second")
	}
	for _, broken := range []func() error{
		files.breakFile,
		func() error { return os.Remove(files.keyFile) },
		func() error { return os.Remove(files.certFile) },
	} {
		if err := broken(); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			clk.Step(time.Second)
			if !bytes.Equal(serves(), second) {
				t.Error("what cannot be read took the place of what is good")
			}
		}
	}
	if n := strings.Count(log.all(), "the old one stays in use"); n < 1 || n > 3 {
		t.Errorf("the trouble was said %d times in 15 looks", n)
	}
	files.replace()
	clk.Step(time.Second)
	if third := serves(); bytes.Equal(third, second) {
		t.Error("the next good one is not in use")
	}
}

func TestMissingCertificateIsAnError(t *testing.T) {
	if _, err := readCertificate("no-such.crt", "no-such.key", clocktesting.NewFakeClock(now), (&lines{}).logger()); err == nil {
		t.Error("no error")
	}
}
