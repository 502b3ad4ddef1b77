package manager_test

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/awstest"
)

func TestAnInventoryFindsAClusterAndItConnects(t *testing.T) {
	c := startCloud(t)
	h := startHub(t)
	h.eksMember(c)
	h.identities(c)
	describer := c.describer()
	h.identity("describer", roleOf(describer, "fleet"))
	inventory := &v1alpha1.EKSInventory{ObjectMeta: metav1.ObjectMeta{Name: "live"}, Spec: v1alpha1.EKSInventorySpec{
		Accounts: []v1alpha1.EKSAccount{{IdentityRef: ref("describer"), TokenIdentityRef: ref("member")}}, Regions: []string{region}, NamePrefix: "live-", Removed: v1alpha1.RemovedDelete,
		Interval: &metav1.Duration{Duration: time.Minute},
	}}
	if err := h.admin.Create(t.Context(), inventory); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the inventory to be synced", func() error {
		if err := h.admin.Get(t.Context(), client.ObjectKeyFromObject(inventory), inventory); err != nil {
			return err
		}
		if s := inventory.Status; !meta.IsStatusConditionTrue(s.Conditions, v1alpha1.Ready) || s.Clusters != 1 {
			return fmt.Errorf("it says %+v", s)
		}
		return nil
	})
	h.ready("live-prod")
	h.works("live-prod")
	if rc := h.get("live-prod"); rc.Spec.Auth.EKS.AccountID != targetAccount || rc.Spec.Server != c.api.Server {
		t.Errorf("it was filled in as %+v", rc.Spec)
	}
}

// describer is a role of the target account that may look at clusters.
func (c *cloud) describer() (arn string) {
	role := c.target.Role("describer", awstest.Trust{Principals: []string{c.fleet.ARN()}})
	role.Allow("eks:DescribeCluster")
	role.Allow("eks:ListClusters")
	c.fleet.Allow("sts:AssumeRole", role.ARN())
	return role.ARN()
}

func TestClusterAPIConnectsByItself(t *testing.T) {
	c := startCloud(t)
	c.member.Allow("eks:DescribeCluster") // the provider's own role does everything in its account
	h := startHub(t)
	h.stop()
	h.cluster.Install(t, "../controller/capa/testdata/crds.yaml")
	system := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "capa-system"}}
	if err := client.IgnoreAlreadyExists(h.admin.Create(t.Context(), system)); err != nil {
		t.Fatal(err)
	}
	h.cluster.Install(t, "../../config/cluster-api/rbac.yaml")
	ns := h.cluster.Namespace(t)
	role := func(name, arn, source, allowed string) string {
		return fmt.Sprintf("{apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: AWSClusterRoleIdentity, metadata: {name: %s}, "+
			"spec: {roleARN: %q, externalID: %s, sourceIdentityRef: %s, allowedNamespaces: {list: [%s]}}}", name, arn, externalID, source, allowed)
	}
	objects := []string{
		"{apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: AWSClusterControllerIdentity, metadata: {name: default}, spec: {allowedNamespaces: {}}}",
		role("fleet", c.fleet.ARN(), "{kind: AWSClusterControllerIdentity, name: default}", ns),
		role("staging", c.member.ARN(), "{kind: AWSClusterRoleIdentity, name: fleet}", ns),
		fmt.Sprintf("{apiVersion: cluster.x-k8s.io/v1beta1, kind: Cluster, metadata: {name: shop, namespace: %[1]s}, spec: {controlPlaneRef: "+
			"{apiVersion: controlplane.cluster.x-k8s.io/v1beta2, kind: AWSManagedControlPlane, name: shop, namespace: %[1]s}}}", ns),
		fmt.Sprintf("{apiVersion: controlplane.cluster.x-k8s.io/v1beta2, kind: AWSManagedControlPlane, metadata: {name: shop, namespace: %s, "+
			"ownerReferences: [{apiVersion: cluster.x-k8s.io/v1beta1, kind: Cluster, name: shop, uid: x}]}, spec: {eksClusterName: prod, region: %s, "+
			"identityRef: {kind: AWSClusterRoleIdentity, name: staging}, controlPlaneEndpoint: {host: %q, port: 443}}}", ns, region, c.api.Server),
	}
	var made []client.Object
	for _, text := range objects {
		obj := fromYAML(t, text)
		if owners := obj.GetOwnerReferences(); len(owners) > 0 { // the Cluster that was just made, or it would be collected
			owners[0].UID = made[0].GetUID()
			obj.SetOwnerReferences(owners)
		}
		eventually(t, "the kind "+obj.GetKind(), func() error { return client.IgnoreAlreadyExists(h.admin.Create(t.Context(), obj)) })
		made = append([]client.Object{obj}, made...)
	}
	t.Cleanup(func() {
		for _, obj := range made {
			_ = h.admin.Delete(t.Context(), obj)
		}
	})
	h.eksMember(c)
	h.capa = "capa-system"
	h.start()

	name := ns + "-shop"
	if len(name) > 50 {
		t.Fatalf("the name %s is too long for this test", name)
	}
	eventually(t, "the RemoteCluster", func() error {
		return h.admin.Get(t.Context(), client.ObjectKey{Name: name}, &v1alpha1.RemoteCluster{})
	})
	h.ready(name)
	h.works(name)
	// Whoever takes the label away does not free it from what its identities allow: it comes back.
	h.update(name, func(rc *v1alpha1.RemoteCluster) { delete(rc.Labels, v1alpha1.NamespaceLabel) })
	eventually(t, "the label to be back", func() error {
		if got := h.get(name).Labels[v1alpha1.NamespaceLabel]; got != ns {
			return fmt.Errorf("it is %q", got)
		}
		return nil
	})
	// One link of the chain lets the namespace in no longer.
	closed := fromYAML(t, role("fleet", c.fleet.ARN(), "{kind: AWSClusterControllerIdentity, name: default}", "another"))
	eventually(t, "the identity to be changed", func() error {
		now := closed.DeepCopy()
		if err := h.admin.Get(t.Context(), client.ObjectKeyFromObject(closed), now); err != nil {
			return err
		}
		now.Object["spec"] = closed.Object["spec"]
		return h.admin.Update(t.Context(), now)
	})
	if conn, err := h.links.Get(name); err == nil {
		conn.Renew() // otherwise it is at the next token
	}
	h.is(name, v1alpha1.CredentialFresh, metav1.ConditionFalse, v1alpha1.ReasonRenewalFailed)
	h.works(name) // the token that it has is good until its end
}

func fromYAML(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	obj := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &obj.Object); err != nil {
		t.Fatal(err)
	}
	return obj
}
