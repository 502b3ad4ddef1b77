package manager_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/awstest"
	"github.com/hawser-io/hawser/member"
)

const (
	managementAccount = "111122223333"
	targetAccount     = "444455556666"
	region            = "eu-north-1"
	externalID        = "of-the-fleet"
)

// cloud is AWS with two accounts and a way through both: the manager's own role, as a pod has it; the role fleet
// beside it; and the role member in the target account, which has no permission at all and which the EKS cluster knows.
type cloud struct {
	*awstest.Server
	management, target *awstest.Account
	pod, fleet, member *awstest.Role
	cluster            *awstest.Cluster
	api                *fleettest.Cluster
}

// startCloud comes before startHub: the manager finds its own identity in the environment.
func startCloud(t *testing.T) *cloud {
	t.Helper()
	s := awstest.Start(t, awstest.Options{})
	c := &cloud{Server: s, management: s.Account(managementAccount), target: s.Account(targetAccount)}
	c.pod = c.management.Role("manager", awstest.Trust{Services: []string{"pods.eks.amazonaws.com"}})
	c.fleet = c.management.Role("fleet", awstest.Trust{Principals: []string{c.pod.ARN()}})
	c.member = c.target.Role("member", awstest.Trust{Principals: []string{c.fleet.ARN()}, ExternalID: externalID})
	c.fleet.Allow("sts:AssumeRole", c.member.ARN())
	c.cluster = c.target.EKS(region, "prod", awstest.EKSOptions{})
	c.api = c.cluster.ServeBy(t, "eks")
	c.cluster.Entry(c.member.ARN(), []string{v1alpha1.MembersGroup}, "")
	keys := c.pod.Session("pod", time.Hour)
	remember(keys.SecretAccessKey)
	remember(keys.SessionToken)
	s.Setenv(t, keys)
	return c
}

// identities makes the AWSIdentities of the way.
func (h *hub) identities(c *cloud) {
	h.t.Helper()
	h.identity("fleet", roleOf(c.fleet.ARN(), ""))
	h.identity("member", roleOf(c.member.ARN(), "fleet"), func(s *v1alpha1.AWSIdentitySpec) { s.Role.ExternalID = externalID })
}

func roleOf(arn, source string) v1alpha1.AWSIdentitySpec {
	spec := v1alpha1.AWSIdentitySpec{Type: v1alpha1.AWSRoleIdentity, Role: &v1alpha1.AWSRole{RoleARN: arn}}
	if source != "" {
		spec.SourceIdentityRef = ref(source)
	}
	return spec
}

func ref(name string) *v1alpha1.AWSIdentityRef { return &v1alpha1.AWSIdentityRef{Name: name} }

// identity makes one AWSIdentity, which goes when the test ends.
func (h *hub) identity(name string, spec v1alpha1.AWSIdentitySpec, change ...func(*v1alpha1.AWSIdentitySpec)) {
	h.t.Helper()
	for _, f := range change {
		f(&spec)
	}
	id := &v1alpha1.AWSIdentity{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}
	if err := h.admin.Create(h.t.Context(), id); err != nil {
		h.t.Fatalf("making AWSIdentity %s: %v", name, err)
	}
}

// tieEKS makes a RemoteCluster for the cloud's EKS cluster, whose member side is installed.
func (h *hub) tieEKS(name string, c *cloud, identity string, change ...func(*v1alpha1.RemoteCluster)) {
	h.t.Helper()
	auth := v1alpha1.Auth{Type: v1alpha1.AuthEKS, EKS: &v1alpha1.EKSAuth{ClusterName: c.cluster.Name, Region: region, IdentityRef: ref(identity)}}
	h.tie(name, c.api.Server, c.api.CA(), auth, change...)
}

func (h *hub) eksMember(c *cloud) {
	h.t.Helper()
	h.member(c.api, member.Options{Identity: member.Foreign, Groups: []string{v1alpha1.MembersGroup}, Capabilities: []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}})
}

