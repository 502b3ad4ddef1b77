package awstest

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// reservedPrefixes begin no group and no user name that somebody chooses.
var reservedPrefixes = []string{"system:", "eks:", "aws:", "amazon:", "iam:"}

// entryTypes of access entries. All but STANDARD are for nodes, and of the cluster's own account.
var entryTypes = []string{"STANDARD", "EC2_LINUX", "EC2_WINDOWS", "FARGATE_LINUX", "EC2", "HYBRID_LINUX", "HYPERPOD_LINUX"}

type accessPolicy struct {
	PolicyArn    string         `json:"policyArn"`
	AccessScope  map[string]any `json:"accessScope"`
	AssociatedAt float64        `json:"associatedAt"`
	ModifiedAt   float64        `json:"modifiedAt"`
}

// entryBody is what CreateAccessEntry and UpdateAccessEntry send. What is absent does not change.
type entryBody struct {
	PrincipalArn     string            `json:"principalArn"`
	KubernetesGroups *[]string         `json:"kubernetesGroups"`
	Username         *string           `json:"username"`
	Type             string            `json:"type"`
	Tags             map[string]string `json:"tags"`
}

func (b entryBody) context() map[string][]string {
	context := map[string][]string{}
	if b.KubernetesGroups != nil {
		context["eks:kubernetesgroups"] = *b.KubernetesGroups
	}
	if b.Username != nil {
		context["eks:username"] = []string{*b.Username}
	}
	if b.PrincipalArn != "" {
		context["eks:principalarn"] = []string{b.PrincipalArn}
	}
	if b.Type != "" {
		context["eks:accessentrytype"] = []string{b.Type}
	}
	for key, value := range b.Tags {
		context["aws:requesttag/"+lower(key)] = []string{value}
	}
	return context
}

func (b entryBody) check() *Failure {
	if b.KubernetesGroups != nil {
		for _, group := range *b.KubernetesGroups {
			if prefix, bad := reserved(group); bad {
				return refuse(400, "InvalidParameterException", "The kubernetes group name %s is invalid, it cannot start with %s", group, prefix)
			}
		}
	}
	if b.Username != nil {
		if prefix, bad := reserved(*b.Username); bad {
			return refuse(400, "InvalidParameterException", "The username %s is invalid, it cannot start with %s", *b.Username, prefix)
		}
	}
	return nil
}

