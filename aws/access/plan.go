package access

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Tags of the entries that Hawser made. Both must be there, with the local cluster's own name, for an
// entry to be ours.
const (
	ManagedByTag    = "hawser.io/managed-by"
	LocalClusterTag = v1alpha1.LocalClusterLabel
)

// Standard is the type of an entry that maps a principal to groups; the others are for nodes.
const Standard = "STANDARD"

// Authentication mode of a cluster that knows no access entries.
const configMapMode = "CONFIG_MAP"

// Target names an access entry and for whom it is.
type Target struct {
	// Region and Cluster name the EKS cluster. AccountID is the account that it has to be in; empty:
	// that of whoever asks.
	Region, Cluster, AccountID string
	// Principal that the entry is for.
	Principal Principal
	// Local is the name of the local cluster, whose connection it serves.
	Local string
}

// Entry is an access entry as it is.
type Entry struct {
	ARN       string            `json:"arn,omitempty"`
	Principal string            `json:"principal"`
	Type      string            `json:"type"`
	Username  string            `json:"username,omitempty"`
	Groups    []string          `json:"groups"`
	Tags      map[string]string `json:"tags,omitempty"`
	// Policies are the access policies that somebody has associated with it. Hawser never does.
	Policies  []string  `json:"policies,omitempty"`
	CreatedAt time.Time `json:"createdAt"`
}

// Owner is the local cluster whose Hawser made the entry; empty where none did.
func (e *Entry) Owner() string {
	if e.Tags[ManagedByTag] != v1alpha1.ManagedBy {
		return ""
	}
	return e.Tags[LocalClusterTag]
}

// Observed is what was found in AWS.
type Observed struct {
	// AccountID of the cluster; empty where nobody may tell.
	AccountID string
	// AuthenticationMode of the cluster; empty where it is not known.
	AuthenticationMode string
	// Entry is nil where there is none.
	Entry *Entry
	// RoleCreated is when the role was made; zero where nobody may tell.
	RoleCreated time.Time
}

// Recreated reports whether the entry is for an earlier role of the same name. EKS keeps the unique id
// of the role that the entry was made for, so that a role that was deleted and made again is refused.
func (o Observed) Recreated() bool {
	return o.Entry != nil && !o.RoleCreated.IsZero() && o.RoleCreated.After(o.Entry.CreatedAt)
}

// Options say how far a grant or a revocation may go.
type Options struct {
	// Adopt takes over an entry that Hawser did not make: its groups become those of Hawser.
	Adopt bool
	// Repair makes the entry anew although nothing tells that it must be.
	Repair bool
	// Force deletes an entry that Hawser did not make.
	Force bool
	// DryRun decides, and does nothing.
	DryRun bool
}

// Action is what is to be done with an entry.
type Action string

// Actions.
const (
	Create   Action = "create"
	Change   Action = "change"   // groups, or tags, or both
	Recreate Action = "recreate" // delete and create
	Delete   Action = "delete"
	Keep     Action = "keep"   // it is as it should be, or is not there as it should not be
	Leave    Action = "leave"  // it does what it should, and is somebody else's
	Refuse   Action = "refuse" // nothing is done; a person has to decide
)

// Plan is what is to be done with an entry, and why.
type Plan struct {
	Action Action
	// Tag marks the entry as ours on the way.
	Tag bool
	// Why, in words for a person.
	Why string
	// Reason and Repair go with Refuse: a reason of package v1alpha1, where one fits, and the command that helps.
	Reason, Repair string
}

var wantedGroups = []string{v1alpha1.MembersGroup}

// Decide says what a grant has to do. It looks at nothing but its arguments.
func Decide(t Target, found Observed, o Options) Plan {
	e := found.Entry
	switch {
	case t.elsewhere(found):
		return t.refuseAccount(found)
	case found.AuthenticationMode == configMapMode:
		return t.refuseConfigMap()
	case e == nil:
		return Plan{Action: Create, Why: "there is none for this principal"}
	case e.Type != Standard:
		return refuse(v1alpha1.ReasonAccessEntryMissing, t.command("delete-access-entry"),
			"the principal has an entry of type %s, which is for nodes and cannot be changed: use another role, or delete that entry first", e.Type)
	case e.Owner() != t.Local && !o.Adopt:
		return t.decideForeign(found, o)
	}
	// The user name is left to the server. Its default is not empty, and to compare it with ours, which
	// is, would find a difference every time.
	plan := Plan{Action: Keep, Why: "it maps the principal to the group " + v1alpha1.MembersGroup}
	others := without(e.Groups, v1alpha1.MembersGroup)
	switch {
	case !slices.Contains(e.Groups, v1alpha1.MembersGroup):
		plan = Plan{Action: Change, Why: "it does not map the principal to the group " + v1alpha1.MembersGroup}
	case len(others) > 0:
		plan = Plan{Action: Change, Why: "it has groups that it should not have"}
	}
	if len(others) > 0 {
		plan.Why += "; it loses " + strings.Join(others, ", ")
	}
	if e.Owner() != t.Local {
		plan.Action, plan.Tag, plan.Why = Change, true, "it is taken over from "+t.owner(e)+"; "+plan.Why
	}
	switch {
	case found.Recreated():
		plan.Action, plan.Tag = Recreate, false // a new one has its tags from the start
		plan.Why = fmt.Sprintf("it was made at %s for a role of the same name that is gone: the role of today was made at %s",
			stamp(e.CreatedAt), stamp(found.RoleCreated))
	case o.Repair:
		plan.Action, plan.Tag, plan.Why = Recreate, false, "it is made anew, as asked"
	}
	if plan.Action == Recreate && len(e.Policies) > 0 {
		plan.Why += "; the access policies that somebody associated with it go: " + strings.Join(e.Policies, ", ")
	}
	return plan
}

