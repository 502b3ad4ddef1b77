package kubeconfigfile

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/hawser-io/hawser/inventory"
)

// desk is a directory with a file, and a scanner whose time the test moves.
type desk struct {
	*testing.T
	path    string
	now     time.Time
	scanner *scanner
	told    []string // by name without the directory
	sources map[string]inventory.Cluster
	log     bytes.Buffer
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{T: t, path: filepath.Join(t.TempDir(), "config"), now: time.Unix(1e9, 0), sources: map[string]inventory.Cluster{}}
	d.scanner = &scanner{
		places:    places{files: []string{d.path}, required: true},
		separator: "+",
		claims:    inventory.NewClaims(d),
		warnings:  warnings{log: funcr.New(func(_, args string) { d.log.WriteString(args + "\n") }, funcr.Options{}), warned: map[string]bool{}},
		files:     map[string]*file{},
		faults:    map[string]bool{},
	}
	return d
}

// Set notes only what is new.
func (d *desk) Set(c inventory.Cluster) {
	if old, ok := d.sources[c.Spec.Name]; !ok || old.Version != c.Version {
		d.told = append(d.told, "set "+filepath.Base(c.Spec.Name))
	}
	d.sources[c.Spec.Name] = c
}
func (d *desk) Remove(name string) {
	d.told = append(d.told, "remove "+filepath.Base(name))
	delete(d.sources, name)
}
func (d *desk) Fault(name string, err error) {
	text := "mended " + filepath.Base(name)
	if err != nil {
		text = "fault " + filepath.Base(name) + ": " + strings.ReplaceAll(err.Error(), filepath.Dir(d.path)+"/", "")
	}
	d.told = append(d.told, text)
}
func (d *desk) Synced() {}

func (d *desk) write(text string) {
	d.Helper()
	if err := os.WriteFile(d.path, []byte(text), 0o600); err != nil {
		d.Fatal(err)
	}
}

func (d *desk) beside(name, text string) {
	d.Helper()
	if err := os.WriteFile(filepath.Join(filepath.Dir(d.path), name), []byte(text), 0o600); err != nil {
		d.Fatal(err)
	}
}

func (d *desk) delete(path string) {
	d.Helper()
	if err := os.Remove(path); err != nil {
		d.Fatal(err)
	}
}

// pass lets time pass, with a look now and at the end, and wants just this to be told, in any order.
func (d *desk) pass(long time.Duration, want ...string) {
	d.Helper()
	d.scanner.scan(d.now, false)
	d.now = d.now.Add(long)
	d.scanner.scan(d.now, false)
	d.wants(want)
}

func (d *desk) wants(want []string) {
	d.Helper()
	got := d.told
	d.told = nil
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		d.Errorf("what was told (-want +got)\n%s", diff)
	}
}

// first is the scan before the inventory is in sync.
func (d *desk) first(want ...string) {
	d.Helper()
	d.scanner.scan(d.now, true)
	d.wants(want)
}

// config is a kubeconfig with contexts "name: user's fields".
func config(contexts ...string) string {
	text := "apiVersion: v1\nkind: Config\nclusters:\n- {name: c, cluster: {server: 'https://example.com'}}\ncontexts:\n"
	users := "users:\n"
	for _, c := range contexts {
		name, fields, _ := strings.Cut(c, ": ")
		text += fmt.Sprintf("- {name: %s, context: {cluster: c, user: %s}}\n", name, name)
		users += fmt.Sprintf("- {name: %s, user: {%s}}\n", name, fields)
	}
	return text + users
}

const long = time.Hour

func TestOneBadContextHarmsNoOther(t *testing.T) {
	d := newDesk(t)
	d.write(config("a: token: one", "b: token: [1]", "c: token: two", "c: token: three", "d: ''", "e: token: four"))
	d.first("set config+a", "set config+e",
		`fault config+b: using context "b" of config: user "b" has a field of the wrong kind`,
		`fault config+c: using context "c" of config: it has two contexts "c"`,
		`fault config+d: using context "d" of config: its user has neither token nor client-certificate-data`)
	d.write(config("a: token: [1]", "b: token: x", "e: token: five"))
	d.pass(settled, "set config+b", "set config+e", "mended config+b", "mended config+c", "mended config+d",
		`fault config+a: using context "a" of config: user "a" has a field of the wrong kind`)
	d.pass(long)
}

