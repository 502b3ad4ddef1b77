package cli

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/inventory/clusterproperty"
)

func TestTheIdentityOfACluster(t *testing.T) {
	d := &desk{t: t, here: asAdmin(t, "primary")} // without a manager: the command needs none
	there := asAdmin(t, "alpha")
	run := func(args ...string) outcome {
		t.Helper()
		return d.run(append([]string{"member", "identity", "--remote-context", "alpha"}, args...)...)
	}
	want := func(got outcome, code int, out string, errParts ...string) {
		t.Helper()
		if diff := cmp.Diff(out, got.Out); diff != "" || got.Code != code {
			t.Errorf("exit code %d, want %d (-want +got)\n%s", got.Code, code, diff)
		}
		wantText(t, "stderr", got.Err, errParts...)
	}

	want(run("--ensure-id"), exitFailed, "", "apply the CRD of sigs.k8s.io/about-api")
	fleettest.Use(t, "alpha").Install(t, "../../inventory/clusterproperty/testdata/crd.yaml")
	t.Cleanup(func() {
		crd := &unstructured.Unstructured{}
		crd.SetAPIVersion("apiextensions.k8s.io/v1")
		crd.SetKind("CustomResourceDefinition")
		crd.SetName("clusterproperties.about.k8s.io")
		_ = there.Client.Delete(context.Background(), crd)
	})
	properties, err := clusterproperty.New(there.Config)
	if err != nil {
		t.Fatal(err)
	}
	fleettest.Eventually(t, patience, func() error {
		_, err := properties.Read(t.Context())
		return err
	})
	want(run(), exitOK, "ID       CLUSTERSET\n<none>   <none>\n")

	system, err := there.Kube.CoreV1().Namespaces().Get(t.Context(), "kube-system", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	uid := string(system.UID)
	head := "ID                                     CLUSTERSET\n"
	want(run("--set", "prod"), exitOK, "In the remote cluster:\n  created  ClusterProperty cluster.clusterset.k8s.io: "+uid+"\n"+
		"  created  ClusterProperty clusterset.k8s.io: prod\n"+head+uid+"   prod\n")
	want(run("--set", "prod", "--ensure-id"), exitOK, "In the remote cluster: nothing to change\n"+head+uid+"   prod\n")
	want(run("--set", "prod", "-o", "json"), exitOK, "{\n  \"id\": \""+uid+"\",\n  \"clusterSet\": \"prod\"\n}\n", "nothing to change")
	want(run("--set", "other"), exitFailed, "", `ClusterProperty "clusterset.k8s.io" is "prod", and not "other"`)
	want(run("--id", "alpha.example.com"), exitFailed, "", `ClusterProperty "cluster.clusterset.k8s.io" is "`+uid+`", and not "alpha.example.com"`)
	want(run("--leave-set"), exitOK, "In the remote cluster:\n  deleted  ClusterProperty clusterset.k8s.io: prod\n"+head+uid+"   <none>\n")
	want(run("--leave-set"), exitOK, "In the remote cluster: nothing to change\n"+head+uid+"   <none>\n")

	theirs := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"value": "theirs"}}}
	theirs.SetAPIVersion("about.k8s.io/v1beta1")
	theirs.SetKind("ClusterProperty")
	theirs.SetName(clusterproperty.ClusterSet)
	if err := there.Client.Create(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	want(run("--leave-set"), exitFailed, "", "it is not Hawser's")
	if err := there.Client.Get(t.Context(), client.ObjectKeyFromObject(theirs), theirs); err != nil {
		t.Error(errors.Join(errors.New("it was deleted all the same"), err))
	}
}

func TestIdentityFlagsThatDoNotGoTogether(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no cluster":      {nil, "--remote-context is missing: name the context of the cluster"},
		"two ids":         {[]string{"--remote-context", "a", "--id", "b", "--ensure-id"}, "--id and --ensure-id: choose one"},
		"in and out":      {[]string{"--remote-context", "a", "--set", "b", "--leave-set"}, "--set and --leave-set: choose one"},
		"names, but none": {[]string{"--remote-context", "a", "-o", "name"}, `--output "name": there is only table, json, yaml`},
	} {
		t.Run(name, func(t *testing.T) {
			got := runWith(t, nil, append([]string{"hawser", "member", "identity"}, test.args...)...)
			want := outcome{Err: "hawser: " + test.want + "\nSee `hawser member identity --help`.\n", Code: exitUsage}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
