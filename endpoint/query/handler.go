package query

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/hawser-io/hawser/selector"
)

// Path is where a Handler is asked.
const Path = "/v1alpha1/endpoints"

// mediaType of questions and answers. That it has to be said keeps web pages from asking.
const mediaType = "application/json"

// Handler answers questions that are sent to Path by POST. It asks nobody who they are: what it is served on
// decides who may ask.
func Handler(c Catalog) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+Path, func(w http.ResponseWriter, r *http.Request) {
		if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); kind != mediaType {
			refuse(w, http.StatusUnsupportedMediaType, errors.New("a question is "+mediaType))
			return
		}
		var q Question
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxQuestion)).Decode(&q); err != nil {
			refuse(w, http.StatusBadRequest, fmt.Errorf("reading the question: %w", err))
			return
		}
		a, err := Ask(c, q)
		if err != nil {
			refuse(w, http.StatusBadRequest, err)
			return
		}
		w.Header().Set("Content-Type", mediaType)
		_ = json.NewEncoder(w).Encode(a) // whoever asked is gone
	})
	return mux
}

// refusal is the answer to a question that cannot be answered.
type refusal struct {
	Error string `json:"error"`
}

func refuse(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(refusal{err.Error()})
}

// maxAnswer is how much of an answer is read: a million endpoints with many labels.
const maxAnswer = 4 << 30

// Send asks a Handler that is served below base, such as http://127.0.0.1:8082.
func Send(ctx context.Context, client *http.Client, base string, q Question) (Answer, error) {
	if _, err := q.parse(); err != nil {
		return Answer{}, err
	}
	body, err := json.Marshal(q)
	if err != nil {
		return Answer{}, fmt.Errorf("encoding the question: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(base, "/")+Path, bytes.NewReader(body))
	if err != nil {
		return Answer{}, fmt.Errorf("making the question: %w", err)
	}
	req.Header.Set("Content-Type", mediaType)
	resp, err := client.Do(req)
	if err != nil {
		return Answer{}, fmt.Errorf("sending the question: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	return read(resp)
}

func read(resp *http.Response) (a Answer, err error) {
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	decoder := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case kind != mediaType:
		return a, fmt.Errorf("reading the answer: it is no answer of Hawser's manager, but %s of type %q", resp.Status, kind)
	case resp.StatusCode != http.StatusOK:
		var why refusal
		if err := decoder.Decode(&why); err != nil || why.Error == "" {
			return a, fmt.Errorf("reading the answer: it is %s", resp.Status)
		}
		return a, fmt.Errorf("it was refused: %s", why.Error)
	}
	if err := decoder.Decode(&a); err != nil {
		return a, fmt.Errorf("reading the answer: %w", err)
	}
	return a, nil
}

// Explain is an error with, where a selector could not be read, the selector and a ^ below what is wrong with it.
func Explain(err error) string {
	var syntax *selector.SyntaxError
	if !errors.As(err, &syntax) {
		return err.Error()
	}
	return err.Error() + "\n" + syntax.Caret()
}
