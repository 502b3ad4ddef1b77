package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hawser-io/hawser/internal/cli/rights"
)

type canFlags struct {
	remote                          remoteFlags
	subject, namespace, sub, output string
}

func newCan(d *deps) *cobra.Command {
	var f canFlags
	cmd := &cobra.Command{
		Use:     "can NAME VERB RESOURCE --as SUBJECT --remote-context CONTEXT",
		GroupID: groupLook,
		Short:   "Ask what somebody may do in a remote cluster",
		Long: `Ask the remote cluster NAME whether somebody may do something there, with your own rights in
that cluster (it takes the right to create subjectaccessreviews).

SUBJECT is one of:

  user:NAME, group:NAME            a user or group, by the name that the cluster knows
  serviceaccount:NAMESPACE/NAME    an account of that cluster
  ISSUER/SUBJECT                   an identity of a TrustedIssuer
  CLUSTER/NAMESPACE                the AccessRequests of a namespace of a local cluster

The last two come in by AccessGrants: each grant that names them is asked about by itself, and
closed ways are named: a grant that has ended, an issuer that is not trusted. They may be
written issuer:… and cluster:…, where one name is both. Whether the API server itself trusts an
issuer cannot be asked: that way counts as open. Groups that a token may bring by the issuer's
mapping are not known beforehand, and not counted.

RESOURCE is as for kubectl auth can-i: TYPE, TYPE.GROUP, TYPE/NAME, or a path like /healthz.

Of the claimRules of an issuer those are evaluated that look at nothing but claims.iss and
claims.sub. Where others decide, the answer is that it depends, with the rules.

The answer is yes, no, or that it depends. The exit code is 1 if it is not yes. -o json prints
{subject, action, allowed, depends, ways: [{how, user, groups, barred, claimRules, permitted, reason}]}.`,
		Example: `  hawser can alpha list pods -n shop --as primary/shop --remote-context alpha-admin
  hawser can alpha get secrets --as corp/system:serviceaccount:shop:deployer --remote-context alpha-admin
  hawser can alpha create pods --subresource exec -n shop --as serviceaccount:hawser-from-primary/hawser --remote-context alpha-admin`,
		Args:              cobra.ExactArgs(3),
		ValidArgsFunction: d.completeClusters(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !f.remote.given() {
				return usageError("--remote-context is missing: name the context of cluster %q", args[0])
			}
			subject, err := rights.ParseSubject(f.subject)
			if err != nil {
				return usageError("--as: %w", err)
			}
			ctx, cancel := within(cmd, answerTimeout)
			defer cancel()
			return d.can(ctx, args[0], args[1], args[2], subject, f)
		},
	}
	outputFlag(cmd, &f.output, formatTable, formatJSON, formatYAML)
	f.remote.add(cmd, "to ask it with your own rights (required)")
	flags := cmd.Flags()
	flags.StringVar(&f.subject, "as", "", "who is asked about: "+rights.SubjectForms+" (required)")
	flags.StringVarP(&f.namespace, "namespace", "n", "", "namespace of the remote cluster (default: everywhere)")
	flags.StringVar(&f.sub, "subresource", "", "subresource, for example log or exec")
	_ = cmd.MarkFlagRequired("as")
	for _, flag := range []string{"as", "namespace", "subresource"} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions)
	}
	return cmd
}

func (d *deps) can(ctx context.Context, name, verb, resource string, subject rights.Subject, f canFlags) error {
	there, err := d.thatCluster(ctx, name, f.remote)
	if err != nil {
		return err
	}
	asked := rights.Cluster{Client: there.Client, Kube: there.Kube}
	action, warnings, err := asked.Action(ctx, verb, resource, f.sub, f.namespace)
	if err != nil {
		return err
	}
	for _, warning := range warnings {
		fmt.Fprintf(d.err, "%s %s\n", d.paint(warn, "Warning:"), shown(warning))
	}
	answer, err := asked.Can(ctx, subject, action, d.clock.Now())
	if err != nil {
		return err
	}
	if f.output != formatTable {
		err = encode(d.out, f.output, answer)
	} else {
		d.printAnswer(answer)
	}
	if err == nil && !answer.Allowed {
		return gaps()
	}
	return err
}

// thatCluster reaches the remote cluster as a person, and holds it against the RemoteCluster of that name.
func (d *deps) thatCluster(ctx context.Context, name string, f remoteFlags) (*cluster, error) {
	here, err := d.local()
	if err != nil {
		return nil, err
	}
	rc, err := getCluster(ctx, here.Client, name)
	if err != nil {
		return nil, err
	}
	return d.remoteOf(ctx, f, rc)
}

func (d *deps) printAnswer(a rights.Answer) {
	word, t := "no", bad
	switch {
	case a.Allowed:
		word, t = "yes", good
	case a.Depends:
		word, t = "it depends on the claims of the token", warn
	}
	fmt.Fprintln(d.out, d.paint(t, word))
	if len(a.Ways) == 0 {
		fmt.Fprintf(d.err, "no AccessGrant lets %s in\n", a.Subject)
	}
	for _, w := range a.Ways {
		who := w.How
		if w.User != "" && !strings.Contains(who, w.User) {
			who += ", as " + w.User
		}
		switch {
		case w.Barred != "" && w.Permitted:
			fmt.Fprintf(d.out, "  %s: the role would allow it, but %s\n", shown(who), shown(w.Barred))
		case w.Barred != "":
			fmt.Fprintf(d.out, "  %s: no, and %s\n", shown(who), shown(w.Barred))
		case w.Permitted:
			fmt.Fprintf(d.out, "  %s: yes: %s\n", shown(who), shown(w.Reason))
		case w.Reason != "":
			fmt.Fprintf(d.out, "  %s: no: %s\n", shown(who), shown(w.Reason))
		default:
			fmt.Fprintf(d.out, "  %s: no\n", shown(who))
		}
		if w.Permitted && w.Barred == "" {
			for _, rule := range w.Rules {
				fmt.Fprintf(d.out, "    only if the token's claims fulfil: %s\n", shown(rule))
			}
		}
	}
}