// identityIs waits until the condition Ready of an AWSIdentity has a status and reason, and returns its message.
func (h *hub) identityIs(name string, status metav1.ConditionStatus, reason string) string {
	h.t.Helper()
	var message string
	eventually(h.t, fmt.Sprintf("AWSIdentity %s to be %s %s", name, status, reason), func() error {
		var id v1alpha1.AWSIdentity
		if err := h.admin.Get(h.t.Context(), client.ObjectKey{Name: name}, &id); err != nil {
			return err
		}
		c := meta.FindStatusCondition(id.Status.Conditions, v1alpha1.Ready)
		if c == nil || c.Status != status || c.Reason != reason {
			return fmt.Errorf("it is %+v", c)
		}
		message = c.Message
		return nil
	})
	return message
}

func TestAnEKSClusterIsReachedThroughTwoAccountsWithNothingStored(t *testing.T) {
	c := startCloud(t)
	h := startHub(t)
	h.eksMember(c)
	h.identities(c)
	h.tieEKS("prod", c, "member")
	h.ready("prod")
	h.works("prod")
	rc := h.get("prod")
	if want := "arn:aws:sts::" + targetAccount + ":assumed-role/member/"; !strings.HasPrefix(rc.Status.Credential.Subject, want) {
		t.Errorf("the cluster knows us as %s, want %s…", rc.Status.Credential.Subject, want)
	}
	if left := time.Until(rc.Status.Credential.ExpiresAt.Time); left > 14*time.Minute || left < 12*time.Minute {
		t.Errorf("the token is good for %s", left)
	}
	var secrets corev1.SecretList
	if err := h.admin.List(t.Context(), &secrets, client.InNamespace(v1alpha1.Namespace)); err != nil || len(secrets.Items) > 0 {
		t.Errorf("%d Secrets are stored for it (%v)", len(secrets.Items), err)
	}
	message := h.identityIs("member", metav1.ConditionTrue, v1alpha1.ReasonIdentityReady)
	if !strings.Contains(message, "assumed-role/member/") {
		t.Errorf("the identity is ready %s", message)
	}
	// In place: what runs over the link goes on, and no role is assumed again for it.
	before, conn := len(c.CallsOf("AssumeRole")), h.client("prod")
	w, err := conn.CoreV1().Namespaces().Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	h.rotate("prod")
	h.works("prod")
	if n := len(c.CallsOf("AssumeRole")) - before; n != 0 {
		t.Errorf("a new token took %d sessions", n)
	}
	ns := c.api.Namespace(t)
	for event := range w.ResultChan() {
		if o, ok := event.Object.(*corev1.Namespace); ok && o.Name == ns {
			return
		}
	}
	t.Error("the watch ended when the token was renewed")
}

