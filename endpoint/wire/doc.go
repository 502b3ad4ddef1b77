// Package wire reads what endpoints are made of from the protobuf of API servers: a few fields of pods and
// nodes, the labels of namespaces and service accounts; and the same of Calico's kinds from their JSON. Everything else in a message is stepped over, and
// never becomes an object. It decides nothing: which pod counts, and with which addresses, is package
// endpoint's.
package wire
