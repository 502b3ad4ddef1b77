package policy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
)

const lastPort = 65535

// ports reads those of one side, and takes notPorts away.
func (r *reader) ports(field string, said, not []intstr.IntOrString, protocol string) Ports {
	if len(said) == 0 && len(not) == 0 {
		return Ports{All: true}
	}
	before := len(r.problems)
	if protocol == "" {
		r.problems.add(field+".ports", errors.New("ports need a protocol"))
	}
	ports, taken := r.portList(field+".ports", said), r.portList(field+".notPorts", not)
	switch {
	case len(taken.Names) > 0:
		r.problems.add(field+".notPorts", fmt.Errorf("the name %q cannot be taken away: only numbers can", taken.Names[0]))
	case len(not) > 0 && len(ports.Names) > 0:
		r.problems.add(field+".notPorts", fmt.Errorf("they cannot be taken from a port that has the name %q, whose number differs from endpoint to endpoint", ports.Names[0]))
	case len(said) == 0:
		ports.Ranges = []PortRange{{1, lastPort}}
	}
	if len(r.problems) > before {
		return Ports{}
	}
	ports.Ranges = without(ports.Ranges, taken.Ranges)
	if ports.Empty() {
		r.plan.Warnings.add(field+".notPorts", errors.New("no port is left, and the rule allows nothing"))
	}
	return ports
}

func (r *reader) portList(field string, said []intstr.IntOrString) (ports Ports) {
	for i, one := range said {
		span, name, err := readPort(one)
		switch {
		case err != nil:
			r.problems.add(fmt.Sprintf("%s[%d]", field, i), err)
		case name != "":
			ports.Names = append(ports.Names, name)
		default:
			ports.Ranges = append(ports.Ranges, span)
		}
	}
	slices.Sort(ports.Names)
	ports.Names = slices.Compact(ports.Names)
	ports.Ranges = merged(ports.Ranges)
	return ports
}

// readPort reads a number, a range such as 8000:8080, or a name.
func readPort(said intstr.IntOrString) (span PortRange, name string, err error) {
	text := said.String()
	first, last, isRange := strings.Cut(text, ":")
	if !isRange {
		last = first
	}
	if !isRange && strings.Trim(text, "0123456789-+") != "" {
		if wrong := validation.IsValidPortName(text); len(wrong) > 0 {
			return span, "", fmt.Errorf("%.40q is no port: as a name, it %s", text, wrong[0])
		}
		return span, text, nil
	}
	for _, number := range []struct {
		text string
		to   *uint16
	}{{first, &span.First}, {last, &span.Last}} {
		n, err := strconv.ParseUint(number.text, 10, 16)
		if err != nil || n == 0 {
			return span, "", fmt.Errorf("%.40q is no port: numbers are from 1 to %d, ranges such as 8000:8080", text, lastPort)
		}
		*number.to = uint16(n)
	}
	if span.First > span.Last {
		return span, "", fmt.Errorf("%q is no range of ports: it ends before it begins", text)
	}
	return span, "", nil
}

// merged puts ranges in order, and those together that touch.
func merged(ranges []PortRange) (all []PortRange) {
	slices.SortFunc(ranges, func(a, b PortRange) int { return int(a.First) - int(b.First) })
	for _, r := range ranges {
		if n := len(all); n > 0 && int(r.First) <= int(all[n-1].Last)+1 {
			all[n-1].Last = max(all[n-1].Last, r.Last)
			continue
		}
		all = append(all, r)
	}
	return all
}

// without takes ranges away from others. Both are merged.
func without(ranges, taken []PortRange) (left []PortRange) {
	for _, r := range ranges {
		first := int(r.First)
		for _, t := range taken {
			if int(t.Last) < first || t.First > r.Last {
				continue
			}
			if int(t.First) > first {
				left = append(left, PortRange{uint16(first), t.First - 1}) //nolint:gosec // it is a port
			}
			first = int(t.Last) + 1
		}
		if first <= int(r.Last) {
			left = append(left, PortRange{uint16(first), r.Last}) //nolint:gosec // it is a port
		}
	}
	return left
}

// contains says whether a number is among the ranges.
func (p Ports) contains(number uint16) bool {
	return slices.ContainsFunc(p.Ranges, func(r PortRange) bool { return r.First <= number && number <= r.Last })
}
