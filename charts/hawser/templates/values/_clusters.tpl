{{/* Faults of one entry of multiCluster.clusters. Call with a dict of root, name and cluster. */}}
{{- define "hawser.faults.cluster" -}}
{{- $at := printf "multiCluster.clusters.%s" .name }}
{{- $c := .cluster }}
{{- $types := list "bearerToken" "mtls" "eks" "oidc" "exec" "kubeconfig" }}
{{- with include "hawser.nameFault" .name }}
multiCluster.clusters: {{ . }}
{{- end }}
{{- $local := eq .name .root.Values.multiCluster.clusterName }}
{{- if not $c.authType }}
{{ $at }}.authType is missing: one of {{ join ", " $types }}
{{- else if $local }}
{{- if ne $c.authType "inCluster" }}
{{ $at }} is the local cluster itself, which has authType inCluster: give the remote one another name
{{- else if .root.Values.multiCluster.managementOnly }}
{{ $at }} is the local cluster itself, which multiCluster.managementOnly keeps out of the fleet
{{- end }}
{{- else if eq $c.authType "inCluster" }}
{{ $at }}.authType inCluster is for the local cluster alone: one of {{ join ", " $types }}
{{- else if not (has $c.authType $types) }}
{{ $at }}.authType {{ $c.authType | quote }} is unknown: one of {{ join ", " $types }}
{{- end }}
{{- if or $local (has $c.authType $types) }}
{{- include "hawser.faults.belongs" (dict "at" $at "cluster" $c) }}
{{- include "hawser.faults.address" (dict "at" $at "cluster" $c) }}
{{- include (printf "hawser.faults.auth.%s" (ternary "inCluster" $c.authType $local)) (dict "at" $at "name" .name "cluster" $c "root" .root) }}
{{- end }}
{{- include "hawser.faults.rights" (dict "at" $at "values" $c) }}
{{- include "hawser.faults.limits" (dict "at" $at "cluster" $c "root" .root) }}
{{- end -}}

{{/* Fields that the authType has no use for are mistakes: nothing is passed over in silence. */}}
{{- define "hawser.faults.belongs" -}}
{{- $at := .at }}
{{- $c := .cluster }}
{{- $remote := list "bearerToken" "mtls" "eks" "oidc" "exec" }}
{{- $of := dict
  "server" $remote "caData" $remote "tlsServerName" $remote "proxyURL" $remote
  "bearerToken" (list "bearerToken") "lifetime" (list "bearerToken" "mtls") "tlsCrt" (list "mtls") "tlsKey" (list "mtls") "renew" (list "mtls")
  "region" (list "eks") "clusterName" (list "eks") "accountID" (list "eks") "roleArn" (list "eks") "identityRef" (list "eks") "apiIdentityRef" (list "eks")
  "oidc" (list "oidc") "exec" (list "exec") "kubeconfig" (list "kubeconfig") "existingSecret" (list "bearerToken" "mtls" "kubeconfig") -}}
{{- range $field, $value := $c }}
{{- if and $value (hasKey $of $field) (not (has $c.authType (get $of $field))) }}
{{ $at }}.{{ $field }} does not belong to authType {{ $c.authType }}: it is for {{ join ", " (get $of $field) }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "hawser.faults.address" -}}
{{- $at := .at }}
{{- $c := .cluster }}
{{- if has $c.authType (list "bearerToken" "mtls" "eks" "oidc" "exec") }}
{{- if not $c.server }}
{{ $at }}.server is missing: authType {{ $c.authType }} needs the address of the API server, https://host[:port]
{{- else if not (regexMatch "^https://[^/?#@\\s]+(/[^?#@\\s]*)?$" $c.server) }}
{{ $at }}.server {{ $c.server | quote }} is no https:// address with a host, and without user, query and fragment
{{- else }}
{{- with include "hawser.portFault" $c.server }}
{{ $at }}.server {{ . }}
{{- end }}
{{- end }}
{{- with $c.caData }}
{{- with include "hawser.certificateFault" . }}
{{ $at }}.caData {{ . }}
{{- end }}
{{- end }}
{{- with $c.proxyURL }}
{{- if not (regexMatch "^(http|socks5)://[^/?#\\s]+" .) }}
{{ $at }}.proxyURL is no http:// or socks5:// address with a host
{{- else }}
{{- with include "hawser.portFault" . }}
{{ $at }}.proxyURL {{ . }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What holds for every authType. */}}
{{- define "hawser.faults.limits" -}}
{{- $at := .at }}
{{- $c := .cluster }}
{{- $own := printf "hawser-from-%s" .root.Values.multiCluster.clusterName }}
{{- if and $c.namespace (ne $c.namespace $own) }}
{{ $at }}.namespace is {{ $c.namespace }}: a connection has namespace {{ $own }} in every remote cluster, so leave it out
{{- end }}
{{- with $c.timeout }}
{{- $seconds := include "hawser.seconds" . | int64 }}
{{- if or (lt $seconds 1) (gt $seconds 600) }}
{{ $at }}.timeout {{ . | quote }} is no duration between 1s and 10m
{{- end }}
{{- end }}
{{- range $c.endpointCIDRs }}
{{- if not (regexMatch "^[0-9a-fA-F.:]+/[0-9]{1,3}$" .) }}
{{ $at }}.endpointCIDRs: {{ . | quote }} is no CIDR such as 10.4.0.0/16
{{- end }}
{{- end }}
{{- with $c.allowedNamespaces }}
{{- if and (hasKey . "names") (hasKey . "selector") }}
{{ $at }}.allowedNamespaces has names and selector: keep one of the two
{{- else if and (hasKey . "names") (not .names) }}
{{ $at }}.allowedNamespaces.names is empty: leave allowedNamespaces out to allow none, or write {} to allow all
{{- else if and (hasKey . "selector") (not .selector) }}
{{ $at }}.allowedNamespaces.selector is empty: leave allowedNamespaces out to allow none, or write {} to allow all
{{- end }}
{{- end }}
{{- end -}}

