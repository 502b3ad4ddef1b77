package importer

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

func TestPlugins(t *testing.T) {
	eks := func(cluster, region string) v1alpha1.Auth {
		return v1alpha1.Auth{Type: v1alpha1.AuthEKS, EKS: &v1alpha1.EKSAuth{ClusterName: cluster, Region: region}}
	}
	program := func(name string) v1alpha1.Auth {
		return v1alpha1.Auth{Type: v1alpha1.AuthExec, Exec: &v1alpha1.ExecAuth{Provider: name}}
	}
	entra := func(tenant, application, scope string) v1alpha1.Auth {
		return v1alpha1.Auth{Type: v1alpha1.AuthOIDC, OIDC: &v1alpha1.OIDCAuth{
			TokenFrom: v1alpha1.TokenFromAzure, Azure: &v1alpha1.OIDCAzure{TenantID: tenant, ClientID: application, Scope: scope},
		}}
	}
	tests := []struct {
		name  string
		in    plugin
		want  v1alpha1.Auth
		role  string
		notes string // a part of them
	}{
		{name: "the AWS CLI", in: plugin{command: "aws", args: []string{"eks", "get-token", "--cluster-name=a", "--region=eu-north-1", "--role-arn=r"}}, want: eks("a", "eu-north-1"), role: "r"},
		{name: "the AWS CLI with a region in its environment", in: plugin{command: "aws", args: []string{"eks", "get-token", "--cluster-name", "a"}, env: map[string]string{"AWS_REGION": "eu-north-1"}}, want: eks("a", "eu-north-1")},
		{name: "the AWS CLI with a profile", in: plugin{command: "aws", args: []string{"eks", "get-token", "--cluster-name", "a", "--profile", "secret"}}, want: eks("a", ""), notes: "the AWS profile"},
		{name: "the AWS CLI with what is not known", in: plugin{command: "aws", args: []string{"eks", "get-token", "more", "--cluster-name", "a", "--endpoint-url", "secret", "-xsecret"}}, want: eks("a", ""), notes: "the argument --endpoint-url; the argument --x; 1 further arguments"},
		{name: "the AWS CLI at something else", in: plugin{command: "aws", args: []string{"sts", "get-caller-identity"}}, want: program("aws")},
		{name: "aws-iam-authenticator by short flags", in: plugin{command: "/bin/aws-iam-authenticator", args: []string{"token", "-i", "a", "-r", "r"}}, want: eks("a", ""), role: "r"},
		{name: "aws-iam-authenticator by short flags in one", in: plugin{command: "aws-iam-authenticator", args: []string{"token", "-ia"}}, want: eks("a", "")},
		{name: "Argo CD's own, for AWS", in: plugin{command: "argocd-k8s-auth", args: []string{"aws", "--cluster-name", "a"}}, want: eks("a", "")},
		{name: "Argo CD's own, for Azure", in: plugin{command: "argocd-k8s-auth", args: []string{"azure"}, env: map[string]string{"AAD_LOGIN_METHOD": "workloadidentity", "AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c"}}, want: entra("t", "c", aksServer+"/.default")},
		{name: "Argo CD's own, for Azure by a password", in: plugin{command: "argocd-k8s-auth", args: []string{"azure"}, env: map[string]string{"AAD_LOGIN_METHOD": "spn"}}, want: program("argocd-k8s-auth")},
		{name: "kubelogin by workload identity", in: plugin{command: "kubelogin", args: []string{"get-token", "-l", "workloadidentity", "--server-id", "s"}}, want: entra("", "", "s/.default")},
		{name: "kubelogin by device code", in: plugin{command: "kubelogin", args: []string{"get-token", "--login", "devicecode"}}, want: program("kubelogin"), notes: "tokenFrom azure needs none"},
		{name: "an application that is none", in: plugin{command: "kubelogin", args: []string{"get-token", "--login=workloadidentity", "--server-id=secret secret", "--tenant-id=secret/"}}, want: entra("", "", aksServer+"/.default"), notes: "the tenant id is none"},
		{name: "Google's", in: plugin{command: "gke-gcloud-auth-plugin.exe"}, want: program("gke-gcloud-auth-plugin"), notes: "tokenFrom google needs none"},
		{name: "any other", in: plugin{command: `C:\Tools\Corp.exe`, args: []string{"secret"}, env: map[string]string{"X": "secret"}}, want: program("corp"), notes: `an entry "corp"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := (&run{}).draft("it", "it", "it")
			if err := d.plugin(test.in, "exec"); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, d.auth); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if got := d.role; (got == nil) != (test.role == "") || (got != nil && got.arn != test.role) {
				t.Errorf("role %+v, want %q", got, test.role)
			}
			var notes []string
			for _, note := range d.notes {
				notes = append(notes, note.Message)
			}
			got := strings.Join(notes, "; ")
			if !strings.Contains(got, test.notes) || strings.Contains(got, "secret") {
				t.Errorf("notes %s, want %s and no secret", got, test.notes)
			}
		})
	}
	if err := (&run{}).draft("it", "it", "it").plugin(plugin{}, "exec"); err == nil {
		t.Error("a plugin without a program was taken")
	}
}