func TestAChangeCountsOnceTheFileIsStill(t *testing.T) {
	d := newDesk(t)
	d.write(config("a: token: one"))
	d.first("set config+a")
	d.write("")
	d.pass(settled / 2)
	d.write(config("a: token: tw"))
	d.pass(settled / 2)
	d.write(config("a: token: two"))
	d.pass(settled - 1)
	d.pass(1, "set config+a")
	d.pass(long)
}

func TestAFileThatCannotBeReadKeepsWhatWasKnown(t *testing.T) {
	for name, c := range map[string]struct{ text, fault string }{
		"empty":           {"", "reading config: it is empty"},
		"no YAML":         {"a: [", "reading config: it is no YAML"},
		"something else":  {"hello", "reading config: it is no kubeconfig"},
		"a list that is":  {"contexts: 5\nusers:\nclusters:\n", "reading config: its contexts are no list of entries with names"},
		"without a users": {"apiVersion: v1\nclusters:\ncontexts:\n", "reading config: it lacks contexts that it had, and one of the lists clusters, contexts and users: it seems to be half-written"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.write(config("a: token: one", "b: token: two"))
			d.first("set config+a", "set config+b")
			d.write(c.text)
			d.pass(settled, "fault config+a: "+c.fault, "fault config+b: "+c.fault)
			d.pass(long)
			d.write(config("a: token: one"))
			d.pass(settled, "mended config+a", "mended config+b")
			d.pass(gone, "remove config+b")
		})
	}
}

func TestAFileOfWhichNothingIsKnownIsAFaultByItsPath(t *testing.T) {
	d := newDesk(t)
	d.write("a: [")
	d.first("fault config: reading config: it is no YAML")
	d.delete(d.path)
	d.pass(settled, "fault config: reading config: no such file or directory")
	if err := os.Mkdir(d.path, 0o700); err != nil {
		t.Fatal(err)
	}
	d.pass(settled, "fault config: reading config: it is no regular file")
	d.delete(d.path)
	d.write(config("a: token: one"))
	d.pass(settled, "set config+a", "mended config")
}

func TestWhatIsDeletedIsGoneAfterAWhile(t *testing.T) {
	missing := "fault config: reading config: no such file or directory"
	d := newDesk(t)
	d.write(config("a: token: one", "b: token: two"))
	d.first("set config+a", "set config+b")
	d.delete(d.path)
	d.pass(settled, missing)
	d.pass(gone - 1)
	d.write(config("a: token: one", "b: token: three")) // somebody replaced it
	d.pass(settled, "mended config", "set config+b")
	d.delete(d.path)
	d.pass(settled, missing)
	d.pass(gone, "remove config+a", "remove config+b")
	d.pass(long)
	d.write(config("a: token: one"))
	d.pass(settled, "mended config", "set config+a")
}

func TestAMissingFileThatComesBackAtTheLastMomentIsNotGone(t *testing.T) {
	d := newDesk(t)
	d.write(config("a: token: one"))
	d.first("set config+a")
	d.delete(d.path)
	d.pass(settled, "fault config: reading config: no such file or directory")
	d.now = d.now.Add(gone - 1)
	d.write(config("a: token: one"))
	d.pass(1)
	if next := d.scanner.next(d.now, long); next <= 0 || next > settled {
		t.Errorf("the next look is after %s, want one when the file has settled", next)
	}
	d.pass(settled, "mended config")
}

