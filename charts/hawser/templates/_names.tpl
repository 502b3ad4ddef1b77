{{/* Labels of every object. Call with a dict of root and component. */}}
{{- define "hawser.labels" -}}
{{ include "hawser.selector" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: hawser
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Labels that select the pods of one component. They never change. */}}
{{- define "hawser.selector" -}}
app.kubernetes.io/name: hawser
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "hawser.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* The name of the cluster that answers what must have one answer; empty where values name none. */}}
{{- define "hawser.defaultCluster" -}}
{{- $default := .Values.multiCluster.defaultCluster -}}
{{- range $name, $cluster := .Values.multiCluster.clusters -}}
{{- if and (not $default) $cluster.isDefault -}}{{- $default = $name -}}{{- end -}}
{{- end -}}
{{- $default -}}
{{- end -}}

{{/* Who a connection into this cluster is. */}}
{{- define "hawser.identity" -}}
{{- with .Values.member -}}
{{- .identity | default (ternary "foreign" "serviceAccount" (not (empty .iamGroup))) -}}
{{- end -}}
{{- end -}}

{{/* The seconds of a duration such as 1h30m; 0 for what is none. */}}
{{- define "hawser.seconds" -}}
{{- $text := toString . -}}
{{- $seconds := 0 -}}
{{- if regexMatch "^([0-9]+h)?([0-9]+m)?([0-9]+s)?$" $text -}}
{{- range $unit, $factor := dict "h" 3600 "m" 60 "s" 1 -}}
{{- with regexFind (printf "[0-9]+%s" $unit) $text -}}
{{- $seconds = add $seconds (mul (trimSuffix $unit . | int64) $factor) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $seconds -}}
{{- end -}}

{{/*
Roles of a feature, generated from the table that docs/rbac.md is made of. Call with a dict of root and file.
Helm writes its own name over the label managed-by; here it does so for those who only render.
*/}}
{{- define "hawser.roles" -}}
{{- $path := printf "files/rbac/%s.yaml" .file -}}
{{- $text := .root.Files.Get $path | required (printf "the chart lacks %s" $path) -}}
---
{{ $text | replace "app.kubernetes.io/managed-by: hawser" (printf "app.kubernetes.io/managed-by: %s" .root.Release.Service) -}}
{{- end -}}
