// Package rights holds one test: every feature of Hawser, driven on real API servers under exactly the roles that we
// ship (internal/rbac, member), with the audit logs of these API servers read afterwards. It fails on any request of
// one of our identities that was refused, and on any verb of any rule that no request used. What is expected to be
// refused, and what no audit log can show, is listed by name in exceptions_test.go, with the reason. It has no other
// code.
package rights
