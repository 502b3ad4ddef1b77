package eks

import (
	"context"
	"errors"
	"slices"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/aws/access"
)

// facts are what was found out, before anybody judges it.
type facts struct {
	token walk
	// api is nil where no identity is named for the EKS API.
	api      *walk
	policies policies
	cluster  described
	entry    entry
	shown    shown
}

// walk is one chain, taken hop by hop.
type walk struct {
	chain aws.Chain
	err   error // of the chain as it is written; nothing was asked of AWS then
	hops  []hop // the ground first; ends with the first that failed
}

// hop is who STS says that we are after it.
type hop struct {
	arn, account string
	err          error
}

// arrived reports whether the chain led to its end.
func (w walk) arrived() bool {
	return w.err == nil && len(w.hops) == len(w.chain.Roles)+1 && w.last().err == nil
}

func (w walk) last() hop { return w.hops[len(w.hops)-1] }

// policies are those of the token role.
type policies struct {
	known bool
	names []string
	// arns of those that are attached; the others are inline.
	arns []string
}

// described is what the EKS API says about the cluster.
type described struct {
	by      string // who asked; empty where nobody could
	cluster aws.Cluster
	err     error
	// denied says that the identity that is named for the EKS API may not ask.
	denied error
}

// entry is the access entry of whoever the token proves.
type entry struct {
	by     string // who asked; empty where nobody could
	target access.Target
	found  access.Observed
	err    error
}

// asker is somebody who may ask the EKS API.
type asker struct {
	arn, account string
	creds        awssdk.CredentialsProvider
	named        bool // for the EKS API, in the spec
}

// examination is one cluster being examined.
type examination struct {
	Patient
	Surroundings
}

func (e *examination) auth() *v1alpha1.EKSAuth { return e.Cluster.Spec.Auth.EKS }

// observe asks everybody, one after the other, as far as the answers lead.
func (e *examination) observe(ctx context.Context) facts {
	auth := e.auth()
	f := facts{token: e.walk(ctx, aws.RefOf(auth.IdentityRef))}
	if auth.APIIdentityRef != nil {
		api := e.walk(ctx, aws.RefOf(auth.APIIdentityRef))
		f.api = &api
	}
	askers := e.askers(ctx, f)
	if f.token.arrived() {
		f.policies = e.lookAtPolicies(ctx, f.token, askers)
	}
	f.cluster = e.describe(ctx, askers)
	if principal, known := f.principal(); known {
		f.entry = e.lookAtEntry(ctx, askers, principal)
	}
	if f.token.arrived() {
		f.shown = e.show(ctx, f.token.chain, f.cluster)
	}
	return f
}

// walk takes a chain hop by hop.
func (e *examination) walk(ctx context.Context, ref aws.Ref) walk {
	var w walk
	if w.chain, w.err = aws.Resolve(ctx, e.Identities, ref, e.OnBehalfOf); w.err != nil {
		return w
	}
	for i := 0; i <= len(w.chain.Roles); i++ {
		var h hop
		h.arn, h.account, h.err = e.whoAmI(ctx, w.chain, i)
		w.hops = append(w.hops, h)
		if h.err != nil {
			break
		}
	}
	return w
}

func (e *examination) whoAmI(ctx context.Context, chain aws.Chain, hop int) (arn, account string, err error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	return e.Sessions.CallerIdentity(ctx, chain, hop)
}

// askers are those who may be able to ask the EKS API, the best first: the identity that is named for
// that, and whoever the person at the keyboard is. Those of another account than the cluster's would
// hear of another cluster, or of none.
func (e *examination) askers(ctx context.Context, f facts) []asker {
	var list []asker
	add := func(chain aws.Chain, h hop, named bool) {
		foreign := e.auth().AccountID != "" && h.account != e.auth().AccountID
		if h.err == nil && !foreign && !slices.ContainsFunc(list, func(a asker) bool { return a.arn == h.arn }) {
			list = append(list, asker{h.arn, h.account, e.Sessions.Provider(chain), named})
		}
	}
	if f.api != nil && f.api.arrived() {
		add(f.api.chain, f.api.last(), true)
	}
	own := aws.Chain{Ground: aws.Identity{Type: v1alpha1.AWSControllerIdentity}}
	if w := f.token; len(w.hops) > 0 && w.chain.Ground.Type == v1alpha1.AWSControllerIdentity {
		add(own, w.hops[0], false)
		return list
	}
	var h hop
	h.arn, h.account, h.err = e.whoAmI(ctx, own, 0)
	add(own, h, false)
	return list
}

// principal is the role or user that the token proves, by the chain or by what STS says.
func (f facts) principal() (access.Principal, bool) {
	arn := f.token.chain.ARN()
	if arn == "" && f.token.arrived() {
		arn = f.token.last().arn
	}
	p, err := access.ParsePrincipal(arn)
	return p, err == nil
}

func (e *examination) describe(ctx context.Context, askers []asker) described {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	var d described
	for _, a := range askers {
		d = described{by: a.arn, denied: d.denied}
		d.cluster, d.err = e.Entries.Clusters.Describe(ctx, a.creds, e.auth().Region, e.Cluster.Spec.Auth.EKSClusterName(e.Cluster.Name))
		if reasonOf(d.err) != v1alpha1.ReasonEKSDenied {
			return d
		}
		if a.named {
			d.denied = d.err
		}
	}
	return d
}

func (e *examination) lookAtEntry(ctx context.Context, askers []asker, principal access.Principal) entry {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	found := entry{target: access.Target{
		Region: e.auth().Region, Cluster: e.Cluster.Spec.Auth.EKSClusterName(e.Cluster.Name), AccountID: e.auth().AccountID,
		Principal: principal, Local: e.Local,
	}}
	for _, a := range askers {
		found.by = a.arn
		found.found, found.target, found.err = e.Entries.Look(ctx, a.creds, found.target)
		if reasonOf(found.err) != v1alpha1.ReasonEKSDenied {
			break
		}
	}
	return found
}

// lookAtPolicies asks IAM, which knows only roles of the account of whoever asks.
func (e *examination) lookAtPolicies(ctx context.Context, w walk, askers []asker) policies {
	role, err := access.ParsePrincipal(w.chain.ARN())
	if err != nil || e.Policies == nil {
		return policies{}
	}
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	for _, a := range append(askers, asker{arn: w.last().arn, account: w.last().account, creds: e.Sessions.Provider(w.chain)}) {
		if a.account != role.AccountID {
			continue
		}
		api := e.Policies(e.auth().Region, a.creds)
		attached, err := api.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: &role.Name})
		if err != nil {
			continue
		}
		inline, err := api.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: &role.Name})
		if err != nil {
			continue
		}
		p := policies{known: true, names: inline.PolicyNames}
		for _, policy := range attached.AttachedPolicies {
			p.arns = append(p.arns, awssdk.ToString(policy.PolicyArn))
		}
		return p
	}
	return policies{}
}

func reasonOf(err error) string {
	if known := new(aws.Error); errors.As(err, &known) {
		return known.Reason
	}
	return ""
}
