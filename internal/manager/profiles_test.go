package manager_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/controller/clusterprofile"
	"github.com/hawser-io/hawser/internal/manager"
	"github.com/hawser-io/hawser/inventory/clusterproperty"
)

const published = "hawser-clusterprofiles"

// publishing lets a hub publish ClusterProfiles, under the role that we ship, and counts its requests.
func (h *hub) publishing() *fleettest.HTTPProxy {
	h.t.Helper()
	h.stop()
	h.cluster.Install(h.t, "../../inventory/clusterprofile/testdata/crd.yaml", "../../config/clusterprofile/rbac.yaml")
	proxy := h.cluster.HTTPProxy(h.t)
	h.config, h.publish = proxy.Through(h.config), published
	h.start()
	return proxy
}

// profile is what a ClusterProfile says, as far as others act on it.
type profile struct {
	Conditions, Properties map[string]string
	Version, Server        string
}

func (h *hub) profile(remoteCluster string) (profile, error) {
	u := &unstructured.Unstructured{}
	u.SetAPIVersion("multicluster.x-k8s.io/v1alpha1")
	u.SetKind("ClusterProfile")
	if err := h.admin.Get(h.t.Context(), client.ObjectKey{Namespace: published, Name: "hawser-" + remoteCluster}, u); err != nil {
		return profile{}, err
	}
	p := profile{Conditions: map[string]string{}, Properties: map[string]string{}}
	p.Version, _, _ = unstructured.NestedString(u.Object, "status", "version", "kubernetes")
	entries := func(field string) (all []map[string]any) {
		list, _, _ := unstructured.NestedSlice(u.Object, "status", field)
		for _, item := range list {
			all = append(all, item.(map[string]any))
		}
		return all
	}
	for _, c := range entries("conditions") {
		p.Conditions[c["type"].(string)] = c["status"].(string)
	}
	for _, e := range entries("properties") {
		p.Properties[e["name"].(string)] = e["value"].(string)
	}
	for _, a := range entries("accessProviders") {
		p.Server, _, _ = unstructured.NestedString(a, "cluster", "server")
	}
	return p, nil
}

func (h *hub) publishes(remoteCluster string, want profile) {
	h.t.Helper()
	eventually(h.t, "the ClusterProfile", func() error {
		got, err := h.profile(remoteCluster)
		if err != nil {
			return err
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("(-want +got)\n%s", diff)
		}
		return nil
	})
}

// look lets the connection look at everything now.
func (h *hub) look(name string) {
	h.t.Helper()
	h.update(name, func(rc *v1alpha1.RemoteCluster) { rc.Spec.Burst++ })
}

func TestRemoteClustersArePublished(t *testing.T) {
	h, alpha := startHub(t), fleettest.Use(t, "alpha")
	proxy := h.publishing()
	there := h.tieByToken("alpha", alpha, alpha.Server)
	alpha.Install(t, "../../inventory/clusterproperty/testdata/crd.yaml")
	t.Cleanup(func() {
		crd := &unstructured.Unstructured{}
		crd.SetAPIVersion("apiextensions.k8s.io/v1")
		crd.SetKind("CustomResourceDefinition")
		crd.SetName("clusterproperties.about.k8s.io")
		_ = there.Delete(context.Background(), crd)
	})
	h.ready("alpha")
	rc := h.get("alpha")
	want := profile{
		Conditions: map[string]string{"ControlPlaneHealthy": "True", "Joined": "True"},
		Properties: map[string]string{"hawser.io/cluster-id": rc.Status.ClusterID, "hawser.io/member-version": "v0.0.0-test"},
		Version:    rc.Status.KubernetesVersion, Server: alpha.Server,
	}
	h.publishes("alpha", want)

	// What the cluster says of itself is told on, and taken back.
	properties, err := clusterproperty.New(alpha.AdminConfig())
	if err != nil {
		t.Fatal(err)
	}
	var id string
	eventually(t, "ClusterProperties to be served", func() (err error) {
		id, _, err = properties.EnsureID(t.Context())
		return err
	})
	if _, err := properties.EnsureSet(t.Context(), "prod"); err != nil {
		t.Fatal(err)
	}
	h.look("alpha")
	want.Properties["cluster.clusterset.k8s.io"], want.Properties["clusterset.k8s.io"] = id, "prod"
	h.publishes("alpha", want)
	if s := h.get("alpha").Status; s.ClusterProperty != id || s.ClusterSet != "prod" {
		t.Errorf("the status says %q and %q", s.ClusterProperty, s.ClusterSet)
	}
	if _, err := properties.LeaveSet(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.look("alpha")
	delete(want.Properties, "clusterset.k8s.io")
	h.publishes("alpha", want)
	if s := h.get("alpha").Status; s.ClusterProperty != id || s.ClusterSet != "" {
		t.Errorf("the status says %q and %q", s.ClusterProperty, s.ClusterSet)
	}

	// Whatever happens, it is written no more often than the KEP allows.
	ca := string(alpha.CA())
	began, held := time.Now(), false
	for i := 0; !held && i < 20; i++ {
		text := base64.StdEncoding.EncodeToString([]byte(ca + strings.Repeat("\n", i+1)))
		h.update("alpha", func(rc *v1alpha1.RemoteCluster) { rc.Spec.CAData = text })
		eventually(t, "it is published, or has to wait", func() error {
			if held = h.writes(proxy) >= 10; held || h.accessCA("alpha") == text {
				return nil
			}
			return errors.New("neither")
		})
	}
	if most := 11 + int(time.Since(began)/(30*time.Second)); !held || h.writes(proxy) > most {
		t.Errorf("%d writes, want 10, and no more than %d", h.writes(proxy), most)
	}

	h.update("alpha", func(rc *v1alpha1.RemoteCluster) { rc.Spec.Disabled = true })
	h.is("alpha", v1alpha1.Ready, metav1.ConditionFalse, v1alpha1.ReasonDisabled)
	if !wasLogged(`"msg"="condition changed"`, `"cluster"="alpha"`, `"clusterID"="`+rc.Status.ClusterID+`"`, `"reason"="Disabled"`) {
		t.Error("no log of a changed condition names the id of the cluster")
	}
	if err := h.admin.Delete(t.Context(), h.get("alpha")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the ClusterProfile to be gone", func() error {
		if _, err := h.profile("alpha"); client.IgnoreNotFound(err) != nil || err == nil {
			return fmt.Errorf("it is there: %w", err)
		}
		return nil
	})
}