func reserved(name string) (prefix string, bad bool) {
	i := slices.IndexFunc(reservedPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
	if i < 0 {
		return "", false
	}
	return reservedPrefixes[i], true
}

// entryCluster is authorized for the operations on access entries, which a cluster in mode CONFIG_MAP has none of.
func (r *request) entryCluster(context map[string][]string) (*Cluster, *Failure) {
	cluster, failure := r.authorized(context)
	if failure != nil {
		return nil, failure
	}
	if cluster.opts.AuthenticationMode == "CONFIG_MAP" {
		return nil, refuse(400, "InvalidRequestException",
			"The cluster's authentication mode must be set to one of [API, API_AND_CONFIG_MAP] to perform this operation.")
	}
	return cluster, nil
}

// entry is entryCluster for those on one entry.
func (r *request) entry(context map[string][]string) (*Cluster, *accessEntry, *Failure) {
	cluster, failure := r.entryCluster(context)
	if failure != nil {
		return nil, nil, failure
	}
	entry := cluster.entries[r.http.PathValue("principal")]
	if entry == nil {
		return nil, nil, refuse(404, "ResourceNotFoundException",
			"The specified principalArn could not be found. You can view your available access entries with 'list-access-entries'.")
	}
	return cluster, entry, nil
}

func (r *request) createAccessEntry() (any, *Failure) {
	var body entryBody
	if failure := r.decode(&body); failure != nil {
		return nil, failure
	}
	if body.Type == "" {
		body.Type = "STANDARD"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	cluster, failure := r.entryCluster(body.context())
	if failure != nil {
		return nil, failure
	}
	id, failure := r.checkNewEntry(cluster, body)
	if failure != nil {
		return nil, failure
	}
	e := Entry{PrincipalARN: body.PrincipalArn, PrincipalID: id, Type: body.Type, Tags: maps.Clone(body.Tags)}
	if body.KubernetesGroups != nil {
		e.Groups = slices.Clone(*body.KubernetesGroups)
	}
	if body.Username != nil {
		e.Username = *body.Username
	}
	return map[string]any{"accessEntry": cluster.put(e).describe(cluster)}, nil
}

// checkNewEntry returns the unique ID of the principal. The caller holds the lock.
func (r *request) checkNewEntry(cluster *Cluster, body entryBody) (string, *Failure) {
	if failure := body.check(); failure != nil {
		return "", failure
	}
	if !slices.Contains(entryTypes, body.Type) {
		return "", refuse(400, "InvalidParameterException", "The type %s is not valid", body.Type)
	}
	parsed, err := arn.Parse(body.PrincipalArn)
	kind, _, _ := strings.Cut(parsed.Resource, "/")
	if err != nil || parsed.Service != "iam" || (kind != "role" && kind != "user") {
		return "", refuse(400, "InvalidParameterException", "The principalArn parameter format is not valid")
	}
	// The whole ARN counts, with its path: a role that AWS's own tools name without it is none.
	id, ok := r.principalID(body.PrincipalArn)
	if !ok || parsed.Partition != cluster.account.Partition || (body.Type != "STANDARD" && parsed.AccountID != cluster.account.ID) {
		return "", refuse(400, "InvalidParameterException", "The specified principalArn is invalid: invalid principal.")
	}
	if cluster.entries[body.PrincipalArn] != nil {
		return "", refuse(409, "ResourceInUseException", "The specified access entry resource is already in use on this cluster.")
	}
	return id, nil
}

func (r *request) describeAccessEntry() (any, *Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	cluster, entry, failure := r.entry(nil)
	if failure != nil {
		return nil, failure
	}
	return map[string]any{"accessEntry": entry.describe(cluster)}, nil
}

// describe renders an entry. The principal's unique ID is not shown. The caller holds the lock.
func (e *accessEntry) describe(c *Cluster) map[string]any {
	groups := slices.Clone(e.Groups)
	if groups == nil {
		groups = []string{}
	}
	return map[string]any{
		"clusterName": c.Name, "principalArn": e.PrincipalARN, "kubernetesGroups": groups, "accessEntryArn": e.arn,
		"createdAt": epoch(e.CreatedAt), "modifiedAt": epoch(e.ModifiedAt), "tags": maps.Clone(e.Tags),
		"username": e.Username, "type": e.Type,
	}
}

func (r *request) updateAccessEntry() (any, *Failure) {
	var body entryBody
	if failure := r.decode(&body); failure != nil {
		return nil, failure
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	cluster, entry, failure := r.entry(body.context())
	if failure != nil {
		return nil, failure
	}
	if failure := body.check(); failure != nil {
		return nil, failure
	}
	if entry.Type != "STANDARD" {
		return nil, refuse(400, "InvalidRequestException", "An access entry of type %s cannot be changed", entry.Type)
	}
	if body.KubernetesGroups != nil {
		entry.Groups = slices.Clone(*body.KubernetesGroups)
	}
	if body.Username != nil && *body.Username != "" {
		entry.Username = *body.Username
	}
	entry.ModifiedAt = r.now()
	return map[string]any{"accessEntry": entry.describe(cluster)}, nil
}

func (r *request) deleteAccessEntry() (any, *Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	cluster, entry, failure := r.entry(nil)
	if failure != nil {
		return nil, failure
	}
	delete(cluster.entries, entry.PrincipalARN)
	return struct{}{}, nil
}

func (r *request) listAccessEntries() (any, *Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	cluster, failure := r.entryCluster(nil)
	if failure != nil {
		return nil, failure
	}
	associated := r.http.URL.Query().Get("associatedPolicyArn")
	names := []string{}
	for name, entry := range cluster.entries {
		if _, ok := entry.policies[associated]; ok || associated == "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	names, next, failure := r.page(names)
	if failure != nil {
		return nil, failure
	}
	return map[string]any{"accessEntries": names, "nextToken": next}, nil
}

var accessPolicyPattern = regexp.MustCompile(`^arn:[a-z-]+:eks::aws:cluster-access-policy/AmazonEKS\w+Policy$`)

func (r *request) associateAccessPolicy() (any, *Failure) {
	var body accessPolicy
	if failure := r.decode(&body); failure != nil {
		return nil, failure
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	cluster, entry, failure := r.entry(map[string][]string{"eks:policyarn": {body.PolicyArn}})
	if failure != nil {
		return nil, failure
	}
	if !accessPolicyPattern.MatchString(body.PolicyArn) {
		return nil, refuse(400, "InvalidParameterException", "The policyArn parameter format is not valid")
	}
	if kind := body.AccessScope["type"]; kind != "cluster" && kind != "namespace" {
		return nil, refuse(400, "InvalidParameterException", "The type in the accessScope is invalid")
	}
	body.ModifiedAt = epoch(r.now())
	body.AssociatedAt = body.ModifiedAt
	if before, ok := entry.policies[body.PolicyArn]; ok {
		body.AssociatedAt = before.AssociatedAt
	}
	entry.policies[body.PolicyArn] = body
	return map[string]any{"clusterName": cluster.Name, "principalArn": entry.PrincipalARN, "associatedAccessPolicy": body}, nil
}

func (r *request) disassociateAccessPolicy() (any, *Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, entry, failure := r.entry(nil)
	if failure != nil {
		return nil, failure
	}
	policy := r.http.PathValue("policy")
	if _, ok := entry.policies[policy]; !ok {
		return nil, refuse(404, "ResourceNotFoundException", "The specified policyArn is not associated with the access entry.")
	}
	delete(entry.policies, policy)
	return struct{}{}, nil
}

func (r *request) listAssociatedAccessPolicies() (any, *Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	cluster, entry, failure := r.entry(nil)
	if failure != nil {
		return nil, failure
	}
	names, next, failure := r.page(slices.Sorted(maps.Keys(entry.policies)))
	if failure != nil {
		return nil, failure
	}
	policies := []accessPolicy{}
	for _, name := range names {
		policies = append(policies, entry.policies[name])
	}
	return map[string]any{
		"clusterName": cluster.Name, "principalArn": entry.PrincipalARN, "associatedAccessPolicies": policies, "nextToken": next,
	}, nil
}