func TestEachBrokenLinkIsNamed(t *testing.T) {
	c := startCloud(t)
	h := startHub(t)
	h.eksMember(c)
	h.identities(c)
	h.tieEKS("good", c, "member")
	h.ready("good")

	stranger := c.target.Role("stranger", awstest.Trust{Principals: []string{c.target.RootARN()}})
	elsewhere := c.AccountIn("aws-cn", "777788889999").Role("elsewhere", awstest.Trust{})
	user := c.management.User("old")
	old := user.Keys()
	remember(old.SecretAccessKey)
	user.Disable()
	describer := c.target.Role("describer", awstest.Trust{Principals: []string{c.fleet.ARN()}})
	c.fleet.Allow("sts:AssumeRole", describer.ARN())
	describer.Allow("eks:DescribeCluster")

	h.secretKeys("old-keys", map[string]string{"AccessKeyID": old.AccessKeyID, "SecretAccessKey": old.SecretAccessKey})
	h.secretKeys("half-keys", map[string]string{"AccessKeyID": "AKIAHALF"})
	static := func(secret string) v1alpha1.AWSIdentitySpec {
		return v1alpha1.AWSIdentitySpec{Type: v1alpha1.AWSStaticIdentity, Static: &v1alpha1.AWSStaticKeys{SecretRef: v1alpha1.LocalSecretRef{Name: secret}}}
	}
	all, only := &v1alpha1.AllowedNamespaces{}, &v1alpha1.AllowedNamespaces{Names: []string{"other"}}
	h.identity("describer", roleOf(describer.ARN(), "fleet"))
	h.identity("wrong-external-id", roleOf(c.member.ARN(), "fleet"), func(s *v1alpha1.AWSIdentitySpec) { s.Role.ExternalID = "another" })
	h.identity("no-trust", roleOf(stranger.ARN(), "fleet"))
	h.identity("no-such-role", roleOf("arn:aws:iam::"+targetAccount+":role/nobody", "fleet"))
	h.identity("other-partition", roleOf(elsewhere.ARN(), "fleet"))
	h.identity("too-long", roleOf(c.member.ARN(), "fleet"), func(s *v1alpha1.AWSIdentitySpec) { s.Role.DurationSeconds = 7200 })
	c.DisableRegion("ap-south-2")
	h.identity("region-off", roleOf(c.member.ARN(), "fleet"), func(s *v1alpha1.AWSIdentitySpec) { s.Role.Region = "ap-south-2" })
	h.identity("ring-a", roleOf(c.fleet.ARN(), "ring-c"))
	h.identity("ring-b", roleOf(c.fleet.ARN(), "ring-a"))
	h.identity("ring-c", roleOf(c.fleet.ARN(), "ring-b"))
	for i := range 5 {
		source := ""
		if i > 0 {
			source = fmt.Sprintf("deep-%d", i-1)
		}
		h.identity(fmt.Sprintf("deep-%d", i), roleOf(c.fleet.ARN(), source))
	}
	h.identity("no-source", roleOf(c.member.ARN(), "missing"))
	h.identity("dead-keys", static("old-keys"))
	h.identity("from-dead-keys", roleOf(c.fleet.ARN(), "dead-keys"))
	h.identity("half-keys", static("half-keys"))
	h.identity("no-keys", static("nowhere"))
	h.identity("closed", roleOf(c.fleet.ARN(), ""), func(s *v1alpha1.AWSIdentitySpec) { s.AllowedNamespaces = only })
	h.identity("open", roleOf(c.member.ARN(), "closed"), func(s *v1alpha1.AWSIdentitySpec) { s.Role.ExternalID, s.AllowedNamespaces = externalID, all })

	from := func(namespace string) func(*v1alpha1.RemoteCluster) {
		return func(rc *v1alpha1.RemoteCluster) { rc.Labels = map[string]string{v1alpha1.NamespaceLabel: namespace} }
	}
	cases := []struct {
		name, identity, reason, message string
		change                          func(*v1alpha1.RemoteCluster)
	}{
		{"wrong-external-id", "wrong-external-id", v1alpha1.ReasonAssumeRoleDenied, `hop 2 of 2, AWSIdentity "wrong-external-id"`, nil},
		{"trust-missing", "no-trust", v1alpha1.ReasonAssumeRoleDenied, `hop 2 of 2, AWSIdentity "no-trust"`, nil},
		{"role-missing", "no-such-role", v1alpha1.ReasonAssumeRoleDenied, `hop 2 of 2, AWSIdentity "no-such-role"`, nil},
		{"other-partition", "other-partition", v1alpha1.ReasonCrossPartition, `hop 2 of 2, AWSIdentity "other-partition"`, nil},
		{"too-long", "too-long", v1alpha1.ReasonDurationTooLong, "3600", nil},
		{"region-off", "region-off", v1alpha1.ReasonRegionDisabled, `hop 2 of 2, AWSIdentity "region-off"`, nil},
		{"cycle-of-three", "ring-a", v1alpha1.ReasonIdentityCycle, `"ring-b"`, nil},
		{"too-deep", "deep-4", v1alpha1.ReasonChainTooDeep, "more than 4 roles", nil},
		{"identity-missing", "missing", v1alpha1.ReasonIdentityNotFound, `AWSIdentity "missing"`, nil},
		{"source-missing", "no-source", v1alpha1.ReasonIdentityNotFound, `AWSIdentity "missing"`, nil},
		{"dead-keys", "from-dead-keys", v1alpha1.ReasonCredentialsInvalid, `before hop 1 of 1, AWSIdentity "dead-keys"`, nil},
		{"half-keys", "half-keys", v1alpha1.ReasonInputInvalid, "half a pair", nil},
		{"no-keys", "no-keys", v1alpha1.ReasonInputMissing, `Secret "nowhere"`, nil},
		{"second-link-closed", "open", v1alpha1.ReasonNamespaceNotAllowed, `AWSIdentity "closed"`, from("staging")},
		{"other-account", "member", v1alpha1.ReasonAccountMismatch, "belongs to account " + targetAccount, func(rc *v1alpha1.RemoteCluster) {
			rc.Spec.Auth.EKS.AccountID, rc.Spec.Auth.EKS.APIIdentityRef = managementAccount, ref("describer")
		}},
		{"no-entry", "fleet", v1alpha1.ReasonRefused, "hawser aws check no-entry", nil},
		{"no-entry-and-known", "fleet", v1alpha1.ReasonAccessEntryMissing, "no access entry", func(rc *v1alpha1.RemoteCluster) {
			rc.Spec.Auth.EKS.APIIdentityRef = ref("describer")
		}},
		{"other-name", "member", v1alpha1.ReasonEKSClusterNotFound, `EKS knows no cluster "other-name"`, func(rc *v1alpha1.RemoteCluster) {
			rc.Spec.Auth.EKS.ClusterName, rc.Spec.Auth.EKS.APIIdentityRef = "", ref("describer")
		}},
	}
	for _, test := range cases {
		change := func(*v1alpha1.RemoteCluster) {}
		if test.change != nil {
			change = test.change
		}
		h.tieEKS(test.name, c, test.identity, change)
	}
	for _, test := range cases {
		if message := h.is(test.name, v1alpha1.Authenticated, metav1.ConditionFalse, test.reason); !strings.Contains(message, test.message) {
			t.Errorf("%s: the message %q does not say %q", test.name, message, test.message)
		}
	}
	h.works("good")
	h.ready("good")
	for identity, reason := range map[string]string{
		"wrong-external-id": v1alpha1.ReasonAssumeRoleDenied, "ring-b": v1alpha1.ReasonIdentityCycle, "deep-4": v1alpha1.ReasonChainTooDeep,
		"half-keys": v1alpha1.ReasonInputInvalid, "dead-keys": v1alpha1.ReasonCredentialsInvalid, "other-partition": v1alpha1.ReasonCrossPartition,
	} {
		h.identityIs(identity, metav1.ConditionFalse, reason)
	}
	h.identityIs("deep-3", metav1.ConditionFalse, v1alpha1.ReasonAssumeRoleDenied) // fleet does not trust itself
	h.identityIs("open", metav1.ConditionTrue, v1alpha1.ReasonIdentityReady)       // it admits no namespace, and can be taken on
}

