package authcache

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// AncestorsVariable lists the keys that are being worked on by those who started us: who is asked for one of
// them would wait for itself.
const AncestorsVariable = "HAWSER_AUTH_ANCESTORS"

// decisive are the variables by which `hawser auth`, or a library of a cloud, chooses an identity or finds the
// way to it; and decisivePrefixes begin the names of further ones.
var (
	decisive = []string{
		"HOME", "USERPROFILE", "KUBECONFIG", "XDG_CONFIG_HOME", "SPIFFE_ENDPOINT_SOCKET",
		"KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "SSL_CERT_FILE", "SSL_CERT_DIR",
		"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
	}
	decisivePrefixes = []string{"AWS_", "AZURE_", "GOOGLE_", "CLOUDSDK_", "HAWSER_"}
)

// Asker is who asks, and where: everything but the files that decides an answer.
type Asker struct {
	Args []string // without the name of the program
	Ask  Ask
	Env  []string // as os.Environ
	// Dir is the working directory, UID the user and Host the machine: what an instance of a cloud may do, and
	// what a home directory that machines share must not mix up.
	Dir  string
	UID  int
	Host string
}

// Key names the answer to what an asker asks. Whatever may lead to another answer leads to another key, and the
// values cannot be had back from it.
//
// An argument that is the name of a variable brings in that variable, so that a flag may name where a token is.
// The working directory counts where a variable holds a path that is relative to it; the flags of `hawser auth`
// take absolute paths only.
func (a Asker) Key() string {
	sum := sha256.New()
	add := func(parts ...string) {
		for _, part := range parts {
			_ = binary.Write(sum, binary.BigEndian, uint64(len(part)))
			_, _ = sum.Write([]byte(part))
		}
	}
	add("hawser-auth", strconv.Itoa(format), strconv.Itoa(a.UID), a.Host, string(a.Ask.Cluster), strconv.Itoa(len(a.Args)))
	add(a.Args...)
	env, relative := a.decides()
	add(env...)
	if relative {
		add("in", a.Dir)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// decides are the variables that count, in the order of their names, and whether one holds a relative path.
func (a Asker) decides() (env []string, relative bool) {
	for _, v := range a.Env {
		name, value, _ := strings.Cut(v, "=")
		if name == AncestorsVariable || !a.matters(name) {
			continue
		}
		env = append(env, v)
		if name == "KUBECONFIG" || strings.HasSuffix(name, "_FILE") {
			relative = relative || slices.ContainsFunc(filepath.SplitList(value), func(p string) bool { return p != "" && !filepath.IsAbs(p) })
		}
	}
	slices.Sort(env)
	return env, relative
}

func (a Asker) matters(name string) bool {
	return slices.Contains(decisive, name) ||
		slices.ContainsFunc(decisivePrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) ||
		slices.ContainsFunc(a.Args, func(arg string) bool { return arg == name || strings.HasSuffix(arg, "="+name) })
}

// isKey keeps names of files to what Key makes.
func isKey(key string) bool {
	if len(key) != sha256.Size*2 {
		return false
	}
	return !strings.ContainsFunc(key, func(r rune) bool { return (r < '0' || r > '9') && (r < 'a' || r > 'f') })
}

// Descend puts a key into the environment of who works on it. False means that they wait for themselves.
func Descend(env []string, key string) ([]string, bool) {
	ancestors := os.Getenv(AncestorsVariable)
	if slices.Contains(strings.Split(ancestors, ","), key) {
		return nil, false
	}
	env = slices.DeleteFunc(slices.Clone(env), func(v string) bool { return strings.HasPrefix(v, AncestorsVariable+"=") })
	return append(env, AncestorsVariable+"="+strings.TrimPrefix(ancestors+","+key, ",")), true
}
