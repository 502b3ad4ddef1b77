package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/manager"
)

func lease(name, holder string, ago time.Duration) *coordinationv1.Lease {
	seen := metav1.NewMicroTime(now.Add(-ago))
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: name, UID: types.UID("uid-of-" + name)},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &holder, RenewTime: &seen},
	}
}

func goodFor(l *coordinationv1.Lease, seconds int32) *coordinationv1.Lease {
	l.Spec.LeaseDurationSeconds = &seconds
	return l
}

// running is the manager's Deployment, with arguments.
func running(args ...string) *appsv1.Deployment {
	d := deployment("hawser", 1, 1)
	d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "hawser", Args: args}}
	return d
}

// writtenSet is an EndpointSet that says that all is well, as it stays where nobody follows.
func writtenSet() *v1alpha1.EndpointSet {
	return &v1alpha1.EndpointSet{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Status: v1alpha1.FederationStatus{
		Conditions: []metav1.Condition{{Type: v1alpha1.Ready, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonWritten}},
	}}
}

func deployment(name string, ready, wanted int32) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: name},
		Spec:       appsv1.DeploymentSpec{Replicas: &wanted}, Status: appsv1.DeploymentStatus{ReadyReplicas: ready},
	}
}

// shards is an assignment of all clusters but beta to one replica, whose Lease has the given name.
func shards(leaseName string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: "hawser-shards", Annotations: map[string]string{"hawser.io/shard-generation": "7"}},
		Data: map[string]string{
			"hawser-0.uid-of-" + leaseName:       `{"owns":["alpha","primary"],"ends":{"beta":7}}`,
			"hawser-1.uid-of-somebody-long-gone": `{}`,
		},
	}
}

// wholeFleet is fleetObjects and one of everything else.
func wholeFleet() []client.Object {
	at := func(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(d)) }
	soon, ends, fetched := at(4*time.Minute), at(-time.Hour), at(-20*time.Minute)
	condition := func(status metav1.ConditionStatus, reason, message string) []metav1.Condition {
		return []metav1.Condition{{Type: v1alpha1.Ready, Status: status, Reason: reason, Message: message, LastTransitionTime: at(-3 * time.Hour)}}
	}
	return append(fleetObjects(),
		lease(manager.LeaderLease, "hawser-0_f3a1", 3*time.Second), lease("hawser-shard-hawser-0", "hawser-0_f3a1", 2*time.Second), shards("hawser-shard-hawser-0"),
		lease(v1alpha1.MemberControllersLease, "", 2*time.Hour),
		deployment("hawser", 2, 2), deployment(v1alpha1.GateServiceAccount, 1, 2),
		&v1alpha1.EndpointSet{
			ObjectMeta: metav1.ObjectMeta{Name: "web"},
			Status:     v1alpha1.FederationStatus{Conditions: condition(metav1.ConditionTrue, v1alpha1.ReasonWritten, "written"), Endpoints: 7, Addresses: 14},
		},
		&v1alpha1.EndpointSet{ObjectMeta: metav1.ObjectMeta{Name: "young"}},
		&v1alpha1.FederatedNetworkPolicy{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "front"},
			Status: v1alpha1.FederationStatus{
				Conditions: condition(metav1.ConditionFalse, v1alpha1.ReasonOutputsRefused, "the API server refuses\nNetworkPolicy"), Endpoints: 3, Addresses: 3,
			},
		},
		&v1alpha1.AccessRequest{
			ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "deploy"},
			Spec:       v1alpha1.AccessRequestSpec{ClusterRef: v1alpha1.ClusterRef{Name: "alpha"}, Grant: "deployers", Output: v1alpha1.AccessOutput{Format: v1alpha1.OutputKubeconfig}},
			Status: v1alpha1.AccessRequestStatus{
				Conditions: condition(metav1.ConditionTrue, v1alpha1.ReasonWritten, "written"), SecretName: "deploy", Subject: "sa-of-deploy", ExpiresAt: &soon,
			},
		},
		&v1alpha1.AccessRequest{
			ObjectMeta: metav1.ObjectMeta{Namespace: "team-b", Name: "deploy"},
			Spec:       v1alpha1.AccessRequestSpec{ClusterRef: v1alpha1.ClusterRef{Name: "beta"}, Grant: "deployers", Output: v1alpha1.AccessOutput{Format: v1alpha1.OutputArgoCD}},
		},
		&v1alpha1.AccessGrant{
			ObjectMeta: metav1.ObjectMeta{Name: "deployers"},
			Spec:       v1alpha1.AccessGrantSpec{Subjects: make([]v1alpha1.GrantSubject, 2), ClusterRoles: []string{"edit"}},
			Status:     v1alpha1.AccessGrantStatus{Conditions: condition(metav1.ConditionTrue, v1alpha1.ReasonGranted, "granted"), Namespaces: []string{"shop"}},
		},
		&v1alpha1.AccessGrant{
			ObjectMeta: metav1.ObjectMeta{Name: "last-week"},
			Spec:       v1alpha1.AccessGrantSpec{Subjects: make([]v1alpha1.GrantSubject, 1), ClusterRoles: []string{"view"}, EndsAt: &ends},
			Status:     v1alpha1.AccessGrantStatus{Conditions: condition(metav1.ConditionFalse, v1alpha1.ReasonEnded, "it has ended")},
		},
		&v1alpha1.TrustedIssuer{
			ObjectMeta: metav1.ObjectMeta{Name: "hub"},
			Spec:       v1alpha1.TrustedIssuerSpec{URL: "https://hub.example.com", Prefix: "hub:"},
			Status: v1alpha1.TrustedIssuerStatus{
				Conditions:  condition(metav1.ConditionFalse, v1alpha1.ReasonKeysFetchFailed, "fetching keys: no answer\nin time"),
				Keys:        []v1alpha1.IssuerKey{{Thumbprint: "a"}, {Thumbprint: "b", Unused: "not pinned"}},
				FetchedAt:   &fetched,
				LastFailure: &v1alpha1.IssuerFailure{Time: at(-5 * time.Minute), Reason: "WrongAudience"},
			},
		},
	)
}

