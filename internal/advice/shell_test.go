package advice

import (
	"strings"
	"testing"
)

func TestCommandsBearTheFlagsOfTheOneThatPrintsThem(t *testing.T) {
	hub := Shell{Local: Flags{Context: "hub"}}
	both := Shell{Local: Flags{Context: "hub"}, Remote: Flags{Context: "alpha-admin"}}
	files := Shell{Local: Flags{Kubeconfig: "my hub.yaml"}, Remote: Flags{Kubeconfig: "/tmp/alpha.yaml"}}
	tests := []struct {
		name        string
		shell       Shell
		given, want string
	}{
		{"no flags", Shell{}, "Find out why: hawser check alpha", "Find out why: hawser check alpha"},
		{"a command of hawser", hub, "Find out why: hawser check alpha", "Find out why: hawser check --context hub alpha"},
		{"two words", hub, "hawser aws check alpha", "hawser aws check --context hub alpha"},
		{"kubectl", hub, "kubectl -n hawser get pods", "kubectl --context hub -n hawser get pods"},
		{"helm", hub, "helm upgrade hawser CHART --namespace hawser", "helm --kube-context hub upgrade hawser CHART --namespace hawser"},
		{"a remote cluster that was not named", hub, "hawser join alpha --remote-context CONTEXT", "hawser join --context hub alpha --remote-context CONTEXT"},
		{"one that was", both, "hawser join alpha --remote-context CONTEXT makes it anew", "hawser join --context hub alpha --remote-context alpha-admin makes it anew"},
		{"kubectl in the remote cluster", both, "see kubectl --context CONTEXT get --raw /readyz; or wait", "see kubectl --context alpha-admin get --raw /readyz; or wait"},
		{"helm in the remote cluster", both, "helm upgrade hawser CHART --kube-context CONTEXT --namespace hawser", "helm upgrade hawser CHART --kube-context alpha-admin --namespace hawser"},
		{"files", files, "hawser join alpha --remote-context CONTEXT; kubectl --context CONTEXT get ns", "hawser join --kubeconfig 'my hub.yaml' alpha --remote-kubeconfig /tmp/alpha.yaml; kubectl --kubeconfig /tmp/alpha.yaml get ns"},
		{"one file for both", Shell{Local: Flags{Kubeconfig: "k"}}, "kubectl --context CONTEXT get ns", "kubectl --kubeconfig k --context CONTEXT get ns"},
		{"several commands", both, "kubectl --context CONTEXT create token x > token && helm upgrade hawser CHART --namespace hawser --set-file a=token",
			"kubectl --context alpha-admin create token x > token && helm --kube-context hub upgrade hawser CHART --namespace hawser --set-file a=token"},
		{"a pipe", hub, "kubectl create x -o yaml | kubectl apply -f -", "kubectl --context hub create x -o yaml | kubectl --context hub apply -f -"},
		{"in parentheses", hub, "let them trust it (hawser join alpha --auth oidc), or wait", "let them trust it (hawser join --context hub alpha --auth oidc), or wait"},
		{"a command in a pod", hub, "kubectl -n hawser exec deploy/hawser -- hawser check alpha", "kubectl --context hub -n hawser exec deploy/hawser -- hawser check alpha"},
		{"what has its flags", hub, "kubectl --context other get pods", "kubectl --context other get pods"},
		{"prose", hub, "what hawser join made, by helm upgrade, and (hawser revoke), says hawser check. hawser status", "what hawser join made, by helm upgrade, and (hawser revoke), says hawser check. hawser status --context hub"},
		{"a name of the program", hub, "kubectl hawser: See `hawser join --help`.", "kubectl hawser: See `hawser join --help`."},
		{"a line of many", hub, "Remove them with\n  hawser leave alpha --local-name hub --remote-context CONTEXT\nor not", "Remove them with\n  hawser leave --context hub alpha --local-name hub --remote-context CONTEXT\nor not"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.shell.In(tt.given)
			if got != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
			if again := tt.shell.In(got); again != got {
				t.Errorf("a second time it is %s", again)
			}
		})
	}
	var out strings.Builder
	if n, err := hub.Writer(&out).Write([]byte("hawser check a\n")); n != 15 || err != nil || out.String() != "hawser check --context hub a\n" {
		t.Errorf("wrote %q, %d, %v", out.String(), n, err)
	}
	if got := both.There().In("kubectl get accessgrants"); got != "kubectl --context alpha-admin get accessgrants" {
		t.Errorf("there: %s", got)
	}
}