// secretKeys writes a Secret as a person would.
func (h *hub) secretKeys(name string, data map[string]string) {
	h.t.Helper()
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: name, Labels: map[string]string{v1alpha1.CredentialsLabel: "true"}},
		StringData: data,
	}
	if err := h.admin.Create(h.t.Context(), secret); err != nil {
		h.t.Fatal(err)
	}
}

func TestAClusterThatReadsNoAccessEntries(t *testing.T) {
	c := startCloud(t)
	h := startHub(t)
	h.eksMember(c)
	h.identities(c)
	c.cluster.SetAuthenticationMode("CONFIG_MAP")
	c.fleet.Allow("eks:DescribeCluster")
	c.member.Allow("eks:DescribeCluster")
	h.tieEKS("prod", c, "member", func(rc *v1alpha1.RemoteCluster) { rc.Spec.Auth.EKS.APIIdentityRef = ref("member") })
	message := h.is("prod", v1alpha1.Authenticated, metav1.ConditionFalse, v1alpha1.ReasonAuthModeConfigMap)
	if !strings.Contains(message, "authenticationMode=API_AND_CONFIG_MAP") {
		t.Errorf("the message %q does not tell the repair", message)
	}
	c.cluster.SetAuthenticationMode("API_AND_CONFIG_MAP")
	h.ready("prod")
}

