package rights

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/grant"
	"github.com/hawser-io/hawser/trust"
)

// Answer says whether somebody may do something.
type Answer struct {
	Subject string `json:"subject"`
	Action  string `json:"action"`
	// Allowed is whether one of the ways is open to every token of the subject, and permitted.
	Allowed bool `json:"allowed"`
	// Depends is whether only ways are permitted that claims of the token may yet close.
	Depends bool `json:"depends,omitempty"`
	// Ways in which the subject comes in, each with its own answer. Without any it does not come in at all.
	Ways []Way `json:"ways"`
}

// Way is one identity by which a subject comes into a cluster.
type Way struct {
	// How it comes in, in words.
	How string `json:"how"`
	// User and Groups that the API server knows it by.
	User   string   `json:"user,omitempty"`
	Groups []string `json:"groups,omitempty"`
	// Barred says why the way is closed at present, whatever its rights.
	Barred string `json:"barred,omitempty"`
	// Rules are the claim rules of the issuer that other claims of a token than its subject decide: where one of them
	// does not hold, the way is closed.
	Rules []string `json:"claimRules,omitempty"`
	// Permitted is what the authorizers say of User and Groups, and Reason why.
	Permitted bool   `json:"permitted"`
	Reason    string `json:"reason,omitempty"`
}

// Can asks whether a subject may do something, by each way in which it comes in.
func (c Cluster) Can(ctx context.Context, s Subject, a Action, now time.Time) (Answer, error) {
	ways, err := c.ways(ctx, s, now)
	if err != nil {
		return Answer{}, err
	}
	answer := Answer{Subject: s.String(), Action: a.String(), Ways: ways}
	for i := range ways {
		w := &ways[i]
		if w.Permitted, w.Reason, err = c.review(ctx, w.User, w.Groups, a); err != nil {
			return Answer{}, err
		}
		open := w.Permitted && w.Barred == ""
		answer.Allowed = answer.Allowed || open && len(w.Rules) == 0
		answer.Depends = answer.Depends || open
	}
	answer.Depends = answer.Depends && !answer.Allowed
	return answer, nil
}

func (c Cluster) ways(ctx context.Context, s Subject, now time.Time) ([]Way, error) {
	switch s.Kind {
	case UserSubject:
		return []Way{as(fmt.Sprintf("as user %q", s.Name), s.Name)}, nil
	case GroupSubject:
		return []Way{{How: fmt.Sprintf("in group %q", s.Name), Groups: []string{s.Name, authenticated}}}, nil
	case ServiceAccountSubject:
		return []Way{as(fmt.Sprintf("as service account %q of namespace %q", s.Name, s.Scope), serviceAccountUser(s.Scope, s.Name))}, nil
	}
	var grants v1alpha1.AccessGrantList
	if err := c.Client.List(ctx, &grants); err != nil {
		return nil, explain("listing AccessGrants", err)
	}
	var issuer *v1alpha1.TrustedIssuer
	if s.Kind != ClusterSubject {
		issuer = &v1alpha1.TrustedIssuer{}
		err := c.Client.Get(ctx, client.ObjectKey{Name: s.Scope}, issuer)
		switch {
		case apierrors.IsNotFound(err) && s.Kind == IssuerSubject:
			return nil, fmt.Errorf("there is no TrustedIssuer %q in that cluster: nobody of it comes in", s.Scope)
		case apierrors.IsNotFound(err):
			issuer = nil
		case err != nil:
			return nil, explain(fmt.Sprintf("reading TrustedIssuer %q", s.Scope), err)
		}
	}
	if s.Kind == eitherSubject {
		if issuer != nil && namesCluster(grants.Items, s.Scope) {
			return nil, fmt.Errorf("%q is a TrustedIssuer and a local cluster there: say issuer:%s or cluster:%s", s.Scope, s, s)
		}
		if s.Kind = ClusterSubject; issuer != nil {
			s.Kind = IssuerSubject
		}
	}
	if s.Kind == IssuerSubject {
		return c.issuerWays(ctx, issuer, s.Name, grants.Items, now)
	}
	return c.clusterWays(ctx, s, grants.Items, now)
}

func as(how, user string) Way { return Way{How: how, User: user, Groups: groupsOf(user)} }

var errNoKind = errors.New("the cluster does not know the kind")