func TestNoPrefixOfAFileRemovesACluster(t *testing.T) {
	config := clientcmdapi.NewConfig()
	for _, name := range []string{"a", "b", "c"} {
		config.Clusters[name] = &clientcmdapi.Cluster{Server: "https://" + name + ".example.com"}
		config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: "token-of-" + name}
		config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	}
	text, err := clientcmd.Write(*config) // as kubectl does
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk(t)
	d.write(string(text))
	d.first("set config+a", "set config+b", "set config+c")
	for n := range text {
		d.write(string(text[:n]))
		for range 3 { // as if the writer had died
			d.scanner.scan(d.now, false)
			d.now = d.now.Add(long)
		}
		for _, told := range d.told {
			if strings.HasPrefix(told, "remove") {
				t.Fatalf("the first %d bytes of a file removed a cluster: %s\n%s", n, told, text[:n])
			}
		}
	}
}

func TestFilesThatAContextNamesAreReadAgain(t *testing.T) {
	d := newDesk(t)
	d.beside("token", "one\n")
	d.write(config("a: tokenFile: token", "b: token: x"))
	d.first("set config+a", "set config+b")
	a := d.sources[d.path+"+a"]
	token := func(c inventory.Cluster) string {
		t.Helper()
		credentials, err := c.Source.Obtain(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return credentials[0].Token.Reveal()
	}
	if got := token(a); got != "one" {
		t.Errorf("the token is %q", got)
	}
	d.beside("token", "two\n")
	if got := token(a); got != "two" {
		t.Errorf("the source did not read the file again: the token is %q", got)
	}
	d.pass(settled, "set config+a")
	d.delete(filepath.Join(filepath.Dir(d.path), "token"))
	d.pass(settled, `fault config+a: using context "a" of config: reading token: no such file or directory`)
	d.pass(long)
	if _, err := a.Source.Obtain(t.Context()); err == nil || !strings.Contains(err.Error(), `context "a" of `+d.path) {
		t.Errorf("the error of the source is %v", err)
	}
	d.beside("token", "three")
	d.pass(settled, "mended config+a", "set config+a")
}

func TestWhatAFileMayNotSay(t *testing.T) {
	cases := map[string]struct{ user, want string }{
		"a program":        {"exec: {command: id, apiVersion: client.authentication.k8s.io/v1}", "auth.type exec is not built yet"},
		"an auth provider": {"auth-provider: {name: gcp}", "auth.type exec, which replaces them, is not built yet"},
		"a password":       {"username: a, password: very-secret", "username and password are refused"},
		"impersonation":    {"token: very-secret, as: admin", "as (impersonation) is refused"},
		"half a pair":      {"client-certificate-data: YQ==", "half a pair"},
		"a missing file":   {"client-certificate: /nowhere/cert, client-key: /nowhere/key", "reading /nowhere/cert: no such file"},
		"a directory":      {"tokenFile: .", "it is no regular file"},
		"nothing":          {"token: ''", "neither token nor"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.write(config("a: "+c.user, "b: token: x"))
			d.scanner.scan(d.now, true)
			if len(d.told) != 2 || d.told[1] != "set config+b" && d.told[0] != "set config+b" {
				t.Fatalf("it told %q, want a fault, and b", d.told)
			}
			all := strings.Join(d.told, "\n")
			if !strings.Contains(all, c.want) || strings.Contains(all, "very-secret") {
				t.Errorf("it told %q, want %q and no secret", d.told, c.want)
			}
		})
	}
	d := newDesk(t)
	d.write(strings.Replace(config("a: token: x"), "server:", "insecure-skip-tls-verify: true, server:", 1))
	d.first(`fault config+a: using context "a" of config: insecure-skip-tls-verify is refused: put the CA into certificate-authority-data`)
}

