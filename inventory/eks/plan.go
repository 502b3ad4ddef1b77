package eks

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/inventory/registry"
)

// Input is all that a plan is made from.
type Input struct {
	Inventory *v1alpha1.EKSInventory
	Answers   []Answer
	// Existing are all RemoteClusters, whoever made them.
	Existing []v1alpha1.RemoteCluster
	// Local is the name of the local cluster, which no other may get.
	Local string
	Now   time.Time
}

// Action is what a step does.
type Action string

// What may be done to a RemoteCluster. Update may find that nothing is to be changed.
const (
	Create  Action = "Create"
	Update  Action = "Update"
	Enable  Action = "Enable"
	Disable Action = "Disable"
	Delete  Action = "Delete"
)

// Step is what is to be done to one RemoteCluster.
type Step struct {
	Do Action
	// Have is the object as it is; nil for Create.
	Have *v1alpha1.RemoteCluster
	// Want holds the fields that the inventory fills in; nil for Delete.
	Want *v1alpha1.RemoteCluster
}

// Plan is what is to be done, and what is to be said.
type Plan struct {
	Steps []Step
	// Clusters is how many were found.
	Clusters int
	// Failures are the accounts, regions and clusters that did not answer; Notes the clusters that were
	// found and not connected by this inventory, for a reason that is no failure.
	Failures, Notes []v1alpha1.InventoryGap
	// Gone are the RemoteClusters that stay although their clusters are gone, Unasked those in accounts or
	// regions that the inventory does not look at.
	Gone, Unasked []string
	// Answered and Asked count accounts and regions.
	Answered, Asked int
}

// Gaps are all that is missing from the answer, failures first.
func (p Plan) Gaps() []v1alpha1.InventoryGap { return slices.Concat(p.Failures, p.Notes) }

// Creates reports whether a new name is given away.
func (p Plan) Creates() bool {
	return slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Do == Create })
}

// planner collects a plan.
type planner struct {
	Input
	plan  Plan
	taken map[string]bool                    // names
	ours  map[string]*v1alpha1.RemoteCluster // by ARN
	found map[identity]bool                  // is there and wanted, or may be
	whole map[place]bool                     // answered completely
}

// Decide makes the plan. Accounts, regions and clusters are taken in the order of the spec, so that the
// first of several clusters of one name keeps the plain name; a name that was given is kept for ever.
func Decide(in Input) Plan {
	p := &planner{Input: in, taken: map[string]bool{in.Local: true}, ours: map[string]*v1alpha1.RemoteCluster{},
		found: map[identity]bool{}, whole: map[place]bool{}}
	p.know()
	seen := map[string]bool{}
	for _, answer := range in.Answers {
		p.hear(answer)
		for _, c := range byName(answer.Clusters) {
			if seen[c.ARN] || !matches(in.Inventory.Spec.Tags, c) {
				continue // two identities of one account find the same
			}
			seen[c.ARN] = true
			p.plan.Clusters++
			p.follow(answer.Account, c)
		}
	}
	p.part()
	return p.plan
}

// know takes in what exists.
func (p *planner) know() {
	for i := range p.Existing {
		rc := &p.Existing[i]
		p.taken[rc.Name] = true
		arn := rc.Annotations[ARNAnnotation]
		if rc.Labels[v1alpha1.InventoryLabel] != LabelValue(p.Inventory.Name) || arn == "" {
			continue
		}
		if first := p.ours[arn]; first == nil || rc.CreationTimestamp.Before(&first.CreationTimestamp) {
			p.ours[arn] = rc
		}
	}
}

// hear takes in what a place answered: which clusters are there, and which may be.
func (p *planner) hear(a Answer) {
	p.plan.Failures = append(p.plan.Failures, a.Gaps...)
	if a.Region == "" {
		p.plan.Asked += len(p.Inventory.Spec.Regions)
		return
	}
	p.plan.Asked++
	if !a.Complete {
		return
	}
	p.plan.Answered++
	if a.AccountID == "" {
		return
	}
	here := place{a.AccountID, a.Region}
	p.whole[here] = true
	for _, name := range a.Names {
		p.found[identity{here, name}] = true // unless its description says that it is not wanted
	}
	for _, c := range a.Clusters {
		if !matches(p.Inventory.Spec.Tags, c) {
			p.found[identity{here, c.Name}] = false
		}
	}
}

// follow keeps the RemoteCluster of a cluster that was found.
func (p *planner) follow(account v1alpha1.EKSAccount, c aws.Cluster) {
	have := p.ours[c.ARN]
	if why := registry.Unusable(c); why != "" {
		p.note(account, c, v1alpha1.ReasonEKSClusterNotActive, why)
		return
	}
	if have != nil && !have.DeletionTimestamp.IsZero() {
		return // made anew when it is gone
	}
	want := p.want(account, c)
	if have == nil {
		if twin := p.twin(c); twin != nil {
			p.note(account, c, v1alpha1.ReasonDuplicateCluster, fmt.Sprintf("already connected as RemoteCluster %q", twin.Name))
			return
		}
		want.Name = registry.Name(p.Inventory.Spec.NamePrefix+c.Name, c.ARN, func(name string) bool { return p.taken[name] })
		p.taken[want.Name] = true
		p.plan.Steps = append(p.plan.Steps, Step{Do: Create, Want: want})
		return
	}
	want.Name = have.Name
	action := Update
	if have.Annotations[DisabledAnnotation] != "" {
		action = Enable // by leaving out what disabled it
	}
	p.plan.Steps = append(p.plan.Steps, Step{Do: action, Have: have, Want: want})
}

