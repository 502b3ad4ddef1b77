package cli

import (
	"cmp"
	"context"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/advice"
	"github.com/hawser-io/hawser/internal/cli/doctor"
	"github.com/hawser-io/hawser/internal/cli/rights"
)

// entering looks, by the person's own rights, at what the cluster that is entered has for one local cluster.
type entering struct {
	asked rights.Cluster
	rc    *v1alpha1.RemoteCluster
	local string // name of the local cluster; empty if it is not known
	d     *deps

	found []doctor.Finding
}

// checkThere adds to a report what the cluster that is entered tells the person.
func (d *deps) checkThere(ctx context.Context, f remoteFlags, rc *v1alpha1.RemoteCluster, local string, report *doctor.Report) error {
	there, err := d.remoteOf(ctx, f, rc)
	if err != nil {
		return err
	}
	e := &entering{asked: rights.Cluster{Client: there.Client, Kube: there.Kube}, rc: rc, local: local, d: d}
	if err := e.look(ctx); err != nil {
		return d.unanswered(f, there, err)
	}
	report.Findings = append(report.Findings, e.found...)
	return nil
}

func (e *entering) add(check string, severity doctor.Severity, message, repair string) {
	one := doctor.Finding{Check: check, Severity: severity, Message: message, Repair: repair}
	same := func(f doctor.Finding) bool { return f.Message == message }
	if !slices.ContainsFunc(e.found, same) { // several grants may lack the same
		e.found = append(e.found, one)
	}
}

func (e *entering) look(ctx context.Context) error {
	if auth := e.rc.Spec.Auth.OIDC; auth != nil {
		if err := e.own(ctx, auth); err != nil {
			return err
		}
	}
	var all v1alpha1.AccessGrantList
	err := e.asked.Client.List(ctx, &all)
	switch {
	case meta.IsNoMatchError(err) || apierrors.IsNotFound(err): // the kind is not there, and so no grant is
		return nil
	case apierrors.IsForbidden(err):
		e.add("grant", doctor.Skipped, "you may not list the AccessGrants there", "")
		return nil
	case err != nil:
		return err
	}
	for i := range all.Items {
		if e.named(&all.Items[i]) {
			if err := e.grant(ctx, all.Items[i].Name, doctor.Warning); err != nil {
				return err
			}
		}
	}
	return nil
}

// named reports whether a grant is for AccessRequests of this local cluster.
func (e *entering) named(g *v1alpha1.AccessGrant) bool {
	return slices.ContainsFunc(g.Spec.Subjects, func(s v1alpha1.GrantSubject) bool {
		return s.LocalCluster != nil && s.LocalCluster.Name == e.local
	})
}

// own looks at what lets the connection itself in.
func (e *entering) own(ctx context.Context, auth *v1alpha1.OIDCAuth) error {
	name := ""
	if e.local != "" {
		name = grantName(e.local)
	}
	if auth.Exchange != nil {
		name = cmp.Or(auth.Exchange.Grant, name)
		what, repair, err := e.asked.Gate(ctx)
		if err != nil {
			return err
		}
		if what != "" {
			e.add("gate", doctor.Error, what, e.d.shell.There().In(repair))
		}
	}
	if name == "" {
		e.add("grant", doctor.Skipped, "the name of the local cluster is not known, and so the name of its grant is not: say it with --local-name", "")
		return nil
	}
	return e.grant(ctx, name, doctor.Error)
}

// grant tells what one grant lacks, with a severity.
func (e *entering) grant(ctx context.Context, name string, severity doctor.Severity) error {
	rejoin := "make it as docs/trust.md has it"
	if mend := advice.Of(e.rc, e.local); mend.Release == nil {
		rejoin = mend.Rejoin() + " makes it anew"
	}
	explained, err := e.asked.Explain(ctx, name, e.d.clock.Now())
	switch {
	case rights.IsNoGrant(err):
		e.add("grant", severity, err.Error(), rejoin)
		return nil
	case apierrors.IsForbidden(err):
		e.add("grant", doctor.Skipped, oneLine(err.Error()), "")
		return nil
	case err != nil:
		return err
	}
	for _, f := range explained.Findings {
		e.add("grant", severity, shown("AccessGrant "+name+": "+f.What), shown(e.d.shell.There().In(f.Repair)))
	}
	for _, what := range explained.Unknown {
		e.add("grant", doctor.Skipped, shown("you may not read "+what+" there: nothing is said about it"), "")
	}
	if len(explained.Findings) == 0 {
		e.add("grant", doctor.OK, shown("AccessGrant "+name+" is carried out there ("+explained.Reason+")"), "")
	}
	return nil
}
