package importer

import (
	"cmp"
	"errors"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// plugin is a program that gives out credentials.
type plugin struct {
	command string
	args    []string
	env     map[string]string
}

// aksServer is the application by which AKS knows its API servers; all clusters share it.
const aksServer = "6dae42f8-4368-4678-94ff-3960e28e3630"

// plugin takes what a program gave: by auth.type eks or oidc where Hawser does the same without it, by auth.type
// exec otherwise. Arguments and environment may hold secrets, and are quoted nowhere.
func (d *draft) plugin(p plugin, field string) error {
	name := strings.TrimSuffix(strings.ToLower(path.Base(strings.ReplaceAll(p.command, `\`, "/"))), ".exe")
	a := arguments(p.args)
	switch {
	case strings.Trim(name, "./") == "":
		return errors.New("its plugin names no program")
	case name == "aws" && a.words("eks", "get-token"),
		name == "argocd-k8s-auth" && a.words("aws"):
		a.known("output")
		d.aws(a, p.env, a.take("cluster-name"), a.take("role-arn", "role"))
	case name == "aws-iam-authenticator" && a.words("token"):
		a.known("token-only", "cache", "forward-session-name")
		d.aws(a, p.env, a.take("cluster-id", "i"), a.take("role", "r"))
	case name == "kubelogin" && a.words("get-token") && strings.EqualFold(cmp.Or(a.flags["login"], a.flags["l"]), "workloadidentity"),
		name == "argocd-k8s-auth" && a.words("azure") && strings.EqualFold(p.env["AAD_LOGIN_METHOD"], "workloadidentity"):
		a.known("login", "l", "environment", "federated-token-file")
		d.azure(a, p.env)
	default:
		d.auth = v1alpha1.Auth{Type: v1alpha1.AuthExec, Exec: &v1alpha1.ExecAuth{Provider: providerName(name)}}
		d.note(ToDo, field, "give the manager's file --exec-providers an entry %q with the command, arguments and environment that stand here; "+
			"they are not printed, and no program is run because an object names it%s", providerName(name), betterThan(name))
		return nil
	}
	for _, flag := range slices.Sorted(maps.Keys(a.flags)) {
		d.note(NoCounterpart, field, "the argument --%s", flag)
	}
	if len(a.rest) > 0 {
		d.note(NoCounterpart, field, "%d further arguments", len(a.rest))
	}
	return nil
}

// betterThan tells of auth types that do without a program.
func betterThan(name string) string {
	switch {
	case name == "kubelogin", strings.Contains(name, "azure"):
		return "; auth.type oidc with tokenFrom azure needs none, where the manager has a workload identity"
	case name == "gke-gcloud-auth-plugin", name == "gcloud", strings.Contains(name, "gcp"), name == "argocd-k8s-auth":
		return "; auth.type oidc with tokenFrom google needs none, where a workload identity pool trusts this cluster"
	}
	return ""
}

func providerName(name string) string {
	if len(name) > 253 {
		name = name[:253]
	}
	return printable(name)
}

func (d *draft) aws(a *argumentList, env map[string]string, cluster, role string) {
	region := cmp.Or(a.take("region"), env["AWS_REGION"], env["AWS_DEFAULT_REGION"])
	d.auth = v1alpha1.Auth{Type: v1alpha1.AuthEKS, EKS: &v1alpha1.EKSAuth{ClusterName: cluster, Region: region}}
	sessionName, externalID := a.take("session-name", "s"), a.take("external-id", "e")
	if role != "" {
		d.role = &awsRole{role, sessionName, externalID}
	}
	if env["AWS_PROFILE"] != "" {
		a.flags["profile"] = ""
	}
	if _, ok := a.flags["profile"]; ok {
		delete(a.flags, "profile")
		d.note(NoCounterpart, "", "the AWS profile: the token proves the manager's own identity, unless auth.eks.identityRef names another")
	}
	d.environment(env, "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_STS_REGIONAL_ENDPOINTS")
}

func (d *draft) azure(a *argumentList, env map[string]string) {
	server := cmp.Or(a.take("server-id"), env["AAD_SERVER_APPLICATION_ID"], aksServer)
	tenant, application := cmp.Or(a.take("tenant-id", "t"), env["AZURE_TENANT_ID"]), cmp.Or(a.take("client-id"), env["AZURE_CLIENT_ID"])
	d.entra(tenant, application, server)
	d.environment(env, "AAD_LOGIN_METHOD", "AAD_SERVER_APPLICATION_ID", "AAD_ENVIRONMENT_NAME", "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE")
}

// entra takes a workload identity of Microsoft Entra.
func (d *draft) entra(tenant, application, server string) {
	azure := &v1alpha1.OIDCAzure{Scope: server + "/.default"}
	for _, id := range []struct {
		what, value string
		into        *string
	}{{"tenant", tenant, &azure.TenantID}, {"client", application, &azure.ClientID}} {
		if id.value != "" && !entraID(id.value) {
			d.note(NoCounterpart, "", "the %s id is none that Entra gives out", id.what)
			continue
		}
		*id.into = id.value
	}
	if !entraID(server) {
		d.note(NoCounterpart, "", "the server id is none that Entra gives out: that of AKS is used")
		azure.Scope = aksServer + "/.default"
	}
	d.auth = v1alpha1.Auth{Type: v1alpha1.AuthOIDC, OIDC: &v1alpha1.OIDCAuth{TokenFrom: v1alpha1.TokenFromAzure, Azure: azure}}
}

func entraID(text string) bool {
	return text != "" && len(text) <= 128 && strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") == ""
}

// environment tells of the variables that nothing was made of.
func (d *draft) environment(env map[string]string, known ...string) {
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if !slices.Contains(known, name) {
			d.note(NoCounterpart, "", "the environment variable %s of its plugin", name)
		}
	}
}

// argumentList is a command line, taken apart.
type argumentList struct {
	flags map[string]string // without dashes
	rest  []string
}

func arguments(args []string) *argumentList {
	a := &argumentList{flags: map[string]string{}}
	for i := 0; i < len(args); i++ {
		flag := strings.TrimLeft(args[i], "-")
		if flag == args[i] {
			a.rest = append(a.rest, flag)
			continue
		}
		name, value, ok := strings.Cut(flag, "=")
		if !strings.HasPrefix(args[i], "--") && len(flag) > 1 { // -ovalue: what follows the letter is quoted nowhere
			name, value, ok = flag[:1], flag[1:], true
		}
		if !ok && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
			i++
			value = args[i]
		}
		if name != "" {
			a.flags[name] = value
		}
	}
	return a
}

// words reports whether the command begins with these words, and ticks them off if it does.
func (a *argumentList) words(words ...string) bool {
	if len(a.rest) < len(words) || !slices.Equal(a.rest[:len(words)], words) {
		return false
	}
	a.rest = a.rest[len(words):]
	return true
}

// take returns the value of the first of several flags, and ticks them all off.
func (a *argumentList) take(names ...string) string {
	var value string
	for _, name := range names {
		if value == "" {
			value = a.flags[name]
		}
		delete(a.flags, name)
	}
	return value
}

// known ticks off flags that Hawser needs no counterpart of.
func (a *argumentList) known(names ...string) {
	for _, name := range names {
		delete(a.flags, name)
	}
}
