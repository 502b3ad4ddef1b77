package eks

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/aws/access"
	"github.com/hawser-io/hawser/internal/cli/doctor"
)

// settling is how long EKS may take until all of it knows an access entry.
const settling = time.Minute

// verdict is the judgement on one cluster's facts.
type verdict struct {
	Patient
	Surroundings
	facts
	findings []doctor.Finding
	broken   string // the first link that is, in words; what comes after it was not tried
}

// judge says what the facts mean. It asks nobody.
func judge(p Patient, s Surroundings, f facts) []doctor.Finding {
	v := &verdict{Patient: p, Surroundings: s, facts: f}
	v.judgeGround()
	v.judgeWalk("hop", f.token)
	v.judgePolicies()
	if f.api != nil {
		before := v.broken // another chain: what breaks it breaks nothing of the first
		v.broken = ""
		v.judgeWalk("api hop", *f.api)
		v.broken = before
	}
	v.judgeCluster()
	v.judgeEntry()
	v.judgeToken()
	v.judgeSameName()
	v.judgeManager()
	return v.findings
}

func (v *verdict) add(check string, severity doctor.Severity, repair, format string, args ...any) {
	v.findings = append(v.findings, doctor.Finding{Check: check, Severity: severity, Message: fmt.Sprintf(format, args...), Repair: repair})
}

func (v *verdict) ok(check, format string, args ...any) { v.add(check, doctor.OK, "", format, args...) }

// skip says that something was not tried because of what is broken before it.
func (v *verdict) skip(check string) { v.add(check, doctor.Skipped, "", "not tried: %s", v.broken) }

func (v *verdict) name() string { return v.Cluster.Name }

func (v *verdict) eks() *v1alpha1.EKSAuth { return v.Cluster.Spec.Auth.EKS }

func (v *verdict) grant() string { return "hawser aws grant " + v.name() }

// managerPasses reports whether the manager, as itself, gets through with the spec as it is now.
func (v *verdict) managerPasses() bool {
	return v.Cluster.Status.ObservedGeneration >= v.Cluster.Generation && meta.IsStatusConditionTrue(v.Cluster.Status.Conditions, v1alpha1.Authenticated)
}

// judgeGround says plainly that chains do not start here where they start with the manager.
func (v *verdict) judgeGround() {
	w := v.token
	if w.err != nil || w.chain.Ground.Type != v1alpha1.AWSControllerIdentity || v.AsManager {
		return
	}
	who := "there are no AWS credentials here"
	if len(w.hops) > 0 && w.hops[0].err == nil {
		who = "here it starts with yours, " + w.hops[0].arn
	}
	v.add("ground", doctor.Skipped, fmt.Sprintf("kubectl -n %s exec deploy/hawser -- hawser aws check %s", v.Namespace, v.name()),
		"the chain starts with the manager's own identity, which only the manager has; %s. What follows is true of you, and of the manager only from the first role on", who)
}

// judgeWalk goes along a chain.
func (v *verdict) judgeWalk(check string, w walk) {
	if w.err != nil {
		repair, why := explain(w.err)
		v.broken = "the chain of identities is not right"
		v.add(strings.TrimSuffix(check, "hop")+"chain", doctor.Error, repair, "%s", why)
		return
	}
	for i := 0; i <= len(w.chain.Roles); i++ {
		at := fmt.Sprintf("%s %d", check, i)
		switch {
		case v.broken != "" || i >= len(w.hops):
			v.skip(at)
		case w.hops[i].err != nil:
			v.judgeHop(at, w, i)
		case i == 0:
			v.ok(at, "%s is %s", v.refName(w, 0), w.hops[0].arn)
		default:
			v.ok(at, "%s assumes %s, as %s", v.refName(w, i-1), v.refName(w, i), w.hops[i].arn)
		}
	}
}

// judgeHop says why one hop failed, and whether it fails for the manager, too.
func (v *verdict) judgeHop(check string, w walk, hop int) {
	repair, why := explain(w.hops[hop].err)
	if hop == 0 && w.chain.Ground.Type == v1alpha1.AWSControllerIdentity && !v.AsManager {
		why = "your own AWS credentials: " + cause(w.hops[hop].err)
		repair = "log in to AWS, or choose other credentials with --profile"
	}
	severity := doctor.Error
	if v.managerPasses() && w.chain.Ground.Type == v1alpha1.AWSControllerIdentity && !v.AsManager {
		severity = doctor.Warning
		why += "; the manager, as itself, gets through, so that this is about you alone"
	}
	v.broken = fmt.Sprintf("%s failed", check)
	v.add(check, severity, repair, "%s", why)
}

func (v *verdict) refName(w walk, hop int) string {
	switch {
	case hop > 0:
		return w.chain.Roles[hop-1].Ref.String()
	case w.chain.Ground.Type != v1alpha1.AWSControllerIdentity:
		return w.chain.Ground.Ref.String()
	case v.AsManager:
		return "the manager's own identity"
	}
	return "your own identity"
}

