package eksinventory_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/awstest"
	"github.com/hawser-io/hawser/inventory/eks"
)

func up(t *testing.T) awstest.EKSOptions {
	return awstest.EKSOptions{Server: endpoint, CA: fleettest.ForeignCA(t).PEM()}
}

func removed(policy v1alpha1.RemovedPolicy) func(*v1alpha1.EKSInventorySpec) {
	return func(s *v1alpha1.EKSInventorySpec) { s.Removed = policy }
}

func TestAClusterIsConnectedAndFollowed(t *testing.T) {
	w := start(t)
	options := up(t)
	alpha := w.aws.Account(one).EKS(north, "Alpha_1", options)
	w.look(func(s *v1alpha1.EKSInventorySpec) {
		s.NamePrefix, s.Capabilities = "aws-", []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}
	})

	rc := w.has("aws-alpha-1", exists)
	want := v1alpha1.RemoteClusterSpec{
		Server: endpoint, CAData: base64.StdEncoding.EncodeToString(options.CA),
		QPS: 20, Burst: 40, Timeout: &metav1.Duration{Duration: 30 * time.Second},
		Capabilities: []v1alpha1.Capability{v1alpha1.CapabilityEndpoints},
		Auth: v1alpha1.Auth{Type: v1alpha1.AuthEKS, EKS: &v1alpha1.EKSAuth{
			ClusterName: "Alpha_1", Region: north, AccountID: one,
			IdentityRef:    &v1alpha1.AWSIdentityRef{Kind: v1alpha1.KindAWSIdentity, Name: "token"},
			APIIdentityRef: &v1alpha1.AWSIdentityRef{Kind: v1alpha1.KindAWSIdentity, Name: "api-" + one},
		}},
	}
	if diff := cmp.Diff(want, rc.Spec); diff != "" {
		t.Errorf("its spec (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{v1alpha1.InventoryLabel: "eks.all", v1alpha1.ManagedByLabel: v1alpha1.ManagedBy}, rc.Labels); diff != "" {
		t.Errorf("its labels (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{eks.ARNAnnotation: alpha.ARN()}, rc.Annotations); diff != "" {
		t.Errorf("its annotations (-want +got):\n%s", diff)
	}
	inv := w.synced()
	if inv.Status.Clusters != 1 || inv.Status.SyncedAt == nil || len(inv.Status.Gaps) > 0 {
		t.Errorf("the status is %+v", inv.Status)
	}

	// Made again under the same name it has another address; what people added is still there.
	w.patch("aws-alpha-1", func(rc *v1alpha1.RemoteCluster) {
		rc.Spec.ProxyURL, rc.Spec.QPS, rc.Labels["team"] = "http://proxy.example.com", 7, "x"
		rc.Spec.Capabilities = append(rc.Spec.Capabilities, v1alpha1.CapabilityConnect)
	})
	again := awstest.EKSOptions{Server: otherEndpoint, CA: fleettest.ForeignCA(t).PEM()}
	alpha.Recreate(again)
	w.again()
	rc = w.has("aws-alpha-1", hasServer(otherEndpoint))
	want.Server, want.CAData, want.ProxyURL, want.QPS = otherEndpoint, base64.StdEncoding.EncodeToString(again.CA), "http://proxy.example.com", 7
	want.Capabilities = append(want.Capabilities, v1alpha1.CapabilityConnect)
	if diff := cmp.Diff(want, rc.Spec, cmpopts.SortSlices(func(a, b v1alpha1.Capability) bool { return a > b })); diff != "" {
		t.Errorf("its spec afterwards (-want +got):\n%s", diff)
	}
	if rc.Labels["team"] != "x" {
		t.Errorf("its labels afterwards are %v", rc.Labels)
	}

	// What people change of what the inventory fills in is put right at once; what they delete is made again.
	w.patch("aws-alpha-1", func(rc *v1alpha1.RemoteCluster) { rc.Spec.Server = "https://elsewhere.example.com" })
	w.has("aws-alpha-1", hasServer(otherEndpoint))
	if err := w.admin.Delete(t.Context(), rc); err != nil {
		t.Fatal(err)
	}
	w.has("aws-alpha-1", func(other *v1alpha1.RemoteCluster) error {
		if other.UID == rc.UID {
			return errors.New("it is the old one")
		}
		return nil
	})
}

func TestAClusterThatIsGone(t *testing.T) {
	cases := []struct {
		policy v1alpha1.RemovedPolicy
		gone   func(*world)
		back   func(*world)
	}{
		{v1alpha1.RemovedKeep,
			func(w *world) {
				w.says("kept although their clusters are gone: alpha")
				w.has("alpha", isDisabled(false))
			},
			func(w *world) { w.has("alpha", hasServer(otherEndpoint)) }},
		{v1alpha1.RemovedDisable,
			func(w *world) { w.has("alpha", isDisabled(true)) },
			func(w *world) {
				w.has("alpha", hasServer(otherEndpoint))
				if rc := w.has("alpha", isDisabled(false)); rc.Annotations[eks.DisabledAnnotation] != "" {
					w.t.Errorf("its annotations are %v", rc.Annotations)
				}
			}},
		{v1alpha1.RemovedDelete,
			func(w *world) { w.hasNot("alpha") },
			func(w *world) { w.has("alpha", hasServer(otherEndpoint)) }},
	}
	for _, tc := range cases {
		t.Run(string(tc.policy), func(t *testing.T) {
			w := start(t)
			alpha := w.aws.Account(one).EKS(north, "alpha", up(t))
			w.aws.Account(two).EKS(north, "beta", up(t))
			w.look(removed(tc.policy))
			w.has("alpha", exists)
			w.has("beta", exists)

			alpha.SetStatus("DELETING") // is still there
			w.again()
			w.says("it is DELETING")
			w.has("alpha", isDisabled(false))

			alpha.Delete()
			w.again()
			tc.gone(w)
			w.has("beta", isDisabled(false))

			w.aws.Account(one).EKS(north, "alpha", awstest.EKSOptions{Server: otherEndpoint, CA: fleettest.ForeignCA(t).PEM()})
			w.again()
			tc.back(w)
		})
	}
}

// says waits until the message of Ready holds a text.
func (w *world) says(text string) {
	w.t.Helper()
	eventually(w.t, "Ready to say "+text, func() error {
		c := meta.FindStatusCondition(w.inventory().Status.Conditions, v1alpha1.Ready)
		if c == nil || !strings.Contains(c.Message, text) {
			return fmt.Errorf("it is %+v", c)
		}
		return nil
	})
}

func TestWhatAPersonDisabledStaysSo(t *testing.T) {
	w := start(t)
	alpha := w.aws.Account(one).EKS(north, "alpha", up(t))
	w.look(removed(v1alpha1.RemovedDisable))
	w.patch("alpha", func(rc *v1alpha1.RemoteCluster) { rc.Spec.Disabled = true })
	alpha.Recreate(awstest.EKSOptions{Server: otherEndpoint, CA: fleettest.ForeignCA(t).PEM()})
	w.again()
	if rc := w.has("alpha", hasServer(otherEndpoint)); !rc.Spec.Disabled {
		t.Error("it was enabled")
	}
}

func TestWhatDoesNotAnswerCostsItsGapAlone(t *testing.T) {
	cases := []struct {
		name   string
		breaks func(*world)
		where  string
		reason string
		text   string
	}{
		{"a region that hangs", func(w *world) { w.aws.Hang("ListClusters", "arn:aws:eks:eu-west-1:"+one+":cluster/*") },
			`AWSIdentity "api-111111111111", eu-west-1`, v1alpha1.ReasonAWSUnreachable, "no answer in time"},
		{"a region that is disabled", func(w *world) { w.aws.DisableRegion(west) },
			`AWSIdentity "api-111111111111", eu-west-1`, v1alpha1.ReasonCredentialsInvalid, "that the region is enabled for the account"},
		{"an account that is denied", func(w *world) {
			w.account2().SetTrust(awstest.Trust{Services: []string{"ec2.amazonaws.com"}})
			w.clock.Step(time.Hour) // the sessions end
		},
			`AWSIdentity "api-222222222222"`, v1alpha1.ReasonAssumeRoleDenied, "hop 1 of 1"},
		{"an account that may not list", func(w *world) { w.aws.Deny("ListClusters", "arn:aws:eks:eu-north-1:"+two+":cluster/*") },
			`AWSIdentity "api-222222222222", eu-north-1`, v1alpha1.ReasonEKSDenied, "Allow eks:ListClusters to the identity"},
		{"an account that is throttled", func(w *world) {
			w.aws.Throttle("ListClusters", 100, "arn:aws:eks:eu-north-1:"+two+":cluster/*")
		}, `AWSIdentity "api-222222222222", eu-north-1`, v1alpha1.ReasonThrottled, "Rate exceeded"},
		{"a cluster that may not be described", func(w *world) { w.aws.Deny("DescribeCluster", "arn:aws:eks:eu-north-1:"+two+":cluster/beta") },
			`AWSIdentity "api-222222222222", eu-north-1, cluster "beta"`, v1alpha1.ReasonEKSDenied, "Allow eks:DescribeCluster to the identity"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			w := start(t)
			alpha := w.aws.Account(one).EKS(north, "alpha", up(t))
			for id, name := range map[string]string{one: "gamma", two: "delta"} {
				w.aws.Account(id).EKS(west, name, awstest.EKSOptions{Server: "https://" + name + ".example.com", CA: fleettest.ForeignCA(t).PEM()})
			}
			w.aws.Account(two).EKS(north, "beta", awstest.EKSOptions{Server: otherEndpoint, CA: fleettest.ForeignCA(t).PEM()})
			w.look(removed(v1alpha1.RemovedDelete), func(s *v1alpha1.EKSInventorySpec) { s.Regions = []string{north, west} })
			w.synced()
			all := []string{"alpha", "beta", "delta", "gamma"}
			eventually(t, "four RemoteClusters", func() error {
				if diff := cmp.Diff(all, w.names()); diff != "" {
					return errors.New(diff)
				}
				return nil
			})

			tc.breaks(w)
			alpha.Recreate(awstest.EKSOptions{Server: "https://again.example.com", CA: fleettest.ForeignCA(t).PEM()})
			w.again()
			inv := w.is(metav1.ConditionFalse, v1alpha1.ReasonPartlySynced)
			i := slices.IndexFunc(inv.Status.Gaps, func(g v1alpha1.InventoryGap) bool { return g.Where == tc.where })
			if i < 0 || inv.Status.Gaps[i].Reason != tc.reason || !strings.Contains(inv.Status.Gaps[i].Message, tc.text) {
				t.Errorf("the gaps are %+v, want %s at %s: …%s…", inv.Status.Gaps, tc.reason, tc.where, tc.text)
			}
			w.has("alpha", hasServer("https://again.example.com")) // the others go on
			if diff := cmp.Diff(all, w.names()); diff != "" {
				t.Errorf("RemoteClusters were deleted (-want +got):\n%s", diff)
			}

			w.aws.Heal()
			w.aws.EnableRegion(west)
			w.account2().SetTrust(awstest.Trust{Principals: []string{w.hub.ARN()}})
			w.again()
			w.synced()
		})
	}
}

