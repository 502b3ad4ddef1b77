package aws

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
)

func TestManagersOwnIdentity(t *testing.T) {
	s, _, clk := newSessions(t)
	asked := 0
	s.Ground = func(context.Context) (awssdk.CredentialsProvider, error) {
		asked++
		switch asked {
		case 1:
			return nil, errors.New("no EC2 IMDS role found")
		case 2:
			return credentialsOf(awssdk.Credentials{AccessKeyID: "OLD", SecretAccessKey: "s", CanExpire: true, Expires: clk.Now().Add(-time.Second)}), nil
		}
		return credentialsOf(awssdk.Credentials{AccessKeyID: fmt.Sprintf("OWN%d", asked), SecretAccessKey: "s", CanExpire: true, Expires: clk.Now().Add(6 * time.Hour), AccountID: "111122223333"}), nil
	}
	own := Chain{Ground: Identity{Type: v1alpha1.AWSControllerIdentity}}
	p := s.Provider(own)
	_, err := s.Provider(twoHops()).Retrieve(t.Context())
	got := wantError(t, err, Error{Hop: 0, Hops: 2, Reason: v1alpha1.ReasonNoAWSCredentials})
	if want := "before hop 1 of 2, the manager's own identity: finding AWS credentials: no EC2 IMDS role found. "; !strings.HasPrefix(got, want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !strings.Contains(got, "IRSA") {
		t.Errorf("no repair: %s", got)
	}
	clk.Step(time.Minute)
	_, err = p.Retrieve(t.Context())
	wantError(t, err, Error{Reason: v1alpha1.ReasonCredentialsExpired})
	clk.Step(time.Minute)
	if creds := retrieve(t, p); creds.AccessKeyID != "OWN3" {
		t.Errorf("got %s", creds.AccessKeyID)
	}
	if state := s.Session(own); state.AccountID != "111122223333" {
		t.Errorf("state %+v", state)
	}
	clk.Step(5 * time.Hour)
	retrieve(t, p)
	settled(t, s)
	if creds := retrieve(t, p); creds.AccessKeyID != "OWN4" {
		t.Errorf("got %s", creds.AccessKeyID)
	}
}

func credentialsOf(creds awssdk.Credentials) awssdk.CredentialsProvider {
	return awssdk.CredentialsProviderFunc(func(context.Context) (awssdk.Credentials, error) { return creds, nil })
}

// TestOwnIdentityThatEndsSoonIsNotAskedForAllTheTime is an agent that hands out the same credentials until they end.
func TestOwnIdentityThatEndsSoonIsNotAskedForAllTheTime(t *testing.T) {
	s, _, clk := newSessions(t)
	asked := 0
	s.Ground = func(context.Context) (awssdk.CredentialsProvider, error) {
		asked++
		return credentialsOf(awssdk.Credentials{AccessKeyID: "OWN", SecretAccessKey: "s", CanExpire: true, Expires: start.Add(10 * time.Minute)}), nil
	}
	p := s.Provider(Chain{Ground: Identity{Type: v1alpha1.AWSControllerIdentity}})
	for range 590 {
		retrieve(t, p)
		settled(t, s)
		clk.Step(time.Second)
	}
	if asked > 10 {
		t.Errorf("asked %d times in ten minutes", asked)
	}
}

func TestKeysOfTheManagerAreReadAgain(t *testing.T) {
	s, _, clk := newSessions(t)
	asked := 0
	own := s.Ground
	s.Ground = func(ctx context.Context) (awssdk.CredentialsProvider, error) { asked++; return own(ctx) }
	p := s.Provider(Chain{Ground: Identity{Type: v1alpha1.AWSControllerIdentity}})
	for range 5 {
		retrieve(t, p)
		settled(t, s)
		clk.Step(61 * time.Minute)
	}
	if asked != 5 {
		t.Errorf("asked %d times in five hours", asked)
	}
}

func TestStaticKeysAreHandedOutAsTheyAre(t *testing.T) {
	s, fake, clk := newSessions(t)
	keys := staticIdentity("keys", "AKID")
	keys.Keys.SessionToken = credential.NewSecret("token")
	p := s.Provider(Chain{Ground: keys})
	for range 3 {
		creds := retrieve(t, p)
		if creds.AccessKeyID != "AKID" || creds.SecretAccessKey != "secret-of-AKID" || creds.SessionToken != "token" || creds.CanExpire {
			t.Errorf("got %s, expiring %t", creds.AccessKeyID, creds.CanExpire)
		}
		clk.Step(24 * time.Hour)
	}
	if len(fake.heard()) != 0 {
		t.Error("nobody has to be asked for static keys")
	}
}
