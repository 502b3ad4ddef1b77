// Package attempts holds the attempts to gain, by Hawser, a right that one lacked: as the lowest role that may write one
// of our kinds or its status, and as the thief of each credential that we issue. Each is a named test on real API servers
// under exactly the manifests that we ship, with the member controllers, the gate and the manager running. Where two
// guards stand one behind the other, it fails when both are taken away. It has no other code, and does not repeat
// what the packages below try themselves:
//
//	actor                              also tried in
//	author of AccessGrants             member (TestNobodyGrantsMoreThanTheyHave), internal/controller/accessgrant
//	author of TrustedIssuers           trust (TestConflicts, TestNewRefusesWhatCannotBeTrusted)
//	writer of a TrustedIssuer's status member (TestGateWritesNoKeys)
//	author of AccessRequests           internal/controller/accessrequest (TestWhoMayNotHaveAccess, TestASecretOfSomebodyElseIsNeverTouched), export
//	author of RemoteClusters           internal/manager (TestWhatIsWrongWithATokenIsNamed), credential/oidc, credential/exec, connection
//	thief of the manager's token       internal/manager (TestTheManagerMayAskForItsOwnTokensOnly)
//	thief of a connection's token      member (TestMemberSide, TestTokenLifetime), internal/controller/accessgrant (testMinting, testRevoked)
//	thief of a granted account's token internal/controller/accessgrant (testMinting, testDelete), internal/manager (TestANamespaceGetsWhatTheOtherClusterGrants)
//	thief of a subject's token         internal/gate (TestBadTokensOfARealIssuer), trust (TestVerifyRefuses)
//	thief of the gate's token          internal/gate (TestGateHoldsNoMoreThanItNeeds), member (TestTokensOfGrants, TestGateWritesNoKeys)
//	thief of the controllers' token    member (TestControllersKeepToGrants, TestNamespaceOfAccounts)
//	thief of hawser-auth's cache       cmd/hawser-auth, internal/authcache
package attempts
