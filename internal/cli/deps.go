package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/internal/advice"
	"github.com/hawser-io/hawser/internal/kinds"
	"github.com/hawser-io/hawser/internal/version"
)

// deps is what commands take from their surroundings.
type deps struct {
	in       io.Reader
	out, err io.Writer
	clock    clock.WithTicker
	colour   bool
	// connect reaches a cluster as a kubeconfig says; nothing is sent yet. Empty names mean the defaults.
	connect func(kubeconfig, context string) (*cluster, error)
	// links is handed the connections of a manager. May be nil.
	links func(*fleet.Links)

	// Global flags.
	kubeconfig, context, namespace string

	started bool // a command has begun to run
	// shell is what the commands that are printed are filled with.
	shell advice.Shell
}

// cluster is one cluster as the person at the keyboard reaches it.
type cluster struct {
	Config *rest.Config
	Client client.WithWatch
	Kube   kubernetes.Interface
}

func (d *deps) globalFlags(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.StringVar(&d.kubeconfig, "kubeconfig", "", "kubeconfig of the local cluster (default: $KUBECONFIG, then ~/.kube/config)")
	flags.StringVar(&d.context, "context", "", "context of the local cluster (default: the current one)")
	flags.StringVarP(&d.namespace, "namespace", "n", v1alpha1.Namespace, "namespace of the local cluster that Hawser runs in")
	_ = root.RegisterFlagCompletionFunc("context", completeContexts(&d.kubeconfig))
	_ = root.RegisterFlagCompletionFunc("namespace", cobra.NoFileCompletions)
}

// local reaches the local cluster.
func (d *deps) local() (*cluster, error) {
	c, err := d.connect(d.kubeconfig, d.context)
	if err != nil {
		return nil, fmt.Errorf("reaching the local cluster: %w", err)
	}
	return c, nil
}

// remoteFlags say how the person at the keyboard reaches a remote cluster.
type remoteFlags struct{ kubeconfig, context string }

func (f *remoteFlags) add(cmd *cobra.Command, use string) {
	cmd.Flags().StringVar(&f.context, "remote-context", "", "context of the remote cluster, "+use)
	cmd.Flags().StringVar(&f.kubeconfig, "remote-kubeconfig", "", "kubeconfig of the remote cluster (default: the same as of the local one)")
	_ = cmd.RegisterFlagCompletionFunc("remote-context", completeContexts(&f.kubeconfig))
}

// given reports whether a remote cluster is named at all.
func (f *remoteFlags) given() bool { return f.context != "" || f.kubeconfig != "" }

// speak lets every command that is printed from now on bear the flags by which the running one reaches the clusters.
// What is printed for programs stays as it is.
func (d *deps) speak(cmd *cobra.Command) {
	flag := func(name string) string {
		if f := cmd.Flags().Lookup(name); f != nil {
			return f.Value.String()
		}
		return ""
	}
	d.shell = advice.Shell{
		Local:  advice.Flags{Kubeconfig: d.kubeconfig, Context: d.context},
		Remote: advice.Flags{Kubeconfig: flag("remote-kubeconfig"), Context: flag("remote-context")},
	}
	if asks := cmd.Name(); asks == "can" || asks == "explain" { // both speak of the cluster that they ask
		d.shell = d.shell.There()
	}
	d.err = d.shell.Writer(d.err)
	switch format := flag("output"); {
	case cmd.GroupID != groupConnect && cmd.GroupID != groupLook && cmd.Name() != "explain":
	case format == "" || format == formatTable || format == formatWide:
		d.out = d.shell.Writer(d.out)
	}
}

func (d *deps) remote(f remoteFlags) (*cluster, error) {
	file := f.kubeconfig
	if file == "" {
		file = d.kubeconfig
	}
	c, err := d.connect(file, f.context)
	if err != nil {
		return nil, fmt.Errorf("reaching the remote cluster: %w", err)
	}
	return c, nil
}

// connect makes deps.connect for real clusters. Warnings of API servers go to stderr.
func connect(stderr io.Writer) func(kubeconfig, context string) (*cluster, error) {
	return func(kubeconfig, context string) (*cluster, error) {
		rules := clientcmd.NewDefaultClientConfigLoadingRules()
		rules.ExplicitPath = kubeconfig
		overrides := &clientcmd.ConfigOverrides{CurrentContext: context}
		config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides).ClientConfig()
		if err != nil {
			return nil, fmt.Errorf("reading the kubeconfig: %w", err)
		}
		config.UserAgent = "hawser/" + version.String()
		config.QPS, config.Burst = 50, 100
		config.WarningHandler = rest.NewWarningWriter(stderr, rest.WarningWriterOptions{Deduplicate: true})
		return newCluster(config)
	}
}

func newCluster(config *rest.Config) (*cluster, error) {
	scheme, err := kinds.Scheme()
	if err != nil {
		return nil, err
	}
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, err
	}
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &cluster{Config: config, Client: c, Kube: kube}, nil
}

// within bounds a command that does not wait for anything but answers.
func within(cmd *cobra.Command, timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(cmd.Context(), timeout)
}

// answerTimeout is how long a cluster may take for the few requests of a command that only asks.
const answerTimeout = 30 * time.Second

// colourful reports whether out is a terminal of somebody who wants colours (https://no-color.org).
func colourful(out io.Writer) bool {
	file, ok := out.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(file.Fd()))
}
