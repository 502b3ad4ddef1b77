package aws

import (
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

func TestAssumeRoleIsAskedForWhatTheIdentitySays(t *testing.T) {
	s, fake, _ := newSessions(t)
	id := changed(roleIdentity("hub", "111122223333", Ref{}), func(id *Identity) {
		id.Role = &Role{ARN: id.Role.ARN, SessionName: "named", ExternalID: "ext", InlinePolicy: `{"a":1}`, PolicyARNs: []string{"arn:aws:iam::aws:policy/A", "arn:aws:iam::aws:policy/B"},
			Region: "us-west-2", Duration: 15 * time.Minute}
	})
	retrieve(t, s.Provider(Chain{Ground: Identity{Type: v1alpha1.AWSControllerIdentity}, Roles: []Identity{id}}))
	want := &sts.AssumeRoleInput{
		RoleArn: awssdk.String("arn:aws:iam::111122223333:role/hub"), RoleSessionName: awssdk.String("named"), ExternalId: awssdk.String("ext"), Policy: awssdk.String(`{"a":1}`),
		PolicyArns:      []ststypes.PolicyDescriptorType{{Arn: awssdk.String("arn:aws:iam::aws:policy/A")}, {Arn: awssdk.String("arn:aws:iam::aws:policy/B")}},
		DurationSeconds: awssdk.Int32(900),
	}
	if diff := cmp.Diff(want, fake.last, cmp.AllowUnexported(sts.AssumeRoleInput{}, ststypes.PolicyDescriptorType{})); diff != "" {
		t.Errorf("AssumeRole (-want +got)\n%s", diff)
	}
	if got := fake.heard()[0].Region; got != "us-west-2" {
		t.Errorf("asked the STS of %s", got)
	}
}

func TestSessionName(t *testing.T) {
	tests := map[string]struct {
		id   Identity
		want string
	}{
		"what the identity says": {Identity{Ref: ours("a"), Role: &Role{SessionName: "s"}}, "s"},
		"by default its name":    {Identity{Ref: ours("eu.staging"), Role: &Role{}}, "hawser-eu.staging"},
		"no foreign characters":  {Identity{Ref: ours("a:b/ß"), Role: &Role{}}, "hawser-a-b-"},
		"64 characters":          {Identity{Ref: ours(strings.Repeat("x", 100)), Role: &Role{}}, "hawser-" + strings.Repeat("x", 57)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := SessionName(test.id); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestDeadSourceCredentialsAreTheFaultOfTheSource(t *testing.T) {
	s, fake, clk := newSessions(t)
	keys := staticIdentity("keys", "AKIDEXPIRED")
	static := Chain{Ground: keys, Roles: []Identity{roleIdentity("hub", "111122223333", keys.Ref)}}
	fake.fail = func(string) error {
		return apiError("ExpiredToken", "The security token included in the request is expired")
	}
	_, err := s.Provider(static).Retrieve(t.Context())
	wantError(t, err, Error{Hop: 0, Hops: 1, Ref: keys.Ref, Reason: v1alpha1.ReasonCredentialsExpired})

	// A session of ours that STS calls dead is renewed, though it is good by our clock.
	fake.fail = nil
	retrieve(t, s.Provider(twoHops()))
	clk.Step(50 * time.Minute)
	dead := "ASIA-hub-2"
	fake.fail = func(role string) error {
		if calls := fake.heard(); role == "target" && calls[len(calls)-1].Signer == dead {
			return apiError("InvalidClientTokenId", "The security token included in the request is invalid")
		}
		return nil
	}
	retrieve(t, s.Provider(twoHops()))
	settled(t, s)
	clk.Step(9 * time.Minute)
	if creds := retrieve(t, s.Provider(twoHops())); !creds.Expires.After(start.Add(time.Hour)) {
		t.Errorf("the chain did not recover: %s ends at %s", creds.AccessKeyID, creds.Expires)
	}
}

func TestSkewedSessions(t *testing.T) {
	s, fake, _ := newSessions(t)
	fake.life = -time.Minute // STS is more than an hour behind
	_, err := s.Provider(twoHops()).Retrieve(t.Context())
	wantError(t, err, Error{Hop: 1, Hops: 2, Ref: ours("hub"), Reason: v1alpha1.ReasonClockSkew})

	fake.life = 3 * time.Hour // STS is two hours ahead
	s2, fake2, _ := newSessions(t)
	fake2.life = fake.life
	if creds := retrieve(t, s2.Provider(twoHops())); !creds.Expires.Equal(start.Add(time.Hour)) {
		t.Errorf("ends at %s by our clock, want an hour from now", creds.Expires)
	}
}

func TestManagersRegionTellsItsPartition(t *testing.T) {
	s, fake, _ := newSessions(t)
	chain := twoHops()
	for i := range chain.Roles {
		chain.Roles[i] = changed(chain.Roles[i], func(id *Identity) { id.Role.ARN = strings.Replace(id.Role.ARN, "arn:aws:", "arn:aws-cn:", 1) })
	}
	_, err := s.Provider(chain).Retrieve(t.Context())
	wantError(t, err, Error{Hop: 1, Hops: 2, Ref: ours("hub"), Reason: v1alpha1.ReasonCrossPartition})
	if len(fake.heard()) != 0 {
		t.Error("AWS was asked for what it does not do")
	}
	s2, fake2, _ := newSessions(t)
	s2.Region = ""
	retrieve(t, s2.Provider(chain))
	if got := fake2.heard()[0].Region; got != "cn-northwest-1" {
		t.Errorf("asked the STS of %s", got)
	}
}
