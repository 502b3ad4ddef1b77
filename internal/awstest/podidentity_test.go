package awstest_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/hawser-io/hawser/internal/awstest"
)

func TestPodIdentity(t *testing.T) {
	s := awstest.Start(t, awstest.Options{})
	role := s.Account(hubID).Role("manager", awstest.Trust{Services: []string{"pods.eks.amazonaws.com"}})
	s.Setenv(t, aws.Credentials{})
	for key, value := range role.PodIdentity() {
		t.Setenv(key, value)
	}
	whoami := func() (string, error) {
		loaded, err := config.LoadDefaultConfig(t.Context(), config.WithRetryMaxAttempts(1))
		if err != nil {
			t.Fatal(err)
		}
		out, err := sts.NewFromConfig(loaded).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
		if err != nil {
			return "", err
		}
		return *out.Arn, nil
	}
	if got, err := whoami(); !strings.HasPrefix(got, "arn:aws:sts::111122223333:assumed-role/manager/eks-pod-") {
		t.Errorf("is %q (%v), want the manager", got, err)
	}
	role.SetTrust(awstest.Trust{})
	if got, err := whoami(); err == nil {
		t.Errorf("a role that does not trust the service gave %q", got)
	}
	t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "wrong")
	if got, err := whoami(); err == nil {
		t.Errorf("a wrong token gave %q", got)
	}
}