// writes is how often ClusterProfiles were made or changed.
func (h *hub) writes(proxy *fleettest.HTTPProxy) int {
	n := 0
	for request, count := range proxy.Count() {
		method, path, _ := strings.Cut(request, " ")
		if strings.HasPrefix(path, "/apis/multicluster.x-k8s.io/") && (method == "POST" || method == "PUT" || method == "PATCH") {
			n += count
		}
	}
	return n
}

func wasLogged(parts ...string) (found bool) {
	texts.Range(func(text, _ any) bool {
		found = !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(text.(string), part) })
		return !found
	})
	return found
}

func (h *hub) accessCA(remoteCluster string) string {
	u := &unstructured.Unstructured{}
	u.SetAPIVersion("multicluster.x-k8s.io/v1alpha1")
	u.SetKind("ClusterProfile")
	_ = h.admin.Get(h.t.Context(), client.ObjectKey{Namespace: published, Name: "hawser-" + remoteCluster}, u)
	list, _, _ := unstructured.NestedSlice(u.Object, "status", "accessProviders")
	if len(list) != 1 {
		return ""
	}
	ca, _, _ := unstructured.NestedString(list[0].(map[string]any), "cluster", "certificate-authority-data")
	return ca
}

func TestTheShippedRoleForClusterProfilesIsWhatTheControllerNeeds(t *testing.T) {
	var needed rbacv1.Role
	if err := utilyaml.Unmarshal(clusterprofile.Role, &needed); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open("../../config/clusterprofile/rbac.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	decoder := utilyaml.NewYAMLOrJSONDecoder(file, 4096)
	var kinds []string
	for {
		var shipped rbacv1.Role
		if decoder.Decode(&shipped) != nil {
			break
		}
		kinds = append(kinds, shipped.Kind)
		if shipped.Kind != "Role" {
			continue
		}
		if diff := cmp.Diff(needed.Rules, shipped.Rules); diff != "" || shipped.Namespace != published {
			t.Errorf("in namespace %q (-needed +shipped)\n%s", shipped.Namespace, diff)
		}
	}
	if diff := cmp.Diff([]string{"Namespace", "Role", "RoleBinding"}, kinds); diff != "" {
		t.Errorf("what is shipped (-want +got)\n%s", diff)
	}
}

func TestWithoutTheKindNothingIsPublished(t *testing.T) {
	h := startHubIn(t, "beta", "hub-without-profiles") // nobody installs it there
	h.stop()
	err := manager.Run(t.Context(), manager.Options{
		ClusterName: h.local, ManagementOnly: true, Config: h.config, Log: logged, MetricsAddr: "0", ProbeAddr: "0",
		Profiles: manager.Profiles{Namespace: published},
	})
	if err == nil || !strings.Contains(err.Error(), "apply the CRD of sigs.k8s.io/cluster-inventory-api") {
		t.Errorf("the manager says %v", err)
	}
}
