// Package aws owns how Hawser takes on identities in AWS: the chain of roles across accounts, resolved
// from plain data and with its mistakes named by hop; the live sessions along it; the bearer tokens
// that an EKS cluster believes; and what the EKS API says about clusters. It reads identities through
// a Reader and knows no Kubernetes client. It signs nothing by hand: the SDK's signer does.
package aws
