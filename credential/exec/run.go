package exec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	osexec "os/exec"
	"regexp"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientauthenticationv1 "k8s.io/client-go/pkg/apis/clientauthentication/v1"
)

const (
	// maxOutput is more than any certificate chain and key have; tokens must fit into a header.
	maxOutput = 256 << 10
	// maxComplaint bounds what is kept of stderr, and shownComplaint what is shown of it.
	maxComplaint   = 8 << 10
	shownComplaint = 300
	// maxInfo fits into one variable of an environment (Linux takes 128 KiB for each).
	maxInfo = 96 << 10
	// grace is how long output that a dead program's children hold open is waited for.
	grace = time.Second
)

// execInfo is what the plugin is asked. It holds no secret.
func execInfo(p Plugin, c Cluster) ([]byte, error) {
	ask := clientauthenticationv1.ExecCredential{TypeMeta: metav1.TypeMeta{APIVersion: p.APIVersion, Kind: "ExecCredential"}}
	if p.ProvideClusterInfo {
		ask.Spec.Cluster = &clientauthenticationv1.Cluster{
			Server: c.Server, TLSServerName: c.TLSServerName, CertificateAuthorityData: c.CAData,
			ProxyURL: c.ProxyURL, DisableCompression: c.DisableCompression,
			Config: runtime.RawExtension{Raw: c.Config},
		}
	}
	info, err := json.Marshal(ask) // both versions look the same
	switch {
	case err != nil:
		return nil, errors.New("the configuration of the cluster for the plugin is no JSON")
	case len(info) > maxInfo:
		return nil, fmt.Errorf("what it would be told of the cluster is too long: %d bytes, and the environment takes %d", len(info), maxInfo)
	}
	return info, nil
}

// errTooMuch ends a plugin that prints without end.
var errTooMuch = fmt.Errorf("it printed more than %d KiB", maxOutput>>10)

// run runs the program of a plugin and returns what it printed. The program has nothing on stdin, / as its directory, and a
// process group of its own, all of which is killed when its time is over.
func run(ctx context.Context, path string, p Plugin, info []byte, timeout time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("it did not end within %s", timeout))
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	stdout := &capped{most: maxOutput, over: func() { stop(errTooMuch) }}
	stderr := &capped{most: maxComplaint, over: func() {}}

	cmd := osexec.CommandContext(ctx, path, p.Args...) //nolint:gosec // the operator's program; input selects it and no more
	cmd.Args[0] = p.Command                            // as a link names it: some programs do what they are called
	cmd.Env = p.environment(info)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = stdout, stderr
	inGroup(cmd)
	cmd.WaitDelay = grace
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, withComplaint(context.Cause(ctx), stderr)
	case errors.Is(err, osexec.ErrWaitDelay): // it has ended well, and something that it left behind holds its output
		return stdout.buf.Bytes(), nil
	case err != nil:
		return nil, withComplaint(err, stderr)
	}
	return stdout.buf.Bytes(), nil
}

// capped keeps the beginning of what is written.
type capped struct {
	buf  bytes.Buffer
	most int
	over func() // called when there is more
}

func (c *capped) Write(data []byte) (int, error) {
	room := c.most - c.buf.Len()
	c.buf.Write(data[:min(len(data), room)])
	if len(data) > room {
		c.over()
	}
	return len(data), nil
}

// secretLike is what may be a token, a key or a password in what a program prints: JWTs, and anything long
// that has no word in it.
var secretLike = regexp.MustCompile(`eyJ[A-Za-z0-9._-]+|[A-Za-z0-9+/=_-]{40,}|(?i:password|secret|token)\s*[=:]\s*\S+`)

// withComplaint adds what the program wrote to stderr: on one line, short, and without what looks like a secret.
func withComplaint(err error, stderr *capped) error {
	text := secretLike.ReplaceAllString(strings.ToValidUTF8(stderr.buf.String(), "?"), "[redacted]")
	words := []rune(strings.Join(strings.Fields(text), " "))
	if len(words) == 0 {
		return err
	}
	if len(words) > shownComplaint {
		words = append(words[:shownComplaint], '…')
	}
	return fmt.Errorf("%w: %s", err, string(words))
}
