package server

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/util/compatibility"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/rest"
	cliflag "k8s.io/component-base/cli/flag"
	logsapi "k8s.io/component-base/logs/api/v1"
	apiserverapp "k8s.io/kubernetes/cmd/kube-apiserver/app"
	apiserveroptions "k8s.io/kubernetes/cmd/kube-apiserver/app/options"
	managerapp "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	manageroptions "k8s.io/kubernetes/cmd/kube-controller-manager/app/options"

	"github.com/hawser-io/hawser/devfleet/internal/fleet"
)

// A component is ready to run once its flags are parsed and completeFlags was called.
type component func(ctx context.Context) error

// The components' own cobra commands are not used: each installs the process's one signal handler.
func (c *cluster) newAPIServer() (component, error) {
	opts := apiserveroptions.NewServerRunOptions()
	args, err := c.apiServerArgs()
	if err != nil {
		return nil, err
	}
	if err := parse(opts.Flags(), append(args, c.spec.APIServerArgs...)); err != nil {
		return nil, fmt.Errorf("parsing API server's arguments: %w", err)
	}
	return func(ctx context.Context) error {
		if err := logsapi.ValidateAndApply(opts.Logs, utilfeature.DefaultFeatureGate); err != nil {
			return err
		}
		completed, err := opts.Complete(ctx)
		if err != nil {
			return err
		}
		if errs := completed.Validate(); len(errs) > 0 {
			return utilerrors.NewAggregate(errs)
		}
		return apiserverapp.Run(ctx, completed)
	}, nil
}

func (c *cluster) newControllerManager() (component, error) {
	opts, err := manageroptions.NewKubeControllerManagerOptions()
	if err != nil {
		return nil, fmt.Errorf("making options of controller manager: %w", err)
	}
	known, disabled, aliases := managerapp.KnownControllers(), managerapp.ControllersDisabledByDefault(), managerapp.ControllerAliases()
	if err := parse(opts.Flags(known, disabled, aliases), c.controllerManagerArgs()); err != nil {
		return nil, fmt.Errorf("parsing controller manager's arguments: %w", err)
	}
	return func(ctx context.Context) error {
		config, err := opts.Config(ctx, known, disabled, aliases)
		if err != nil {
			return err
		}
		return managerapp.Run(ctx, config.Complete())
	}, nil
}

// completeFlags fixes the feature gates, which both components share, after both have had their say.
func completeFlags() error {
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	return compatibility.DefaultComponentGlobalsRegistry.Set()
}

func parse(sets cliflag.NamedFlagSets, args []string) error {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.SetNormalizeFunc(cliflag.WordSepNormalizeFunc)
	for _, set := range sets.FlagSets {
		flags.AddFlagSet(set)
	}
	return flags.Parse(args)
}

func (c *cluster) apiServerArgs() ([]string, error) {
	s := c.spec
	args := []string{
		"--bind-address=" + fleet.Loopback,
		"--secure-port=" + strconv.Itoa(s.Port),
		"--tls-cert-file=serving.crt",
		"--tls-private-key-file=serving.key",
		"--etcd-servers=unix://" + etcdSocket,
		"--etcd-healthcheck-timeout=5s",
		"--service-cluster-ip-range=" + s.ServiceCIDR,
		// The address would be 127.0.0.1, which is not allowed in Endpoints.
		"--endpoint-reconciler-type=none",
		"--enable-priority-and-fairness=false",
		"--profiling=false",
		"--allow-privileged=true",
		"--enable-admission-plugins=NodeRestriction",
		"--authorization-mode=Node,RBAC",

		"--client-ca-file=client-ca.crt",
		"--requestheader-client-ca-file=front-proxy-ca.crt",
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-uid-headers=X-Remote-Uid",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=front-proxy-client.crt",
		"--proxy-client-key-file=front-proxy-client.key",

		"--service-account-issuer=" + s.ServiceIssuer,
		"--service-account-jwks-uri=" + s.ServiceIssuer + "/openid/v1/jwks",
		"--service-account-key-file=sa.key",
		"--service-account-signing-key-file=sa.key",

		"--kubelet-client-certificate=kubelet-client.crt",
		"--kubelet-client-key=kubelet-client.key",
		"--kubelet-certificate-authority=ca.crt",
		"--kubelet-preferred-address-types=InternalIP",
	}
	if s.Audit {
		if err := os.WriteFile("audit-policy.yaml", []byte(auditPolicy), 0o600); err != nil {
			return nil, fmt.Errorf("writing audit policy: %w", err)
		}
		args = append(args, "--audit-policy-file=audit-policy.yaml", "--audit-log-path="+fleet.AuditFile, "--audit-log-mode=blocking")
	}
	if len(s.Trusts) > 0 {
		if err := writeAuthenticationConfig("authentication.json", s.Trusts); err != nil {
			return nil, err
		}
		args = append(args, "--authentication-config=authentication.json")
	}
	return args, nil
}

