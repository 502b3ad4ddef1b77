package capa

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/inventory/registry"
)

const (
	// LabelValue is that of the label hawser.io/inventory on RemoteClusters that this inventory keeps.
	LabelValue = "capa"
	// SourceAnnotation holds, on such a RemoteCluster, the <namespace>/<name> of its AWSManagedControlPlane.
	// By it and the label the object is recognised, whatever its name.
	SourceAnnotation = "hawser.io/aws-managed-control-plane"
)

// Question is what AWS is asked about a control plane. Where it changes, it is asked anew.
type Question struct {
	Identity     aws.Ref
	Region, Name string
	// Server that the provider wrote: another one is another cluster, under the same name.
	Server string
}

// Question is what has to be asked about the control plane.
func (cp *ControlPlane) Question() (Question, error) {
	name, err := cp.EKSName()
	if err == nil && cp.Spec.Region == "" { // the provider then takes that of its own process
		err = errors.New("spec.region is empty: fill it in")
	}
	return Question{Identity: aws.RefOf(cp.Identity()), Region: cp.Spec.Region, Name: name, Server: cp.Server()}, err
}

// Answer is what AWS said, or why it said nothing.
type Answer struct {
	Cluster aws.Cluster
	// Err is nil where Cluster is there and can be connected to.
	Err *aws.Error
	// Unresolved says that nobody was asked, since the identity may not be used, or leads nowhere.
	Unresolved bool
}

// Input is all that a plan is made from.
type Input struct {
	// Source is the namespace and name of the control plane.
	Source types.NamespacedName
	// ControlPlane is nil where it is gone.
	ControlPlane *ControlPlane
	// Cluster that it belongs to; nil where there is none.
	Cluster *Cluster
	// Answer to the question that the control plane raises; nil where it has not been given yet.
	Answer *Answer
	// Existing are all RemoteClusters, whoever made them.
	Existing []v1alpha1.RemoteCluster
	// Local is the name of the local cluster, which no other may get.
	Local string
}

// Plan is what is to be done about one control plane.
type Plan struct {
	// Ask is what AWS has to be asked before anything can be done; nil where it has answered or need not.
	Ask *Question
	// Want is what the RemoteCluster has to hold, and Have the object as it is, nil where it has to be made.
	// Without Want nothing is written.
	Want, Have *v1alpha1.RemoteCluster
	// Delete are RemoteClusters whose control plane is gone.
	Delete []*v1alpha1.RemoteCluster
	// Reason and Message say what keeps the RemoteCluster from being made, or from following.
	Reason, Message string
}

// Decide makes the plan. A RemoteCluster is made when the provider has written the endpoint, and AWS has
// told the CA. It follows the control plane, and goes when that is gone. Meanwhile it stays as it is
// while the control plane is being deleted, while either object is paused, and while AWS does not answer.
func Decide(in Input) Plan {
	ours := in.ours()
	if in.ControlPlane == nil {
		return Plan{Delete: ours[:min(1, len(ours))]} // what people copied from it is theirs
	}
	cp := in.ControlPlane
	if !cp.DeletionTimestamp.IsZero() || in.Cluster == nil || !in.Cluster.Has(cp) || cp.IsPaused(in.Cluster) || cp.Server() == "" {
		return Plan{}
	}
	question, err := cp.Question()
	if err != nil {
		return Plan{Reason: v1alpha1.ReasonSpecInvalid, Message: err.Error()}
	}
	var have *v1alpha1.RemoteCluster
	if len(ours) > 0 {
		have = ours[0]
	}
	switch {
	case in.Answer == nil:
		return Plan{Ask: &question}
	case in.Answer.Err != nil:
		return in.unanswered(have)
	case have == nil:
		return in.create()
	}
	want := in.want(in.Answer.Cluster)
	want.Name = have.Name
	return Plan{Want: want, Have: have}
}

// ours are the RemoteClusters of the control plane, the oldest first: one, unless somebody copied it.
func (in Input) ours() []*v1alpha1.RemoteCluster {
	var ours []*v1alpha1.RemoteCluster
	for i := range in.Existing {
		rc := &in.Existing[i]
		if rc.Labels[v1alpha1.InventoryLabel] == LabelValue && rc.Annotations[SourceAnnotation] == in.Source.String() && rc.DeletionTimestamp.IsZero() {
			ours = append(ours, rc)
		}
	}
	slices.SortStableFunc(ours, func(a, b *v1alpha1.RemoteCluster) int {
		return a.CreationTimestamp.Compare(b.CreationTimestamp.Time)
	})
	return ours
}

