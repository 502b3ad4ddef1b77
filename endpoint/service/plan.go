package service

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Source is what stands on one slice of a cluster besides its endpoints, for whoever has only the slices.
type Source struct {
	// ID of the cluster that the endpoints, and the Export, were read from. Earlier versions did not say it.
	ID string `json:"clusterID,omitempty"`
	// Export of an import's slices; its Cluster is left out.
	Export *Export `json:"export,omitempty"`
	// StaleSince is when the cluster was last heard of, where it is not heard of now.
	StaleSince *metav1.Time `json:"staleSince,omitempty"`
	// Expired says that the endpoints were taken away because of that.
	Expired bool `json:"expired,omitempty"`
	// Gaps are what is missing, and why.
	Gaps []string `json:"gaps,omitempty"`
	// Selector that a Service's slices are made by, in canonical form: the one that could be read last. There is no slice
	// for it alone.
	Selector string `json:"selector,omitempty"`
}

func (s *Source) empty() bool {
	return s.Export == nil && s.StaleSince == nil && !s.Expired && len(s.Gaps) == 0
}

// Wanted is what the slices of a key are to hold.
type Wanted struct {
	Key
	// Owner is what they go with; nil: nothing yet.
	Owner  *metav1.OwnerReference
	Groups []Grouped
	Source Source
}

// Plan is what to write, in this order: nothing is taken away before it is somewhere else.
type Plan struct {
	Create, Update, Delete []*discoveryv1.EndpointSlice
}

// Empty says that everything is as it should be.
func (p Plan) Empty() bool { return len(p.Create)+len(p.Update)+len(p.Delete) == 0 }

// NewPlan compares the slices that there are of a key with what they are to hold; nil is nothing. perSlice is at most
// MostPerSlice. Names that taken holds are somebody else's. Slices that it returns for an update are copies.
func NewPlan(w *Wanted, have []*discoveryv1.EndpointSlice, perSlice int, taken map[string]bool) (Plan, error) {
	if w == nil {
		return Plan{Delete: have}, nil
	}
	byNumber := map[int]*discoveryv1.EndpointSlice{}
	var plan Plan
	var pieces []Piece
	for _, s := range have {
		n := number(w.Key, s.Name)
		if n < 0 { // made by somebody else, in our name
			plan.Delete = append(plan.Delete, s)
			continue
		}
		byNumber[n] = s
		pieces = append(pieces, pieceOf(n, s))
	}
	groups := w.Groups
	if len(groups) == 0 && !w.Source.empty() {
		groups = []Grouped{{Group: Group{Family: discoveryv1.AddressTypeIPv4}}}
	}
	source, err := w.Source.encode()
	if err != nil {
		return Plan{}, err
	}
	assigned := Assign(groups, pieces, perSlice, numbersOf(w.Key, taken))
	bearer := bearerOf(assigned, byNumber)
	for _, p := range assigned {
		old := byNumber[p.N]
		delete(byNumber, p.N)
		text := ""
		if p.N == bearer {
			text = source
		}
		s := w.slice(p, old, text)
		switch {
		case old == nil:
			plan.Create = append(plan.Create, s)
		case !same(old, s):
			plan.Update = append(plan.Update, s)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(byNumber)) {
		plan.Delete = append(plan.Delete, byNumber[n])
	}
	return plan, nil
}

// bearerOf is the number of the slice that the source stands on: of one that has it already, so that it does not move without
// need, or else of one that there is, because a new one may be refused. Of several it is the lowest, as it is read.
func bearerOf(assigned []Piece, have map[int]*discoveryv1.EndpointSlice) int {
	if len(assigned) == 0 {
		return unnumbered
	}
	rank := func(p Piece) int {
		switch old := have[p.N]; {
		case old == nil:
			return 2
		case old.Annotations[SourceAnnotation] == "":
			return 1
		}
		return 0
	}
	return slices.MinFunc(assigned, func(a, b Piece) int { return cmp.Compare(rank(a), rank(b)) }).N // the first of several
}

func numbersOf(k Key, names map[string]bool) map[int]bool {
	numbers := map[int]bool{}
	for name := range names {
		if n := number(k, name); n >= 0 {
			numbers[n] = true
		}
	}
	return numbers
}

func (s *Source) encode() (string, error) {
	if s.empty() && s.Selector == "" {
		return "", nil
	}
	bounded := *s
	bounded.Gaps = nil
	for _, gap := range s.Gaps[:min(len(s.Gaps), mostGaps)] {
		bounded.Gaps = append(bounded.Gaps, cut(gap, mostText))
	}
	text, err := json.Marshal(bounded)
	return string(text), err
}

// SourceOf reads what stands on one of the slices of one cluster, the first where it stands on several. What cannot be read is
// as if it were not there.
func SourceOf(k Key, of []*discoveryv1.EndpointSlice) Source {
	lowest, text := -1, ""
	for _, s := range of {
		if t := s.Annotations[SourceAnnotation]; t != "" {
			if n := number(k, s.Name); n >= 0 && (lowest < 0 || n < lowest) {
				lowest, text = n, t
			}
		}
	}
	var source Source
	if json.Unmarshal([]byte(text), &source) != nil {
		return Source{}
	}
	if source.Export != nil {
		source.Export.Cluster = k.Cluster
	}
	return source
}

// GroupsOf are the endpoints as they stand in slices.
func GroupsOf(of []*discoveryv1.EndpointSlice) []Grouped {
	byKey := map[string]*Grouped{}
	for _, s := range of {
		p := pieceOf(0, s)
		if len(p.Endpoints) == 0 {
			continue
		}
		if byKey[p.key()] == nil {
			byKey[p.key()] = &Grouped{Group: p.Group}
		}
		byKey[p.key()].Endpoints = append(byKey[p.key()].Endpoints, p.Endpoints...)
	}
	var all []Grouped
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		g := byKey[key]
		slices.SortFunc(g.Endpoints, func(a, b Endpoint) int { return a.compare(&b) })
		g.Endpoints = slices.CompactFunc(g.Endpoints, func(a, b Endpoint) bool { return a.identity() == b.identity() })
		all = append(all, *g)
	}
	return all
}

