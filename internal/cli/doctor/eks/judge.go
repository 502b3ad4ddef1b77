package eks

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/aws/access"
	"github.com/hawser-io/hawser/internal/cli/doctor"
)

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
