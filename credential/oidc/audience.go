package oidc

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
)

// Audience decides for whom the tokens of a RemoteCluster are made, where all are all RemoteClusters. It
// refuses an audience that belongs to somebody else: to an older RemoteCluster, or to a cloud. Its errors
// are *credential.InputErrors.
//
// The default is made from spec.clusterID and not from what a server said of itself: who is asked could
// name another cluster, and use there what it is shown.
func Audience(rc *v1alpha1.RemoteCluster, all []v1alpha1.RemoteCluster) (string, error) {
	auth := rc.Spec.Auth
	if auth.OIDC == nil {
		return "", credential.InvalidInput("auth.oidc is missing")
	}
	switch auth.OIDC.TokenFrom {
	case v1alpha1.TokenFromAzure: // its audience is what the scope says
	case v1alpha1.TokenFromGoogle:
		if auth.OIDC.Google == nil {
			return "", credential.InvalidInput("auth.oidc.google is missing")
		}
		return cmp.Or(auth.OIDC.Audience, auth.OIDC.Google.Provider), nil // that Google is shown, and nobody else
	case v1alpha1.TokenFromServiceAccount, v1alpha1.TokenFromSPIFFE:
		if err := validate(auth.OIDCAudience(rc.Spec.ClusterID)); err != nil {
			return "", err
		}
	default:
		return "", credential.InvalidInput("this build of hawser has no source for auth.oidc.tokenFrom %s", auth.OIDC.TokenFrom)
	}
	if other := SharedWith(rc, all); other != nil {
		return "", &credential.InputError{Reason: v1alpha1.ReasonAudienceShared, Err: fmt.Errorf(
			"RemoteCluster %q, which is older, has the same audience %q: each of the two clusters could use our token at the other. Give each an auth.oidc.audience of its own, or correct spec.clusterID", other.Name, claimed(rc))}
	}
	return auth.OIDCAudience(rc.Spec.ClusterID), nil
}

// validate refuses an audience that is missing, or that a cloud lets our tokens in by.
func validate(audience string) error {
	if audience == "" {
		return credential.InvalidInput("%w", errors.New("there is no audience to make a token for: set spec.clusterID (the UID of the remote cluster's namespace kube-system), or auth.oidc.audience"))
	}
	if owner := cloudOf(audience); owner != "" {
		return &credential.InputError{Reason: v1alpha1.ReasonAudienceShared, Err: fmt.Errorf(
			"the audience %q belongs to %s, so the remote cluster could use our token there: give auth.oidc.audience one that belongs to the remote cluster alone", audience, owner)}
	}
	return nil
}

// cloudOf names the cloud that takes tokens of clusters with an audience; empty for none.
func cloudOf(audience string) string {
	lower := strings.ToLower(audience)
	switch {
	case slices.Contains([]string{"sts.amazonaws.com", "sts.amazonaws.com.cn", "pods.eks.amazonaws.com"}, lower):
		return "AWS"
	case strings.HasPrefix(lower, "api://azureadtokenexchange"):
		return "Microsoft Entra ID"
	case strings.HasPrefix(strings.TrimPrefix(lower, "https:"), "//iam.googleapis.com/"), strings.HasSuffix(lower, ".svc.id.goog"):
		return "Google Cloud"
	}
	return ""
}

// SharedWith is the oldest RemoteCluster that has the same audience and came before rc; nil for none. The default
// audience of a cluster is its own however it is connected to: its gate believes our tokens all the same.
func SharedWith(rc *v1alpha1.RemoteCluster, all []v1alpha1.RemoteCluster) *v1alpha1.RemoteCluster {
	mine := claimed(rc)
	var first *v1alpha1.RemoteCluster
	for i := range all {
		other := &all[i]
		if other.Name == rc.Name || mine == "" || (claimed(other) != mine && !owns(other, mine, rc)) || !before(other, rc) {
			continue
		}
		if first == nil || before(other, first) {
			first = other
		}
	}
	return first
}

// owns reports whether an audience is the default one of another cluster, and rc would show its token to somebody else
// than that.
func owns(other *v1alpha1.RemoteCluster, audience string, rc *v1alpha1.RemoteCluster) bool {
	same := other.Spec.Server != "" && other.Spec.Server == rc.Spec.Server && other.Spec.CAData == rc.Spec.CAData && other.Spec.TLSServerName == rc.Spec.TLSServerName
	if same && rc.Spec.Auth.OIDC.Exchange == nil {
		return false // one cluster under two names
	}
	id := cmp.Or(other.Spec.ClusterID, other.Status.ClusterID) // a pin binds its connection: what the status says beside it counts nothing
	return id != "" && v1alpha1.DefaultAudience(id) == audience
}

// before tells the older of two, whose claim to an audience counts.
func before(a, b *v1alpha1.RemoteCluster) bool {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name)) < 0
}

// claimed is the audience of what the remote cluster is shown; empty where that has none of its own. Google's
// tokens have none, and Azure's are for a scope that all clusters there share, unless a gate asks for one.
func claimed(rc *v1alpha1.RemoteCluster) string {
	auth := rc.Spec.Auth
	switch {
	case auth.OIDC == nil, auth.OIDC.TokenFrom == v1alpha1.TokenFromGoogle:
		return ""
	case auth.OIDC.TokenFrom == v1alpha1.TokenFromAzure:
		if auth.OIDC.Exchange == nil || auth.OIDC.Azure == nil {
			return ""
		}
		return "azure:" + auth.OIDC.Azure.Scope
	}
	return auth.OIDCAudience(rc.Spec.ClusterID)
}
