package eks

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/aws/access"
	"github.com/hawser-io/hawser/internal/advice"
	"github.com/hawser-io/hawser/internal/cli/doctor"
)

// settling is how long EKS may take until all of it knows an access entry.
const settling = time.Minute

// judgeCluster compares the spec with what the EKS API says.
func (v *verdict) judgeCluster() {
	d, c := v.cluster, v.cluster.cluster
	named := fmt.Sprintf("EKS cluster %q in %s", v.Cluster.Spec.Auth.EKSClusterName(v.name()), v.eks().Region)
	if d.denied != nil {
		repair, why := explain(d.denied)
		v.add("cluster", doctor.Error, repair, "%s (asked as auth.eks.apiIdentityRef)", why)
	}
	switch {
	case d.by == "":
		v.add("cluster", doctor.Skipped, "", "nobody here can ask the EKS API about %s%s: name an identity in auth.eks.apiIdentityRef, or have AWS credentials of that account", named, v.account())
		return
	case reasonOf(d.err) == v1alpha1.ReasonEKSDenied:
		if d.denied == nil {
			v.add("cluster", doctor.Skipped, "", "%s may not describe %s", d.by, named)
		}
		return
	case d.err != nil:
		repair, why := explain(d.err)
		v.add("cluster", doctor.Error, repair, "%s (asked as %s)", why, d.by)
		return
	case !c.Active():
		v.add("cluster", doctor.Error, fmt.Sprintf("aws eks wait cluster-active --region %s --name %s", c.Region, c.Name), "%s is %s", named, c.Status)
	default:
		v.ok("cluster", "%s is %s, Kubernetes %s, authentication mode %s (asked as %s)", named, c.Status, c.Version, c.AuthenticationMode, d.by)
	}
	switch want := v.eks().AccountID; {
	case want == "":
		v.add("account", doctor.Warning, v.patchEKS("accountID", c.AccountID), "it is in account %s, and the spec does not say which it has to be in: a cluster of the same name in another would do", c.AccountID)
	case want != c.AccountID:
		v.add("account", doctor.Error, v.patchEKS("accountID", c.AccountID), "it is in account %s, and the spec says %s", c.AccountID, want)
	default:
		v.ok("account", "%s, as in the spec", c.AccountID)
	}
	v.judgeEndpoint(c)
}

func (v *verdict) account() string {
	if v.eks().AccountID == "" {
		return ""
	}
	return " of account " + v.eks().AccountID
}

func (v *verdict) judgeEndpoint(c aws.Cluster) {
	spec := v.Cluster.Spec
	ca, _ := base64.StdEncoding.DecodeString(spec.CAData)
	switch {
	case c.Server == "":
		v.add("endpoint", doctor.Skipped, "", "it has none yet")
	case !bytes.Equal(bytes.TrimSpace(ca), bytes.TrimSpace(c.CAData)):
		v.add("endpoint", doctor.Error, v.rejoinAnew(), "caData is not the CA of the cluster: was it deleted, and made again under the same name?")
	case !sameServer(c.Server, spec.Server) && spec.ProxyURL == "" && spec.TLSServerName == "":
		v.add("endpoint", doctor.Warning, v.rejoin(), "the API server is at %s, and the spec says %s, which is right only if that leads there", c.Server, spec.Server)
	default:
		v.ok("endpoint", "%s, with its CA, as in the spec", spec.Server)
	}
	if c.Server != "" && !c.PublicAccess {
		v.add("endpoint", doctor.Warning, "let the manager run where it reaches the VPC, or set spec.proxyURL", "the API server can be reached only from within its VPC and what is tied to that")
	}
}

// rejoin is the command that takes the address and CA over from EKS.
func (v *verdict) rejoin() string {
	if mend := advice.Of(v.Cluster, ""); mend.Release != nil {
		return mend.Move()
	}
	return "hawser join " + v.name() + " --from-eks"
}

// rejoinAnew is how the tokens get to a cluster that was made again. They are bound to the CA that they were
// proved under; to another one they go only where EKS vouches for it, or where nothing remembers the old one.
func (v *verdict) rejoinAnew() string {
	if mend := advice.Of(v.Cluster, ""); mend.Release != nil {
		return mend.Trust()
	}
	replace := v.rejoin() + " --replace"
	switch {
	case v.Cluster.Status.Endpoint == nil: // they were never proved anywhere
		return replace
	case v.eks().APIIdentityRef == nil:
		return "hawser leave " + v.name() + ", then " + v.joinAgain() + "; or " + replace + " --api-identity NAME, with an AWSIdentity that may describe the cluster"
	case v.cluster.denied != nil:
		return "allow the identity in auth.eks.apiIdentityRef to describe the cluster, then " + replace
	}
	return replace
}

// joinAgain is the command by which the cluster was joined, as far as its spec tells.
func (v *verdict) joinAgain() string {
	command := v.rejoin() + " --auth eks --region " + v.eks().Region
	for _, f := range []struct{ flag, value string }{{"eks-cluster", v.eks().ClusterName}, {"account", v.eks().AccountID}} {
		if f.value != "" {
			command += " --" + f.flag + " " + f.value
		}
	}
	if ref := v.eks().IdentityRef; ref != nil {
		command += " --identity " + ref.Name
	}
	return command
}

func sameServer(a, b string) bool {
	normal := func(s string) string {
		return strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(s), "/"), ":443")
	}
	return normal(a) == normal(b)
}

