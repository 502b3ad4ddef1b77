package awstest

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
)

// A Failure is an answer that is an error.
type Failure struct {
	Status  int
	Code    string // in the words of STS; EKS's own are used where EKS answers
	Message string
}

// Error implements error.
func (f *Failure) Error() string { return fmt.Sprintf("%s: %s", f.Code, f.Message) }

// refuse makes an answer that is an error.
func refuse(status int, code, format string, args ...any) *Failure {
	return &Failure{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

// faultKind is what happens to a request.
type faultKind int

const (
	answers faultKind = iota // an error
	hangs
	drops
)

// fault happens to requests of one operation.
type fault struct {
	op        string
	resources []string // none: all
	left      int      // how many more; negative: until healed
	kind      faultKind
	failure   Failure
	healed    chan struct{}
	heal      func()
}

// Throttle refuses the next n calls of an operation. It may be narrowed to resources: ARNs of roles and clusters.
// The operation "*" is all of them.
func (s *Server) Throttle(op string, n int, resources ...string) {
	s.Fail(op, n, Failure{Status: http.StatusBadRequest, Code: "Throttling", Message: "Rate exceeded"}, resources...)
}

// Fail answers the next n calls of an operation by a failure; n < 0 is until the returned function or Heal.
func (s *Server) Fail(op string, n int, f Failure, resources ...string) (heal func()) {
	return s.add(&fault{op: op, left: n, resources: resources, kind: answers, failure: f})
}

// Deny refuses an operation until the returned function or Heal is called.
func (s *Server) Deny(op string, resources ...string) (heal func()) {
	return s.Fail(op, -1, Failure{
		Status: http.StatusForbidden, Code: "AccessDenied",
		Message: "The caller is not authorized to perform: " + op + " because of an explicit deny in a service control policy",
	}, resources...)
}

// Hang leaves requests without an answer until the returned function or Heal is called, which lets them go on.
func (s *Server) Hang(op string, resources ...string) (heal func()) {
	return s.add(&fault{op: op, left: -1, resources: resources, kind: hangs})
}

// Drop closes the connection of each request until the returned function or Heal is called.
func (s *Server) Drop(op string, resources ...string) (heal func()) {
	return s.add(&fault{op: op, left: -1, resources: resources, kind: drops})
}

// Heal ends all faults. A skewed clock and disabled regions stay.
func (s *Server) Heal() {
	s.mu.Lock()
	faults := slices.Clone(s.faults)
	s.mu.Unlock()
	for _, f := range faults {
		f.heal()
	}
}

func (s *Server) add(f *fault) (heal func()) {
	f.healed = make(chan struct{})
	f.heal = sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.faults = slices.DeleteFunc(s.faults, func(other *fault) bool { return other == f })
		close(f.healed)
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, f)
	return f.heal
}

// fault returns what is to happen to a call, nil for nothing. A counted one is used up by it.
func (s *Server) fault(op, resource string) *fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if f.left == 0 || (f.op != "*" && f.op != op) || (len(f.resources) > 0 && !slices.Contains(f.resources, resource)) {
			continue
		}
		if f.left > 0 {
			f.left--
		}
		return f
	}
	return nil
}
