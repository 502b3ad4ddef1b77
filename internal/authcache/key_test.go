package authcache

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// asker is one whose answer the tests vary.
func asker(change func(*Asker)) Asker {
	a := Asker{
		Args: []string{"eks", "--cluster-name", "prod", "--token-env", "JOB_TOKEN", "--x=OTHER_TOKEN"},
		Ask:  Ask{APIVersion: V1, Cluster: json.RawMessage(`{"server":"https://a"}`)},
		Env: []string{
			"HOME=/home/ann", "AWS_PROFILE=ops", "KUBECONFIG=/home/ann/.kube/config", "JOB_TOKEN=one", "OTHER_TOKEN=two",
			"TERM=xterm", AncestorsVariable + "=abc",
		},
		Dir: "/home/ann", UID: 1000, Host: "desk",
	}
	change(&a)
	return a
}

func (a *Asker) set(name, value string) {
	for i, v := range a.Env {
		if strings.HasPrefix(v, name+"=") {
			a.Env[i] = name + "=" + value
			return
		}
	}
	a.Env = append(a.Env, name+"="+value)
}

func TestWhatLeadsToAnotherAnswerLeadsToAnotherKey(t *testing.T) {
	tests := map[string]struct {
		change func(*Asker)
		same   bool
	}{
		"nothing":                             {func(*Asker) {}, true},
		"another order of the environment":    {func(a *Asker) { a.Env[0], a.Env[1] = a.Env[1], a.Env[0] }, true},
		"a variable that nobody reads":        {func(a *Asker) { a.set("TERM", "dumb") }, true},
		"who is waiting for it":               {func(a *Asker) { a.set(AncestorsVariable, "def") }, true},
		"the version of the protocol":         {func(a *Asker) { a.Ask.APIVersion = V1beta1 }, true},
		"whether somebody sits there":         {func(a *Asker) { a.Ask.Interactive = true }, true},
		"a directory that nothing refers to":  {func(a *Asker) { a.Dir = "/tmp" }, true},
		"another argument":                    {func(a *Asker) { a.Args[2] = "staging" }, false},
		"the same letters in other arguments": {func(a *Asker) { a.Args[1], a.Args[2] = "--cluster-namep", "rod" }, false},
		"one argument more":                   {func(a *Asker) { a.Args = append(a.Args, "") }, false},
		"another API server":                  {func(a *Asker) { a.Ask.Cluster = json.RawMessage(`{"server":"https://b"}`) }, false},
		"another CA": {func(a *Asker) {
			a.Ask.Cluster = json.RawMessage(`{"server":"https://a","certificate-authority-data":"eA=="}`)
		}, false},
		"no API server":                       {func(a *Asker) { a.Ask.Cluster = nil }, false},
		"another profile of AWS":              {func(a *Asker) { a.set("AWS_PROFILE", "dev") }, false},
		"keys of AWS":                         {func(a *Asker) { a.set("AWS_ACCESS_KEY_ID", "AKIA") }, false},
		"another home":                        {func(a *Asker) { a.set("HOME", "/home/bob") }, false},
		"another kubeconfig":                  {func(a *Asker) { a.set("KUBECONFIG", "/tmp/config") }, false},
		"another proxy":                       {func(a *Asker) { a.set("https_proxy", "http://p") }, false},
		"another socket of SPIFFE":            {func(a *Asker) { a.set("SPIFFE_ENDPOINT_SOCKET", "unix:///s") }, false},
		"the variable that an argument names": {func(a *Asker) { a.set("JOB_TOKEN", "three") }, false},
		"one that is named after a =":         {func(a *Asker) { a.set("OTHER_TOKEN", "three") }, false},
		"another user":                        {func(a *Asker) { a.UID = 1001 }, false},
		"another machine with the same home":  {func(a *Asker) { a.Host = "build" }, false},
	}
	want := asker(func(*Asker) {}).Key()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := asker(test.change).Key(); (got == want) != test.same || !isKey(got) {
				t.Errorf("is it the same key? %t, want %t", got == want, test.same)
			}
		})
	}
}

func TestADirectoryCountsWhereAPathIsRelativeToIt(t *testing.T) {
	for _, v := range []string{"KUBECONFIG=/a:config", "AWS_CONFIG_FILE=config"} {
		in := func(dir string) string {
			return asker(func(a *Asker) { a.Env, a.Dir = append([]string{v}, a.Env...), dir }).Key()
		}
		if in("/a") == in("/b") {
			t.Errorf("%s: two directories have one key", v)
		}
	}
}

func TestReadAsk(t *testing.T) {
	tests := map[string]struct {
		info, err string
		want      Ask
	}{
		"a shell asks nothing":     {"", "", Ask{APIVersion: V1}},
		"a plugin's question":      {`{"apiVersion":"client.authentication.k8s.io/v1beta1","kind":"ExecCredential","spec":{"interactive":true,"cluster":{"server":"https://a"}}}`, "", Ask{V1beta1, true, json.RawMessage(`{"server":"https://a"}`)}},
		"one without its cluster":  {`{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","spec":{"cluster":null}}`, "", Ask{APIVersion: V1}},
		"a version of yesterday":   {`{"apiVersion":"client.authentication.k8s.io/v1alpha1","kind":"ExecCredential"}`, "there is only ExecCredential of", Ask{}},
		"another kind":             {`{"apiVersion":"client.authentication.k8s.io/v1","kind":"Secret"}`, "there is only ExecCredential of", Ask{}},
		"something that is not it": {`token`, "it is no ExecCredential in JSON", Ask{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ReadAsk(test.info)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("got %v, want …%s…", err, test.err)
				}
				return
			}
			if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got)\n%s", err, diff)
			}
		})
	}
}

func FuzzReadAsk(f *testing.F) {
	f.Add(`{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","spec":{"interactive":true,"cluster":{"server":"https://a"}}}`)
	f.Fuzz(func(t *testing.T, info string) {
		ask, err := ReadAsk(info)
		if err != nil {
			return
		}
		status, err := NewStatus([]byte(`{"token":"t"}`))
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := ask.Answer(&out, status); err != nil || !json.Valid(out.Bytes()) {
			t.Errorf("the answer to %q is %q (%v)", info, out.String(), err)
		}
		_ = Asker{Ask: ask}.Key()
	})
}

func TestWhoWaitsForItselfIsToldSo(t *testing.T) {
	t.Setenv(AncestorsVariable, "")
	env, ok := Descend([]string{"A=1"}, key(1))
	if diff := cmp.Diff([]string{"A=1", AncestorsVariable + "=" + key(1)}, env); !ok || diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	t.Setenv(AncestorsVariable, key(1))
	if env, ok = Descend([]string{AncestorsVariable + "=" + key(1)}, key(2)); !ok || env[0] != AncestorsVariable+"="+key(1)+","+key(2) {
		t.Errorf("got %v", env)
	}
	if _, ok = Descend(nil, key(1)); ok {
		t.Error("a key that is its own ancestor is let through")
	}
}
