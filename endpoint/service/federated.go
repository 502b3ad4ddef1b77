package service

import (
	"cmp"
	"errors"
	"fmt"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"

	"github.com/hawser-io/hawser/endpoint/staleness"
	"github.com/hawser-io/hawser/selector"
)

// Reasons why something is not done. They are those of conditions and events.
const (
	ReasonFederated         = "Federated"
	ReasonPartial           = "Partial"
	ReasonNoEndpoints       = "NoEndpoints"
	ReasonHasSelector       = "HasSelector"
	ReasonExternalName      = "ExternalName"
	ReasonAnnotationsDiffer = "AnnotationsDiffer"
	ReasonSelectorInvalid   = "SelectorInvalid"
	ReasonNotOurs           = "NotOurs"
	ReasonNotWritten        = "NotWritten"
)

// Problem is why something is not done: a reason for programs, and a sentence for people. The zero Problem is none.
type Problem struct{ Reason, Message string }

// None says that there is no problem.
func (p Problem) None() bool { return p.Reason == "" }

// Federated is what a Service asks for that selects services of all clusters.
type Federated struct {
	Namespace, Name string
	// Selector is bounded by the namespace; Text is what was said, in canonical form.
	Selector  *selector.Selector
	Text      string
	Ports     map[PortName]struct{}
	Staleness staleness.Policy
	// Warning is what is wrong with it and does not keep it from being carried out.
	Warning string
}

// PortName is by which ports are matched.
type PortName struct{ Name, Protocol string }

// Keep is for Collect: only a port with the name and the protocol of one of the Service's counts.
func (f *Federated) Keep(p Port) bool {
	_, found := f.Ports[PortName{p.Name, p.Protocol}]
	return found
}

// ReadFederated returns what a local Service asks for; nil and no Problem where it asks for nothing. last is the selector
// that its slices were made by, empty for none: where the annotation cannot be read, they go on following that one, and
// both what is asked for and the Problem are returned.
func ReadFederated(s *corev1.Service, last string) (*Federated, Problem) {
	text, asked, p := annotation(s)
	if !asked || !p.None() {
		return nil, p
	}
	if len(s.Spec.Selector) > 0 {
		return nil, Problem{ReasonHasSelector, "the Service has a spec.selector, and so gets its endpoints from this cluster alone: take away spec.selector or the annotation"}
	}
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		return nil, Problem{ReasonExternalName, "a Service of type ExternalName has no endpoints"}
	}
	sel, text, err := said(s.Namespace, text)
	if err != nil {
		p = Problem{ReasonSelectorInvalid, fmt.Sprintf("reading annotation %s: %s", SelectorAnnotation, explain(err))}
		if sel, text, err = effective(s.Namespace, last); last == "" || err != nil {
			return nil, p
		}
		p.Message += "; until it is mended, the endpoints follow the selector that was read last: " + text
	}
	f := &Federated{Namespace: s.Namespace, Name: s.Name, Selector: sel, Text: text, Ports: map[PortName]struct{}{}}
	for _, port := range s.Spec.Ports {
		f.Ports[PortName{port.Name, string(cmp.Or(port.Protocol, corev1.ProtocolTCP))}] = struct{}{}
	}
	if f.Staleness, err = ParseStaleness(s.Annotations[StalenessAnnotation]); err != nil {
		f.Warning = fmt.Sprintf("annotation %s is ignored, and endpoints are kept: %s", StalenessAnnotation, err)
	}
	return f, p
}

// annotation returns the one of the two that there is.
func annotation(s *corev1.Service) (text string, asked bool, p Problem) {
	ours, isOurs := s.Annotations[SelectorAnnotation]
	calicos, isCalicos := s.Annotations[CalicoSelectorAnnotation]
	switch {
	case isOurs && isCalicos && ours != calicos:
		return "", true, Problem{ReasonAnnotationsDiffer, fmt.Sprintf("annotations %s and %s differ: take one away", SelectorAnnotation, CalicoSelectorAnnotation)}
	case isOurs:
		return ours, true, Problem{}
	}
	return calicos, isCalicos, Problem{}
}

// MaxSelector is how many characters an annotation that selects may have: as many as a selector of EndpointSets.
const MaxSelector = 1024

// said is the effective selector of an annotation. The canonical form of one may be longer than what was said.
func said(namespace, text string) (bounded *selector.Selector, canonical string, err error) {
	if n := utf8.RuneCountInString(text); n > MaxSelector {
		return nil, "", fmt.Errorf("a selector has at most %d characters, and this has %d", MaxSelector, n)
	}
	return effective(namespace, text)
}

// effective is the selector with the namespace, which bounds it whatever it says, and what it says in canonical form.
func effective(namespace, text string) (bounded *selector.Selector, canonical string, err error) {
	sel, err := selector.Parse(text)
	if err != nil {
		return nil, "", err
	}
	if sel.UsesGlobal() {
		return nil, "", errors.New("global() means nothing for services")
	}
	scope, err := selector.Equals(selector.NamespaceLabel, namespace)
	if err != nil {
		return nil, "", err
	}
	bounded, err = selector.And(scope, sel)
	return bounded, sel.String(), err
}

func explain(err error) string {
	var syntax *selector.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Sprintf("%s, in %.200q", syntax.Error(), syntax.Text)
	}
	return err.Error()
}