// Left are the endpoints as they stand in the slices of a cluster of which nothing else is known, without those that it may
// not contribute any more.
func Left(c Cluster, of []*discoveryv1.EndpointSlice) Collected {
	out := collector{cluster: c, refused: map[string]map[string]Target{}}
	groups := GroupsOf(of)
	for i := range groups {
		groups[i].Endpoints = slices.DeleteFunc(groups[i].Endpoints, func(e Endpoint) bool {
			e.Target.Name = strings.TrimPrefix(e.Target.Name, c.Name+"/") // as it is told of there
			return out.refuses(e)
		})
	}
	return Collected{slices.DeleteFunc(groups, func(g Grouped) bool { return len(g.Endpoints) == 0 }), out.gaps()}
}

func pieceOf(n int, s *discoveryv1.EndpointSlice) Piece {
	read := readSlice(s)
	slices.SortFunc(read.Ports, Port.compare)
	var ports []Port
	if len(read.Ports) > 0 {
		ports = read.Ports
	}
	return Piece{N: n, Group: Group{s.AddressType, ports}, Endpoints: slices.DeleteFunc(read.Endpoints, func(e Endpoint) bool { return e.Addr == netip.Addr{} })}
}

// slice is the object of a piece: a new one, or the old one with all that is ours in it as it should be.
func (w *Wanted) slice(p Piece, old *discoveryv1.EndpointSlice, source string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: sliceName(w.Key, p.N)}, AddressType: p.Family}
	if old != nil {
		s.ObjectMeta = *old.ObjectMeta.DeepCopy()
	}
	if s.Labels == nil {
		s.Labels = map[string]string{}
	}
	maps.Copy(s.Labels, w.labels())
	delete(s.Annotations, SourceAnnotation)
	if source != "" {
		if s.Annotations == nil {
			s.Annotations = map[string]string{}
		}
		s.Annotations[SourceAnnotation] = source
	}
	s.OwnerReferences = nil
	if w.Owner != nil {
		s.OwnerReferences = []metav1.OwnerReference{*w.Owner}
	}
	for _, port := range p.Ports {
		s.Ports = append(s.Ports, port.written())
	}
	s.Endpoints = make([]discoveryv1.Endpoint, 0, len(p.Endpoints))
	for i := range p.Endpoints {
		s.Endpoints = append(s.Endpoints, p.Endpoints[i].written())
	}
	return s
}

func same(a, b *discoveryv1.EndpointSlice) bool {
	return equality.Semantic.DeepEqual(a.Labels, b.Labels) && equality.Semantic.DeepEqual(a.Annotations, b.Annotations) &&
		equality.Semantic.DeepEqual(a.OwnerReferences, b.OwnerReferences) && equality.Semantic.DeepEqual(a.Ports, b.Ports) &&
		equality.Semantic.DeepEqual(a.Endpoints, b.Endpoints)
}

func (p Port) written() discoveryv1.EndpointPort {
	protocol := corev1.Protocol(p.Protocol)
	w := discoveryv1.EndpointPort{Name: &p.Name, Protocol: &protocol, AppProtocol: some(p.Application)}
	if p.Number != 0 {
		w.Port = &p.Number
	}
	return w
}

func (e *Endpoint) written() discoveryv1.Endpoint {
	w := discoveryv1.Endpoint{
		Addresses:  []string{e.Addr.String()},
		Conditions: discoveryv1.EndpointConditions{Ready: new(e.Ready), Serving: new(e.Serving), Terminating: new(e.Terminating)},
		Hostname:   some(e.Hostname), NodeName: some(e.Node), Zone: some(e.Zone),
	}
	if t := e.Target; t != (Target{}) {
		w.TargetRef = &corev1.ObjectReference{Kind: t.Kind, Namespace: t.Namespace, Name: t.Name, UID: t.UID}
	}
	return w
}

func some(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