{{- define "hawser.faults.lifetime" -}}
{{- with .cluster.lifetime }}
{{- if lt (include "hawser.seconds" . | int64) 600 }}
{{ $.at }}.lifetime {{ . | quote }} is less than 10m, the least that an API server grants, or no duration such as 24h
{{- end }}
{{- end }}
{{- end -}}

{{- define "hawser.faults.auth.inCluster" -}}{{- end -}}

{{- define "hawser.faults.auth.bearerToken" -}}
{{- $c := .cluster }}
{{- if and $c.existingSecret $c.bearerToken }}
{{ .at }} has existingSecret and bearerToken: keep one of the two
{{- else if not (or $c.existingSecret $c.bearerToken) }}
{{ .at }}.bearerToken is missing: authType bearerToken needs a first token, or existingSecret: true where you make Secret hawser-cluster-{{ .name }} yourself
{{- else if regexMatch "\\s" (trim ($c.bearerToken | default "")) }}
{{ .at }}.bearerToken has white space within: it is no token
{{- end }}
{{- include "hawser.faults.lifetime" . }}
{{- end -}}

{{- define "hawser.faults.auth.mtls" -}}
{{- $c := .cluster }}
{{- if and $c.existingSecret (or $c.tlsCrt $c.tlsKey) }}
{{ .at }} has existingSecret and tlsCrt or tlsKey: keep one of the two
{{- else if not (or $c.existingSecret $c.tlsCrt $c.tlsKey) }}
{{ .at }}.tlsCrt and tlsKey are missing: authType mtls needs a client certificate and its key, or existingSecret: true where you make Secret hawser-cluster-{{ .name }} yourself
{{- else if and $c.tlsCrt (not $c.tlsKey) }}
{{ .at }}.tlsKey is missing: tlsCrt is one half of a pair
{{- else if and $c.tlsKey (not $c.tlsCrt) }}
{{ .at }}.tlsCrt is missing: tlsKey is one half of a pair
{{- end }}
{{- with $c.tlsCrt }}
{{- with include "hawser.certificateFault" . }}
{{ $.at }}.tlsCrt {{ . }}
{{- end }}
{{- end }}
{{- with $c.tlsKey }}
{{- with include "hawser.keyFault" . }}
{{ $.at }}.tlsKey {{ . }}
{{- end }}
{{- end }}
{{- if and $c.renew (not (has $c.renew (list "watch" "csr"))) }}
{{ .at }}.renew {{ $c.renew | quote }} is unknown: watch or csr
{{- end }}
{{- if and $c.lifetime (ne ($c.renew | default "watch") "csr") }}
{{ .at }}.lifetime is only for renew: csr
{{- end }}
{{- include "hawser.faults.lifetime" . }}
{{- end -}}

{{- define "hawser.faults.auth.eks" -}}
{{- $c := .cluster }}
{{- $region := "^[a-z]{2,4}(-[a-z]+)+-[0-9]+$" }}
{{- if not $c.region }}
{{ .at }}.region is missing: authType eks needs the region of the cluster, such as eu-north-1
{{- else if not (regexMatch $region $c.region) }}
{{ .at }}.region {{ $c.region | quote }} is no region of AWS such as eu-north-1
{{- end }}
{{- with $c.clusterName }}
{{- if not (regexMatch "^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$" .) }}
{{ $.at }}.clusterName {{ . | quote }} is no name that EKS gives
{{- end }}
{{- end }}
{{- with $c.accountID }}
{{- if not (regexMatch "^[0-9]{12}$" (toString .)) }}
{{ $.at }}.accountID {{ . | quote }} is no account of AWS: twelve digits, in quotes
{{- end }}
{{- end }}
{{- with $c.roleArn }}
{{- if not (regexMatch "^arn:aws[a-z0-9-]*:iam::[0-9]{12}:role/[\\w+=,.@/-]+$" .) }}
{{ $.at }}.roleArn {{ . | quote }} is no ARN of a role: arn:aws:iam::<account>:role/<name>
{{- end }}
{{- end }}
{{- if and $c.roleArn $c.identityRef }}
{{ .at }} has roleArn and identityRef: keep one of the two
{{- end }}
{{- end -}}

