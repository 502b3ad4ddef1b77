package awstest

import (
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// maxBody is more than any request here needs.
const maxBody = 1 << 20

// operation is one call of an API.
type operation struct {
	service, name string
	// unsigned operations prove the caller by what they carry.
	unsigned bool
	// resource names the ARN of what the request is about, for calls, faults and permissions. It may be nil.
	resource func(*request) string
	// run does it, and returns what is encoded.
	run func(*request) (any, *Failure)
}

// request is what an operation works on.
type request struct {
	*Server
	http     *http.Request
	body     []byte
	params   url.Values // of the query protocols
	op       operation
	region   string
	caller   *caller // nil where unsigned
	resource string
}

// errDropped ends a request without an answer.
var errDropped = errors.New("dropped")

// handler routes STS and IAM by their action, EKS, the webhook and what pods ask by their path.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.serveQuery)
	mux.HandleFunc("POST /{$}", s.serveQuery)
	for route, op := range eksOperations {
		mux.HandleFunc(route, func(w http.ResponseWriter, r *http.Request) { s.serveEKS(w, r, op) })
	}
	mux.HandleFunc("GET /v1/credentials/{id}", s.servePod)
	mux.HandleFunc("POST /token-review/{partition}/{account}/{region}/{cluster}", s.serveReview)
	return mux
}

// ServeHTTP implements http.Handler, for those who bring their own listener.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.http.Handler.ServeHTTP(w, r) }

// serveQuery answers STS and IAM, which name their operation in a parameter.
func (s *Server) serveQuery(w http.ResponseWriter, r *http.Request) {
	req, failure := s.newRequest(r)
	if failure == nil {
		req.params, failure = queryParams(r, req.body)
	}
	format := formatOf(r)
	if failure == nil {
		name, version := req.params.Get("Action"), req.params.Get("Version")
		op, ok := queryOperations[version][name]
		if !ok {
			failure = refuse(400, "InvalidAction", "Could not find operation %s for version %s", name, version)
		}
		req.op = op
		format.op, format.iam = name, op.service == "iam"
	}
	s.answer(w, req, failure, format)
}

// serveEKS answers EKS, whose operations are paths.
func (s *Server) serveEKS(w http.ResponseWriter, r *http.Request, op operation) {
	req, failure := s.newRequest(r)
	req.op = op
	s.answer(w, req, failure, eksFormat{})
}

// newRequest reads a request.
func (s *Server) newRequest(r *http.Request) (*request, *Failure) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return &request{Server: s, http: r}, refuse(400, "RequestTimeout", "reading the body: %v", err)
	}
	region := s.region
	if sig, failure := readSignature(r); failure == nil {
		region = sig.region
	} else if _, of, ok := hostScope(r.Host); ok && of != "" {
		region = of
	}
	return &request{Server: s, http: r, body: body, region: region}, nil
}

// queryParams are in the URL of a GET and in the body of a POST.
func queryParams(r *http.Request, body []byte) (url.Values, *Failure) {
	if r.Method == http.MethodGet {
		return r.URL.Query(), nil
	}
	params, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, refuse(400, "MalformedInput", "reading the body: %v", err)
	}
	return params, nil
}

// format encodes answers as one of the protocols does.
type format interface {
	write(w http.ResponseWriter, requestID string, result any)
	fail(w http.ResponseWriter, requestID string, f *Failure)
}

// answer does a request from its record to its answer.
func (s *Server) answer(w http.ResponseWriter, req *request, failure *Failure, format format) {
	call := s.arrive(req.op.service, req.op.name, req.region)
	var result any
	if failure == nil {
		var err error
		if result, failure, err = s.do(req, call); err != nil {
			s.update(call, func(c *Call) { c.Code, c.Done = err.Error(), true })
			panic(http.ErrAbortHandler) // how a handler closes the connection
		}
	}
	requestID := strings.ToLower(rand.Text())
	w.Header().Set("Date", s.time().Format(http.TimeFormat))
	w.Header().Set("X-Amzn-Requestid", requestID)
	// The record is complete before anybody can have read the answer.
	s.update(call, func(c *Call) {
		c.Done = true
		if failure != nil {
			c.Code = failure.Code
		}
	})
	if failure != nil {
		format.fail(w, requestID, failure)
		return
	}
	format.write(w, requestID, result)
}

// do authenticates, meets the faults and runs the operation. An error is a connection to be closed.
func (s *Server) do(req *request, call *Call) (any, *Failure, error) {
	if req.op.resource != nil {
		req.resource = req.op.resource(req)
	}
	if !req.op.unsigned {
		who, failure := s.authenticate(req.http, req.body, req.op.service)
		if failure != nil {
			s.update(call, func(c *Call) { c.Resource = req.resource })
			return nil, failure, nil
		}
		req.caller = who
		if req.op.resource != nil {
			req.resource = req.op.resource(req) // that of EKS is in the caller's account
		}
	}
	s.update(call, func(c *Call) {
		c.Resource = req.resource
		if req.caller != nil {
			c.Caller, c.Account = req.caller.arn, req.caller.account.ID
		}
	})
	if failure, err := s.meet(req.http, req.op.name, req.resource); failure != nil || err != nil {
		return nil, failure, err
	}
	result, failure := req.op.run(req)
	return result, failure, nil
}

// meet lets a request run into the faults that are for it.
func (s *Server) meet(r *http.Request, op, resource string) (*Failure, error) {
	f := s.fault(op, resource)
	switch {
	case f == nil:
		return nil, nil
	case f.kind == drops:
		return nil, errDropped
	case f.kind == hangs:
		return nil, s.wait(r.Context(), f.healed)
	}
	return &f.failure, nil
}
