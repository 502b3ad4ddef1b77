package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/query"
)

func newPolicy(d *deps) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "policy",
		GroupID: groupLook,
		Short:   "Find out what a FederatedNetworkPolicy comes to",
		Args:    cobra.NoArgs,
	}
	cmd.AddCommand(newPolicyExplain(d))
	return cmd
}

func newPolicyExplain(d *deps) *cobra.Command {
	var f askFlags
	var namespace string
	cmd := &cobra.Command{
		Use:   "explain [NAMESPACE/]NAME",
		Short: "Print which pods a policy is for, and which endpoints its rules match",
		Long: `Print which pods of the local cluster a FederatedNetworkPolicy is for, and which endpoints of all
clusters its rules match, selector by selector: an endpoint that both the selector and the notSelector of
a rule match is taken away ("!source match"). -o wide also prints addresses, and the labels that each
selector looks at. A rule that cannot be read is told on stderr, and allows nothing; one that the target of
the policy cannot express is marked as refused, too. Rules are counted from 1, and fields from 0: inbound
rule 1 is spec.ingress[0]. What matches nothing is a warning. What the manager says in the policy's status
that it could not make, as a rule that allows no local pod, is told on stderr, too.

-n is the namespace of the policy here; that of Hawser is --hawser-namespace.

` + aboutAsking + `

-o json prints {from, clusters, gaps, policy: {namespace, name, selector, types, appliesTo: [endpoint and
because], matches: [endpoint and rules: [{policy, direction, rule, side, not, selector, nets, notNets,
refused, because}]], anyAddress: [{…}], refused: [{direction, rule, field, reason, message}]}, warnings}.
Fields are only ever added.`,
		Example: `  hawser policy explain web -n shop
  hawser policy explain shop/web -o wide
  hawser policy explain shop/web --cluster alpha -o json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: d.completePolicies,
		RunE: func(cmd *cobra.Command, args []string) error {
			name := args[0]
			if before, after, ok := strings.Cut(name, "/"); ok {
				if cmd.Flags().Changed("namespace") && namespace != before {
					return usageError("%q is in another namespace than -n %s", name, namespace)
				}
				namespace, name = before, after
			}
			if namespace == "" || name == "" || strings.Contains(name, "/") {
				return usageError("%q is no policy: write NAME, or NAMESPACE/NAME", args[0])
			}
			ctx, cancel := within(cmd, f.timeout)
			defer cancel()
			return d.explainPolicy(ctx, namespace, name, f)
		},
	}
	f.add(d, cmd)
	cmd.Flags().StringVarP(&namespace, "namespace", "n", "default", "namespace of the policy")
	cmd.Flags().StringVar(&d.namespace, "hawser-namespace", v1alpha1.Namespace, "namespace of the local cluster that Hawser runs in")
	_ = cmd.RegisterFlagCompletionFunc("namespace", cobra.NoFileCompletions)
	_ = cmd.RegisterFlagCompletionFunc("hawser-namespace", cobra.NoFileCompletions)
	return cmd
}

// PolicyExplained is the answer of hawser policy explain -o json.
type PolicyExplained struct {
	Answered
	Policy query.PolicyExplanation `json:"policy"`
	// Warnings name fields that can be read, and are hardly meant so.
	Warnings []string `json:"warnings"`
}

func (d *deps) explainPolicy(ctx context.Context, namespace, name string, f askFlags) error {
	here, err := d.local()
	if err != nil {
		return err
	}
	var p v1alpha1.FederatedNetworkPolicy
	err = here.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &p)
	switch {
	case apierrors.IsNotFound(err) && !isMissingKind(err):
		return fmt.Errorf("there is no FederatedNetworkPolicy %q in namespace %q: kubectl get federatednetworkpolicies -A lists them", name, namespace)
	case err != nil:
		return d.unanswered(remoteFlags{}, here, fmt.Errorf("reading FederatedNetworkPolicy %q: %w", namespace+"/"+name, err))
	}
	fleet, err := d.readContributors(ctx, here)
	if err != nil {
		return d.unanswered(remoteFlags{}, here, err)
	}
	read, wrong := readPolicy(&p, fleet.local)
	if read.Plan == nil {
		return d.tellGaps(wrong)
	}
	scope := p.Spec.Clusters
	scope.Local = true // where the pods are that it is for
	from, a, err := d.askEndpoints(ctx, here, fleet, f, query.Question{Selectors: query.Selectors(read.Plan), Cluster: f.cluster}, &scope)
	if err != nil {
		return d.unanswered(remoteFlags{}, here, err)
	}
	a.AddGaps(slices.Concat(wrong, read.Withheld)...)
	if f.cluster == "" {
		a.AddGaps(slices.DeleteFunc(fleet.absent(policyTitle(&p), p.Spec.Clusters), func(g query.Gap) bool { return g.Object == localCluster })...)
	}
	if fleet.local.Name == "" { // whether peers are looked for there, or not
		a.AddGaps(query.Gap{Object: localCluster, Reason: endpoint.ReasonNotConnected,
			Message: "it is not in the fleet, and so has no endpoints: which pods the policy is for cannot be told"})
	}
	x := query.ExplainPolicy(read, a)
	warnings := policyWarnings(read, a)
	switch f.output {
	case formatJSON, formatYAML:
		err = encode(d.out, f.output, PolicyExplained{answered(from, a), x, warnings})
	default:
		d.printPolicy(x, f.output == formatWide)
	}
	if err != nil {
		return err
	}
	if f.cluster != "" && fleet.local.Name != "" && f.cluster != fleet.local.Name {
		fmt.Fprintf(d.err, "Note: the pods that the policy is for are in the local cluster, which --cluster %s leaves out\n", f.cluster)
	}
	d.warn(warnings)
	return d.tellGaps(a.Gaps, append(slices.Clone(scope.Names), f.cluster)...)
}

// policyWarnings are of what can be read, and is hardly meant so: by itself, or by what there is.
func policyWarnings(p query.Policy, a query.Answer) []string {
	warnings := []string{}
	for _, w := range p.Warnings {
		warnings = append(warnings, numbered(w.Field)+": "+oneLine(w.Cause.Error()))
	}
	for _, u := range a.Unmatched(p.Clusters, p.Sought) {
		warnings = append(warnings, numbered(u.Field)+": "+u.Missing(u.Selector.String(), u.Where))
	}
	return warnings
}

// printPolicy prints what calicoq policy does.
func (d *deps) printPolicy(x query.PolicyExplanation, wide bool) {
	name := x.Namespace + "/" + x.Name
	fmt.Fprintf(d.out, "Policy %q applies to these endpoints:\n", name)
	for _, to := range x.AppliesTo {
		fmt.Fprintf(d.out, "  %s; selector %s%s\n", to.Title(brief(to.ID)), quoted(x.Selector), since(to.Because, wide))
	}
	fmt.Fprintf(d.out, "\nEndpoints matching Policy %q rules:\n", name)
	for _, e := range x.Matches {
		line := "  " + e.Title(brief(e.ID))
		if wide {
			line += " (" + someAddresses(e.Endpoint, ", ") + "; " + d.howOld(e.Endpoint) + ")"
		}
		fmt.Fprintln(d.out, line)
		for _, m := range e.Rules {
			fmt.Fprintln(d.out, "    "+ruleMatch(m, wide))
		}
	}
	if len(x.AnyAddress) > 0 {
		fmt.Fprintln(d.out, "  Any address")
		for _, m := range x.AnyAddress {
			fmt.Fprintln(d.out, "    "+ruleMatch(m, wide))
		}
	}
}
