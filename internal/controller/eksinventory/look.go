package eksinventory

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/inventory/eks"
)

// strikesOut is how many accounts may wait in vain for a region before nobody else does, in one look: a
// region that answers nobody would otherwise cost its deadline as many times as there are accounts.
const strikesOut = 2

// look asks all accounts about all regions once. It holds nothing up but itself.
type look struct {
	identities aws.Reader
	sessions   *aws.Sessions
	clusters   aws.Clusters
	spec       v1alpha1.EKSInventorySpec
	timeout    time.Duration // of each call
	parallel   int           // calls at a time

	mu      sync.Mutex
	strikes map[string]int // by region
}

// account is an account of the spec, entered or not.
type account struct {
	v1alpha1.EKSAccount
	id    string
	creds awssdk.CredentialsProvider
	err   *aws.Error
}

// run returns what each account said of each region, in the order of the spec.
func (l *look) run(ctx context.Context) []eks.Answer {
	l.strikes = map[string]int{}
	accounts := make([]account, len(l.spec.Accounts))
	each(l.parallel, len(accounts), func(i int) { accounts[i] = l.enter(ctx, l.spec.Accounts[i]) })

	var answers []eks.Answer
	var open []account // of answers[i], as far as it was entered
	for _, a := range accounts {
		if a.err != nil {
			answers = append(answers, eks.Answer{Account: a.EKSAccount, Gaps: []v1alpha1.InventoryGap{gap(a, "", "", a.err)}})
			open = append(open, account{})
			continue
		}
		for _, region := range l.spec.Regions {
			answers = append(answers, eks.Answer{Account: a.EKSAccount, AccountID: a.id, Region: region})
			open = append(open, a)
		}
	}
	each(l.parallel, len(answers), func(i int) {
		if open[i].creds != nil {
			l.ask(ctx, open[i], &answers[i])
		}
	})
	return answers
}

// enter takes on the identity of an account and finds out which account it is.
func (l *look) enter(ctx context.Context, of v1alpha1.EKSAccount) account {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	a, ref := account{EKSAccount: of}, aws.RefOf(of.IdentityRef)
	// What a person wrote by hand has no namespace.
	chain, err := aws.Resolve(ctx, l.identities, ref, aws.Namespace{})
	if err != nil {
		a.err = aws.AsError(ref, err)
		return a
	}
	creds := l.sessions.Provider(chain)
	if _, err := creds.Retrieve(ctx); err != nil {
		a.err = aws.AsError(ref, err)
		return a
	}
	if a.id, err = l.accountID(ctx, chain); err != nil {
		a.err = aws.AsError(ref, err)
		return a
	}
	a.creds = creds
	return a
}

// accountID is asked of STS only where neither a role nor an earlier answer tells it.
func (l *look) accountID(ctx context.Context, chain aws.Chain) (string, error) {
	if role, err := arn.Parse(chain.ARN()); err == nil {
		return role.AccountID, nil
	}
	if id := l.sessions.Session(chain).AccountID; id != "" {
		return id, nil
	}
	_, id, err := l.sessions.CallerIdentity(ctx, chain, len(chain.Roles))
	return id, err
}

// ask fills in what an account says of a region.
func (l *look) ask(ctx context.Context, a account, answer *eks.Answer) {
	if l.isOut(answer.Region) {
		err := &aws.Error{Ref: aws.RefOf(a.IdentityRef), Reason: v1alpha1.ReasonAWSUnreachable,
			Err: fmt.Errorf("it was not asked about %s, since the EKS API there let %d other accounts wait in vain", answer.Region, strikesOut)}
		answer.Gaps = append(answer.Gaps, gap(a, answer.Region, "", err))
		return
	}
	names, err := timed(ctx, l.timeout, func(ctx context.Context) ([]string, error) {
		return l.clusters.List(ctx, a.creds, answer.Region)
	})
	if err != nil {
		l.miss(a, answer, "", err)
		return
	}
	answer.Complete, answer.Names = true, names
	for i, name := range names {
		c, err := timed(ctx, l.timeout, func(ctx context.Context) (aws.Cluster, error) {
			return l.clusters.Describe(ctx, a.creds, answer.Region, name)
		})
		if err == nil {
			answer.Clusters = append(answer.Clusters, c)
			continue
		}
		switch reason := l.miss(a, answer, name, err); reason {
		case v1alpha1.ReasonEKSClusterNotFound, v1alpha1.ReasonEKSDenied: // of this cluster alone
		default:
			if rest := len(names) - i - 1; rest > 0 {
				last := &answer.Gaps[len(answer.Gaps)-1]
				last.Message = fmt.Sprintf("%s; %d more clusters there were not asked about", last.Message, rest)
			}
			return
		}
	}
}

// miss notes that something was not answered. A cluster that went between two questions is no gap.
func (l *look) miss(a account, answer *eks.Answer, cluster string, err error) (reason string) {
	known := aws.AsError(aws.RefOf(a.IdentityRef), err)
	if cluster != "" && known.Reason == v1alpha1.ReasonEKSClusterNotFound {
		answer.Names = without(answer.Names, cluster)
		return known.Reason
	}
	answer.Gaps = append(answer.Gaps, gap(a, answer.Region, cluster, known))
	if known.Reason == v1alpha1.ReasonAWSUnreachable {
		l.mu.Lock()
		l.strikes[answer.Region]++
		l.mu.Unlock()
	}
	return known.Reason
}

func (l *look) isOut(region string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.strikes[region] >= strikesOut
}

// gap is where something is missing, which names the identity, and why.
func gap(a account, region, cluster string, err *aws.Error) v1alpha1.InventoryGap {
	return v1alpha1.InventoryGap{
		Where:   eks.Where(a.EKSAccount, region, cluster),
		Reason:  err.Reason,
		Message: strings.TrimPrefix(err.Message(), err.Ref.String()+": "),
	}
}

// timed gives one call its deadline.
func timed[T any](ctx context.Context, timeout time.Duration, call func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return call(ctx)
}

func without(names []string, gone string) []string {
	var rest []string
	for _, name := range names {
		if name != gone {
			rest = append(rest, name)
		}
	}
	return rest
}

// each does something n times, several at a time, and returns when all is done.
func each(parallel, n int, do func(i int)) {
	var workers sync.WaitGroup
	next := make(chan int)
	for range min(parallel, n) {
		workers.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	workers.Wait()
}