func TestStatusShowsTheWholeFleet(t *testing.T) {
	got := runWith(t, wholeFleet(), "hawser", "status")
	want := outcome{
		Code: 1,
		Out: `
Local cluster        primary, default cluster alpha
Versions             Hawser v0.1.0, member installs v0.1.0 (1), Kubernetes v1.36.3 (1)
Manager              running   2 of 2 ready, leader hawser-0, seen 3s ago
Member controllers   stopped   seen 120m ago
Gate                 running   1 of 2 ready

1 replica
REPLICA    STATE     SEEN   CLUSTERS   LEAVING
hawser-0   running   2s     2          1

2 of 3 clusters Ready
NAME              READY   SINCE   AUTH          VERSION   REASON      OWNER
beta              False   60s     mtls          -         Timeout     -
alpha (default)   True    60m     bearerToken   v1.36.3   Connected   hawser-0
primary (local)   True    0s      inCluster     -         Connected   hawser-0

3 credentials
EXPIRES   OF              NAME            RENEWED   STATE       SUBJECT
in 4m     AccessRequest   team-a/deploy   -         Written     sa-of-deploy
in 11h    RemoteCluster   alpha           60m ago   NotProbed   sa-of-alpha
never     RemoteCluster   primary         -         NotProbed   sa

2 endpoint sets
NAME    READY     ENDPOINTS   ADDRESSES   REASON
young   Unknown   0           0           NotProbed
web     True      7           14          Written

1 federated network policy
NAME         READY   ENDPOINTS   ADDRESSES   REASON
shop/front   False   3           3           OutputsRefused

2 access requests
NAME            READY     CLUSTER   GRANT       FORMAT       REASON
team-b/deploy   Unknown   beta      deployers   argocd       NotProbed
team-a/deploy   True      alpha     deployers   kubeconfig   Written

2 access grants of this cluster
NAME        READY   SUBJECTS   ROLES   NAMESPACES   ENDS      REASON
last-week   False   1          view    -            60m ago   Ended
deployers   True    2          edit    shop         -         Granted

1 trusted issuer of this cluster
NAME   READY   PREFIX   KEYS   FETCHED   USED   REFUSED                REASON
hub    False   hub:     1      20m ago   -      WrongAudience 5m ago   KeysFetchFailed
`,
		Err: `gap: Process "memberControllers": stopped for 120m: no replica of the member controllers runs: nobody carries out AccessGrants, fetches the keys of TrustedIssuers or approves certificates
gap: RemoteCluster "beta": Timeout for 60s: Reachable: no answer within 10s
gap: RemoteCluster "beta": Unowned: no replica of the manager has it now
gap: EndpointSet "young": NotProbed: nobody has reported on it: does its controller run?
gap: FederatedNetworkPolicy "shop/front": OutputsRefused for 3h: the API server refuses NetworkPolicy
gap: AccessRequest "team-b/deploy": NotProbed: nobody has reported on it: does its controller run?
gap: TrustedIssuer "hub": KeysFetchFailed for 3h: fetching keys: no answer in time
`,
	}
	want.Out = strings.TrimPrefix(want.Out, "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestStatusForProgramsKeepsItsShape compares with a file: what scripts read there must stay.
func TestStatusForProgramsKeepsItsShape(t *testing.T) {
	got := runWith(t, wholeFleet(), "hawser", "status", "-o", "json")
	golden := filepath.Join("testdata", "status.json")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(golden, []byte(got.Out), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.Out); diff != "" {
		t.Errorf("fields are only ever added (-want +got); UPDATE_GOLDEN=1 writes %s\n%s", golden, diff)
	}
}

func TestStatusFindsWhatDoesNotRun(t *testing.T) {
	const stale = "what is said of clusters and AccessRequests is no newer"
	tests := map[string]struct {
		objects []client.Object
		manager string
		gap     string // the first one about a process; empty: none
	}{
		"a manager that was killed": {
			[]client.Object{managerConfigMap(), lease(manager.LeaderLease, "hawser-0_a", 5*time.Minute)}, stateStale,
			`gap: Process "manager": stale for 5m: the manager of hawser-0 has stopped renewing its Lease: ` + stale,
		},
		"a manager that was stopped": {
			[]client.Object{managerConfigMap(), lease(manager.LeaderLease, "", time.Hour)}, stateStopped,
			`gap: Process "manager": stopped for 60m: no replica of the manager runs: ` + stale,
		},
		"a manager that runs": {[]client.Object{managerConfigMap(), lease(manager.LeaderLease, "hawser-0_a", 20*time.Second)}, stateRunning, ""},
		"a manager that was killed a moment ago": {
			[]client.Object{managerConfigMap(), lease(manager.LeaderLease, "hawser-0_a", 45*time.Second)}, stateStale,
			`gap: Process "manager": stale for 45s: the manager of hawser-0 has stopped renewing its Lease: ` + stale,
		},
		"a manager whose Lease is good for longer": {[]client.Object{managerConfigMap(), goodFor(lease(manager.LeaderLease, "hawser-0_a", 45*time.Second), 60)}, stateRunning, ""},
		"a manager without endpoints, and nothing that asks for them": {
			[]client.Object{managerConfigMap(), lease(manager.LeaderLease, "hawser-0_a", time.Second), running("manager")}, stateRunning, "",
		},
		"a manager without endpoints, and a set": {
			[]client.Object{managerConfigMap(), lease(manager.LeaderLease, "hawser-0_a", time.Second), running("manager", "--endpoints=false"), writtenSet()}, stateRunning,
			`gap: Process "manager": WithoutEndpoints: the manager runs without --endpoints: what was made of EndpointSets, FederatedNetworkPolicies and Services stays as it was last, and nobody follows`,
		},
		"a manager with endpoints, and a set": {
			[]client.Object{managerConfigMap(), lease(manager.LeaderLease, "hawser-0_a", time.Second), running("manager", "--endpoints"), writtenSet()}, stateRunning, "",
		},
		"a manager of whose arguments nobody can tell": {
			[]client.Object{managerConfigMap(), lease(manager.LeaderLease, "hawser-0_a", time.Second), running("manager", "$(MORE)"), writtenSet()}, stateRunning, "",
		},
		"a manager that elects no leader":       {[]client.Object{managerConfigMap()}, stateUnknown, ""},
		"no manager, and nothing to do for one": {nil, stateAbsent, ""},
		"no manager for a cluster": {
			[]client.Object{&v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "alpha"}}}, stateAbsent,
			`gap: Process "manager": absent: the manager has never run here: ` + stale,
		},
		"a gate without a pod": {
			[]client.Object{deployment(v1alpha1.GateServiceAccount, 0, 2)}, stateAbsent,
			`gap: Process "gate": stopped: no replica of the gate runs: nobody new is let in by a TrustedIssuer`,
		},
		"a replica that was killed, with its clusters": {
			append(fleetObjects(), lease(manager.LeaderLease, "hawser-1_b", time.Second), lease("hawser-shard-hawser-0", "hawser-0_a", 2*time.Minute), shards("hawser-shard-hawser-0")),
			stateRunning,
			`gap: Process "replica hawser-0": stale for 2m: it does not renew its Lease, and owns 2 clusters that nobody else looks after`,
		},
		"a replica whose Lease is gone, with its clusters": {
			append(fleetObjects(), lease(manager.LeaderLease, "hawser-1_b", time.Second), shards("hawser-shard-hawser-0")), stateRunning,
			`gap: Process "replica hawser-0": stopped: it does not renew its Lease, and owns 2 clusters that nobody else looks after`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := runWith(t, test.objects, "hawser", "status", "-o", "json")
			var s Status
			if err := json.Unmarshal([]byte(got.Out), &s); err != nil {
				t.Fatal(err)
			}
			if s.Processes[0].State != test.manager {
				t.Errorf("the manager is %s, want %s", s.Processes[0].State, test.manager)
			}
			first := ""
			for line := range strings.Lines(got.Err) {
				if strings.HasPrefix(line, "gap: Process") && first == "" {
					first = strings.TrimSuffix(line, "\n")
				}
			}
			if diff := cmp.Diff(test.gap, first); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if (len(s.Gaps) > 0) != (got.Code == exitFailed) {
				t.Errorf("%d gaps, and exit code %d", len(s.Gaps), got.Code)
			}
		})
	}
}

