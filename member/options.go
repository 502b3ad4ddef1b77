package member

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Identity says who a connection is in the remote cluster.
type Identity string

const (
	// ServiceAccount is v1alpha1.MemberServiceAccount in the connection's namespace; it renews its own tokens.
	ServiceAccount Identity = "ServiceAccount"
	// Certificate is v1alpha1.MemberUser, whose certificate somebody else replaces.
	Certificate Identity = "Certificate"
	// RenewedCertificate is v1alpha1.MemberUser, who renews by CertificateSigningRequests that the
	// member controllers approve.
	RenewedCertificate Identity = "RenewedCertificate"
	// Foreign is an identity that Hawser did not make: that of a kubeconfig or of a cloud. The install
	// gives the connection's rights to Options.Users and Options.Groups, but not the right to remove them.
	Foreign Identity = "Foreign"
)

// IdentityOf returns the identity that a way to authenticate leads to.
func IdentityOf(auth v1alpha1.Auth) Identity {
	switch auth.Type {
	case v1alpha1.AuthBearerToken:
		return ServiceAccount
	case v1alpha1.AuthMTLS:
		if auth.MTLS != nil && auth.MTLS.Renew == v1alpha1.RenewByCSR {
			return RenewedCertificate
		}
		return Certificate
	default:
		return Foreign
	}
}

// GroupsOf returns the groups that a way to authenticate puts a connection into, to be given its rights
// as Options.Groups: v1alpha1.MembersGroup for eks, by an access entry, and none for the others.
//
// A group has no namespace: whoever is in it has the rights of every connection of this kind into the
// same remote cluster.
func GroupsOf(auth v1alpha1.Auth) []string {
	if auth.Type == v1alpha1.AuthEKS {
		return []string{v1alpha1.MembersGroup}
	}
	return nil
}

// maxLocalLength leaves room for hawser-from- in a DNS label.
const maxLocalLength = 50

// Lifetimes of tokens that a connection may ask for.
const (
	// DefaultMaxTokenLifetime is the cap where Options.MaxTokenLifetime is zero.
	DefaultMaxTokenLifetime = 24 * time.Hour
	minTokenLifetime        = 10 * time.Minute // the least that an API server grants
)

// Options says for whom to install the member side, and with which rights.
type Options struct {
	// Local is the name of the local cluster, a DNS label of at most 50 characters. Required.
	Local string
	// Capabilities asked for. connect is always among them.
	Capabilities []v1alpha1.Capability
	// Requires are further rules, for controllers that work over the connection.
	Requires []v1alpha1.Rule
	// Identity of the connection. Default ServiceAccount.
	Identity Identity
	// Users and Groups get the same rights as the connection, except those on itself.
	Users, Groups []string
	// MaxTokenLifetime caps the tokens that the connection may ask for. Default 24h.
	MaxTokenLifetime time.Duration
	// Version of Hawser, recorded on the connection's namespace. May be empty.
	Version string
	// Controllers adds the rights of the member controllers.
	Controllers bool
	// Gate adds those of the gate, which works only beside the member controllers.
	Gate bool
	// GrantableRoles narrow what the member controllers may bind: see ControllerOptions.
	GrantableRoles []string
}

// withDefaults fills in what may be left out.
func (o Options) withDefaults() Options {
	if o.Identity == "" {
		o.Identity = ServiceAccount
	}
	if o.MaxTokenLifetime == 0 {
		o.MaxTokenLifetime = DefaultMaxTokenLifetime
	}
	return o
}

// Validate says what is wrong with the options, all of it.
func (o Options) Validate() error {
	o = o.withDefaults()
	errs := []error{ValidateLocal(o.Local)}
	for _, c := range o.Capabilities {
		if c != v1alpha1.CapabilityConnect && c != v1alpha1.CapabilityEndpoints {
			errs = append(errs, fmt.Errorf("capability %q: there is only connect and endpoints", c))
		}
	}
	for i, r := range o.Requires {
		if err := validateRule(r); err != nil {
			errs = append(errs, fmt.Errorf("requires[%d]: %w", i, err))
		}
	}
	switch o.Identity {
	case ServiceAccount, Certificate, RenewedCertificate:
	case Foreign:
		if len(o.Users)+len(o.Groups) == 0 {
			errs = append(errs, errors.New("identity Foreign: name a user or a group that gets the rights"))
		}
	default:
		errs = append(errs, fmt.Errorf("identity %q: there is only ServiceAccount, Certificate, RenewedCertificate and Foreign", o.Identity))
	}
	for _, name := range o.Users {
		errs = append(errs, validateSubject("user", name))
	}
	for _, name := range o.Groups {
		errs = append(errs, validateSubject("group", name))
	}
	if o.Gate && !o.Controllers {
		errs = append(errs, errors.New("gate: it believes the keys that the member controllers fetch, and so needs them too"))
	}
	if o.MaxTokenLifetime < minTokenLifetime || o.MaxTokenLifetime%time.Second != 0 {
		errs = append(errs, fmt.Errorf("maximum token lifetime %s: use whole seconds, and 10m at least, since an API server grants no less", o.MaxTokenLifetime))
	}
	return errors.Join(errs...)
}

// ValidateLocal checks the name of a local cluster, from which namespaces, roles and user names are made.
func ValidateLocal(local string) error {
	if len(local) > maxLocalLength || len(validation.IsDNS1123Label(local)) > 0 {
		return fmt.Errorf("local cluster %q: the name must be a DNS label of at most %d characters, such as primary", local, maxLocalLength)
	}
	return nil
}

// validateRule repeats what the CEL rules of v1alpha1.Rule say, for rules that come from a command line.
func validateRule(r v1alpha1.Rule) error {
	if len(r.APIGroups) == 0 || len(r.Resources) == 0 || len(r.Verbs) == 0 {
		return errors.New(`a rule needs apiGroups ("" is the core group), resources and verbs`)
	}
	for _, value := range slices.Concat(r.APIGroups, r.Resources, r.Verbs, r.ResourceNames) {
		if strings.Contains(value, "*") {
			return fmt.Errorf("%q: wildcards are refused, name the groups, resources and verbs", value)
		}
	}
	if slices.Contains(slices.Concat(r.Resources, r.Verbs, r.ResourceNames), "") {
		return errors.New("resources, verbs and resourceNames must not be empty")
	}
	for _, verb := range r.Verbs {
		if widens(verb) {
			return fmt.Errorf("verb %s: a connection never holds it", verb)
		}
	}
	if slices.Contains(r.APIGroups, "") && slices.Contains(r.Verbs, "create") {
		for _, resource := range []string{"secrets", "serviceaccounts/token"} {
			if slices.Contains(r.Resources, resource) {
				return fmt.Errorf("create %s: a connection never creates Secrets or mints tokens of other accounts", resource)
			}
		}
	}
	return nil
}

// widens tells the verbs by which a connection could widen its own rights.
func widens(verb string) bool {
	switch verb {
	case "bind", "escalate", "approve", "sign":
		return true
	}
	// Also impersonate:… and impersonate-on:…, the verbs of constrained impersonation (KEP-5284).
	return strings.HasPrefix(verb, "impersonate")
}

func validateSubject(kind, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%s: the name is empty", kind)
	case strings.HasPrefix(name, "system:"):
		return fmt.Errorf("%s %q: names with system: belong to Kubernetes", kind, name)
	}
	return nil
}
