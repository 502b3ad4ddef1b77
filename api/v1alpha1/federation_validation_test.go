package v1alpha1_test

import (
	"fmt"
	"strings"
	"testing"
)

func TestValidationOfTrustedIssuers(t *testing.T) {
	c := withCRD(t, "trustedissuers")
	const url, prefix = "url: https://issuer.example.com\n", "prefix: 'b:'\n"
	const least = url + prefix
	thumbprint := strings.Repeat("a", 43)
	cases := map[string]struct{ spec, want string }{
		"the least":                             {least, ""},
		"everything that is fetched":            {least + "discoveryURL: https://mirror.example.com/x?y=z\ncaData: YWFh\npinnedKeys: [" + thumbprint + "]\naudiences: [a, b]\nclaimRules: [{expression: 'true', message: m}]\nusername: claims.sub\ngroups: claims.groups\nmaxLifetime: 10m\n", ""},
		"keys inline":                           {least + "jwks: '{}'\nmaxLifetime: 24h\n", ""},
		"no url":                                {prefix, "spec.url: Required value"},
		"plain http":                            {"url: http://issuer.example.com\n" + prefix, "url must be https:// with a host"},
		"no host":                               {"url: 'https://'\n" + prefix, "url must be https:// with a host"},
		"only a port":                           {"url: 'https://:6443'\n" + prefix, "url must be https:// with a host"},
		"no URL":                                {"url: issuer.example.com\n" + prefix, "url must be https:// with a host"},
		"a query":                               {"url: https://issuer.example.com?x=y\n" + prefix, "no user, query or fragment"},
		"a fragment":                            {"url: 'https://issuer.example.com#x'\n" + prefix, "url must"},
		"a user in the url":                     {"url: https://me@issuer.example.com\n" + prefix, "no user, query or fragment"},
		"discovery over plain http":             {least + "discoveryURL: http://mirror.example.com\n", "discoveryURL must be https:// with a host"},
		"keys inline that are also fetched":     {least + "jwks: '{}'\ndiscoveryURL: https://mirror.example.com\n", "only for keys that are fetched"},
		"keys inline with a CA to fetch with":   {least + "jwks: '{}'\ncaData: YWFh\n", "only for keys that are fetched"},
		"no keys inline":                        {least + "jwks: ''\n", "spec.jwks"},
		"huge keys":                             {least + "jwks: '" + strings.Repeat("x", 65537) + "'\n", "spec.jwks"},
		"caData that is PEM itself":             {least + "caData: '-----BEGIN CERTIFICATE-----'\n", "caData must be base64"},
		"no prefix":                             {url, "spec.prefix: Required value"},
		"an empty prefix":                       {url + "prefix: ''\n", "prefix must be a lower-case name and a colon"},
		"a prefix without a colon":              {url + "prefix: b\n", "prefix must be a lower-case name and a colon"},
		"a prefix with two":                     {url + "prefix: 'b:c:'\n", "prefix must be a lower-case name and a colon"},
		"a prefix in capitals":                  {url + "prefix: 'System:'\n", "prefix must be a lower-case name and a colon"},
		"the prefix of Kubernetes":              {url + "prefix: 'system:'\n", "keeps for itself"},
		"the prefix of Hawser":                  {url + "prefix: 'hawser:'\n", "keeps for itself"},
		"the prefix of a cloud":                 {url + "prefix: 'eks:'\n", "keeps for itself"},
		"a pin that is no thumbprint":           {least + "pinnedKeys: [abc]\n", "spec.pinnedKeys"},
		"an empty audience":                     {least + "audiences: ['']\n", "spec.audiences"},
		"too many audiences":                    {least + "audiences: [a, b, c, d, e, f, g, h, i]\n", "spec.audiences"},
		"the same audience twice":               {least + "audiences: [a, a]\n", "Duplicate value"},
		"a rule without an expression":          {least + "claimRules: [{message: m}]\n", "expression"},
		"a rule longer than a page":             {least + "claimRules: [{expression: '" + strings.Repeat("x", 1025) + "'}]\n", "expression"},
		"a lifetime below what a server grants": {least + "maxLifetime: 9m59s\n", "maxLifetime must be between 10m and 24h"},
		"a lifetime of a week":                  {least + "maxLifetime: 168h\n", "maxLifetime must be between 10m and 24h"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) { try(t, c, "TrustedIssuer", "issuer", tc.spec, tc.want) })
	}
	for name, want := range map[string]string{"has.dots": "must be a DNS label", strings.Repeat("x", 51): "must be a DNS label", strings.Repeat("x", 50): ""} {
		t.Run("the name "+name, func(t *testing.T) { try(t, c, "TrustedIssuer", name, least, want) })
	}
}