func (w *world) account2() *awstest.Role {
	return w.aws.Account(two).Role("hawser-api", awstest.Trust{Principals: []string{w.hub.ARN()}})
}

func TestTwoClustersOfOneName(t *testing.T) {
	w := start(t)
	w.aws.Account(one).EKS(north, "prod", up(t))
	second := w.aws.Account(two).EKS(north, "prod", awstest.EKSOptions{Server: otherEndpoint, CA: fleettest.ForeignCA(t).PEM()})
	w.look()
	w.has("prod", hasServer(endpoint))
	w.synced()
	names := w.names()
	if len(names) != 2 || !strings.HasPrefix(names[1], "prod-") || len(names[1]) != len("prod-123456") {
		t.Fatalf("the names are %v", names)
	}
	if rc := w.has(names[1], hasServer(otherEndpoint)); rc.Spec.Auth.EKS.AccountID != two || rc.Annotations[eks.ARNAnnotation] != second.ARN() {
		t.Errorf("the second one is %+v", rc)
	}
}

func TestAClusterThatIsBeingCreated(t *testing.T) {
	w := start(t)
	options := up(t)
	options.Status = "CREATING"
	alpha := w.aws.Account(one).EKS(north, "alpha", options)
	w.look()
	inv := w.synced()
	want := []v1alpha1.InventoryGap{{Where: `AWSIdentity "api-111111111111", eu-north-1, cluster "alpha"`, Reason: v1alpha1.ReasonEKSClusterNotActive, Message: "it is CREATING"}}
	if diff := cmp.Diff(want, inv.Status.Gaps); diff != "" {
		t.Errorf("the gaps (-want +got):\n%s", diff)
	}
	if names := w.names(); len(names) > 0 {
		t.Errorf("there are %v", names)
	}
	alpha.SetStatus("ACTIVE")
	w.again() // well before the interval, in fact
	w.has("alpha", hasServer(endpoint))
	eventually(t, "the gap to close", func() error {
		if gaps := w.inventory().Status.Gaps; len(gaps) > 0 {
			return fmt.Errorf("there is %v", gaps)
		}
		return nil
	})
}

