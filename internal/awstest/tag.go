package awstest

import (
	"maps"
	"strings"
)

func lower(key string) string { return strings.ToLower(key) }

// tagged returns the tags of the cluster or access entry that the request names, if the caller may. The caller of
// tagged holds the lock.
func (r *request) tagged(context map[string][]string) (map[string]string, *Failure) {
	id := r.http.PathValue("arn")
	var tags map[string]string
	for _, cluster := range r.caller.account.clusters {
		if cluster.Region != r.region {
			continue
		}
		if cluster.ARN() == id {
			tags = cluster.opts.Tags
		}
		for _, entry := range cluster.entries {
			if entry.arn == id {
				tags = entry.Tags
			}
		}
	}
	q := question{action: "eks:" + r.op.name, resource: id, context: map[string][]string{}}
	maps.Copy(q.context, context)
	addTags(q.context, tags)
	if failure := r.caller.may(q); failure != nil {
		return nil, failure
	}
	if tags == nil {
		return nil, refuse(404, "NotFoundException", "Resource %s not found.", id)
	}
	return tags, nil
}

func (r *request) listTags() (any, *Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	tags, failure := r.tagged(nil)
	if failure != nil {
		return nil, failure
	}
	return map[string]any{"tags": maps.Clone(tags)}, nil
}

func (r *request) tagResource() (any, *Failure) {
	var body struct {
		Tags map[string]string `json:"tags"`
	}
	if failure := r.decode(&body); failure != nil {
		return nil, failure
	}
	context := map[string][]string{}
	for key, value := range body.Tags {
		context["aws:requesttag/"+lower(key)] = []string{value}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	tags, failure := r.tagged(context)
	if failure != nil {
		return nil, failure
	}
	maps.Copy(tags, body.Tags)
	return struct{}{}, nil
}

func (r *request) untagResource() (any, *Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	tags, failure := r.tagged(nil)
	if failure != nil {
		return nil, failure
	}
	for _, key := range r.http.URL.Query()["tagKeys"] {
		delete(tags, key)
	}
	return struct{}{}, nil
}
