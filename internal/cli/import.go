package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdlatest "k8s.io/client-go/tools/clientcmd/api/latest"
	clientcmdapiv1 "k8s.io/client-go/tools/clientcmd/api/v1"

	"github.com/hawser-io/hawser/internal/cli/importer"
	"github.com/hawser-io/hawser/member"
)

type importFlags struct {
	files       []string
	contexts    []string
	from        string
	localName   string
	output      string
	withSecrets bool
}

func newImport(d *deps) *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:     "import SOURCE [-f FILE...]",
		GroupID: groupConnect,
		Short:   "Make Hawser objects of what another tool left behind, for review",
		Long: `Read what another tool left behind and print what it is for Hawser: RemoteClusters, AWSIdentities
and AccessGrants, as YAML that kubectl apply takes. No cluster is changed.

` + importSources() + `
Without -f it is read from the cluster of --context; kubeconfigs from where kubectl finds them.
AccessGrants are for the cluster that is entered: apply them there.

Every field that has no counterpart is named on stderr, and in comments of the YAML; so is every
object that had to be left out, in which case the exit code is 1. No credential is printed.
--with-secrets prints them, as the input Secrets that Hawser reads (hawser-cluster-<name>);
hawser join makes better ones. A kubeconfig that lies in a Secret stays where it is.

Nothing is run, opened or called because the input says so: a plugin in a kubeconfig becomes
auth.type eks or oidc where Hawser does the same by itself, and auth.type exec otherwise, which
names an entry of the manager's own file.`,
		Example: `  hawser import kubeconfig > clusters.yaml
  hawser import argocd --with-secrets | kubectl apply -f -
  hawser import mirrord -f values.yaml
  hawser import admiralty --context alpha-admin --local-name primary
  kubectl get remoteclusterconfigurations,secrets -A -o yaml | hawser import calico -f -`,
		ValidArgs: importer.Names(),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || !slices.Contains(importer.Names(), args[0]) {
				return usageError("name one source: %s", strings.Join(importer.Names(), ", "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.validate(args[0]); err != nil {
				return err
			}
			ctx, cancel := within(cmd, answerTimeout)
			defer cancel()
			return d.importFrom(ctx, args[0], f)
		},
	}
	outputFlag(cmd, &f.output, formatYAML, formatJSON)
	flags := cmd.Flags()
	flags.StringArrayVarP(&f.files, "file", "f", nil, "file with YAML or JSON; - reads stdin; may be given several times (default: the cluster)")
	flags.BoolVar(&f.withSecrets, "with-secrets", false, "print credentials, too")
	flags.StringSliceVar(&f.contexts, "contexts", nil, "contexts of a kubeconfig (default: all)")
	flags.StringVar(&f.from, "from-namespace", "", "namespace of Argo CD or of the mirrord operator (default: argocd, mirrord)")
	flags.StringVar(&f.localName, "local-name", "", "name of the local cluster, for the subjects of AccessGrants")
	_ = cmd.MarkFlagFilename("file", "yaml", "yml", "json")
	for _, flag := range []string{"contexts", "from-namespace", "local-name"} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions)
	}
	return cmd
}

func importSources() string {
	var text strings.Builder
	for _, name := range importer.Names() {
		fmt.Fprintf(&text, "  %-12s%s\n", name, importer.Title(name))
	}
	return text.String()
}

// validate refuses what does not go together.
func (f *importFlags) validate(source string) error {
	switch {
	case len(f.contexts) > 0 && source != "kubeconfig":
		return usageError("--contexts is only for kubeconfig")
	case f.from != "" && (importer.DefaultNamespace(source) == "" || len(f.files) > 0):
		return usageError("--from-namespace is only for argocd and mirrord, without -f")
	case f.localName != "":
		if err := member.ValidateLocal(f.localName); err != nil {
			return usageError("--local-name: %w", err)
		}
	}
	return nil
}

func (d *deps) importFrom(ctx context.Context, source string, f importFlags) error {
	documents, notes, err := d.leftBehind(ctx, source, f)
	if err != nil {
		return err
	}
	result, err := importer.Import(source, documents, importer.Options{
		Namespace: d.namespace, Local: f.localName, Contexts: f.contexts, WithSecrets: f.withSecrets, Now: d.clock.Now(),
	})
	if err != nil {
		return err
	}
	result.Notes = append(notes, result.Notes...)
	text, err := result.YAML()
	if f.output == formatJSON {
		text, err = result.JSON()
	}
	if err != nil {
		return err
	}
	if _, err := d.out.Write(text); err != nil {
		return fmt.Errorf("writing the objects: %w", err)
	}
	leftOut := false
	for _, note := range result.All() {
		leftOut = leftOut || note.Kind == importer.LeftOut
		fmt.Fprintln(d.err, note)
	}
	if len(result.Items) == 0 {
		return errors.New("there was nothing to import")
	}
	if leftOut {
		return gaps()
	}
	return nil
}

// leftBehind reads files, or the cluster.
func (d *deps) leftBehind(ctx context.Context, source string, f importFlags) ([]importer.Document, []importer.Note, error) {
	var documents []importer.Document
	for _, file := range f.files {
		text, err := d.readConfig(file)
		if err != nil {
			return nil, nil, err
		}
		read, err := importer.Read(text)
		if err != nil {
			return nil, nil, fmt.Errorf("reading %s: %w", file, err)
		}
		documents = append(documents, read...)
	}
	switch {
	case len(f.files) > 0:
		return documents, nil, nil
	case source == "kubeconfig":
		document, err := ownKubeconfig(d.kubeconfig)
		return []importer.Document{document}, nil, err
	}
	here, err := d.local()
	if err != nil {
		return nil, nil, err
	}
	namespace := f.from
	if namespace == "" {
		namespace = importer.DefaultNamespace(source)
	}
	return importer.FromCluster(ctx, here.Client, source, namespace)
}

// ownKubeconfig is the person's kubeconfig, as kubectl puts it together.
func ownKubeconfig(path string) (importer.Document, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = path
	config, err := rules.Load()
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	versioned := &clientcmdapiv1.Config{}
	if err := clientcmdlatest.Scheme.Convert(config, versioned, nil); err != nil {
		return nil, errors.New("reading the kubeconfig: it cannot be converted")
	}
	text, err := json.Marshal(versioned)
	if err != nil {
		return nil, errors.New("reading the kubeconfig: it cannot be converted")
	}
	documents, err := importer.Read(text)
	if err != nil || len(documents) != 1 {
		return nil, errors.New("reading the kubeconfig: there is none, or it is empty")
	}
	return documents[0], nil
}