func TestOneThatIsWrittenByHandIsLeftAlone(t *testing.T) {
	w := start(t)
	options := up(t)
	w.aws.Account(one).EKS(north, "alpha", options)
	mine := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "mine"}}
	mine.Spec.Server = "https://tunnel.example.com"
	mine.Spec.Auth = v1alpha1.Auth{Type: v1alpha1.AuthEKS, EKS: &v1alpha1.EKSAuth{ClusterName: "alpha", Region: north, AccountID: one}}
	w.create(mine)
	w.look()
	inv := w.synced()
	if inv.Status.Clusters != 1 || len(inv.Status.Gaps) != 1 || inv.Status.Gaps[0].Message != `already connected as RemoteCluster "mine"` {
		t.Errorf("the status is %+v", inv.Status)
	}
	if diff := cmp.Diff([]string{"mine"}, w.names()); diff != "" {
		t.Errorf("the RemoteClusters (-want +got):\n%s", diff)
	}
	if rc := w.has("mine", exists); rc.ResourceVersion != mine.ResourceVersion {
		t.Error("it was written")
	}
}

func TestALongName(t *testing.T) {
	w := start(t)
	name := strings.Repeat("long_Name-", 9)[:89]
	w.aws.Account(one).EKS(north, name, up(t))
	w.look()
	w.synced()
	names := w.names()
	if len(names) != 1 || len(names[0]) > 50 || !strings.HasPrefix(names[0], "long-name-long-name-") {
		t.Fatalf("the names are %v", names)
	}
	if rc := w.has(names[0], exists); rc.Spec.Auth.EKS.ClusterName != name {
		t.Errorf("the cluster is named %q", rc.Spec.Auth.EKS.ClusterName)
	}
}

