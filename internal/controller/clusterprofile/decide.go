package clusterprofile

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/inventory/clusterprofile"
	"github.com/hawser-io/hawser/member"
)

// DefaultManager is the name by which Hawser calls itself as a cluster manager.
const DefaultManager = "hawser"

// AccessProvider is the name of the entry by which others get access: by the plugin hawser-auth.
const AccessProvider = "hawser"

// Properties of our own, beside the ClusterProperties of the cluster.
const (
	clusterIDProperty     = "hawser.io/cluster-id"
	memberVersionProperty = "hawser.io/member-version"
)

// maxValue is how many characters a property of a ClusterProfile takes. A ClusterProperty may have more.
const maxValue = 1024

// object is JSON as the API server has it.
type object = map[string]any

// nameOf is the name of the ClusterProfile of a RemoteCluster: it begins with that of the manager, as the KEP recommends,
// so that those of several managers can share a namespace.
func nameOf(manager, remoteCluster string) string { return manager + "-" + remoteCluster }

// newProfile is the ClusterProfile of a RemoteCluster, without its status. The RemoteCluster owns it: the garbage
// collector removes what we do not come to remove.
func newProfile(rc *v1alpha1.RemoteCluster, namespace, manager string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: object{"spec": object{
		"displayName":    rc.Name,
		"clusterManager": object{"name": manager},
	}}}
	u.SetGroupVersionKind(clusterprofile.Kind)
	u.SetNamespace(namespace)
	u.SetName(nameOf(manager, rc.Name))
	u.SetLabels(map[string]string{
		clusterprofile.ManagerLabel: manager,
		v1alpha1.ManagedByLabel:     v1alpha1.ManagedBy,
		v1alpha1.RemoteClusterLabel: rc.Name,
	})
	u.SetOwnerReferences([]metav1.OwnerReference{{
		APIVersion: v1alpha1.GroupVersion.String(), Kind: "RemoteCluster", Name: rc.Name, UID: rc.UID,
	}})
	return u
}

// isOurs reports whether a ClusterProfile is the one that we made for a RemoteCluster of that name.
func isOurs(u *unstructured.Unstructured, remoteCluster, manager string) bool {
	labels := u.GetLabels()
	name, _, _ := unstructured.NestedString(u.Object, "spec", "clusterManager", "name")
	return labels[v1alpha1.ManagedByLabel] == v1alpha1.ManagedBy && labels[v1alpha1.RemoteClusterLabel] == remoteCluster && name == manager
}

// isOf reports whether a RemoteCluster owns a ClusterProfile: not an earlier one of its name.
func isOf(u *unstructured.Unstructured, rc *v1alpha1.RemoteCluster) bool {
	return slices.ContainsFunc(u.GetOwnerReferences(), func(r metav1.OwnerReference) bool { return r.UID == rc.UID })
}

// statusFor is the status that a ClusterProfile should have, given the one that it has: ours is replaced, and what
// others wrote stays. left says what could not be put into it, and why. have is returned where nothing is to be changed.
//
// When a property was last observed is no reason to write; once there is one, all of them are observed now.
func statusFor(rc *v1alpha1.RemoteCluster, have object, now time.Time) (want object, left []string) {
	properties, left := propertiesOf(rc)
	access, why := accessOf(rc)
	if why != "" {
		left = append(left, why)
	}
	build := func(observed func(name, value string) string) object {
		want := maps.Clone(have)
		if want == nil {
			want = object{}
		}
		var entries []object
		for _, p := range properties {
			entries = append(entries, object{"name": p.Name, "value": p.Value, "lastObservedTime": observed(p.Name, p.Value)})
		}
		setList(want, "conditions", "type", conditionsOf(rc), nil)
		setList(want, "properties", "name", entries, func(name string) bool {
			return slices.Contains([]string{member.ClusterPropertyName, member.ClusterSetPropertyName, clusterIDProperty, memberVersionProperty}, name)
		})
		setList(want, "accessProviders", "name", access, func(name string) bool { return name == AccessProvider })
		if version := rc.Status.KubernetesVersion; version != "" {
			want["version"] = object{"kubernetes": version}
		}
		return want
	}
	stamp := now.UTC().Format(time.RFC3339)
	before := observedTimes(have)
	want = build(func(name, value string) string {
		if at, ok := before[name+"\x00"+value]; ok {
			return at
		}
		return stamp
	})
	if reflect.DeepEqual(want, have) {
		return have, left
	}
	return build(func(string, string) string { return stamp }), left
}