{{- define "hawser.faults.auth.oidc" -}}
{{- $c := .cluster }}
{{- $o := $c.oidc | default dict }}
{{- if not $o.tokenFrom }}
{{ .at }}.oidc is missing: authType oidc needs tokenFrom, one of serviceAccount, azure, google, spiffe
{{- else }}
{{- range list "azure" "google" }}
{{- if and (eq $o.tokenFrom .) (not (get $o .)) }}
{{ $.at }}.oidc.{{ . }} is missing: tokenFrom {{ . }} needs it
{{- end }}
{{- end }}
{{- range list "serviceAccount" "azure" "google" "spiffe" }}
{{- if and (get $o .) (ne $o.tokenFrom .) }}
{{ $.at }}.oidc.{{ . }} does not belong to tokenFrom {{ $o.tokenFrom }}
{{- end }}
{{- end }}
{{- $account := $o.serviceAccount | default dict }}
{{- if and (hasKey $o "serviceAccount") (eq (empty $account.name) (empty $account.tokenFile)) }}
{{ .at }}.oidc.serviceAccount takes name or tokenFile, one of the two
{{- end }}
{{- if not (or $o.audience $c.clusterID (eq $o.tokenFrom "azure")) }}
{{ .at }}: authType oidc needs clusterID, which the audience is made of (hawser:<clusterID>), or oidc.audience
{{- end }}
{{- if and $o.audience (eq $o.tokenFrom "serviceAccount") (not $account.tokenFile) (not (hasPrefix "hawser:" $o.audience)) }}
{{ .at }}.oidc.audience {{ $o.audience | quote }} does not begin with hawser:, which it has to unless oidc.serviceAccount.tokenFile names a token that the pod was given
{{- end }}
{{- if $account.tokenFile }}
{{- $files := list }}
{{- range .root.Values.projectedTokens }}{{ $files = append $files .file }}{{ end }}
{{- if and .root.Values.projectedTokens (not (has $account.tokenFile $files)) }}
{{ .at }}.oidc.serviceAccount.tokenFile {{ $account.tokenFile | quote }} is no file of projectedTokens
{{- else if not (or .root.Values.projectedTokens .root.Values.extraVolumeMounts) }}
{{ .at }}.oidc.serviceAccount.tokenFile {{ $account.tokenFile | quote }} is in no volume: add it to projectedTokens
{{- end }}
{{- end }}
{{- with $o.exchange }}
{{- if not (regexMatch "^https://[^/?#@\\s]+(/[^?#@\\s]*)?$" (.url | default "")) }}
{{ $.at }}.oidc.exchange.url {{ .url | quote }} is no https:// address with a host, and without user, query and fragment
{{- else }}
{{- with include "hawser.portFault" .url }}
{{ $.at }}.oidc.exchange.url {{ . }}
{{- end }}
{{- end }}
{{- with .caData }}
{{- with include "hawser.certificateFault" . }}
{{ $.at }}.oidc.exchange.caData {{ . }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "hawser.faults.auth.exec" -}}
{{- $provider := (.cluster.exec | default dict).provider }}
{{- $known := list }}
{{- range .root.Values.execProviders }}{{ $known = append $known .name }}{{ end }}
{{- if not $provider }}
{{ .at }}.exec is missing: authType exec needs the provider, one of execProviders
{{- else if not (has $provider $known) }}
{{ .at }}.exec.provider {{ $provider | quote }} is not in execProviders
{{- end }}
{{- end -}}

{{- define "hawser.faults.auth.kubeconfig" -}}
{{- $c := .cluster }}
{{- $k := $c.kubeconfig | default dict }}
{{- $text := not (empty $k.text) }}
{{- $ref := not (empty $k.secretRef) }}
{{- if not (or $text $ref $c.existingSecret) }}
{{ .at }}.kubeconfig is missing: authType kubeconfig needs its text, or secretRef: a Secret that holds one, or existingSecret: true where you make Secret hawser-cluster-{{ .name }} yourself
{{- else if or (and $text $ref) (and $text $c.existingSecret) (and $ref $c.existingSecret) }}
{{ .at }} has more than one of kubeconfig.text, kubeconfig.secretRef and existingSecret: keep one
{{- else if and $text (not (dig "clusters" "" (fromYaml $k.text))) }}
{{ .at }}.kubeconfig.text is no kubeconfig: it has no clusters
{{- end }}
{{- end -}}
