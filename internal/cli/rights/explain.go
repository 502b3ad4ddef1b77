package rights

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/grant"
	"github.com/hawser-io/hawser/trust"
)

// Explanation is what a grant comes to: who comes in and how, what they may do, where and until when, and what is
// missing.
type Explanation struct {
	Grant       string      `json:"grant"`
	Ready       string      `json:"ready"`
	Reason      string      `json:"reason,omitempty"`
	Message     string      `json:"message,omitempty"`
	MaxLifetime string      `json:"maxLifetime"`
	EndsAt      *time.Time  `json:"endsAt,omitempty"`
	Ended       bool        `json:"ended"`
	Subjects    []Explained `json:"subjects"`
	Roles       []Role      `json:"roles"`
	// Rules are all that the roles allow, taken together, in words.
	Rules        []string `json:"rules"`
	WholeCluster bool     `json:"wholeCluster"`
	Namespaces   []string `json:"namespaces,omitempty"`
	// Findings are what is missing, each with what repairs it.
	Findings []Finding `json:"findings"`
	// Unknown is what the person may not read.
	Unknown []string `json:"unknown,omitempty"`
}

// Explained is a subject of a grant.
type Explained struct {
	Subject string `json:"subject"`
	// Account that stands for it, as namespace/name. Empty for users and groups.
	Account string `json:"account,omitempty"`
	// How it comes in.
	How string `json:"how"`
}

// Role is a cluster role of a grant.
type Role struct {
	Name    string   `json:"name"`
	Missing bool     `json:"missing"`
	Rules   []string `json:"rules,omitempty"`
}

// Finding is something that is missing.
type Finding struct {
	What   string `json:"what"`
	Repair string `json:"repair"`
}

// Explain explains one grant.
func (c Cluster) Explain(ctx context.Context, name string, now time.Time) (Explanation, error) {
	e := &explainer{Cluster: c, now: now, issuers: map[string]*v1alpha1.TrustedIssuer{}}
	err := c.Client.Get(ctx, client.ObjectKey{Name: name}, &e.grant)
	if apierrors.IsNotFound(err) {
		return Explanation{}, noGrantError(name)
	}
	if err != nil {
		return Explanation{}, explain(fmt.Sprintf("reading AccessGrant %q", name), err)
	}
	for _, step := range []func(context.Context) error{e.world, e.state, e.subjects, e.roles, e.places, e.objects, e.rest} {
		if err := step(ctx); err != nil {
			return Explanation{}, err
		}
	}
	return e.out, nil
}

// noGrantError says that there is no grant of a name.
type noGrantError string

func (name noGrantError) Error() string {
	return fmt.Sprintf("there is no AccessGrant %q in that cluster: kubectl get accessgrants lists them", string(name))
}

// IsNoGrant reports whether an error of Explain says that there is no such grant, or no such kind.
func IsNoGrant(err error) bool {
	var none noGrantError
	return errors.As(err, &none) || errors.Is(err, errNoKind)
}

// explainer gathers an Explanation. Of connections it needs to know nothing: it looks for what was made, not at what for.
type explainer struct {
	Cluster
	now     time.Time
	grant   v1alpha1.AccessGrant
	in      grant.World
	issuers map[string]*v1alpha1.TrustedIssuer
	out     Explanation
	halted  bool // nothing can have been made of the grant, and why is said
}

func (e *explainer) find(repair, format string, args ...any) {
	e.out.Findings = append(e.out.Findings, Finding{fmt.Sprintf(format, args...), repair})
}

// may swallows what the person may not read, and remembers it.
func (e *explainer) may(what string, err error) (bool, error) {
	switch {
	case err == nil:
		return true, nil
	case apierrors.IsForbidden(err):
		e.out.Unknown = append(e.out.Unknown, what)
		return false, nil
	}
	return false, fmt.Errorf("reading %s: %w", what, err)
}

// world reads what the grant names.
func (e *explainer) world(ctx context.Context) error {
	e.in = grant.World{Issuers: map[string]grant.Issuer{}, Roles: map[string][]rbacv1.PolicyRule{}}
	for _, name := range e.grant.Spec.ClusterRoles {
		var role rbacv1.ClusterRole
		err := e.Client.Get(ctx, client.ObjectKey{Name: name}, &role)
		if apierrors.IsNotFound(err) {
			continue
		}
		if ok, err := e.may(fmt.Sprintf("ClusterRole %q", name), err); err != nil {
			return err
		} else if ok {
			e.in.Roles[name] = role.Rules
		}
	}
	for _, s := range e.grant.Spec.Subjects {
		if s.Issuer == nil || e.issuers[s.Issuer.Name] != nil {
			continue
		}
		ti := &v1alpha1.TrustedIssuer{}
		err := e.Client.Get(ctx, client.ObjectKey{Name: s.Issuer.Name}, ti)
		if apierrors.IsNotFound(err) {
			continue
		}
		if ok, err := e.may(fmt.Sprintf("TrustedIssuer %q", s.Issuer.Name), err); err != nil {
			return err
		} else if ok {
			e.issuers[s.Issuer.Name] = ti
			e.in.Issuers[s.Issuer.Name] = grant.IssuerOf(ti, trust.Usable(ti))
		}
	}
	return e.namespaces(ctx)
}

func (e *explainer) namespaces(ctx context.Context) error {
	n := e.grant.Spec.Namespaces
	if n == nil {
		return nil
	}
	if n.Selector != nil {
		var list corev1.NamespaceList
		_, err := e.may("the namespaces", e.Client.List(ctx, &list))
		e.in.Namespaces = list.Items
		return err
	}
	for _, name := range n.Names {
		var ns corev1.Namespace
		err := e.Client.Get(ctx, client.ObjectKey{Name: name}, &ns)
		if apierrors.IsNotFound(err) {
			continue
		}
		ok, err := e.may(fmt.Sprintf("namespace %q", name), err)
		if err != nil {
			return err
		}
		if !ok {
			ns.Name = name // taken to be there
		}
		e.in.Namespaces = append(e.in.Namespaces, ns)
	}
	return nil
}