func TestInlineDataComesBeforeFilesAndTokenFilesBeforeTokens(t *testing.T) {
	d := newDesk(t)
	d.beside("token", "from-file")
	d.write(strings.Replace(config("a: tokenFile: token, token: inline"), "server:", "certificate-authority: /nowhere, certificate-authority-data: Y2E=, server:", 1))
	d.first("set config+a")
	credentials, err := d.sources[d.path+"+a"].Source.Obtain(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := credentials[0]; got.Token.Reveal() != "from-file" || string(got.Endpoint.CAData) != "ca" {
		t.Errorf("token %q, CA %q", got.Token.Reveal(), got.Endpoint.CAData)
	}
}

func TestWhoCanReadAFileIsWarnedOfOnce(t *testing.T) {
	d := newDesk(t)
	d.beside("token", "x")
	d.beside("ca", "x")
	d.write(config("a: tokenFile: token"))
	d.first("set config+a")
	d.pass(long)
	if d.log.Len() > 0 {
		t.Fatalf("it warned of files that nobody else can read: %s", d.log.String())
	}
	for name, mode := range map[string]os.FileMode{"config": 0o640, "token": 0o604, "ca": 0o644} {
		if err := os.Chmod(filepath.Join(filepath.Dir(d.path), name), mode); err != nil {
			t.Fatal(err)
		}
	}
	d.pass(long)
	d.pass(long)
	log := d.log.String()
	if n := strings.Count(log, "\n"); n != 2 || !strings.Contains(log, `"mode"="0640"`) || !strings.Contains(log, `"repair"="chmod 600 `+d.path+`"`) || !strings.Contains(log, `"mode"="0604"`) {
		t.Errorf("it logged\n%swant one line for config and one for token", log)
	}
}

func TestFilesOfADirectory(t *testing.T) {
	d := newDesk(t)
	dir := filepath.Dir(d.path)
	d.scanner.places = places{dirs: []string{dir, filepath.Join(dir, "none")}, globs: defaultGlobs, required: true}
	for _, name := range []string{"kubeconfig.yaml", "kubeconfig.yml", "x.kubeconfig", "y.kubeconfig.yml", "z.kubeconfig.yaml", "config", "notes.yaml"} {
		d.beside(name, config("a: token: x"))
	}
	if err := os.Mkdir(filepath.Join(dir, "d.kubeconfig"), 0o700); err != nil {
		t.Fatal(err)
	}
	d.first("set kubeconfig.yaml+a", "set kubeconfig.yml+a", "set x.kubeconfig+a", "set y.kubeconfig.yml+a", "set z.kubeconfig.yaml+a",
		"fault none: looking for kubeconfigs: open none: no such file or directory")
	d.delete(filepath.Join(dir, "x.kubeconfig"))
	d.beside("new.kubeconfig", "")
	d.pass(settled, "fault new.kubeconfig: reading new.kubeconfig: it is empty")
	d.pass(gone, "remove x.kubeconfig+a")
	d.delete(filepath.Join(dir, "new.kubeconfig"))
	d.pass(settled, "mended new.kubeconfig")
	if err := os.Mkdir(filepath.Join(dir, "none"), 0o700); err != nil {
		t.Fatal(err)
	}
	d.pass(0, "mended none")
	if len(d.scanner.files) != 4 {
		t.Errorf("%d files are kept in mind, want the 4 that are there", len(d.scanner.files))
	}
}

func TestAMountedSecret(t *testing.T) {
	d := newDesk(t)
	dir := filepath.Dir(d.path)
	d.scanner.places = places{dirs: []string{dir}, globs: defaultGlobs}
	revision := func(n, token string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, ".."+n), 0o700); err != nil {
			t.Fatal(err)
		}
		d.beside(filepath.Join(".."+n, "x.kubeconfig"), config("a: token: "+token))
		link := filepath.Join(dir, "..data_tmp")
		if err := os.Symlink(".."+n, link); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link, filepath.Join(dir, "..data")); err != nil { // as the kubelet does
			t.Fatal(err)
		}
	}
	revision("1", "one")
	if err := os.Symlink(filepath.Join("..data", "x.kubeconfig"), filepath.Join(dir, "x.kubeconfig")); err != nil {
		t.Fatal(err)
	}
	d.first("set x.kubeconfig+a")
	revision("2", "two")
	d.pass(settled, "set x.kubeconfig+a")
	d.delete(filepath.Join(dir, "..data"))
	d.pass(settled)
	d.pass(gone, "remove x.kubeconfig+a")
}