func (in Input) create() Plan {
	c := in.Answer.Cluster
	cluster := registry.EKSCluster{Name: c.Name, AccountID: c.AccountID, Region: c.Region, Server: c.Server}
	taken := map[string]bool{in.Local: true}
	for i := range in.Existing {
		rc := &in.Existing[i]
		if rc.Labels[v1alpha1.InventoryLabel] == LabelValue && rc.Annotations[SourceAnnotation] == in.Source.String() {
			return Plan{} // on its way out, and made anew when it is gone
		}
		if cluster.IsNamedBy(rc) {
			return Plan{Reason: v1alpha1.ReasonDuplicateCluster, Message: fmt.Sprintf("already connected as RemoteCluster %q", rc.Name)}
		}
		taken[rc.Name] = true
	}
	want := in.want(c)
	want.Name = registry.Name(in.Source.Namespace+"-"+in.Cluster.Name, in.Source.String(), func(name string) bool { return taken[name] })
	return Plan{Want: want}
}

// unanswered follows the control plane to an identity that cannot be taken on, so that the connection says
// so and does not go on by one that the control plane has left. Any other failure leaves things as they
// are: the new identity may be of another account, and its token is shown to no server that it has not named.
func (in Input) unanswered(have *v1alpha1.RemoteCluster) Plan {
	plan := Plan{Reason: in.Answer.Err.Reason, Message: in.Answer.Err.Message()}
	if have == nil || have.Spec.Auth.EKS == nil {
		return plan
	}
	eks := have.Spec.Auth.EKS
	same := aws.RefOf(eks.IdentityRef) == aws.RefOf(in.ControlPlane.Identity())
	unmoved := same && registry.EKSCluster{Server: in.ControlPlane.Server()}.IsNamedBy(have)
	switch {
	case unmoved && have.Labels[v1alpha1.NamespaceLabel] == in.Source.Namespace:
		return Plan{} // nothing is to be followed, and its own conditions tell the rest
	case unmoved: // somebody took away what its identities are asked by
	case same || !in.Answer.Unresolved:
		return plan
	}
	ca, err := base64.StdEncoding.DecodeString(have.Spec.CAData)
	if err != nil {
		return plan
	}
	plan.Have, plan.Want = have, in.want(aws.Cluster{Name: eks.ClusterName, AccountID: eks.AccountID, Region: eks.Region, Server: have.Spec.Server, CAData: ca})
	plan.Want.Name = have.Name
	return plan
}

func (in Input) want(c aws.Cluster) *v1alpha1.RemoteCluster {
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{
		Labels: map[string]string{
			v1alpha1.InventoryLabel: LabelValue,
			v1alpha1.NamespaceLabel: in.Source.Namespace,
			v1alpha1.ManagedByLabel: v1alpha1.ManagedBy,
		},
		Annotations: map[string]string{SourceAnnotation: in.Source.String()},
	}}
	rc.Spec.Server = c.Server
	rc.Spec.CAData = base64.StdEncoding.EncodeToString(c.CAData)
	rc.Spec.Auth = v1alpha1.Auth{Type: v1alpha1.AuthEKS, EKS: &v1alpha1.EKSAuth{
		ClusterName:    c.Name,
		Region:         c.Region,
		AccountID:      c.AccountID,
		IdentityRef:    in.ControlPlane.Identity(),
		APIIdentityRef: in.ControlPlane.Identity(),
	}}
	return rc
}

// Usable is the answer that a description of a cluster makes.
func Usable(identity aws.Ref, c aws.Cluster) Answer {
	if why := registry.Unusable(c); why != "" {
		return Answer{Err: &aws.Error{Ref: identity, Reason: v1alpha1.ReasonEKSClusterNotActive,
			Err: fmt.Errorf("EKS cluster %q in %s cannot be connected to: %w", c.Name, c.Region, errors.New(why))}}
	}
	return Answer{Cluster: c}
}