// decideForeign leaves an entry that somebody else made as it is.
func (t Target) decideForeign(found Observed, o Options) Plan {
	e := found.Entry
	switch {
	case found.Recreated():
		return refuse(v1alpha1.ReasonPrincipalRecreated, t.command("delete-access-entry"),
			"the entry is that of %s, and is for a role of the same name that is gone: it was made at %s, and the role of today at %s. Delete it and grant again, or take it over with --adopt",
			t.owner(e), stamp(e.CreatedAt), stamp(found.RoleCreated))
	case !slices.Contains(e.Groups, v1alpha1.MembersGroup):
		return refuse(v1alpha1.ReasonAccessEntryMissing, t.command("update-access-entry", append([]string{"--kubernetes-groups"}, append(slices.Clone(e.Groups), v1alpha1.MembersGroup)...)...),
			"the entry is that of %s, and has the groups [%s], without %s: add the group, which leaves the entry to its owner, or take it over with --adopt, which leaves it no other group",
			t.owner(e), strings.Join(e.Groups, ", "), v1alpha1.MembersGroup)
	case o.Repair:
		return refuse(v1alpha1.ReasonPrincipalRecreated, t.command("delete-access-entry"),
			"the entry is that of %s: delete it and grant again, or take it over with --adopt", t.owner(e))
	}
	return Plan{Action: Leave, Why: "it maps the principal to the group " + v1alpha1.MembersGroup + ", and is that of " + t.owner(e)}
}

// DecideRevoke says what a revocation has to do.
func DecideRevoke(t Target, found Observed, o Options) Plan {
	e := found.Entry
	switch {
	case t.elsewhere(found):
		return t.refuseAccount(found)
	case e == nil:
		return Plan{Action: Keep, Why: "there is none for this principal"}
	case e.Type != Standard: // also with Force: nodes would drop out
		return refuse("", "", "the principal has an entry of type %s, which nodes need to join the cluster: it is none of Hawser's", e.Type)
	case e.Owner() == t.Local:
		return Plan{Action: Delete, Why: "it was made for this connection"}
	case o.Force:
		return Plan{Action: Delete, Why: "it is that of " + t.owner(e) + ", and goes as asked"}
	}
	return refuse("", t.command("delete-access-entry"), "the entry is that of %s: delete it there, or here with --force", t.owner(e))
}

// elsewhere reports whether a cluster of the same name in another account was found.
func (t Target) elsewhere(found Observed) bool {
	return t.AccountID != "" && found.AccountID != "" && found.AccountID != t.AccountID
}

func (t Target) refuseAccount(found Observed) Plan {
	return refuse(v1alpha1.ReasonAccountMismatch, "use credentials of account "+t.AccountID,
		"the cluster of that name is in account %s, and account %s is meant: the credentials are of the wrong account", found.AccountID, t.AccountID)
}

func (t Target) refuseConfigMap() Plan {
	return refuse(v1alpha1.ReasonAuthModeConfigMap, t.modeCommand(),
		"the cluster is in authentication mode %s, which knows no access entries. API_AND_CONFIG_MAP keeps what the ConfigMap aws-auth says; there is no way back", configMapMode)
}

// owner says whose entry it is.
func (t Target) owner(e *Entry) string {
	switch local := e.Owner(); {
	case local == t.Local && local != "":
		return "this connection"
	case local != "":
		return fmt.Sprintf("the Hawser of local cluster %q", local)
	}
	return "somebody else"
}

// command is one of the AWS CLI for the entry.
func (t Target) command(verb string, more ...string) string {
	words := append([]string{"aws", "eks", verb, "--region", t.Region, "--cluster-name", t.Cluster, "--principal-arn", t.Principal.ARN}, more...)
	for i, word := range words {
		words[i] = quote(word)
	}
	return strings.Join(words, " ")
}

// modeCommand brings the cluster into a mode that knows access entries.
func (t Target) modeCommand() string {
	return fmt.Sprintf("aws eks update-cluster-config --region %s --name %s --access-config authenticationMode=API_AND_CONFIG_MAP", quote(t.Region), quote(t.Cluster))
}

// quote makes one word of a shell out of what may come from AWS, where anybody may have written it.
func quote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@=+,", r)
	}
	if word != "" && strings.TrimFunc(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func refuse(reason, repair, format string, args ...any) Plan {
	return Plan{Action: Refuse, Reason: reason, Repair: repair, Why: fmt.Sprintf(format, args...)}
}

func without(list []string, word string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == word })
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