// patchEKS is the command that changes one field of auth.eks.
func (v *verdict) patchEKS(field, value string) string {
	return fmt.Sprintf(`kubectl patch remotecluster %s --type merge -p '{"spec":{"auth":{"eks":{"%s":"%s"}}}}'`, v.name(), field, value)
}

// letIn reports whether the cluster took the token for a member.
func (v *verdict) letIn() bool { return slices.Contains(v.shown.groups, v1alpha1.MembersGroup) }

// judgeEntry says what the access entry lacks, or has too much.
func (v *verdict) judgeEntry() {
	e := v.entry
	switch {
	case e.target.Principal.ARN == "" && v.broken != "":
		v.skip("entry")
		return
	case e.target.Principal.ARN == "":
		v.add("entry", doctor.Error, "name an AWSIdentity of a role in auth.eks.identityRef", "there is none for %s, and can be none: it is no role and no user", v.token.last().arn)
		return
	case e.by == "" || reasonOf(e.err) == v1alpha1.ReasonEKSDenied:
		v.add("entry", doctor.Skipped, "", "nobody here may look at the access entry of %s (eks:DescribeAccessEntry)", e.target.Principal.ARN)
		return
	case e.err != nil && reasonOf(e.err) == reasonOf(v.cluster.err):
		v.add("entry", doctor.Skipped, "", "not tried: the EKS API does not answer about the cluster")
		return
	case e.err != nil:
		repair, why := explain(e.err)
		v.add("entry", doctor.Error, repair, "%s", why)
		return
	}
	v.judgePlan(access.Decide(e.target, e.found, access.Options{}))
	if found := e.found.Entry; found != nil && len(found.Policies) > 0 {
		v.add("entry", doctor.Warning, "aws eks disassociate-access-policy --region "+e.target.Region+" --cluster-name "+e.target.Cluster+
			" --principal-arn "+e.target.Principal.ARN+" --policy-arn "+found.Policies[0],
			"it has access policies, which give more than the roles that Hawser installed: %s", strings.Join(found.Policies, ", "))
	}
}

// judgePlan says what a grant would have to do, which is what is wrong.
func (v *verdict) judgePlan(p access.Plan) {
	switch {
	case p.Action == access.Keep, p.Action == access.Leave:
		v.ok("entry", "that of %s: %s", v.entry.target.Principal.ARN, p.Why)
	case v.letIn() && (p.Action == access.Create || p.Reason == v1alpha1.ReasonAuthModeConfigMap):
		v.add("entry", doctor.Warning, cmp.Or(p.Repair, v.grant()),
			"%s, and the cluster takes %s for a member all the same: by the ConfigMap aws-auth, which hawser aws revoke cannot take back", p.Why, v.entry.target.Principal.ARN)
	case p.Action == access.Change && v.letIn() && slices.Contains(v.entry.found.Entry.Groups, v1alpha1.MembersGroup):
		v.add("entry", doctor.Warning, v.grant(), "%s", p.Why)
	case p.Action == access.Refuse:
		v.add("entry", doctor.Error, p.Repair, "%s", p.Why)
	case p.Action == access.Create:
		v.add("entry", doctor.Error, v.grant(), "there is none for %s", v.entry.target.Principal.ARN)
	default:
		v.add("entry", doctor.Error, v.grant(), "%s", p.Why)
	}
}

// judgeToken says what the cluster made of the token.
func (v *verdict) judgeToken() {
	s := v.shown
	switch {
	case !v.token.arrived():
		v.skip("token")
	case s.madeErr != nil:
		repair, why := explain(s.madeErr)
		v.add("token", doctor.Error, repair, "%s", why)
	case s.unreachable != "":
		v.add("token", doctor.Error, "hawser check "+v.name(), "it could not be shown to the cluster: %s", s.unreachable)
	case s.refused:
		v.judgeRefusal()
	case !v.letIn():
		v.add("token", doctor.Error, v.grant(), "the cluster takes it for %s, who is in the groups [%s], without %s", s.user, strings.Join(s.groups, ", "), v1alpha1.MembersGroup)
	default:
		v.ok("token", "the cluster takes it for %s, in the group %s", s.user, v1alpha1.MembersGroup)
	}
}

// judgeRefusal finds the reason for a 401.
func (v *verdict) judgeRefusal() {
	found := v.entry.found.Entry
	switch {
	case v.entryIsWrong():
		v.add("token", doctor.Skipped, "", "the cluster refuses it (401), as is to be expected with what is wrong with the access entry")
	case found == nil:
		v.add("token", doctor.Error, v.grant(), "the cluster refuses it (401): it has no access entry for %s, or one for an earlier role of that name", v.entry.target.Principal.ARN)
	case v.Clock.Since(found.CreatedAt) < settling:
		v.add("token", doctor.Warning, "hawser aws check "+v.name(), "the cluster refuses it (401), and the access entry is %s old: EKS needs some seconds", v.Clock.Since(found.CreatedAt).Round(time.Second))
	default:
		v.add("token", doctor.Error, v.grant()+" --repair", "the cluster refuses it (401), though the access entry is as it should be: most likely the role was deleted and made again since %s, and the entry is for the old one (%s)",
			found.CreatedAt.UTC().Format(time.RFC3339), v1alpha1.ReasonPrincipalRecreated)
	}
}

// entryIsWrong reports whether an error was found about the entry.
func (v *verdict) entryIsWrong() bool {
	return slices.ContainsFunc(v.findings, func(f doctor.Finding) bool { return f.Check == "entry" && f.Severity == doctor.Error })
}