// explain says what an error on our own kinds most often means.
func explain(what string, err error) error {
	if meta.IsNoMatchError(err) {
		return fmt.Errorf("%s: %w: apply what hawser member manifests --controllers prints, or name the right cluster", what, errNoKind)
	}
	return fmt.Errorf("%s: %w", what, err)
}

func namesCluster(grants []v1alpha1.AccessGrant, local string) bool {
	for _, g := range grants {
		for _, s := range g.Spec.Subjects {
			if s.LocalCluster != nil && s.LocalCluster.Name == local {
				return true
			}
		}
	}
	return false
}

// clusterWays are the grants that name a namespace of a local cluster.
func (c Cluster) clusterWays(ctx context.Context, s Subject, grants []v1alpha1.AccessGrant, now time.Time) ([]Way, error) {
	var ways []Way
	for i := range grants {
		g := &grants[i]
		for _, subject := range g.Spec.Subjects {
			if subject.LocalCluster == nil || subject.LocalCluster.Name != s.Scope || subject.LocalCluster.Namespace != s.Name {
				continue
			}
			account := grant.AccountName(g.Name, subject)
			w, err := c.account(ctx, g, account, now)
			if err != nil {
				return nil, err
			}
			if w.Barred == "" {
				may, err := c.mints(ctx, *subject.LocalCluster, account)
				if err != nil {
					return nil, err
				}
				if !may {
					w.Barred = fmt.Sprintf("the connection from %q may not mint tokens of its account", s.Scope)
				}
			}
			ways = append(ways, w)
		}
	}
	return ways, nil
}

// issuerWays are the API server itself, where it trusts the issuer, and the gate with each grant that lets the subject in.
func (c Cluster) issuerWays(ctx context.Context, issuer *v1alpha1.TrustedIssuer, subject string, grants []v1alpha1.AccessGrant, now time.Time) ([]Way, error) {
	direct := as("where the API server itself trusts the issuer (hawser trust render)", issuer.Spec.Prefix+subject)
	noGate, err := c.gateIsMissing(ctx)
	if err != nil {
		return nil, err
	}
	why := distrusted(issuer)
	foreseen, err := trust.Foresee(&issuer.Spec, subject)
	if err != nil {
		foreseen.Refused = err.Error()
	}
	if foreseen.Refused != "" {
		direct.Barred = "the claim rules of the issuer refuse it: " + foreseen.Refused
		why = cmp.Or(why, direct.Barred)
	}
	direct.Rules = foreseen.Open
	ways := []Way{direct}
	for i := range grants {
		account, ok := grant.AccountFor(&grants[i], issuer.Name, subject)
		if !ok {
			continue
		}
		w, err := c.account(ctx, &grants[i], account, now)
		if err != nil {
			return nil, err
		}
		w.How, w.Rules = w.How+", through the gate", foreseen.Open
		switch {
		case why != "":
			w.Barred = why
		case w.Barred == "" && noGate:
			w.Barred = "there is no gate in that cluster"
		}
		ways = append(ways, w)
	}
	return ways, nil
}

// account is the way by an account of a grant.
func (c Cluster) account(ctx context.Context, g *v1alpha1.AccessGrant, account string, now time.Time) (Way, error) {
	w := as(fmt.Sprintf("by AccessGrant %q", g.Name), serviceAccountUser(v1alpha1.GrantsNamespace, account))
	if grant.Ended(g, now) {
		w.Barred = "the grant has ended"
		return w, nil
	}
	there, known, err := c.exists(ctx, &corev1.ServiceAccount{}, v1alpha1.GrantsNamespace, account)
	if known && !there {
		w.Barred = "its account was not made: hawser grants explain " + g.Name + " says why"
	}
	return w, err
}

// distrusted says why a TrustedIssuer is not believed at present; empty where it is.
func distrusted(issuer *v1alpha1.TrustedIssuer) string {
	if issuer.DeletionTimestamp != nil {
		return fmt.Sprintf("TrustedIssuer %q is being deleted", issuer.Name)
	}
	ready := meta.FindStatusCondition(issuer.Status.Conditions, v1alpha1.Ready)
	switch {
	case ready == nil:
		return fmt.Sprintf("TrustedIssuer %q was not looked at yet", issuer.Name)
	case ready.Status != metav1.ConditionTrue:
		return fmt.Sprintf("TrustedIssuer %q is not Ready: %s: %s", issuer.Name, ready.Reason, ready.Message)
	}
	return ""
}