// observedTimes are those of the properties that there are, by name and value.
func observedTimes(status object) map[string]string {
	times := map[string]string{}
	list, _ := status["properties"].([]any)
	for _, item := range list {
		if p, ok := item.(object); ok {
			if at, ok := p["lastObservedTime"].(string); ok {
				times[fmt.Sprintf("%v\x00%v", p["name"], p["value"])] = at
			}
		}
	}
	return times
}

// setList puts our entries into a list that others may have entries in: in the place of those of the same key, else
// at the end. What was once ours, and is no longer wanted, goes.
func setList(status object, field, key string, entries []object, once func(string) bool) {
	have, _ := status[field].([]any)
	byKey := map[string]object{}
	for _, e := range entries {
		byKey[e[key].(string)] = e
	}
	var list []any
	for _, item := range have {
		entry, _ := item.(object)
		name, _ := entry[key].(string)
		if ours, ok := byKey[name]; ok {
			list = append(list, ours)
			delete(byKey, name)
		} else if once == nil || !once(name) {
			list = append(list, item)
		}
	}
	for _, e := range entries {
		if _, missing := byKey[e[key].(string)]; missing {
			list = append(list, e)
		}
	}
	if len(list) == 0 {
		delete(status, field)
		return
	}
	status[field] = list
}

// conditionsOf are ControlPlaneHealthy and Joined: whether the API server answers, and whether all that was asked of
// the connection works.
func conditionsOf(rc *v1alpha1.RemoteCluster) []object {
	return []object{
		conditionOf(rc, clusterprofile.ControlPlaneHealthy, v1alpha1.Reachable),
		conditionOf(rc, clusterprofile.Joined, v1alpha1.Ready),
	}
}

func conditionOf(rc *v1alpha1.RemoteCluster, kind, from string) object {
	c := meta.FindStatusCondition(rc.Status.Conditions, from)
	if c == nil {
		c = &metav1.Condition{Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonNotProbed, Message: "not probed yet", LastTransitionTime: rc.CreationTimestamp}
	}
	return object{
		"type": kind, "status": string(c.Status), "reason": c.Reason, "message": c.Message,
		"lastTransitionTime": c.LastTransitionTime.UTC().Format(time.RFC3339),
	}
}

// propertiesOf are the cluster's own statements of its id and its ClusterSet, unchanged, and what else is known of it.
func propertiesOf(rc *v1alpha1.RemoteCluster) (list []clusterprofile.Property, left []string) {
	for _, p := range []clusterprofile.Property{
		{Name: member.ClusterPropertyName, Value: rc.Status.ClusterProperty},
		{Name: member.ClusterSetPropertyName, Value: rc.Status.ClusterSet},
		{Name: clusterIDProperty, Value: rc.Status.ClusterID},
		{Name: memberVersionProperty, Value: rc.Status.MemberVersion},
	} {
		switch length := utf8.RuneCountInString(p.Value); {
		case length == 0:
		case length > maxValue:
			left = append(left, fmt.Sprintf("property %s has %d characters, and a ClusterProfile takes %d", p.Name, length, maxValue))
		default:
			list = append(list, p)
		}
	}
	return list, left
}

// accessOf is the entry by which others reach the cluster with a credential of their own.
func accessOf(rc *v1alpha1.RemoteCluster) (entries []object, why string) {
	if rc.Spec.Server == "" {
		return nil, fmt.Sprintf("accessProviders: auth.type %s keeps the address of the cluster to itself", rc.Spec.Auth.Type)
	}
	cluster := object{"server": rc.Spec.Server}
	for field, value := range map[string]string{
		"certificate-authority-data": rc.Spec.CAData,
		"tls-server-name":            rc.Spec.TLSServerName,
		"proxy-url":                  rc.Spec.ProxyURL,
	} {
		if value != "" {
			cluster[field] = value
		}
	}
	cluster["extensions"] = []any{object{"name": clusterprofile.ExecExtension, "extension": object{"clusterName": rc.Name}}}
	return []object{{"name": AccessProvider, "cluster": cluster}}, ""
}

// remoteClusterOf is the RemoteCluster that a ClusterProfile of that name would be of.
func remoteClusterOf(manager, profile string) (string, bool) {
	return strings.CutPrefix(profile, manager+"-")
}
