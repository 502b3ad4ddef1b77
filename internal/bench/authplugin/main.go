// Command authplugin measures one run of the exec credential plugin hawser-auth, as
// every kubectl pays for it: with an answer in its cache, and without one, when
// hawser auth makes a token for an EKS cluster from AWS keys in the environment.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	clientauthenticationv1 "k8s.io/client-go/pkg/apis/clientauthentication/v1"

	"github.com/hawser-io/hawser/internal/awstest"
	"github.com/hawser-io/hawser/internal/bench"
)

const (
	cachedRuns   = 200
	uncachedRuns = 20
)

func main() {
	bench.Main("authplugin", nil, func(b *bench.Bench) error {
		dir, err := os.MkdirTemp("", "hawser-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		w, err := newWorld(b.Ctx, dir)
		if err != nil {
			return err
		}
		defer w.aws.Close()
		uncached, err := w.times(b.Ctx, uncachedRuns, true)
		if err != nil {
			return err
		}
		cached, err := w.times(b.Ctx, cachedRuns, false)
		if err != nil {
			return err
		}
		kib, err := w.peak(b.Ctx)
		if err != nil {
			return err
		}
		b.Add("cached_ms", bench.Milliseconds(bench.Median(cached)), "ms", fmt.Sprintf("one process, from start to end, with an answer in the cache; median of %d, 99th percentile %.1f", cachedRuns, bench.Milliseconds(bench.Quantile(cached, 0.99))))
		b.Add("uncached_ms", bench.Milliseconds(bench.Median(uncached)), "ms", fmt.Sprintf("the same without one: hawser auth signs a token for an EKS cluster, and nothing is asked of AWS; median of %d", uncachedRuns))
		b.Add("cached_rss_mb", kib/1024, "MiB", "peak of resident memory, cached; aws-iam-authenticator takes 31")
		return nil
	})
}

// world is the programs as they are shipped, an AWS, and an EKS cluster that judges the tokens.
type world struct {
	aws     *awstest.Server
	cluster *awstest.Cluster
	dir     string
	env     []string
}

var args = []string{"eks", "--cluster-name", "prod", "--region", "eu-north-1"}

func newWorld(ctx context.Context, dir string) (*world, error) {
	build := exec.CommandContext(ctx, "go", "build", "-o", dir+string(filepath.Separator), "./cmd/hawser", "./cmd/hawser-auth", "./internal/bench/authplugin/peak")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the programs: %w: %s", err, out)
	}
	server, err := awstest.New(awstest.Options{})
	if err != nil {
		return nil, err
	}
	account := server.Account("111122223333")
	user := account.User("ann")
	w := &world{aws: server, cluster: account.EKS("eu-north-1", "prod", awstest.EKSOptions{}), dir: dir}
	w.cluster.Entry(user.ARN(), []string{"people"}, "")
	w.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "XDG_CACHE_HOME=" + w.cache()}
	for _, variables := range []map[string]string{server.Env(), awstest.CredentialEnv(user.Keys())} {
		for name, value := range variables {
			w.env = append(w.env, name+"="+value)
		}
	}
	slices.Sort(w.env)
	return w, nil
}

func (w *world) cache() string { return filepath.Join(w.dir, "cache") }

// run runs the plugin once, and has the cluster judge the token.
func (w *world) run(ctx context.Context) (time.Duration, error) {
	var out, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(w.dir, "hawser-auth"), args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = w.env, &out, &stderr
	begin := time.Now()
	err := cmd.Run()
	took := time.Since(begin)
	if err != nil {
		return 0, fmt.Errorf("running hawser-auth: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	var answer clientauthenticationv1.ExecCredential
	if err := json.Unmarshal(out.Bytes(), &answer); err != nil || answer.Status == nil {
		return 0, fmt.Errorf("hawser-auth prints what is no ExecCredential: %w", err)
	}
	_, err = w.cluster.Review(answer.Status.Token)
	return took, err
}

func (w *world) times(ctx context.Context, runs int, forget bool) ([]time.Duration, error) {
	var times []time.Duration
	for range runs {
		if forget {
			if err := os.RemoveAll(w.cache()); err != nil {
				return nil, err
			}
		}
		took, err := w.run(ctx)
		if err != nil {
			return nil, err
		}
		times = append(times, took)
	}
	return times, nil
}

// peak is the median of some runs with an answer in the cache, in KiB.
func (w *world) peak(ctx context.Context) (float64, error) {
	var peaks []float64
	for range 20 {
		cmd := exec.CommandContext(ctx, filepath.Join(w.dir, "peak"), append([]string{filepath.Join(w.dir, "hawser-auth")}, args...)...)
		cmd.Env, cmd.Stderr = w.env, os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return 0, fmt.Errorf("measuring memory: %w", err)
		}
		kib, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
		if err != nil {
			return 0, fmt.Errorf("measuring memory: %w", err)
		}
		peaks = append(peaks, kib)
	}
	slices.Sort(peaks)
	return peaks[len(peaks)/2], nil
}
