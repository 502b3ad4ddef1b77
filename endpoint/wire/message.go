package wire

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// errMalformed says that a message is not protobuf, or not of the kind that it says it is.
var errMalformed = errors.New("malformed protobuf")

// fields calls read with each field of a message that is a message, string or bytes (then b is it), or a
// number (then n is it). Numbers of other sizes are stepped over: nothing here has them.
func fields(message []byte, read func(number protowire.Number, b []byte, n uint64) error) error {
	for len(message) > 0 {
		number, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return errMalformed
		}
		message = message[size:]
		var b []byte
		var n uint64
		switch kind {
		case protowire.BytesType:
			b, size = protowire.ConsumeBytes(message)
		case protowire.VarintType:
			n, size = protowire.ConsumeVarint(message)
		default:
			size = protowire.ConsumeFieldValue(number, kind, message)
		}
		if size < 0 {
			return errMalformed
		}
		message = message[size:]
		if kind != protowire.BytesType && kind != protowire.VarintType {
			continue
		}
		if err := read(number, b, n); err != nil {
			return err
		}
	}
	return nil
}

// entry reads a map's entry. They are parts of the message.
func entry(message []byte) (key, value []byte, err error) {
	err = fields(message, func(number protowire.Number, b []byte, _ uint64) error {
		switch number {
		case 1:
			key = b
		case 2:
			value = b
		}
		return nil
	})
	return key, value, err
}

// magic is what every message begins with, so that it is not taken for something else.
var magic = []byte("k8s\x00")

// envelope takes a message out of the one that says what kind it is.
func envelope(data []byte) (apiVersion, kind string, raw []byte, err error) {
	if len(data) < len(magic) || string(data[:len(magic)]) != string(magic) {
		return "", "", nil, fmt.Errorf("%w: it does not begin as messages of Kubernetes do", errMalformed)
	}
	err = fields(data[len(magic):], func(number protowire.Number, b []byte, _ uint64) error {
		switch number {
		case 1:
			return fields(b, func(number protowire.Number, b []byte, _ uint64) error {
				switch number {
				case 1:
					apiVersion = string(b)
				case 2:
					kind = string(b)
				}
				return nil
			})
		case 2:
			raw = b
		}
		return nil
	})
	return apiVersion, kind, raw, err
}