func TestTwoContextsOfOneName(t *testing.T) {
	d := newDesk(t)
	other := d.path + "+b"
	d.scanner.places.files = []string{d.path, other}
	d.write(config("b+c: token: x"))
	d.beside(filepath.Base(other), config("c: token: other"))
	d.first("set config+b+c", `fault config+b+c: cluster "config+b+c" of config+b is left out: config has one of that name already`)
}

func TestWherePeopleHaveTheirKubeconfigs(t *testing.T) {
	home, elsewhere := t.TempDir(), t.TempDir()
	standard := filepath.Join(home, ".kube", "config")
	t.Setenv("HOME", home)
	t.Chdir(elsewhere)
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	list := string(os.PathListSeparator)
	cases := []struct {
		name, env    string
		hasStandard  bool
		inv          Inventory
		files, dirs  []string
		missingFault bool
	}{
		{name: "explicit ones come first, each once", env: "/env", hasStandard: true, inv: Inventory{Files: []string{"/a", "/b/", "/a", ""}, Directories: []string{"/d"}}, files: []string{"/a", "/b"}, dirs: []string{"/d"}, missingFault: true},
		{name: "then the list of $KUBECONFIG", env: "/x" + list + list + "/y" + list + "/x", hasStandard: true, files: []string{"/x", "/y"}},
		{name: "then ~/.kube/config", env: list, hasStandard: true, files: []string{standard}},
		{name: "then the working directory", env: "", dirs: []string{wd}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("KUBECONFIG", c.env)
			if c.hasStandard {
				if err := os.MkdirAll(filepath.Dir(standard), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(standard, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			} else if err := os.RemoveAll(filepath.Dir(standard)); err != nil {
				t.Fatal(err)
			}
			p, err := c.inv.places()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([][]string{c.files, c.dirs}, [][]string{p.files, p.dirs}); diff != "" {
				t.Errorf("files and directories (-want +got)\n%s", diff)
			}
			if p.required != c.missingFault {
				t.Errorf("a missing file is a fault: %v", p.required)
			}
		})
	}
	if _, err := (&Inventory{Globs: []string{"["}}).places(); err == nil {
		t.Error("a glob that is none was taken")
	}
}

func TestWithoutNotificationsFilesAreLookedAtFromTimeToTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.write(config("a: token: one"))
		clock := clocktesting.NewFakeClock(d.now)
		ctx, cancel := context.WithCancel(logr.NewContext(t.Context(), logr.Discard()))
		ended := make(chan error, 1)
		inv := &Inventory{Files: []string{d.path}, Clock: clock, unwatched: true}
		go func() { ended <- inv.Run(ctx, d) }()
		step := func(long time.Duration, want ...string) {
			t.Helper()
			clock.Step(long)
			synctest.Wait()
			d.wants(want)
		}
		step(0, "set config+a")
		d.write(config("a: token: two"))
		step(DefaultPollInterval - 1)
		step(1)
		step(settled, "set config+a")
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(config("a: token: x", "b: tokenFile: x")))
	f.Add([]byte("contexts: [{name: a, context: {cluster: a}}, {}]\nclusters: [{name: a}]\n"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := parse(text, "/dir")
		if err != nil {
			return
		}
		for _, e := range d.contexts {
			c, err := e.credential(func(path string) ([]byte, error) {
				if !slices.Contains(e.files(), path) {
					t.Fatalf("%q is read, and is not watched", path)
				}
				return []byte("x"), nil
			})
			if err == nil && (c.IsZero() || c.Endpoint == nil || !strings.HasPrefix(strings.ToLower(c.Endpoint.Server), "https://")) {
				t.Fatalf("accepted without a credential or an https address: %+v", c.Endpoint)
			}
		}
	})
}
