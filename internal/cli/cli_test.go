package cli

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/hawser-io/hawser/internal/kinds"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// outcome is what a command printed and how it ended.
type outcome struct {
	Out, Err string
	Code     int
}

// runWith runs a command line against a local cluster with the given objects.
func runWith(t *testing.T, objs []client.Object, args ...string) outcome {
	t.Helper()
	scheme, err := kinds.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objs...).Build()
	var out, stderr bytes.Buffer
	d := &deps{
		out: &out, err: &stderr, in: strings.NewReader(""),
		clock: clocktesting.NewFakeClock(now),
		connect: func(_, context string) (*cluster, error) {
			if context == "nowhere" {
				return nil, errors.New(`context "nowhere" does not exist`)
			}
			return &cluster{Client: c}, nil
		},
	}
	code := d.run(t.Context(), args)
	return outcome{out.String(), stderr.String(), code}
}

func TestExitCodesAndWhereErrorsGo(t *testing.T) {
	tests := map[string]struct {
		args []string
		want outcome
	}{
		"an unknown command is a wrong call": {
			[]string{"hawser", "foo"},
			outcome{Err: "hawser: unknown command \"foo\" for \"hawser\"\nSee `hawser --help`.\n", Code: 2},
		},
		"an unknown flag is a wrong call": {
			[]string{"hawser", "clusters", "--foo"},
			outcome{Err: "hawser: unknown flag: --foo\nSee `hawser clusters --help`.\n", Code: 2},
		},
		"a missing argument is a wrong call, by the name of the plugin where it is one": {
			[]string{"kubectl-hawser", "rotate"},
			outcome{Err: "kubectl hawser: accepts 1 arg(s), received 0\nSee `kubectl hawser rotate --help`.\n", Code: 2},
		},
		"a missing flag is a wrong call": {
			[]string{"hawser", "member", "manifests"},
			outcome{Err: "hawser: name the local cluster by --local, or ask for --controllers\nSee `hawser member manifests --help`.\n", Code: 2},
		},
		"an output format that there is not": {
			[]string{"hawser", "clusters", "-o", "xml"},
			outcome{Err: "hawser: --output \"xml\": there is only table, wide, json, yaml, name\nSee `hawser clusters --help`.\n", Code: 2},
		},
		"a name of a cluster manager that publishes nothing": {
			[]string{"hawser", "manager", "--cluster-name", "hub", "--cluster-manager-name", "hub"},
			outcome{Err: "hawser: --cluster-manager-name is only for --publish-clusterprofiles\nSee `hawser manager --help`.\n", Code: 2},
		},
		"join without a remote context": {
			[]string{"hawser", "join", "alpha"},
			outcome{Err: "hawser: --remote-context is missing: name the context of the cluster to join\nSee `hawser join --help`.\n", Code: 2},
		},
		"join with a way that does not go together": {
			[]string{"hawser", "join", "alpha", "--remote-context", "a", "--renew", "csr"},
			outcome{Err: "hawser: --renew is only for --auth mtls\nSee `hawser join --help`.\n", Code: 2},
		},
		"join with too short a life": {
			[]string{"hawser", "join", "alpha", "--remote-context", "a", "--lifetime", "5m"},
			outcome{Err: "hawser: --lifetime 5m0s: use whole seconds, and 10m at least, since an API server grants no less\nSee `hawser join --help`.\n", Code: 2},
		},
		"join with an address that is no range": {
			[]string{"hawser", "join", "alpha", "--remote-context", "a", "--endpoint-cidrs", "10.4.0.0/16,10.5.0.1"},
			outcome{Err: "hawser: --endpoint-cidrs \"10.5.0.1\": it must be a range of addresses, such as 10.4.0.0/16\nSee `hawser join --help`.\n", Code: 2},
		},
		"join with a range that begins elsewhere": {
			[]string{"hawser", "join", "alpha", "--remote-context", "a", "--endpoint-cidrs", "10.4.1.0/16"},
			outcome{Err: "hawser: --endpoint-cidrs \"10.4.1.0/16\": the range of that length begins at 10.4.0.0: write 10.4.0.0/16, or a longer prefix\nSee `hawser join --help`.\n", Code: 2},
		},
		"a context that there is not is a failure": {
			[]string{"hawser", "clusters", "--context", "nowhere"},
			outcome{Err: "hawser: reaching the local cluster: context \"nowhere\" does not exist\n", Code: 1},
		},
		"a cluster that there is not": {
			[]string{"hawser", "clusters", "alpha"},
			outcome{Err: "hawser: there is no RemoteCluster \"alpha\": hawser clusters lists them, and hawser join alpha --remote-context CONTEXT makes it\n", Code: 1},
		},
		"no clusters at all is fine": {
			[]string{"hawser", "clusters"},
			outcome{Err: "There are no clusters yet. Connect one: hawser join NAME --remote-context CONTEXT\n"},
		},
		"a local cluster without a name": {
			[]string{"hawser", "leave", "alpha"},
			outcome{Err: "hawser: leaving cluster \"alpha\": finding the name of the local cluster: there is no ConfigMap \"hawser-manager\" in namespace \"hawser\", " +
				"which the manager writes: start it with hawser manager --cluster-name NAME, or say with --context and -n where it runs, or give --local-name NAME\n", Code: 1},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, runWith(t, nil, test.args...)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestInterruptedCommandSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d := &deps{out: &bytes.Buffer{}, err: &bytes.Buffer{}, clock: clocktesting.NewFakeClock(now),
		connect: func(string, string) (*cluster, error) { return nil, ctx.Err() }}
	if code := d.run(ctx, []string{"hawser", "clusters"}); code != exitInterrupted {
		t.Errorf("exit code %d, want %d", code, exitInterrupted)
	}
}

func TestEveryCommandHasExamplesAndAShortText(t *testing.T) {
	for _, cmd := range newRoot(&deps{}, "hawser").Commands() {
		for _, leaf := range append(cmd.Commands(), cmd) {
			if leaf.Short == "" || (leaf.Runnable() && leaf.Example == "") {
				t.Errorf("%s: no short text or no example", leaf.CommandPath())
			}
		}
	}
}

func TestPluginNamesItselfInExamples(t *testing.T) {
	got := runWith(t, nil, "/usr/local/bin/kubectl-hawser", "rotate", "--help")
	if !strings.Contains(got.Out, "  kubectl hawser rotate alpha") || got.Code != exitOK {
		t.Errorf("code %d:\n%s", got.Code, got.Out)
	}
}
