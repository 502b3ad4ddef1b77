package trust

import (
	"fmt"
)

// Reasons why a token is refused: Refusal.Reason.
const (
	// Malformed is a token that is none: too large, not signed JSON, without a claim that it must have.
	Malformed = "Malformed"
	// AlgorithmRefused is a token without a signature, or with one that a public key can make.
	AlgorithmRefused = "AlgorithmRefused"
	// UnknownIssuer is a token of an issuer that is not trusted here.
	UnknownIssuer = "UnknownIssuer"
	// NotJudged is a token of an issuer whose latest edit the controller has not looked at.
	NotJudged = "NotJudged"
	// UnknownKey is a token that names a key which the issuer is not known to have.
	UnknownKey = "UnknownKey"
	// BadSignature is a token whose signature is not that of the key that it names.
	BadSignature = "BadSignature"
	// WrongAudience is a token that is meant for somebody else.
	WrongAudience = "WrongAudience"
	// Expired is a token whose time is over.
	Expired = "Expired"
	// NotYetValid is a token whose time has not come.
	NotYetValid = "NotYetValid"
	// LifetimeTooLong is a token that lives longer than its issuer's tokens may.
	LifetimeTooLong = "LifetimeTooLong"
	// ClaimRefused is a token for which a claim rule does not hold, or cannot be evaluated.
	ClaimRefused = "ClaimRefused"
	// SubjectRefused is a token whose user or group has a name that nobody may have.
	SubjectRefused = "SubjectRefused"
)

// A Refusal is why a token is not believed. It is for the log of the side that is entered: whoever
// showed the token is told nothing of it. It never holds the token.
type Refusal struct {
	// Reason is one of the constants of this package.
	Reason string
	// Issuer is the name of the TrustedIssuer. It is empty where the token is of none.
	Issuer string
	// Err says more.
	Err error
}

// Error implements error.
func (r *Refusal) Error() string {
	if r.Issuer == "" {
		return fmt.Sprintf("verifying token: %s: %v", r.Reason, r.Err)
	}
	return fmt.Sprintf("verifying token of TrustedIssuer %q: %s: %v", r.Issuer, r.Reason, r.Err)
}

// Unwrap returns the cause.
func (r *Refusal) Unwrap() error { return r.Err }

func refuse(reason, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Err: fmt.Errorf(format, args...)}
}