// state is what the controller says, whether it runs, and the end date.
func (e *explainer) state(ctx context.Context) error {
	g := &e.grant
	e.out.Grant, e.out.Ready = g.Name, string(metav1.ConditionUnknown)
	e.out.MaxLifetime = grant.MaxLifetime(g).String()
	e.out.Ended = grant.Ended(g, e.now)
	if g.Spec.EndsAt != nil {
		e.out.EndsAt = &g.Spec.EndsAt.Time
	}
	ready := meta.FindStatusCondition(g.Status.Conditions, v1alpha1.Ready)
	if ready != nil {
		e.out.Ready, e.out.Reason, e.out.Message = string(ready.Status), ready.Reason, ready.Message
	}
	if e.out.Ended {
		e.halted = true
		if g.DeletionTimestamp != nil {
			e.find("make the grant anew, if it is still needed", "the grant is being deleted")
		} else {
			e.find(fmt.Sprintf(`kubectl patch accessgrant %s --type merge -p '{"spec":{"endsAt":"%s"}}'`, g.Name, e.now.Add(24*time.Hour).UTC().Format(time.RFC3339)),
				"the grant ended at %s: everything that was made of it is removed", g.Spec.EndsAt.UTC().Format(time.RFC3339))
		}
	}
	stopped, err := e.Stopped(ctx, e.now)
	known, err := e.mayOf("the Lease of the member controllers", err)
	if err != nil {
		return err
	}
	switch {
	case known && stopped != "":
		e.halted = true
		then := ""
		if e.out.Reason != "" {
			then = fmt.Sprintf(", and what its status says (%s) is of then", e.out.Reason)
		}
		e.find(StartControllers, "the member controllers do not run there (%s): nothing is made of grants, and nothing removed%s", stopped, then)
	case ready == nil || g.Status.ObservedGeneration < g.Generation:
		e.find("look again in a moment; then at the log of the member controllers", "the member controllers have not seen its newest spec yet")
	}
	return nil
}

// mayOf is may for an error that says already what was read.
func (e *explainer) mayOf(what string, err error) (bool, error) {
	if err != nil && !apierrors.IsForbidden(err) {
		return false, err
	}
	return e.may(what, err)
}

// roles are the verbs.
func (e *explainer) roles(context.Context) error {
	for _, name := range e.grant.Spec.ClusterRoles {
		rules, there := e.in.Roles[name]
		role := Role{Name: name, Missing: !there}
		if slices.Contains(e.out.Unknown, fmt.Sprintf("ClusterRole %q", name)) {
			role.Missing = false
		}
		if role.Missing {
			e.find(fmt.Sprintf("kubectl create clusterrole --verb=VERBS --resource=RESOURCES %s, or take it out of spec.clusterRoles", word(name)), "there is no ClusterRole %q: it gives nothing", name)
		}
		if there {
			one := e.grant.DeepCopy()
			one.Spec.ClusterRoles = []string{name}
			role.Rules = grant.Rules(one, map[string][]rbacv1.PolicyRule{name: rules})
			if len(role.Rules) == 0 {
				e.find("kubectl edit clusterrole "+word(name), "ClusterRole %q allows nothing", name)
			}
		}
		e.out.Roles = append(e.out.Roles, role)
	}
	e.out.Rules = grant.Rules(&e.grant, e.in.Roles)
	return nil
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_.:@][A-Za-z0-9_.:@-]*$`)

// word is a name as a shell takes it. A ClusterRole may have almost any, and whoever wrote the grant is not who
// copies the command.
func word(name string) string {
	if plainWord.MatchString(name) {
		return name
	}
	quoted := "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
	if strings.HasPrefix(name, "-") {
		return "-- " + quoted
	}
	return quoted
}

// places are the namespaces.
func (e *explainer) places(context.Context) error {
	e.out.WholeCluster = e.grant.Spec.WholeCluster
	in, missing, err := grant.Namespaces(&e.grant, e.in.Namespaces)
	if err != nil {
		e.find("kubectl edit accessgrant "+e.grant.Name, "%s", err)
		return nil
	}
	e.out.Namespaces = in
	for _, name := range missing {
		e.find("kubectl create namespace "+name, "there is no namespace %q", name)
	}
	if n := e.grant.Spec.Namespaces; n != nil && n.Selector != nil && len(in) == 0 && !slices.Contains(e.out.Unknown, "the namespaces") {
		e.find("kubectl label namespace NAME "+labelsOf(n.Selector), "its selector matches no namespace (%s): Hawser's own and those that begin with kube- are never among them", metav1.FormatLabelSelector(n.Selector))
	}
	return nil
}

// rest is what the controller complains of, where nothing else explains it.
func (e *explainer) rest(context.Context) error {
	if e.out.Ready == string(metav1.ConditionFalse) && len(e.out.Findings) == 0 {
		e.find("kubectl describe accessgrant "+e.grant.Name, "it is not Ready: %s: %s", e.out.Reason, e.out.Message)
	}
	return nil
}

// labelsOf is what a namespace would have to be labelled with, as far as that can be told.
func labelsOf(s *metav1.LabelSelector) string {
	var pairs []string
	for key, value := range s.MatchLabels {
		pairs = append(pairs, key+"="+value)
	}
	if len(pairs) == 0 {
		return "KEY=VALUE"
	}
	slices.Sort(pairs)
	return strings.Join(pairs, " ")
}
