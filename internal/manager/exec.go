package manager

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/credential/exec"
	inventory "github.com/hawser-io/hawser/inventory/remotecluster"
)

// plugged is the source of auth.type exec: the plugin that a RemoteCluster selects, as the operator's file and
// the object say now. A changed file counts from the next credential on.
type plugged struct {
	sources Sources
	cluster string
	// binding is the server that an earlier credential was proved at, remembered over a restart.
	binding *credential.Binding

	// The source for what was selected last; methods are called by one goroutine at a time.
	source *exec.Source
	run    string // its fingerprint
}

func (s Sources) exec(rc *v1alpha1.RemoteCluster) credential.Source {
	return &plugged{sources: s, cluster: rc.Name, binding: credential.BindingOf(rc.Status.Endpoint)}
}

// Obtain implements credential.Source.
func (p *plugged) Obtain(ctx context.Context) ([]credential.Credential, error) {
	if err := p.look(ctx); err != nil {
		return nil, err
	}
	list, err := p.source.Obtain(ctx)
	list = slices.Clone(list)
	for i := range list {
		list[i].Binding = p.binding
	}
	return list, err
}

// Renew implements credential.Source.
func (p *plugged) Renew(ctx context.Context, current credential.Credential, link credential.Link) (credential.Credential, error) {
	if err := p.look(ctx); err != nil {
		return credential.Credential{}, err
	}
	return p.source.Renew(ctx, current, link)
}

// Explain implements credential.Explainer.
func (p *plugged) Explain(ctx context.Context, refused error) error {
	if p.source == nil {
		return refused
	}
	return p.source.Explain(ctx, refused)
}

// Keep implements credential.Keeper: the next credential is shown to no other server than this one.
func (p *plugged) Keep(_ context.Context, c credential.Credential) error {
	p.binding = c.Binding
	return nil
}

// look finds out what is selected, and starts anew where that is something else than before.
func (p *plugged) look(ctx context.Context) error {
	rc, all, err := p.sources.remoteClusters(ctx, p.cluster)
	if err != nil {
		return &credential.InputError{Reason: v1alpha1.ReasonPluginFailed, Err: err}
	}
	providers, err := p.sources.providers()
	if err != nil {
		return err
	}
	mine, err := selected(rc, providers)
	if err != nil {
		return err
	}
	if other := mine.sharedWith(rc, all, providers); other != "" {
		return &credential.InputError{Reason: v1alpha1.ReasonAudienceShared, Err: fmt.Errorf(
			"plugin %q is run in exactly the same way for RemoteCluster %q, which is older: each of the two clusters could use at the other what it gives. "+
				"Give auth.exec.parameters that tell them apart, let its entry say provideClusterInfo, or shared where that is meant", mine.plugin.Name, other)}
	}
	if run := mine.fingerprint(); p.source == nil || p.run != run {
		p.source = &exec.Source{Plugin: mine.plugin, Cluster: mine.told, Clock: p.sources.Clock}
		p.run = run
	}
	return nil
}

// providers are the plugins of the operator's file.
func (s Sources) providers() ([]exec.Provider, error) {
	if s.ExecProviders == "" {
		return nil, &credential.InputError{Reason: v1alpha1.ReasonPluginUnknown, Err: fmt.Errorf("no plugins are configured: the manager is told of them by --exec-providers FILE")}
	}
	providers, err := exec.ReadProviders(s.ExecProviders)
	if err != nil {
		return nil, credential.InvalidInput("%w", err)
	}
	return providers, nil
}

// selection is the plugin for one cluster, with what it is told about that.
type selection struct {
	plugin exec.Plugin
	told   exec.Cluster
	shared bool
}

func selected(rc *v1alpha1.RemoteCluster, providers []exec.Provider) (selection, error) {
	auth := rc.Spec.Auth.Exec
	if auth == nil {
		return selection{}, credential.InvalidInput("auth.exec is missing")
	}
	at := slices.IndexFunc(providers, func(p exec.Provider) bool { return p.Name == auth.Provider })
	if at < 0 {
		return selection{}, &credential.InputError{Reason: v1alpha1.ReasonPluginUnknown, Err: fmt.Errorf("the file of the manager's operator has no plugin %q", auth.Provider)}
	}
	plugin, err := providers[at].Fill(auth.Parameters)
	if err != nil {
		return selection{}, credential.InvalidInput("filling auth.exec.parameters into plugin %q: %w", auth.Provider, err)
	}
	spec, err := inventory.Spec(rc, "")
	if err != nil {
		return selection{}, credential.InvalidInput("%w", err)
	}
	return selection{plugin: plugin, told: exec.Cluster{Endpoint: spec.Endpoint}, shared: providers[at].Shared}, nil
}

// fingerprint is equal for two runs that nothing tells apart.
func (s selection) fingerprint() string {
	run := s.plugin.Fingerprint()
	if s.plugin.ProvideClusterInfo {
		run += s.told.Fingerprint()
	}
	return run
}

// sharedWith names an older RemoteCluster of another address that would get the same credential. Empty: there is none.
func (s selection) sharedWith(rc *v1alpha1.RemoteCluster, all []v1alpha1.RemoteCluster, providers []exec.Provider) string {
	if s.shared {
		return ""
	}
	for i := range all {
		other := &all[i]
		older := cmp.Or(other.CreationTimestamp.Compare(rc.CreationTimestamp.Time), cmp.Compare(other.Name, rc.Name)) < 0
		if !older || other.Spec.Auth.Exec == nil || other.Spec.Auth.Exec.Provider != rc.Spec.Auth.Exec.Provider || other.Spec.Server == rc.Spec.Server {
			continue
		}
		if theirs, err := selected(other, providers); err == nil && theirs.fingerprint() == s.fingerprint() {
			return other.Name
		}
	}
	return ""
}

var (
	_ credential.Source    = (*plugged)(nil)
	_ credential.Explainer = (*plugged)(nil)
	_ credential.Keeper    = (*plugged)(nil)
)
