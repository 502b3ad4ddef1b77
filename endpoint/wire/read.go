package wire

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/endpoint/index"
)

// read fills o from a message of its kind. The numbers are those of k8s.io/api/core/v1 and
// k8s.io/apimachinery/pkg/apis/meta/v1; they never change.
func (o *Object) read(message []byte) error {
	return fields(message, func(number protowire.Number, b []byte, _ uint64) error {
		switch number {
		case 1:
			return fields(b, o.readMeta)
		case 2:
			if o.Kind == KindPod {
				return fields(b, o.readPodSpec)
			}
		case 3:
			switch o.Kind {
			case KindPod:
				return fields(b, o.readPodStatus)
			case KindNode:
				return fields(b, o.readNodeStatus)
			}
		}
		return nil
	})
}

func (o *Object) readMeta(number protowire.Number, b []byte, _ uint64) error {
	switch number {
	case 1:
		o.Name = string(b)
	case 3:
		o.Namespace = string(b)
	case 5:
		o.UID = uid(b)
	case 6:
		o.ResourceVersion = string(b)
	case 9: // only whether there is one matters
		at, err := readTime(b)
		o.DeletionTimestamp = &at
		return err
	case 11:
		name, value, err := entry(b)
		o.Own = append(o.Own, index.Label{Name: string(name), Value: string(value)})
		return err
	case 12:
		name, value, err := entry(b)
		if kept(string(name)) {
			if o.Annotations == nil {
				o.Annotations = map[string]string{}
			}
			o.Annotations[string(name)] = string(value[:min(len(value), mostAnnotation)])
		}
		return err
	}
	return nil
}

func readTime(message []byte) (metav1.Time, error) {
	var seconds int64
	err := fields(message, func(number protowire.Number, _ []byte, n uint64) error {
		if number == 1 {
			seconds = int64(n) //nolint:gosec // it is one
		}
		return nil
	})
	return metav1.NewTime(time.Unix(seconds, 0)), err
}

func (o *Object) readPodSpec(number protowire.Number, b []byte, n uint64) error {
	switch number {
	case 2, 20: // containers, and those that are run first: of these, the ones that stay have ports, too
		return fields(b, o.readContainer)
	case 8:
		o.ServiceAccount = string(b)
	case 10:
		o.Node = string(b)
	case 11:
		o.HostNetwork = n != 0
	}
	return nil
}

func (o *Object) readContainer(number protowire.Number, b []byte, _ uint64) error {
	if number != 6 {
		return nil
	}
	p := index.Port{Protocol: "TCP"}
	err := fields(b, func(number protowire.Number, b []byte, n uint64) error {
		switch number {
		case 1:
			p.Name = string(b)
		case 3:
			if n > 65535 {
				return fmt.Errorf("%w: port %d", errMalformed, n)
			}
			p.Number = uint16(n)
		case 4:
			if len(b) > 0 {
				p.Protocol = string(b)
			}
		}
		return nil
	})
	if p.Name != "" {
		o.Ports = append(o.Ports, p)
	}
	return err
}

func (o *Object) readPodStatus(number protowire.Number, b []byte, _ uint64) error {
	switch number {
	case 1:
		o.Phase = string(b)
	case 6:
		o.IP = string(b)
	case 12:
		return fields(b, func(number protowire.Number, b []byte, _ uint64) error {
			if number == 1 {
				o.IPs = append(o.IPs, string(b))
			}
			return nil
		})
	}
	return nil
}

func (o *Object) readNodeStatus(number protowire.Number, b []byte, _ uint64) error {
	if number != 5 {
		return nil
	}
	var a NodeAddress
	err := fields(b, func(number protowire.Number, b []byte, _ uint64) error {
		switch number {
		case 1:
			a.Type = string(b)
		case 2:
			a.Address = string(b)
		}
		return nil
	})
	o.Addresses = append(o.Addresses, a)
	return err
}

// readList fills l from a message of a list of the kind.
func (l *List) read(message []byte, kind string) error {
	return fields(message, func(number protowire.Number, b []byte, _ uint64) error {
		switch number {
		case 1:
			return fields(b, func(number protowire.Number, b []byte, n uint64) error {
				switch number {
				case 2:
					l.ResourceVersion = string(b)
				case 3:
					l.Continue = string(b)
				case 4:
					left := int64(n) //nolint:gosec // it is one
					l.RemainingItemCount = &left
				}
				return nil
			})
		case 2:
			o := Object{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: kind}}
			err := o.read(b)
			l.Items = append(l.Items, o)
			return err
		}
		return nil
	})
}
