// Package awstest is a local AWS that verifies, for tests, benchmarks and the demo: STS, EKS, a little of IAM, and
// the webhook by which an EKS API server asks who a token belongs to.
//
//	func TestMain(m *testing.M) {
//		os.Exit(awstest.Run(m, fleettest.Options{Clusters: []string{"primary", "alpha"}}, "alpha"))
//	}
//
//	func TestTwoHops(t *testing.T) {
//		s := awstest.Start(t, awstest.Options{})
//		hub := s.Account("111122223333")
//		user := hub.User("bootstrapper")
//		target := s.Account("444455556666")
//		role := target.Role("hawser", awstest.Trust{Principals: []string{user.ARN()}, ExternalID: "fleet"})
//		user.Allow("sts:AssumeRole", role.ARN())
//
//		cluster := target.EKS("eu-north-1", "alpha", awstest.EKSOptions{})
//		cluster.Entry(role.ARN(), []string{"hawser-members"}, "")
//		alpha := cluster.ServeBy(t, "alpha") // a real API server that asks the webhook of this EKS cluster
//		s.Setenv(t, user.Keys())             // what the SDK's default chain needs
//		…
//	}
//
// It is a judge: it signs every request anew with the SDK's own signer and compares, keeps the unique IDs of
// principals as IAM does, evaluates policy documents, and verifies web identities against their issuer. Where the
// real AWS is known to say a thing in certain words (its error codes and messages), it says the same. It does not
// import our package aws, so that a mistake there is not made twice.
//
// Everything is in memory, on the loopback address and on an injected clock. [Server.Throttle], [Server.Deny],
// [Server.Hang], [Server.Drop] and [Server.SkewClock] make faults, and [Server.Calls] tells what was asked.
// Mistakes in the use of the package, such as a trust policy that names a role which does not exist, panic with
// a sentence. Nothing is ever logged.
//
// What it does not play: eventual consistency, rate limits of its own, SCPs, permission boundaries, resource policies
// other than role trust, MFA, SAML, and the Kubernetes permissions of EKS access policies (they are only kept).
package awstest