func TestStatusCutsLongLists(t *testing.T) {
	var objects []client.Object
	for i := range 40 {
		rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "c-" + string(rune('a'+i%26)) + string(rune('a'+i/26))}}
		if i != 39 {
			rc.Status.Conditions = []metav1.Condition{{Type: v1alpha1.Ready, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonConnected}}
		}
		objects = append(objects, rc)
	}
	cut := runWith(t, objects, "hawser", "status").Out
	wantText(t, "the cut list", cut, "39 of 40 clusters Ready", "c-nb   Unknown", "and 28 more (--all)")
	if whole := runWith(t, objects, "hawser", "status", "--all").Out; strings.Count(whole, "\nc-") != 40 {
		t.Errorf("--all does not show all:\n%s", whole)
	}
}

// A cluster that can be used has gaps, too: what will end that unless somebody looks.
func TestStatusNamesWhatIsWrongWithAClusterThatIsReady(t *testing.T) {
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "alpha"}}
	rc.Status.Conditions = []metav1.Condition{
		{Type: v1alpha1.Ready, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonInputRefused},
		{Type: v1alpha1.CredentialFresh, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonInputRefused, Message: "refused. Repair it: hawser join alpha --remote-context CONTEXT"},
	}
	got := runWith(t, []client.Object{rc, managerConfigMap()}, "hawser", "status", "--context", "hub")
	wantText(t, "stderr", got.Err, `gap: RemoteCluster "alpha": InputRefused: refused. Repair it: hawser join --context hub alpha --remote-context CONTEXT`)
	if got.Code != exitFailed {
		t.Errorf("exit code %d, want %d", got.Code, exitFailed)
	}
}
