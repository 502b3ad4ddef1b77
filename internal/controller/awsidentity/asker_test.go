package awsidentity

import (
	"context"
	"errors"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/internal/awstest"
)

// What is told of an identity follows what it can be used for, without anything else having to change.
func TestAnIdentityThatStopsWorkingIsToldOf(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	s := awstest.Start(t, awstest.Options{Clock: clock})
	account := s.Account("111122223333")
	pod := account.Role("pod", awstest.Trust{Services: []string{"pods.eks.amazonaws.com"}})
	pod.SetMaxSession(12 * time.Hour)
	role := account.Role("role", awstest.Trust{Principals: []string{pod.ARN()}})
	user := account.User("user")
	keys, podKeys := user.Keys(), pod.Session("pod", 12*time.Hour)
	asker := &Asker{Clock: clock, Sessions: &aws.Sessions{
		Clock: clock, Region: "eu-north-1",
		Ground: func(context.Context) (awssdk.CredentialsProvider, error) {
			return credentials.StaticCredentialsProvider{Value: podKeys}, nil
		},
		STS: func(region string, creds awssdk.CredentialsProvider) aws.STSClient { return s.STS(region, creds) },
	}}
	byRole := aws.Chain{Ground: aws.Identity{Type: v1alpha1.AWSControllerIdentity}, Roles: []aws.Identity{{Type: v1alpha1.AWSRoleIdentity, Role: &aws.Role{ARN: role.ARN()}}}}
	byKeys := aws.Chain{Ground: aws.Identity{Type: v1alpha1.AWSStaticIdentity, Keys: &aws.Keys{AccessKeyID: keys.AccessKeyID, SecretAccessKey: credential.NewSecret(keys.SecretAccessKey)}}}

	good := map[string]Answer{"role": asker.answer(t.Context(), byRole), "keys": asker.answer(t.Context(), byKeys)}
	for name, a := range good {
		if !a.Usable || a.ARN == "" || a.Err != nil {
			t.Errorf("%s: at first it is %+v", name, a)
		}
	}
	user.Disable()
	s.Deny("AssumeRole")
	if dead := asker.answer(t.Context(), byKeys); dead.Usable || dead.Err == nil || dead.same(good["keys"]) {
		t.Errorf("keys that were switched off: %+v", dead)
	}
	clock.Step(50 * time.Minute)
	asker.answer(t.Context(), byRole) // a renewal is tried, and denied
	late := asker.answer(t.Context(), byRole)
	if !late.Usable {
		t.Errorf("a session that is good for ten minutes more: %+v", late)
	}
	clock.Step(20 * time.Minute)
	ended := asker.answer(t.Context(), byRole)
	var known *aws.Error
	if ended.Usable || !errors.As(ended.Err, &known) || ended.same(late) {
		t.Errorf("a session that has ended: %+v", ended)
	}
}
