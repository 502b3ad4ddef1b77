package awsidentity

import (
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
)

func TestReadyIsDecidedFromTheChainAndFromWhatAWSAnswered(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	denied := &aws.Error{Hop: 2, Hops: 2, Ref: aws.Ref{Kind: v1alpha1.KindAWSIdentity, Name: "b"}, Reason: v1alpha1.ReasonAssumeRoleDenied, Err: errors.New("no"), Repair: "see its trust policy"}
	good := Answer{Usable: true, ARN: "arn:x", ExpiresAt: now.Add(time.Hour)}
	cases := map[string]struct {
		unresolved error
		known      Answer
		status     metav1.ConditionStatus
		reason     string
		message    string
	}{
		"nobody was asked yet":                {nil, Answer{}, metav1.ConditionUnknown, v1alpha1.ReasonNotProbed, "not been asked"},
		"a session":                           {nil, good, metav1.ConditionTrue, v1alpha1.ReasonIdentityReady, "as arn:x"},
		"keys that never expire":              {nil, Answer{Usable: true, ARN: "arn:x"}, metav1.ConditionTrue, v1alpha1.ReasonIdentityReady, "as arn:x"},
		"a chain that cannot be resolved":     {denied, good, metav1.ConditionFalse, v1alpha1.ReasonAssumeRoleDenied, `hop 2 of 2, AWSIdentity "b"`},
		"a session that could not be made":    {nil, Answer{Err: denied}, metav1.ConditionFalse, v1alpha1.ReasonAssumeRoleDenied, "See its trust policy"},
		"one that is good, and not renewed":   {nil, Answer{Usable: true, ARN: good.ARN, ExpiresAt: good.ExpiresAt, Err: denied}, metav1.ConditionTrue, v1alpha1.ReasonAssumeRoleDenied, "good until 2030-01-01T01:00:00Z"},
		"one that has ended":                  {nil, Answer{ARN: "arn:x", ExpiresAt: now, Err: denied}, metav1.ConditionFalse, v1alpha1.ReasonAssumeRoleDenied, "hop 2"},
		"keys that are dead":                  {nil, Answer{ARN: "arn:x", Err: denied}, metav1.ConditionFalse, v1alpha1.ReasonAssumeRoleDenied, "hop 2"},
		"an error that nobody has a word for": {nil, Answer{Err: errors.New("odd")}, metav1.ConditionFalse, v1alpha1.ReasonAWSError, "odd"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := readyOf(c.unresolved, c.known)
			if got.Status != c.status || got.Reason != c.reason || !strings.Contains(got.Message, c.message) {
				t.Errorf("got %s %s: %s", got.Status, got.Reason, got.Message)
			}
		})
	}
}