// Metadata holds who did what to which object, and no bodies: no Secret and no token gets into the log.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

// writeAuthenticationConfig makes the API server believe the tokens of other clusters' service accounts.
func writeAuthenticationConfig(path string, trusts []fleet.Trust) error {
	var issuers []map[string]any
	for _, t := range trusts {
		ca, err := base64.StdEncoding.DecodeString(t.CAData)
		if err != nil {
			return fmt.Errorf("decoding CA of trusted cluster %q: %w", t.Cluster, err)
		}
		issuers = append(issuers, map[string]any{
			"issuer": map[string]any{
				"url":                  t.Issuer,
				"certificateAuthority": string(ca),
				"audiences":            []string{t.Audience},
			},
			"claimMappings": map[string]any{
				"username": map[string]any{"claim": "sub", "prefix": t.UsernamePrefix},
			},
		})
	}
	data, err := json.Marshal(map[string]any{
		"apiVersion": "apiserver.config.k8s.io/v1",
		"kind":       "AuthenticationConfiguration",
		"jwt":        issuers,
	})
	if err != nil {
		return fmt.Errorf("encoding authentication configuration: %w", err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return fmt.Errorf("writing authentication configuration: %w", err)
	}
	return nil
}

// unused are controllers for things that a fleet has none of: volumes, clouds, kubelets that fall silent. Pods may be on nodes
// that nobody has made, which a cluster takes for lost ones, and deletes all of their pods.
var unused = []string{
	"pod-garbage-collector-controller", "node-lifecycle-controller", "taint-eviction-controller", "device-taint-eviction-controller", "horizontal-pod-autoscaler-controller",
	"persistentvolume-binder-controller", "persistentvolume-attach-detach-controller", "persistentvolume-expander-controller",
	"persistentvolumeclaim-protection-controller", "persistentvolume-protection-controller", "ephemeral-volume-controller",
	"volumeattributesclass-protection-controller", "resourceclaim-controller", "ttl-controller",
}

func (c *cluster) controllerManagerArgs() []string {
	return []string{
		"--kubeconfig=controller-manager.kubeconfig",
		"--secure-port=0",
		"--leader-elect=false",
		"--use-service-account-credentials=false",
		"--controllers=*,-" + strings.Join(unused, ",-"),
		"--service-account-private-key-file=sa.key",
		"--root-ca-file=ca.crt",
		"--cluster-signing-cert-file=client-ca.crt",
		"--cluster-signing-key-file=client-ca.key",
		"--service-cluster-ip-range=" + c.spec.ServiceCIDR,
		"--kube-api-qps=500", "--kube-api-burst=1000",
		// Informers of a small fleet; the default of 5 workers a controller only costs memory.
		"--concurrent-deployment-syncs=2", "--concurrent-replicaset-syncs=2", "--concurrent-gc-syncs=5",
	}
}
