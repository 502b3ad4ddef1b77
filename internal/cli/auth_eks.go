package cli

import (
	"context"
	"os"
	"slices"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/spf13/cobra"
	clientauthenticationv1 "k8s.io/client-go/pkg/apis/clientauthentication/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/credential"
)

// authEKSFlags are those of hawser auth eks.
type authEKSFlags struct {
	cluster, region         string
	roles                   []string
	externalID, sessionName string
	awsFlags                awsFlags
}

func newAuthEKS(d *deps, common *authFlags) *cobra.Command {
	var f authEKSFlags
	cmd := &cobra.Command{
		Use:   "eks --cluster-name NAME --region REGION",
		Short: "A token for an EKS cluster, by your own AWS identity or a chain of roles",
		Long: `Print a token that proves an AWS identity to an EKS cluster: that of your AWS configuration, of
--profile, or the last of the roles that --role-arn names, each assumed by the one before. The
token is signed for the name of the cluster: another cluster refuses it.

--from-config may declare clusterName and region. A profile whose credentials come from a
program (credential_process) is asked anew each time: nobody knows what that depends on.`,
		Example: `  hawser auth eks --cluster-name prod --region eu-north-1
  hawser auth eks --cluster-name prod --region eu-north-1 --role-arn arn:aws:iam::444455556666:role/ops
  hawser-auth eks --from-config clusterName,region     # as a ClusterProfile's access provider`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return d.auth(cmd, common, func(ctx context.Context, about *clientauthenticationv1.Cluster) (authAnswer, error) {
				g := f // of this run
				if err := common.fill(about, map[string]*string{"clusterName": &g.cluster, "region": &g.region}); err != nil {
					return authAnswer{}, err
				}
				return d.authEKS(ctx, g)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.cluster, "cluster-name", "", "name of the EKS cluster in AWS")
	flags.StringVar(&f.region, "region", "", "region of the EKS cluster")
	flags.StringArrayVar(&f.roles, "role-arn", nil, "role to assume; several are a chain, in this order")
	flags.StringVar(&f.externalID, "external-id", "", "external ID that the last role asks for")
	flags.StringVar(&f.sessionName, "session-name", "", "name of the session of the last role (default: hawser-auth)")
	f.awsFlags.addProfile(cmd)
	for _, flag := range []string{"cluster-name", "region", "role-arn", "external-id", "session-name"} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions)
	}
	return cmd
}

func (d *deps) authEKS(ctx context.Context, f authEKSFlags) (authAnswer, error) {
	switch {
	case f.cluster == "":
		return authAnswer{}, usageError("--cluster-name is missing")
	case f.region == "":
		return authAnswer{}, usageError("--region is missing: name the region of the EKS cluster")
	case len(f.roles) == 0 && (f.externalID != "" || f.sessionName != ""):
		return authAnswer{}, usageError("--external-id and --session-name are only for --role-arn")
	}
	ref := aws.Ref{}
	if len(f.roles) > 0 {
		ref = roleRef(f.roles[len(f.roles)-1])
	}
	chain, err := aws.Resolve(ctx, roleFlags(f), ref, aws.Namespace{})
	if err != nil {
		return authAnswer{}, explainAWS(err)
	}
	sessions, err := d.awsSessions(ctx, f.awsFlags.profile, f.region)
	if err != nil {
		return authAnswer{}, err
	}
	now := d.clock.Now()
	token, err := aws.NewToken(ctx, sessions.Provider(chain), f.region, f.cluster, now)
	if err != nil {
		return authAnswer{}, explainAWS(err)
	}
	answer := authAnswer{Credential: credential.Credential{Token: token.Value, ExpiresAt: token.ExpiresAt}, Files: awsFiles()}
	if runsProgram(ctx, f.awsFlags.profile) {
		answer.Fleeting = "a program of the AWS profile gives the credentials"
	}
	return answer, nil
}

// roleFlags are the roles of the command line as identities, each assumed by the one before.
type roleFlags authEKSFlags

func roleRef(arn string) aws.Ref { return aws.Ref{Kind: "--role-arn", Name: arn} }

// Identity implements aws.Reader.
func (f roleFlags) Identity(_ context.Context, ref aws.Ref) (aws.Identity, error) {
	at := slices.Index(f.roles, ref.Name)
	id := aws.Identity{Type: v1alpha1.AWSRoleIdentity, Role: &aws.Role{ARN: ref.Name, SessionName: "hawser-auth"}}
	if at > 0 {
		id.Source = roleRef(f.roles[at-1])
	}
	if at == len(f.roles)-1 {
		id.Role.ExternalID = f.externalID
		if f.sessionName != "" {
			id.Role.SessionName = f.sessionName
		}
	}
	return id, nil
}

// awsFiles are those that decide whose credentials the SDK finds.
func awsFiles() []string {
	files := []string{awsconfig.DefaultSharedConfigFilename(), awsconfig.DefaultSharedCredentialsFilename()}
	for i, name := range []string{"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"} {
		if path := os.Getenv(name); path != "" {
			files[i] = path
		}
	}
	for _, name := range []string{"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"} {
		if path := os.Getenv(name); path != "" {
			files = append(files, path)
		}
	}
	return files
}

// runsProgram reports whether a profile, or one that it builds on, has a credential_process.
func runsProgram(ctx context.Context, profile string) bool {
	for _, name := range []string{"AWS_PROFILE", "AWS_DEFAULT_PROFILE"} {
		if profile == "" {
			profile = os.Getenv(name)
		}
	}
	if profile == "" {
		profile = awsconfig.DefaultSharedConfigProfile
	}
	files := awsFiles()
	shared, err := awsconfig.LoadSharedConfigProfile(ctx, profile, func(o *awsconfig.LoadSharedConfigOptions) {
		o.ConfigFiles, o.CredentialsFiles = files[:1], files[1:2]
	})
	if err != nil {
		return false // there is no such profile
	}
	for c := &shared; c != nil; c = c.Source {
		if c.CredentialProcess != "" {
			return true
		}
	}
	return false
}