func TestValidationOfAccessGrants(t *testing.T) {
	c := withCRD(t, "accessgrants")
	const ann, role, everywhere = "subjects: [{user: ann}]\n", "clusterRoles: [view]\n", "wholeCluster: true\n"
	const rest = role + everywhere
	subject := func(s string) string { return "subjects: [" + s + "]\n" + rest }
	in := func(n string) string { return ann + role + "namespaces: " + n + "\n" }
	cases := map[string]struct{ spec, want string }{
		"the least":                                 {ann + rest, ""},
		"every subject":                             {"subjects: [{localCluster: {name: a, namespace: shop, user: 'system:serviceaccount:hawser-grants:x'}}, {issuer: {name: b, subject: 'system:serviceaccount:x:y'}}, {issuer: {name: b, subjectPattern: 'x-*'}}, {user: 'b:system:x'}, {group: g}]\n" + rest, ""},
		"names":                                     {in("{names: [a, kube-system]}"), ""},
		"a selector":                                {in("{selector: {matchExpressions: [{key: a, operator: Exists}]}}"), ""},
		"an end":                                    {ann + rest + "endsAt: 2030-01-01T00:00:00Z\nmaxLifetime: 10m\n", ""},
		"no subjects":                               {"subjects: []\n" + rest, "spec.subjects"},
		"too many subjects":                         {"subjects: [" + strings.Repeat("{user: ann}, ", 33) + "]\n" + rest, "spec.subjects"},
		"a subject that is nobody":                  {subject("{}"), "a subject is one of"},
		"a subject that is two":                     {subject("{user: ann, group: g}"), "a subject is one of"},
		"a user of Kubernetes":                      {subject("{user: 'system:kube-scheduler'}"), "users of Kubernetes itself"},
		"the users of Kubernetes":                   {subject("{group: 'system:masters'}"), "groups of Kubernetes itself"},
		"an empty user":                             {subject("{user: ''}"), "user"},
		"a local cluster without a namespace":       {subject("{localCluster: {name: a}}"), "namespace: Required value"},
		"a local cluster that is no name":           {subject("{localCluster: {name: 'a:b', namespace: x}}"), "localCluster.name"},
		"a namespace that is a pattern":             {subject("{localCluster: {name: a, namespace: '*'}}"), "localCluster.namespace"},
		"a connection that is Kubernetes":           {subject("{localCluster: {name: a, namespace: x, user: 'system:admin'}}"), "are no connections"},
		"an issuer without a subject":               {subject("{issuer: {name: b}}"), "subject or subjectPattern"},
		"an issuer with both":                       {subject("{issuer: {name: b, subject: x, subjectPattern: 'x*'}}"), "subject or subjectPattern"},
		"a pattern that everybody matches":          {subject("{issuer: {name: b, subjectPattern: '*'}}"), "a pattern that everybody matches"},
		"a pattern of stars and colons":             {subject("{issuer: {name: b, subjectPattern: '*:**:*'}}"), "a pattern that everybody matches"},
		"a pattern without a star":                  {subject("{issuer: {name: b, subjectPattern: 'x'}}"), "must have a *"},
		"no roles":                                  {ann + everywhere + "clusterRoles: []\n", "spec.clusterRoles"},
		"nine roles":                                {ann + everywhere + "clusterRoles: [a, b, c, d, e, f, g, h, i]\n", "spec.clusterRoles"},
		"eight roles":                               {ann + everywhere + "clusterRoles: [a, b, c, d, e, f, g, h]\n", ""},
		"a role twice":                              {ann + everywhere + "clusterRoles: [a, a]\n", "Duplicate value"},
		"nowhere":                                   {ann + role, "say either namespaces, or wholeCluster"},
		"nowhere, said":                             {ann + role + "wholeCluster: false\n", "say either namespaces, or wholeCluster"},
		"somewhere and everywhere":                  {in("{names: [a]}") + everywhere, "say either namespaces, or wholeCluster"},
		"namespaces that are none":                  {in("{}"), "names or selector, one of them"},
		"names and a selector":                      {in("{names: [a], selector: {matchLabels: {a: b}}}"), "names or selector, one of them"},
		"an empty selector":                         {in("{selector: {}}"), "an empty selector is refused"},
		"a selector with an empty map":              {in("{selector: {matchLabels: {}}}"), "an empty selector is refused"},
		"no names":                                  {in("{names: []}"), "names"},
		"the namespace of Hawser":                   {in("{names: [a, hawser]}"), "Hawser's own namespaces cannot be granted"},
		"the namespace of the accounts":             {in("{names: [hawser-grants]}"), "Hawser's own namespaces cannot be granted"},
		"the namespace of a connection":             {in("{names: [hawser-from-a]}"), "Hawser's own namespaces cannot be granted"},
		"a lifetime below what a server grants":     {ann + rest + "maxLifetime: 9m\n", "maxLifetime must be between 10m"},
		"a lifetime of two days":                    {ann + rest + "maxLifetime: 48h\n", "maxLifetime must be between 10m"},
		"an end that is no time":                    {ann + rest + "endsAt: tomorrow\n", "endsAt"},
		"null where templates have nothing to name": {in("null"), "say either namespaces, or wholeCluster"},
		"a selector of null":                        {in("{selector: {matchLabels: null}}"), "an empty selector is refused"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) { try(t, c, "AccessGrant", "grant", tc.spec, tc.want) })
	}
	for name, want := range map[string]string{"has.dots": "must be a DNS label", strings.Repeat("x", 51): "must be a DNS label", strings.Repeat("x", 50): ""} {
		t.Run("the name "+name, func(t *testing.T) { try(t, c, "AccessGrant", name, ann+rest, want) })
	}
}

