{{/* spec.auth of a RemoteCluster. Call with a dict of name and cluster. */}}
{{- define "hawser.cluster.auth" -}}
{{- $c := .cluster -}}
type: {{ $c.authType }}
{{- if eq $c.authType "bearerToken" }}
{{- with $c.lifetime }}
bearerToken: {lifetime: {{ . }}}
{{- end }}
{{- else if eq $c.authType "mtls" }}
{{- with $c.renew }}
mtls:
  renew: {{ . }}
  {{- with $c.lifetime }}
  lifetime: {{ . }}
  {{- end }}
{{- end }}
{{- else if eq $c.authType "eks" }}
eks:
  region: {{ $c.region }}
  {{- with $c.clusterName }}
  clusterName: {{ . | quote }}
  {{- end }}
  {{- with $c.accountID }}
  accountID: {{ . | quote }}
  {{- end }}
  {{- with $c.identityRef | default (ternary (dict "name" .name) dict (not (empty $c.roleArn))) }}
  identityRef: {{ toJson . }}
  {{- end }}
  {{- with $c.apiIdentityRef }}
  apiIdentityRef: {{ toJson . }}
  {{- end }}
{{- else if eq $c.authType "oidc" }}
{{- $oidc := deepCopy ($c.oidc | default dict) }}
{{- with dig "exchange" "caData" "" $oidc }}
{{- $_ := set $oidc.exchange "caData" (include "hawser.pem64" .) }}
{{- end }}
oidc:
  {{- toYaml $oidc | nindent 2 }}
{{- else if eq $c.authType "exec" }}
exec:
  {{- toYaml $c.exec | nindent 2 }}
{{- else if eq $c.authType "kubeconfig" }}
{{- $k := $c.kubeconfig | default dict }}
kubeconfig:
  secretRef:
    {{- $k.secretRef | default (dict "name" (printf "hawser-cluster-%s" .name)) | toYaml | nindent 4 }}
  {{- with $k.context }}
  context: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* What goes into the input Secret of a cluster, in the keys that Hawser reads; nothing where nothing is stored. */}}
{{- define "hawser.cluster.credentials" -}}
{{- $c := .cluster -}}
{{- if and (eq $c.authType "bearerToken") $c.bearerToken -}}
bearerToken: {{ $c.bearerToken | trim | b64enc }}
{{- else if and (eq $c.authType "mtls") $c.tlsCrt $c.tlsKey -}}
tls.crt: {{ include "hawser.pem64" $c.tlsCrt }}
tls.key: {{ include "hawser.pem64" $c.tlsKey }}
{{- else if and (eq $c.authType "kubeconfig") (dig "text" "" ($c.kubeconfig | default dict)) -}}
kubeconfig: {{ $c.kubeconfig.text | b64enc }}
{{- end -}}
{{- end -}}