func TestADeletedIdentityIsHeldByNothingAndThoseWhoNameItAreWarned(t *testing.T) {
	c := startCloud(t)
	h := startHub(t)
	h.eksMember(c)
	h.identities(c)
	h.tieEKS("prod", c, "member")
	h.ready("prod")
	h.identityIs("member", metav1.ConditionTrue, v1alpha1.ReasonIdentityReady)
	identity := &v1alpha1.AWSIdentity{ObjectMeta: metav1.ObjectMeta{Name: "member"}}
	// As an earlier version left it.
	if err := h.admin.Patch(t.Context(), identity, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":["`+v1alpha1.IdentityFinalizer+`"]}}`))); err != nil {
		t.Fatal(err)
	}
	if err := h.admin.Delete(t.Context(), identity); err != nil {
		t.Fatal(err)
	}
	gone(t, h.admin, identity)
	eventually(t, "the warning", func() error {
		var events corev1.EventList
		if err := h.admin.List(t.Context(), &events, client.InNamespace("default")); err != nil {
			return err
		}
		for _, e := range events.Items {
			if e.Reason == v1alpha1.ReasonIdentityInUse && e.InvolvedObject.Name == "prod" && strings.Contains(e.Message, `AWSIdentity "member"`) {
				return nil
			}
		}
		return errors.New("there is none")
	})
	h.works("prod") // with the session that it has
}

// readyByAsking is ready for a connection that has no credential: it is asked to look for one all the time, instead of ever
// more seldom.
func (h *hub) readyByAsking(name string) {
	h.t.Helper()
	eventually(h.t, name+" to be ready", func() error {
		conn, err := h.links.Get(name)
		if err != nil {
			return err
		}
		conn.Refresh()
		if c := meta.FindStatusCondition(h.get(name).Status.Conditions, v1alpha1.Ready); c == nil || c.Reason != v1alpha1.ReasonConnected {
			return fmt.Errorf("it is %+v", c)
		}
		return nil
	})
}

func TestAThrottledSTSIsAskedLessAndHarmsNobodyElse(t *testing.T) {
	c := startCloud(t)
	h := startHub(t)
	h.eksMember(c)
	h.identities(c)
	h.tieEKS("good", c, "member")
	h.ready("good")
	slow := c.target.Role("slow", awstest.Trust{Principals: []string{c.fleet.ARN()}})
	c.fleet.Allow("sts:AssumeRole", slow.ARN())
	c.cluster.Entry(slow.ARN(), []string{v1alpha1.MembersGroup}, "")
	c.Throttle("AssumeRole", 2, slow.ARN())
	h.identity("slow", roleOf(slow.ARN(), "fleet"))
	for i := range 5 {
		h.tieEKS(fmt.Sprintf("slow-%d", i), c, "slow")
	}
	h.is("slow-0", v1alpha1.Authenticated, metav1.ConditionFalse, v1alpha1.ReasonThrottled)
	h.works("good")
	for i := range 5 {
		h.readyByAsking(fmt.Sprintf("slow-%d", i))
	}
	var calls int
	for _, call := range c.CallsOf("AssumeRole") {
		if call.Resource == slow.ARN() {
			calls++
		}
	}
	if calls != 3 {
		t.Errorf("STS was asked %d times for five clusters of one identity, want 3: two throttled, one granted", calls)
	}
}

func TestAClockThatAWSDoesNotShare(t *testing.T) {
	c := startCloud(t)
	c.SkewClock(20 * time.Minute)
	h := startHub(t)
	h.eksMember(c)
	h.identities(c)
	h.tieEKS("prod", c, "member")
	if message := h.is("prod", v1alpha1.Authenticated, metav1.ConditionFalse, v1alpha1.ReasonClockSkew); !strings.Contains(message, `hop 1 of 2, AWSIdentity "fleet"`) {
		t.Errorf("the message %q does not name the first hop", message)
	}
	c.SkewClock(0)
	h.readyByAsking("prod")
	h.identityIs("member", metav1.ConditionTrue, v1alpha1.ReasonIdentityReady)
}

