package eks

import (
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"sigs.k8s.io/aws-iam-authenticator/pkg/endpoints"
	"sigs.k8s.io/aws-iam-authenticator/pkg/token"

	"github.com/hawser-io/hawser/aws"
)

func TestTheAuthenticatorTakesOurTokens(t *testing.T) {
	judged := map[string]bool{}
	for _, p := range places {
		t.Run(p.region, func(t *testing.T) {
			w := newWorld(t, p)
			id, err := w.judge.Verify(w.ours(t, w.role.Session("prod", time.Hour), clusterName, time.Now()))
			if err != nil {
				t.Fatalf("the token of a role is refused: %v", err)
			}
			if id.ARN != "arn:"+p.partition+":sts::444455556666:assumed-role/hawser/prod" || id.CanonicalARN != "arn:"+p.partition+":iam::444455556666:role/hawser" ||
				id.AccountID != accountID || id.SessionName != "prod" || id.UserID != w.role.ID() {
				t.Errorf("the token of a role is taken for %+v", *id)
			}
			id, err = w.judge.Verify(w.ours(t, w.user.Keys(), clusterName, time.Now()))
			if err != nil {
				t.Fatalf("the token of a user is refused: %v", err)
			}
			if id.CanonicalARN != w.user.ARN() || id.UserID != w.user.ID() || id.AccessKeyID != w.user.Keys().AccessKeyID {
				t.Errorf("the token of a user is taken for %+v", *id)
			}
			// A token is good in the whole partition: the cluster may lie in another region.
			if _, err = token.NewVerifier(clusterName, p.partition, "nowhere-1").Verify(w.ours(t, w.user.Keys(), clusterName, time.Now())); err != nil {
				t.Errorf("a token of another region of the partition is refused: %v", err)
			}
			judged[p.partition] = true
		})
	}
	for _, partition := range endpoints.PARTITIONS {
		if !judged[partition] {
			t.Errorf("no region of %s is among the places", partition)
		}
	}
}

func TestTokensOfAnotherPartitionAreRefused(t *testing.T) {
	w := newWorld(t, place{"aws", "eu-north-1"})
	made := w.ours(t, w.user.Keys(), clusterName, time.Now())
	for _, p := range places {
		if p.partition == "aws" || p.partition == "aws-us-gov" { // of one domain: STS tells them apart
			continue
		}
		if _, err := token.NewVerifier(clusterName, p.partition, p.region).Verify(made); err == nil {
			t.Errorf("a cluster in %s takes a token of aws", p.partition)
		}
	}
}

// TestOurTokensAreThoseOfTheAuthenticator compares them byte for byte.
func TestOurTokensAreThoseOfTheAuthenticator(t *testing.T) {
	generator, err := token.NewGenerator(false, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range places {
		t.Run(p.region, func(t *testing.T) {
			w := newWorld(t, p)
			for name, creds := range map[string]awssdk.Credentials{"role": w.role.Session("prod", time.Hour), "user": w.user.Keys()} {
				theirs, err := generator.GetWithSTS(clusterName, sts.New(sts.Options{Region: p.region, Credentials: provider(creds)}))
				if err != nil {
					t.Fatal(err)
				}
				at, err := time.Parse("20060102T150405Z", request(t, theirs.Token).Query().Get("X-Amz-Date"))
				if err != nil {
					t.Fatal(err)
				}
				ours := w.ours(t, creds, clusterName, at)
				if ours != theirs.Token {
					t.Errorf("tokens of a %s differ:\nours   %s\ntheirs %s", name, request(t, ours).Redacted(), request(t, theirs.Token).Redacted())
				}
				info, err := w.cluster.Review(theirs.Token)
				if err != nil {
					t.Errorf("our server refuses a %s's token of the authenticator: %v", name, err)
				}
				if len(info.Groups) == 0 {
					t.Errorf("our server finds no groups for a %s", name)
				}
			}
		})
	}
}

// TestGoldenToken is the vector of the authenticator's own test, read from its source.
func TestGoldenToken(t *testing.T) {
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/aws-iam-authenticator").Output()
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "pkg", "token", "token_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	_, body, ok := strings.Cut(string(source), "func TestGetWithSTS(")
	if !ok {
		t.Fatal("the authenticator has no TestGetWithSTS any more")
	}
	keys := regexp.MustCompile(`StdEncoding\.DecodeString\("([^"]+)"\)`).FindAllStringSubmatch(body, 2)
	want := regexp.MustCompile(`k8s-aws-v1\.[A-Za-z0-9_-]+`).FindString(body)
	if len(keys) != 2 || want == "" || !strings.Contains(body, "time.Unix(1682640000, 0)") || !strings.Contains(body, `"test-cluster"`) || !strings.Contains(body, `"us-west-2"`) {
		t.Fatal("the authenticator's TestGetWithSTS is another one: read its new vector")
	}
	decode := func(s string) string {
		text, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	at := time.Unix(1682640000, 0)
	got, err := aws.NewToken(t.Context(), provider(awssdk.Credentials{AccessKeyID: decode(keys[0][1]), SecretAccessKey: decode(keys[1][1])}), "us-west-2", "test-cluster", at)
	if err != nil {
		t.Fatal(err)
	}
	if got.Value.Reveal() != want {
		t.Errorf("got  %s\nwant %s", request(t, got.Value.Reveal()), request(t, want))
	}
	if !got.ExpiresAt.Equal(at.Add(14 * time.Minute)) {
		t.Errorf("it ends at %s", got.ExpiresAt)
	}
}
