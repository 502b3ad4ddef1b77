package awstest_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/hawser-io/hawser/internal/awstest"
)

func TestClockSkew(t *testing.T) {
	tests := []struct {
		name string
		skew time.Duration
		want string // a part of the message
	}{
		{"none", 0, ""},
		{"five minutes behind", 5 * time.Minute, ""},
		{"more than five minutes behind", 5*time.Minute + time.Second, "Signature expired: 20300506T070809Z is now earlier than 20300506T070810Z (20300506T071310Z - 5 min.)"},
		{"five minutes before", -5 * time.Minute, ""},
		{"more than five minutes before", -5*time.Minute - time.Second, "Signature not yet current: 20300506T070809Z is still later than"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.SkewClock(test.skew)
			_, err := w.whoami(t, w.user.Keys())
			if (err == nil) != (test.want == "") {
				t.Fatalf("got %v, want %q", err, test.want)
			}
			if err != nil && (code(err) != "SignatureDoesNotMatch" || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want SignatureDoesNotMatch that says %q", err, test.want)
			}
		})
	}
}

func TestTheDateOfAnAnswerIsThatOfTheServersClock(t *testing.T) {
	w := newWorld(t)
	w.SkewClock(time.Hour)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if got, want := answer.Header.Get("Date"), "Mon, 06 May 2030 08:08:09 GMT"; got != want {
		t.Errorf("Date %q, want %q", got, want)
	}
}

// signed is a POST for GetCallerIdentity, signed as given and then changed.
func signed(t *testing.T, w *world, service, region string, change func(*http.Request)) (status int, body string) {
	t.Helper()
	form := "Action=GetCallerIdentity&Version=2011-06-15"
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL+"/", strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Kept", "as it was")
	sum := sha256.Sum256([]byte(form))
	if err := v4.NewSigner().SignHTTP(t.Context(), w.user.Keys(), r, hex.EncodeToString(sum[:]), service, region, start); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(r)
	}
	return send(t, http.DefaultTransport, r)
}

func send(t *testing.T, transport http.RoundTripper, r *http.Request) (status int, body string) {
	t.Helper()
	answer, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(data)
}

func TestSignedRequests(t *testing.T) {
	authorization := func(from, to string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), from, to, 1))
		}
	}
	tests := []struct {
		name            string
		service, region string
		change          func(*http.Request)
		want            string
	}{
		{name: "as it was signed"},
		{name: "an unsigned header more", change: func(r *http.Request) { r.Header.Set("X-Other", "1") }},
		{name: "a signed header changed", change: func(r *http.Request) { r.Header.Set("X-Kept", "otherwise") }, want: "SignatureDoesNotMatch"},
		{name: "a signed header removed", change: func(r *http.Request) { r.Header.Del("X-Kept") }, want: "SignatureDoesNotMatch"},
		{name: "another body", change: func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader("Action=GetCallerIdentity&Version=2011-06-15&A=B"))
			r.ContentLength = 47
		}, want: "SignatureDoesNotMatch"},
		{name: "another query", change: func(r *http.Request) { r.URL.RawQuery = "a=b" }, want: "SignatureDoesNotMatch"},
		{name: "another host", change: func(r *http.Request) { r.Host = "sts.eu-north-1.amazonaws.com" }, want: "SignatureDoesNotMatch"},
		{name: "another date", change: func(r *http.Request) { r.Header.Set("X-Amz-Date", "20300506T070810Z") }, want: "SignatureDoesNotMatch"},
		{name: "the date of another day", change: func(r *http.Request) { r.Header.Set("X-Amz-Date", "20300507T070809Z") }, want: "SignatureDoesNotMatch"},
		{name: "no date", change: func(r *http.Request) { r.Header.Del("X-Amz-Date") }, want: "IncompleteSignature"},
		{name: "no signature", change: func(r *http.Request) { r.Header.Del("Authorization") }, want: "MissingAuthenticationToken"},
		{name: "a signature of zeros", change: func(r *http.Request) {
			all := r.Header.Get("Authorization")
			r.Header.Set("Authorization", all[:len(all)-64]+strings.Repeat("0", 64))
		}, want: "SignatureDoesNotMatch"},
		{name: "the host not claimed as signed", change: authorization(";host;", ";"), want: "SignatureDoesNotMatch"},
		{name: "a header not claimed as signed", change: authorization(";x-kept", ""), want: "SignatureDoesNotMatch"},
		{name: "another algorithm", change: authorization("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512"), want: "IncompleteSignature"},
		{name: "a scope that is none", change: authorization("/aws4_request", ""), want: "IncompleteSignature"},
		{name: "two signatures", change: func(r *http.Request) { r.URL.RawQuery = "X-Amz-Signature=0" }, want: "IncompleteSignature"},
		{name: "another service", service: "eks", want: "SignatureDoesNotMatch"},
		{name: "no region", region: "nowhere", want: "SignatureDoesNotMatch"},
		{name: "another region of the partition", region: "us-west-2"},
		{name: "a region of another partition", region: "cn-north-1", want: "InvalidClientTokenId"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			if test.service == "" {
				test.service = "sts"
			}
			if test.region == "" {
				test.region = region
			}
			status, body := signed(t, w, test.service, test.region, test.change)
			if want := "<Code>" + test.want + "</Code>"; test.want != "" && !strings.Contains(body, want) {
				t.Errorf("got %d %s, want %s", status, body, want)
			}
			if test.want == "" && status != http.StatusOK {
				t.Errorf("got %d %s, want it to be good", status, body)
			}
		})
	}
}