// judgePolicies warns of permissions: a token proves an identity, and needs none.
func (v *verdict) judgePolicies() {
	const check = "policies"
	shared := v.eks().APIIdentityRef != nil && aws.RefOf(v.eks().APIIdentityRef) == aws.RefOf(v.eks().IdentityRef)
	all := slices.Concat(v.policies.arns, v.policies.names)
	switch {
	case !v.token.arrived():
		v.skip(check)
	case v.token.chain.ARN() == "":
		v.add(check, doctor.Skipped, "", "the token proves no role, but what chains start from")
	case !v.policies.known:
		v.add(check, doctor.Skipped, "", "nobody here may ask IAM about the token role (iam:ListAttachedRolePolicies, iam:ListRolePolicies); it needs no permission")
	case len(all) == 0:
		v.ok(check, "the token role has no permission in AWS, and needs none")
	case shared:
		v.add(check, doctor.Warning, "make another AWSIdentity for auth.eks.apiIdentityRef, without an access entry",
			"the token role is also the one that asks the EKS API, and so has policies (%s): whoever gets into the cluster as it has them, too", strings.Join(all, ", "))
	default:
		v.add(check, doctor.Warning, v.detach(), "the token role has policies (%s), and needs none: a token only proves who it is", strings.Join(all, ", "))
	}
}

func (v *verdict) detach() string {
	role, _ := access.ParsePrincipal(v.token.chain.ARN())
	var commands []string
	for _, arn := range v.policies.arns {
		commands = append(commands, "aws iam detach-role-policy --role-name "+role.Name+" --policy-arn "+arn)
	}
	for _, name := range v.policies.names {
		commands = append(commands, "aws iam delete-role-policy --role-name "+role.Name+" --policy-name '"+name+"'")
	}
	return strings.Join(commands, "; ")
}

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
	rejoin := "hawser join " + v.name() + " --from-eks"
	switch {
	case c.Server == "":
		v.add("endpoint", doctor.Skipped, "", "it has none yet")
	case !sameServer(c.Server, spec.Server) && spec.ProxyURL == "" && spec.TLSServerName == "":
		v.add("endpoint", doctor.Warning, rejoin, "the API server is at %s, and the spec says %s, which is right only if that leads there", c.Server, spec.Server)
	case !bytes.Equal(bytes.TrimSpace(ca), bytes.TrimSpace(c.CAData)):
		v.add("endpoint", doctor.Error, rejoin, "caData is not the CA of the cluster: was it deleted, and made again under the same name?")
	default:
		v.ok("endpoint", "%s, with its CA, as in the spec", spec.Server)
	}
	if c.Server != "" && !c.PublicAccess {
		v.add("endpoint", doctor.Warning, "let the manager run where it reaches the VPC, or set spec.proxyURL", "the API server can be reached only from within its VPC and what is tied to that")
	}
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
		v.add("entry", doctor.Warning, first(p.Repair, v.grant()),
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

func first(words ...string) string {
	for _, word := range words {
		if word != "" {
			return word
		}
	}
	return ""
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

// judgeSameName warns of clusters that take each other's tokens.
func (v *verdict) judgeSameName() {
	if len(v.SameName) > 0 {
		v.add("audience", doctor.Warning, "give each of them an AWSIdentity of its own, or rename one of the EKS clusters",
			"tokens for it are signed for a cluster name, %q, that others have, too, in another account or region: %s. Whoever reads such a token at one of them can use it at the others that let the same identity in",
			v.Cluster.Spec.Auth.EKSClusterName(v.name()), strings.Join(v.SameName, ", "))
	}
}

// judgeManager compares with what the manager reports, which is the only one to be itself.
func (v *verdict) judgeManager() {
	c := meta.FindStatusCondition(v.Cluster.Status.Conditions, v1alpha1.Authenticated)
	switch {
	case c == nil:
		v.add("manager", doctor.Error, "kubectl -n "+v.Namespace+" get pods", "no manager has reported on this cluster")
	case v.Cluster.Status.ObservedGeneration < v.Cluster.Generation:
		v.add("manager", doctor.Warning, "kubectl -n "+v.Namespace+" get pods", "the manager has not seen the latest change of the spec")
	case c.Status == metav1.ConditionTrue && v.shown.refused:
		v.add("manager", doctor.Warning, "", "it still reports that the cluster accepts it, %s: by a token that it made before, or as somebody else", c.Message)
	case c.Status == metav1.ConditionTrue:
		v.ok("manager", "it reports that the cluster accepts it, %s", c.Message)
	default:
		severity := doctor.Warning // it is not settled yet
		if c.Status == metav1.ConditionFalse {
			severity = doctor.Error
		}
		v.add("manager", severity, "kubectl describe remotecluster "+v.name(), "it reports Authenticated as %s (%s): %s", c.Status, c.Reason, c.Message)
	}
}

// explain takes an error of package aws apart.
func explain(err error) (repair, why string) {
	if known := new(aws.Error); errors.As(err, &known) {
		repair = known.Repair
	}
	return repair, err.Error()
}

// cause is the fault without the identity that it is about.
func cause(err error) string {
	if known := new(aws.Error); errors.As(err, &known) {
		return known.Err.Error()
	}
	return err.Error()
}
