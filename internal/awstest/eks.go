package awstest

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"
)

// eksOperations by their route.
var eksOperations = map[string]operation{
	"GET /clusters":        eksOperation("ListClusters", (*request).listClusters),
	"GET /clusters/{name}": eksOperation("DescribeCluster", (*request).describeCluster),

	"GET /clusters/{name}/access-entries":                eksOperation("ListAccessEntries", (*request).listAccessEntries),
	"POST /clusters/{name}/access-entries":               eksOperation("CreateAccessEntry", (*request).createAccessEntry),
	"GET /clusters/{name}/access-entries/{principal}":    eksOperation("DescribeAccessEntry", (*request).describeAccessEntry),
	"POST /clusters/{name}/access-entries/{principal}":   eksOperation("UpdateAccessEntry", (*request).updateAccessEntry),
	"DELETE /clusters/{name}/access-entries/{principal}": eksOperation("DeleteAccessEntry", (*request).deleteAccessEntry),

	"GET /clusters/{name}/access-entries/{principal}/access-policies":             eksOperation("ListAssociatedAccessPolicies", (*request).listAssociatedAccessPolicies),
	"POST /clusters/{name}/access-entries/{principal}/access-policies":            eksOperation("AssociateAccessPolicy", (*request).associateAccessPolicy),
	"DELETE /clusters/{name}/access-entries/{principal}/access-policies/{policy}": eksOperation("DisassociateAccessPolicy", (*request).disassociateAccessPolicy),

	"GET /tags/{arn}":    eksOperation("ListTagsForResource", (*request).listTags),
	"POST /tags/{arn}":   eksOperation("TagResource", (*request).tagResource),
	"DELETE /tags/{arn}": eksOperation("UntagResource", (*request).untagResource),
}

func eksOperation(name string, run func(*request) (any, *Failure)) operation {
	return operation{service: "eks", name: name, run: run, resource: eksResource}
}

// eksResource is the ARN of the cluster in the caller's account, which is the only one that EKS looks into.
func eksResource(r *request) string {
	name, id := r.http.PathValue("name"), r.http.PathValue("arn")
	switch {
	case id != "":
		return id
	case r.caller == nil:
		return ""
	case name == "":
		return r.caller.account.eksARN(r.region, "cluster/*")
	}
	return r.caller.account.eksARN(r.region, "cluster/"+name)
}

// authorized returns the cluster that the request is about, if the caller may do it. The caller of authorized
// holds the lock.
func (r *request) authorized(context map[string][]string) (*Cluster, *Failure) {
	name := r.http.PathValue("name")
	cluster := r.caller.account.clusters[r.region+"/"+name]
	q := question{action: "eks:" + r.op.name, resource: r.resource, context: map[string][]string{"aws:requestedregion": {r.region}}}
	maps.Copy(q.context, context)
	if cluster != nil {
		addTags(q.context, cluster.opts.Tags)
	}
	if principal := r.http.PathValue("principal"); principal != "" {
		q.context["eks:principalarn"] = []string{principal}
		if cluster != nil && cluster.entries[principal] != nil { // the entry has an ARN and tags of its own
			q.resource = cluster.entries[principal].arn
			addTags(q.context, cluster.entries[principal].Tags)
		} else {
			q.resource = r.caller.account.eksARN(r.region, "access-entry/"+name+"/*")
		}
	}
	if failure := r.caller.may(q); failure != nil {
		return nil, failure
	}
	if cluster == nil && name != "" {
		return nil, refuse(404, "ResourceNotFoundException", "No cluster found for name: %s.", name)
	}
	return cluster, nil
}

func addTags(context map[string][]string, tags map[string]string) {
	for key, value := range tags {
		context["aws:resourcetag/"+lower(key)] = []string{value}
	}
}

// decode reads the body of a request.
func (r *request) decode(into any) *Failure {
	if err := json.Unmarshal(r.body, into); err != nil {
		return refuse(400, "InvalidParameterException", "reading the request: %v", err)
	}
	return nil
}

// page cuts a sorted list as maxResults and nextToken ask. The token is the last name of the page before.
func (r *request) page(names []string) (page []string, next *string, failure *Failure) {
	size := 100
	if given := r.http.URL.Query().Get("maxResults"); given != "" {
		n, err := strconv.Atoi(given)
		if err != nil || n < 1 || n > 100 {
			return nil, nil, refuse(400, "InvalidParameterException", "maxResults needs to be between 1 and 100")
		}
		size = n
	}
	if token := r.http.URL.Query().Get("nextToken"); token != "" {
		after, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil {
			return nil, nil, refuse(400, "InvalidParameterException", "Invalid token.")
		}
		names = slices.DeleteFunc(names, func(name string) bool { return name <= string(after) })
	}
	if len(names) > size {
		names = names[:size]
		next = new(base64.RawURLEncoding.EncodeToString([]byte(names[size-1])))
	}
	return names, next, nil
}

func (r *request) listClusters() (any, *Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, failure := r.authorized(nil); failure != nil {
		return nil, failure
	}
	names := []string{}
	for _, cluster := range r.caller.account.clusters {
		if cluster.Region == r.region {
			names = append(names, cluster.Name)
		}
	}
	slices.Sort(names)
	names, next, failure := r.page(names)
	if failure != nil {
		return nil, failure
	}
	return map[string]any{"clusters": names, "nextToken": next}, nil
}

func (r *request) describeCluster() (any, *Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	cluster, failure := r.authorized(nil)
	if failure != nil {
		return nil, failure
	}
	return map[string]any{"cluster": cluster.describe()}, nil
}

// describe renders a cluster as DescribeCluster does. The caller holds the lock.
func (c *Cluster) describe() map[string]any {
	o := c.opts
	described := map[string]any{
		"name": c.Name, "arn": c.ARN(), "createdAt": epoch(c.created), "version": o.Version, "status": o.Status,
		"tags": maps.Clone(o.Tags), "platformVersion": "eks.1",
		"roleArn": c.account.arn("iam", "role/eks-cluster-role"),
		"resourcesVpcConfig": map[string]any{
			"endpointPublicAccess": !o.PrivateOnly, "endpointPrivateAccess": o.PrivateOnly, "publicAccessCidrs": []string{"0.0.0.0/0"},
		},
		"accessConfig": map[string]any{"authenticationMode": o.AuthenticationMode},
	}
	if o.Status == "CREATING" || o.Status == "PENDING" {
		described["certificateAuthority"] = map[string]any{}
		return described
	}
	if o.Server != "" {
		described["endpoint"] = o.Server
	}
	described["certificateAuthority"] = map[string]any{"data": base64.StdEncoding.EncodeToString(o.CA)}
	if o.Issuer != "" {
		described["identity"] = map[string]any{"oidc": map[string]any{"issuer": o.Issuer}}
	}
	return described
}

// epoch is how EKS writes a time.
func epoch(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