func TestRealHosts(t *testing.T) {
	tests := []struct {
		host, region string
		good         bool
	}{
		{"sts.eu-north-1.amazonaws.com", "eu-north-1", true},
		{"sts.eu-north-1.api.aws", "eu-north-1", true},
		{"sts-fips.us-east-1.amazonaws.com", "us-east-1", true},
		{"sts.amazonaws.com", "us-east-1", true},
		{"sts.amazonaws.com", "eu-north-1", false},
		{"sts.eu-west-1.amazonaws.com", "eu-north-1", false},
		{"sts.eu-north-1.amazonaws.com.cn", "eu-north-1", false},
		{"eks.eu-north-1.amazonaws.com", "eu-north-1", false},
		{"sts.eu-north-1.example.com", "eu-north-1", false},
	}
	for _, test := range tests {
		t.Run(test.host+" for "+test.region, func(t *testing.T) {
			w := newWorld(t)
			client := sts.New(sts.Options{
				Region: test.region, BaseEndpoint: new("https://" + test.host), Credentials: static(w.user.Keys()),
				HTTPSignerV4: awstest.Signer{Clock: w.clock}, HTTPClient: &http.Client{Transport: w.Transport()}, RetryMaxAttempts: 1,
			})
			_, err := client.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
			if want := map[bool]string{true: "", false: "SignatureDoesNotMatch"}[test.good]; code(err) != want {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}

func TestPresignedRequestsAndJSON(t *testing.T) {
	w := newWorld(t)
	creds := w.mustAssume(t, w.user.Keys(), w.role, fleetID) // with a session token
	at := start
	get := func(change func(*http.Request)) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, presign(t, creds, "alpha", at, nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("x-k8s-aws-id", "alpha")
		r.Header.Set("Accept", "application/json")
		if change != nil {
			change(r)
		}
		return send(t, w.Transport(), r)
	}
	status, body := get(nil)
	var answer struct {
		GetCallerIdentityResponse struct {
			GetCallerIdentityResult struct{ Account, Arn, UserId string }
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK {
		t.Fatalf("got %d %s (%v)", status, body, err)
	}
	got := answer.GetCallerIdentityResponse.GetCallerIdentityResult
	if got.Account != targetID || got.Arn != "arn:aws:sts::444455556666:assumed-role/hawser/test" || got.UserId != w.role.ID()+":test" {
		t.Errorf("identity %+v", got)
	}
	if _, body := get(func(r *http.Request) { r.Header.Del("Accept") }); !strings.Contains(body, "<GetCallerIdentityResult><Account>444455556666</Account>") {
		t.Errorf("got %s, want XML", body)
	}
	if status, body := get(func(r *http.Request) { r.Header.Set("x-k8s-aws-id", "beta") }); status != http.StatusForbidden || !strings.Contains(body, `"Code":"SignatureDoesNotMatch"`) {
		t.Errorf("for another cluster: got %d %s, want 403 SignatureDoesNotMatch", status, body)
	}
	if status, body := get(func(r *http.Request) { r.Method = http.MethodPost }); status != http.StatusBadRequest {
		t.Errorf("by another method: got %d %s, want 400", status, body)
	}
	w.step(15 * time.Minute) // STS does not look at X-Amz-Expires
	if status, body := get(nil); status != http.StatusOK {
		t.Errorf("after 15 minutes: got %d %s, want it to be good still", status, body)
	}
	w.step(time.Second)
	if status, body := get(nil); status != http.StatusForbidden || !strings.Contains(body, "- 15 min.") {
		t.Errorf("a second later: got %d %s, want 403", status, body)
	}
	w.clock.SetTime(start.Add(55 * time.Minute))
	at = w.clock.Now()
	if status, body := get(nil); status != http.StatusOK {
		t.Errorf("signed shortly before the session ends: got %d %s", status, body)
	}
	w.step(5 * time.Minute)
	if status, body := get(nil); status != http.StatusForbidden || !strings.Contains(body, "ExpiredToken") {
		t.Errorf("after the session's end: got %d %s, want ExpiredToken", status, body)
	}
}

func TestUnknownActions(t *testing.T) {
	w := newWorld(t)
	for _, query := range []string{"", "?Action=GetSessionToken&Version=2011-06-15", "?Action=GetCallerIdentity&Version=2010-05-08", "?" + url.Values{"Action": {"\n"}}.Encode()} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.URL+"/"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		if status, body := send(t, http.DefaultTransport, r); status != http.StatusBadRequest || !strings.Contains(body, "InvalidAction") {
			t.Errorf("%q: got %d %s, want InvalidAction", query, status, body)
		}
	}
}

func TestTheSDKPresignsOnTheServersClock(t *testing.T) {
	w := newWorld(t)
	presigned, err := sts.NewPresignClient(w.STS(region, static(w.user.Keys())), func(o *sts.PresignOptions) {
		o.Presigner = awstest.Signer{Clock: w.clock}
	}).PresignGetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	w.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), presigned.Method, presigned.URL, nil))
	if !strings.Contains(answer.Body.String(), w.user.ARN()) {
		t.Errorf("got %d %s, want the user", answer.Code, answer.Body)
	}
}
