package aws

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// callTimeout is the deadline of one call of AWS. It does not depend on who asked first.
const callTimeout = 20 * time.Second

// assume assumes the last role of the chain from what comes before it.
func (p *provider) assume(ctx context.Context) (g grant, asked bool, broken *Error) {
	source := p.source()
	used, err := source.Retrieve(ctx)
	if err != nil {
		return grant{}, false, AsError(source.ref(), err)
	}
	if err := p.checkPartition(); err != nil {
		return grant{}, false, err
	}
	if err := p.sessions.pace(ctx); err != nil {
		return grant{}, false, p.brokenBy(err, "waiting for its turn at STS")
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	client, region, err := p.client(ctx, p.chain.Partition(), source)
	if err != nil {
		return grant{}, false, p.brokenBy(err, "assuming role %s", p.chain.ARN())
	}
	id := p.chain.identity(len(p.chain.Roles))
	obtainedAt := p.sessions.Clock.Now()
	answer, err := client.AssumeRole(ctx, assumeInput(id))
	if err != nil {
		return grant{}, true, p.refused(err, id, source, used, region)
	}
	g, err = grantOf(answer, obtainedAt, duration(id.Role))
	if err != nil {
		return grant{}, true, p.brokenBy(err, "assuming role %s at the STS of %s", id.Role.ARN, region)
	}
	return g, true, nil
}

func assumeInput(id Identity) *sts.AssumeRoleInput {
	in := &sts.AssumeRoleInput{
		RoleArn:         awssdk.String(id.Role.ARN),
		RoleSessionName: awssdk.String(SessionName(id)),
		DurationSeconds: awssdk.Int32(int32(duration(id.Role) / time.Second)), //nolint:gosec // at most twelve hours
	}
	if id.Role.ExternalID != "" {
		in.ExternalId = awssdk.String(id.Role.ExternalID)
	}
	if id.Role.InlinePolicy != "" {
		in.Policy = awssdk.String(id.Role.InlinePolicy)
	}
	for _, arn := range id.Role.PolicyARNs {
		in.PolicyArns = append(in.PolicyArns, ststypes.PolicyDescriptorType{Arn: awssdk.String(arn)})
	}
	return in
}

func duration(r *Role) time.Duration {
	if r.Duration == 0 {
		return defaultDuration
	}
	return r.Duration
}

var outsideSessionNames = regexp.MustCompile(`[^\w+=,.@-]+`)

// SessionName is the name of an identity's sessions in CloudTrail.
func SessionName(id Identity) string {
	const most = 64 // characters
	if id.Role != nil && id.Role.SessionName != "" {
		return id.Role.SessionName
	}
	name := outsideSessionNames.ReplaceAllString("hawser-"+id.Ref.Name, "-")
	return name[:min(len(name), most)]
}

// grantOf reads the answer of STS. The session ends by our clock when its duration is over, however
// far the clock of STS is ahead.
func grantOf(answer *sts.AssumeRoleOutput, obtainedAt time.Time, life time.Duration) (grant, error) {
	if answer == nil || answer.Credentials == nil || awssdk.ToString(answer.Credentials.AccessKeyId) == "" || awssdk.ToString(answer.Credentials.SecretAccessKey) == "" {
		return grant{}, errors.New("STS answered without credentials")
	}
	expires := obtainedAt.Add(life)
	if stated := answer.Credentials.Expiration; stated != nil && stated.Before(expires) {
		expires = *stated
	}
	g := grant{obtainedAt: obtainedAt, creds: awssdk.Credentials{
		AccessKeyID:     awssdk.ToString(answer.Credentials.AccessKeyId),
		SecretAccessKey: awssdk.ToString(answer.Credentials.SecretAccessKey),
		SessionToken:    awssdk.ToString(answer.Credentials.SessionToken),
		Source:          "Hawser",
		CanExpire:       true,
		Expires:         expires,
	}}
	if answer.AssumedRoleUser != nil {
		g.arn = awssdk.ToString(answer.AssumedRoleUser.Arn)
		g.account = accountOf(g.arn)
		g.creds.AccountID = g.account
	}
	return g, nil
}

// refused says which link an error of AssumeRole is about: dead credentials are the fault of the
// identity that they belong to, all else that of the role.
func (p *provider) refused(err error, id Identity, source *provider, used awssdk.Credentials, region string) *Error {
	var earlier *Error
	if errors.As(err, &earlier) { // the SDK asked the source once more
		return earlier
	}
	asked := source.session().state(0).ARN
	if asked == "" {
		asked = source.ref().String()
	}
	e := AsError(p.ref(), err)
	if blamesSource(e.Reason) {
		source.session().spoil(used)
		return source.broken(e).doing("assuming role %s with its credentials at the STS of %s", id.Role.ARN, region)
	}
	e = p.broken(e).doing("assuming role %s from %s at the STS of %s", id.Role.ARN, asked, region)
	if e.Reason == v1alpha1.ReasonAssumeRoleDenied {
		e.Repair = fmt.Sprintf("let the trust policy of role %s admit %s with the right ExternalId, allow sts:AssumeRole on it there, and see that the role exists: hawser aws bootstrap target", id.Role.ARN, asked)
	}
	return e
}

// checkPartition refuses a role of another partition than the one that the manager itself runs in.
func (p *provider) checkPartition() *Error {
	own, here := p.sessions.Region, p.chain.Partition()
	if len(p.chain.Roles) != 1 || p.chain.Ground.Keys != nil || own == "" || PartitionOfRegion(own) == here {
		return nil
	}
	return p.broken(&Error{Reason: v1alpha1.ReasonCrossPartition, Repair: "use static keys of the partition " + here + " as its source",
		Err: fmt.Errorf("its role is in the partition %s and the manager is in %s (region %s): AWS has no way between them", here, PartitionOfRegion(own), own)})
}