func TestAnEKSClusterThatIsMadeAnewUnderItsName(t *testing.T) {
	c := startCloud(t)
	h := startHub(t)
	h.eksMember(c)
	h.identities(c)
	h.tieEKS("prod", c, "member")
	h.ready("prod")
	// Somebody deletes it and makes another of that name: another API server, with another CA.
	other, stranger := fleettest.Use(t, "alpha"), fleettest.NewStranger(t)
	h.update("prod", func(rc *v1alpha1.RemoteCluster) {
		rc.Spec.Server, rc.Spec.CAData = other.Server, base64of(other.CA())
	})
	h.is("prod", v1alpha1.Reachable, metav1.ConditionTrue, v1alpha1.ReasonAddressUnproven)
	h.works("prod")
	h.update("prod", func(rc *v1alpha1.RemoteCluster) {
		rc.Spec.Server, rc.Spec.CAData = stranger.URL, base64of(stranger.CA())
	})
	// A token that grows from a changed identity is no freer than the one before.
	h.updateIdentity("member", func(id *v1alpha1.AWSIdentity) { id.Spec.Role.SessionName = "another" })
	eventually(t, "the new token to be refused to the stranger", func() error {
		if conn, err := h.links.Get("prod"); err == nil {
			conn.Refresh() // otherwise it is looked at every minute
		}
		if c := meta.FindStatusCondition(h.get("prod").Status.Conditions, v1alpha1.CredentialFresh); c == nil || c.Reason != v1alpha1.ReasonInputRefused {
			return fmt.Errorf("it says %+v", c)
		}
		return nil
	})
	h.works("prod")
	h.stop() // what was proved is remembered over a restart
	h.start()
	h.is("prod", v1alpha1.Reachable, metav1.ConditionFalse, v1alpha1.ReasonAddressUnproven)
	if strings.Contains(strings.ToLower(string(stranger.Sent())), "authorization") {
		t.Errorf("a stranger was shown a token: %.300s", stranger.Sent())
	}
	h.update("prod", func(rc *v1alpha1.RemoteCluster) {
		rc.Spec.Server, rc.Spec.CAData = c.api.Server, base64of(c.api.CA())
	})
	h.ready("prod")
}

// updateIdentity changes an AWSIdentity.
func (h *hub) updateIdentity(name string, change func(*v1alpha1.AWSIdentity)) {
	h.t.Helper()
	var id v1alpha1.AWSIdentity
	if err := h.admin.Get(h.t.Context(), client.ObjectKey{Name: name}, &id); err != nil {
		h.t.Fatal(err)
	}
	before := id.DeepCopy()
	change(&id)
	if err := h.admin.Patch(h.t.Context(), &id, client.MergeFrom(before)); err != nil {
		h.t.Fatalf("changing AWSIdentity %s: %v", name, err)
	}
}

func TestTwoClustersOfOneNameInTwoAccountsAreWarnedOf(t *testing.T) {
	c := startCloud(t)
	h := startHub(t)
	h.eksMember(c)
	h.identities(c)
	account := func(id string) func(*v1alpha1.RemoteCluster) {
		return func(rc *v1alpha1.RemoteCluster) { rc.Spec.Auth.EKS.AccountID = id }
	}
	h.tieEKS("other", c, "member", account(managementAccount), func(rc *v1alpha1.RemoteCluster) { rc.Spec.Disabled = true })
	h.tieEKS("prod", c, "member", account(targetAccount))
	if message := h.is("prod", v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonSharedTokenAudience); !strings.Contains(message, `RemoteCluster "other"`) {
		t.Errorf("the message %q does not name the other", message)
	}
	h.works("prod")
}

func TestAnEmptySelectorOfNamespacesIsRefused(t *testing.T) {
	h := startHub(t)
	for name, allowed := range map[string]*v1alpha1.AllowedNamespaces{
		"empty":     {Selector: &metav1.LabelSelector{}},
		"empty-map": {Selector: &metav1.LabelSelector{MatchLabels: map[string]string{}}},
	} {
		id := &v1alpha1.AWSIdentity{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.AWSIdentitySpec{Type: v1alpha1.AWSControllerIdentity, AllowedNamespaces: allowed}}
		if err := h.admin.Create(t.Context(), id); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "an empty selector is refused") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