func TestADeletedInventoryLeavesItsRemoteClusters(t *testing.T) {
	w := start(t)
	w.aws.Account(one).EKS(north, "alpha", up(t))
	w.look(removed(v1alpha1.RemovedDelete))
	rc := w.has("alpha", exists)
	w.synced()
	eventually(t, "the inventory to pause", func() error {
		if !w.clock.HasWaiters() {
			return errors.New("nobody waits for the clock")
		}
		return nil
	})
	if err := w.admin.Delete(t.Context(), w.inventory()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the inventory to end", func() error {
		if w.clock.HasWaiters() {
			return errors.New("somebody waits for the clock")
		}
		return nil
	})
	if now := w.has("alpha", exists); now.ResourceVersion != rc.ResourceVersion {
		t.Error("it was written")
	}

	// Made again, it goes on with what it left.
	w.look(removed(v1alpha1.RemovedDelete))
	w.synced()
	if now := w.has("alpha", exists); now.UID != rc.UID {
		t.Error("it is another one")
	}
}

func TestAChangedSpecIsLookedAtAtOnce(t *testing.T) {
	w := start(t)
	w.aws.Account(one).EKS(north, "alpha", up(t))
	w.aws.Account(one).EKS(west, "beta", awstest.EKSOptions{Server: otherEndpoint, CA: fleettest.ForeignCA(t).PEM()})
	w.look(removed(v1alpha1.RemovedDelete))
	w.has("alpha", exists)
	w.change(func(s *v1alpha1.EKSInventorySpec) { s.Regions = []string{west} })
	w.has("beta", exists)
	// Nobody asks about eu-north-1 any more: what is there is not known to be gone.
	w.says("kept in accounts or regions that are not looked at: alpha")
	w.has("alpha", isDisabled(false))
}

func TestAnIdentityThatBecomesReadyIsTriedAtOnce(t *testing.T) {
	w := start(t)
	w.aws.Account(one).EKS(north, "alpha", up(t))
	w.look(func(s *v1alpha1.EKSInventorySpec) { s.Accounts[0].IdentityRef.Name = "late" })
	inv := w.is(metav1.ConditionFalse, v1alpha1.ReasonPartlySynced)
	if g := inv.Status.Gaps; len(g) != 1 || g[0].Reason != v1alpha1.ReasonIdentityNotFound {
		t.Errorf("the gaps are %+v", g)
	}
	late := &v1alpha1.AWSIdentity{ObjectMeta: metav1.ObjectMeta{Name: "late"}}
	late.Spec.Type, late.Spec.Role = v1alpha1.AWSRoleIdentity, &v1alpha1.AWSRole{RoleARN: "arn:aws:iam::" + one + ":role/hawser-api"}
	w.create(late)
	before := late.DeepCopy()
	late.Status.Conditions = []metav1.Condition{{Type: v1alpha1.Ready, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonIdentityReady, LastTransitionTime: metav1.Now()}}
	if err := w.admin.Status().Patch(t.Context(), late, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	w.has("alpha", exists)
	w.synced()
}
