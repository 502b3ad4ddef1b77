package index

import (
	"fmt"
	"testing"
)

func TestForgetsAPairOnce(t *testing.T) {
	for name, others := range map[string]int{"of few values": 1, "of many": 2 * fewValues, "the only one": 0} {
		t.Run(name, func(t *testing.T) {
			l := labels{keys: map[string]*key{}}
			for i := range others {
				l.carry(l.intern("app", fmt.Sprint(i)), 7)
			}
			id := l.intern("app", "web")
			l.carry(id, 7)
			l.drop(id, 7)
			l.drop(id, 7)
			if again := l.intern("app", "web"); l.value(again) != "web" {
				t.Errorf("it is %q afterwards", l.value(again))
			}
		})
	}
}