func TestValidationOfAccessRequests(t *testing.T) {
	c := withCRD(t, "accessrequests")
	const base = "clusterRef: {name: alpha}\ngrant: shop\n"
	output := func(o string) string { return base + "output: " + o + "\n" }
	cases := map[string]struct{ spec, want string }{
		"the least":                          {output("{format: kubeconfig}"), ""},
		"everything of a kubeconfig":         {output("{format: kubeconfig, secretName: a.b, tokenFile: /etc/alpha}") + "lifetime: 24h\n", ""},
		"a template":                         {output("{format: template, template: {type: example.com/x, labels: {a: b}, data: {k: '{{ .Token }}'}}}"), ""},
		"no cluster":                         {"grant: shop\noutput: {format: kubeconfig}\n", "spec.clusterRef"},
		"a cluster without a name":           {"clusterRef: {name: ''}\ngrant: shop\noutput: {format: kubeconfig}\n", "clusterRef.name"},
		"no grant":                           {"clusterRef: {name: alpha}\noutput: {format: kubeconfig}\n", "spec.grant"},
		"no output":                          {base, "spec.output"},
		"an unknown format":                  {output("{format: toml}"), `Unsupported value: "toml"`},
		"a format template without one":      {output("{format: template}"), "need each other"},
		"a template for another format":      {output("{format: argocd, template: {data: {k: v}}}"), "need each other"},
		"a template of nothing":              {output("{format: template, template: {data: {}}}"), "data"},
		"a template of a Kubernetes type":    {output("{format: template, template: {type: kubernetes.io/service-account-token, data: {k: v}}}"), "must not be one that Kubernetes acts on"},
		"a template of a bootstrap token":    {output("{format: template, template: {type: bootstrap.kubernetes.io/token, data: {k: v}}}"), "must not be one that Kubernetes acts on"},
		"a token file for another format":    {output("{format: flux, tokenFile: /etc/alpha}"), "tokenFile is only for format kubeconfig"},
		"a token file that is relative":      {output("{format: kubeconfig, tokenFile: etc}"), "absolute path"},
		"a token file that climbs":           {output("{format: kubeconfig, tokenFile: /etc/../root}"), "absolute path"},
		"a Secret in another namespace":      {output("{format: kubeconfig, secretName: other/name}"), "secretName must be a DNS subdomain"},
		"a lifetime below a server's":        {output("{format: kubeconfig}") + "lifetime: 1m\n", "lifetime must be between 10m"},
		"a lifetime of a week":               {output("{format: kubeconfig}") + "lifetime: 168h\n", "lifetime must be between 10m"},
		"a grant whose name is no name here": {"clusterRef: {name: alpha}\ngrant: " + strings.Repeat("x", 51) + "\noutput: {format: kubeconfig}\n", "spec.grant"},
	}
	for _, format := range []string{"argocd", "flux", "calico", "istio", "linkerd", "multicluster-runtime", "clusterprofile"} {
		cases["the format "+format] = struct{ spec, want string }{output("{format: " + format + "}"), ""}
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) { try(t, c, "AccessRequest", "default/request", tc.spec, tc.want) })
	}
	t.Run("another cluster afterwards", func(t *testing.T) {
		obj := objectOf(t, "AccessRequest", "default/moves", output("{format: kubeconfig}"))
		if err := c.Create(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
		obj.Object["spec"].(map[string]any)["clusterRef"] = map[string]any{"name": "beta"}
		if err := c.Update(t.Context(), obj); err == nil || !strings.Contains(err.Error(), "clusterRef cannot be changed") {
			t.Errorf("got %v", err)
		}
		if err := c.Delete(t.Context(), obj); err != nil {
			t.Fatal(fmt.Errorf("cleaning up: %w", err))
		}
	})
}
