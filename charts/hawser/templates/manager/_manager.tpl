{{/* The manager's command line, as a list. */}}
{{- define "hawser.manager.args" -}}
{{- $v := .Values }}
- manager
- --cluster-name={{ $v.multiCluster.clusterName }}
{{- if $v.multiCluster.managementOnly }}
- --management-only
{{- else }}
- --declare-self=false
{{- end }}
{{- with include "hawser.defaultCluster" . }}
- --default-cluster={{ . }}
{{- end }}
{{- if $v.shards.enabled }}
- --shards
{{- end }}
{{- if $v.crds.upgrade }}
- --upgrade-crds
{{- end }}
{{- with $v.probeInterval }}
- --probe-interval={{ . }}
{{- end }}
{{- with $v.clusterAPI.namespace }}
- --cluster-api={{ . }}
{{- end }}
{{- if $v.endpoints.enabled }}
- --endpoints
{{- end }}
{{- with $v.clusterProfiles.namespace }}
- --publish-clusterprofiles={{ . }}
{{- end }}
{{- with $v.clusterProfiles.managerName }}
- --cluster-manager-name={{ . }}
{{- end }}
{{- if $v.projectedTokens }}
- --token-dir={{ $v.tokenDir }}
{{- end }}
{{- with $v.spiffe.endpointSocket }}
- --spiffe-endpoint-socket={{ . }}
{{- end }}
{{- if $v.execProviders }}
- --exec-providers=/etc/hawser/exec/providers.json
{{- end }}
{{- end -}}

{{- define "hawser.manager.env" -}}
{{- if .Values.shards.enabled }}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_UID
  valueFrom: {fieldRef: {fieldPath: metadata.uid}}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "hawser.manager.volumes" -}}
{{- $v := .Values }}
{{- if $v.projectedTokens }}
- name: tokens
  projected:
    defaultMode: 0440
    sources:
      {{- range $v.projectedTokens }}
      - serviceAccountToken:
          audience: {{ .audience | quote }}
          path: {{ .file }}
          expirationSeconds: {{ .expirationSeconds | default 3600 }}
      {{- end }}
{{- end }}
{{- if $v.execProviders }}
- name: exec-providers
  configMap: {name: hawser-exec-providers, defaultMode: 0444}
{{- end }}
{{- if $v.spiffe.endpointSocket }}
- name: spiffe
  csi: {driver: {{ $v.spiffe.csiDriver }}, readOnly: true}
{{- end }}
{{- with $v.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "hawser.manager.volumeMounts" -}}
{{- $v := .Values }}
{{- if $v.projectedTokens }}
- {name: tokens, mountPath: {{ $v.tokenDir }}, readOnly: true}
{{- end }}
{{- if $v.execProviders }}
- {name: exec-providers, mountPath: /etc/hawser/exec, readOnly: true}
{{- end }}
{{- with $v.spiffe.endpointSocket }}
- {name: spiffe, mountPath: {{ trimPrefix "unix://" . | dir }}, readOnly: true}
{{- end }}
{{- with $v.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A binding of a ClusterRole to the manager's account. Call with a dict of root, name and role. */}}
{{- define "hawser.bindManager" -}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ .name }}
  labels:
    {{- include "hawser.labels" (dict "root" .root "component" "manager") | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {{ .role }}}
subjects:
  - {kind: ServiceAccount, name: hawser, namespace: {{ .root.Release.Namespace }}}
{{- end -}}
