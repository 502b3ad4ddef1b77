package awstest

import "time"

// A Call is what the server remembers of one request. It holds no credential.
type Call struct {
	Time     time.Time // by AWS's clock, on arrival
	Service  string    // sts, eks, iam, webhook, or eks-auth (Pod Identity)
	Op       string
	Region   string
	Caller   string // ARN; "" for nobody who has proved it
	Account  string // of the caller
	Resource string // ARN of the role or cluster that it was about
	Code     string // of the error, in the words of STS; "" for none
	Done     bool   // whether it was answered
}

// Calls returns what has come so far, in order of arrival.
func (s *Server) Calls() []Call { return s.callsWhere(func(Call) bool { return true }) }

// CallsOf returns the calls of one operation.
func (s *Server) CallsOf(op string) []Call {
	return s.callsWhere(func(c Call) bool { return c.Op == op })
}

// InFlight counts the calls of one operation that have no answer yet.
func (s *Server) InFlight(op string) int {
	return len(s.callsWhere(func(c Call) bool { return c.Op == op && !c.Done }))
}

// ResetCalls forgets the calls so far.
func (s *Server) ResetCalls() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = nil
}

func (s *Server) callsWhere(want func(Call) bool) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	var calls []Call
	for _, c := range s.calls {
		if want(*c) {
			calls = append(calls, *c)
		}
	}
	return calls
}

// arrive records a call. What it returns is filled in under the lock.
func (s *Server) arrive(service, op, region string) *Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &Call{Time: s.now(), Service: service, Op: op, Region: region}
	s.calls = append(s.calls, c)
	return c
}

func (s *Server) update(c *Call, change func(*Call)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(c)
}
