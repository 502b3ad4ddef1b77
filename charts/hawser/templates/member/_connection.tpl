{{/*
The rights of the connection from one local cluster: what `hawser member manifests --local NAME` prints. They come from
the file of its identity, in which LOCALCLUSTER stands for the name. Call with a dict of root and local.
*/}}
{{- define "hawser.connection" -}}
{{- $member := .root.Values.member }}
{{- $self := printf "hawser-from-%s" .local }}
{{- $others := include "hawser.connection.others" .root | fromYamlArray }}
{{- $subjects := list }}
{{- $file := printf "member-connection-%s" (include "hawser.identity" .root | lower) }}
{{- range include "hawser.roles" (dict "root" .root "file" $file) | replace "LOCALCLUSTER" .local | splitList "\n---\n" }}
{{- $object := fromYaml . }}
{{- if $object.kind }}
{{- if and (hasSuffix "Binding" $object.kind) (ne $object.metadata.name $self) }}
{{- $subjects = concat ($object.subjects | default list) $others }}
{{- $_ := set $object "subjects" $subjects }}
{{- end }}
{{- if or (has "endpoints" $member.capabilities) (not (hasPrefix "hawser-endpoints-" $object.metadata.name)) }}
---
{{ toYaml $object }}
{{- end }}
{{- end }}
{{- end }}
{{- if $member.requires }}
{{- $name := printf "hawser-requires-from-%s" .local }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {{ $name }}
  labels:
    {{- include "hawser.connection.labels" . | nindent 4 }}
rules:
  {{- toYaml $member.requires | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ $name }}
  labels:
    {{- include "hawser.connection.labels" . | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {{ $name }}}
subjects:
  {{- toYaml $subjects | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "hawser.connection.labels" -}}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
hawser.io/local-cluster: {{ .local }}
{{- end -}}

{{/* Users and groups that get the rights of a connection, except those on itself. */}}
{{- define "hawser.connection.others" -}}
{{- $groups := concat (compact (list .Values.member.iamGroup)) .Values.member.groups }}
{{- range .Values.member.users }}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: {{ . | quote }}}
{{- end }}
{{- range uniq $groups }}
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: {{ . | quote }}}
{{- end }}
{{- end -}}