// twin is a RemoteCluster for the same cluster that is not this inventory's.
func (p *planner) twin(c aws.Cluster) *v1alpha1.RemoteCluster {
	cluster := registry.EKSCluster{Name: c.Name, AccountID: c.AccountID, Region: c.Region, Server: c.Server}
	for i := range p.Existing {
		if rc := &p.Existing[i]; cluster.IsNamedBy(rc) && p.ours[rc.Annotations[ARNAnnotation]] != rc {
			return rc
		}
	}
	return nil
}

func (p *planner) want(account v1alpha1.EKSAccount, c aws.Cluster) *v1alpha1.RemoteCluster {
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{
		Labels:      map[string]string{v1alpha1.InventoryLabel: LabelValue(p.Inventory.Name), v1alpha1.ManagedByLabel: v1alpha1.ManagedBy},
		Annotations: map[string]string{ARNAnnotation: c.ARN},
	}}
	rc.Spec.Server = c.Server
	rc.Spec.CAData = base64.StdEncoding.EncodeToString(c.CAData)
	rc.Spec.Capabilities = p.Inventory.Spec.Capabilities
	rc.Spec.Auth = v1alpha1.Auth{Type: v1alpha1.AuthEKS, EKS: &v1alpha1.EKSAuth{
		ClusterName:    c.Name,
		Region:         c.Region,
		AccountID:      c.AccountID,
		IdentityRef:    account.TokenIdentityRef,
		APIIdentityRef: account.IdentityRef,
	}}
	return rc
}

// part applies the policy to the RemoteClusters whose clusters are gone, where their place answered.
func (p *planner) part() {
	for i := range p.Existing {
		rc := &p.Existing[i]
		arn := rc.Annotations[ARNAnnotation]
		if p.ours[arn] != rc || !rc.DeletionTimestamp.IsZero() {
			continue
		}
		id, ok := identityOf(arn)
		switch {
		case !ok || p.found[id]:
		case !p.whole[id.place]:
			if len(p.plan.Failures) == 0 { // nobody failed to answer: nobody was asked
				p.plan.Unasked = append(p.plan.Unasked, rc.Name)
			}
		default:
			p.dismiss(rc)
		}
	}
}

func (p *planner) dismiss(rc *v1alpha1.RemoteCluster) {
	policy := p.Inventory.Spec.Removed
	switch {
	case policy == v1alpha1.RemovedDelete:
		p.plan.Steps = append(p.plan.Steps, Step{Do: Delete, Have: rc})
		return
	case policy == v1alpha1.RemovedDisable && !rc.Spec.Disabled && rc.Annotations[DisabledAnnotation] == "":
		p.plan.Steps = append(p.plan.Steps, Step{Do: Disable, Have: rc, Want: p.disabled(rc)})
	}
	// One that somebody enabled again, or disabled before us, is left as they want it.
	p.plan.Gone = append(p.plan.Gone, rc.Name)
}

// disabled is what the inventory wants of a RemoteCluster whose cluster is gone: what it wanted before, so
// that the fields remain its own, and the mark.
func (p *planner) disabled(rc *v1alpha1.RemoteCluster) *v1alpha1.RemoteCluster {
	want := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{
		Name:   rc.Name,
		Labels: map[string]string{v1alpha1.InventoryLabel: LabelValue(p.Inventory.Name), v1alpha1.ManagedByLabel: v1alpha1.ManagedBy},
		Annotations: map[string]string{
			ARNAnnotation:      rc.Annotations[ARNAnnotation],
			DisabledAnnotation: p.Now.UTC().Format(time.RFC3339),
		},
	}}
	want.Spec.Server, want.Spec.CAData, want.Spec.Auth = rc.Spec.Server, rc.Spec.CAData, *rc.Spec.Auth.DeepCopy()
	want.Spec.Capabilities = p.Inventory.Spec.Capabilities
	want.Spec.Disabled = true
	return want
}

func (p *planner) note(account v1alpha1.EKSAccount, c aws.Cluster, reason, message string) {
	p.plan.Notes = append(p.plan.Notes, v1alpha1.InventoryGap{Where: Where(account, c.Region, c.Name), Reason: reason, Message: message})
}

func byName(clusters []aws.Cluster) []aws.Cluster {
	return slices.SortedStableFunc(slices.Values(clusters), func(a, b aws.Cluster) int { return strings.Compare(a.Name, b.Name) })
}
