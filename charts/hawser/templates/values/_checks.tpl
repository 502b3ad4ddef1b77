{{/*
What is wrong with the values: one line for each fault, nothing where there is none. values.schema.json has looked at
their shape before; what has to hold between them is looked at here.
*/}}
{{- define "hawser.faults" -}}
{{ include "hawser.faults.oldNames" . }}
{{ include "hawser.faults.release" . }}
{{ include "hawser.faults.local" . }}
{{- range $name, $cluster := .Values.multiCluster.clusters }}
{{ include "hawser.faults.cluster" (dict "root" $ "name" $name "cluster" ($cluster | default dict)) }}
{{- end }}
{{ include "hawser.faults.member" . }}
{{ include "hawser.faults.gate" . }}
{{ include "hawser.faults.pods" . }}
{{- end -}}

{{/* A file that was written for mirrord is not half understood. */}}
{{- define "hawser.faults.oldNames" -}}
{{- $now := dict
  "multiClusterMember" "member.enabled (with member.localClusters: the names of the local clusters)"
  "multiClusterMemberIamGroup" "member.iamGroup"
  "multiClusterMemberAzureGroup" "member.groups" -}}
{{- range $old, $new := $now }}
{{- if hasKey $.Values $old }}
{{ $old }} is called {{ $new }}
{{- end }}
{{- end }}
{{- if kindIs "map" .Values.operator }}
{{- range $key, $value := .Values.operator }}
{{- if hasKey $now $key }}
operator.{{ $key }} is called {{ get $now $key }}
{{- else if and (eq $key "multiCluster") (kindIs "map" $value) }}
{{- range $field := keys $value | sortAlpha }}
operator.multiCluster.{{ $field }} {{ if has $field (list "enabled" "clusterName" "defaultCluster" "managementOnly" "clusters") }}is called multiCluster.{{ $field }}{{ else }}has no counterpart: leave it out{{ end }}
{{- end }}
{{- else }}
operator.{{ $key }} has no counterpart: leave it out
{{- end }}
{{- end }}
{{- else if hasKey .Values "operator" }}
operator has no counterpart: the values are multiCluster and member
{{- end }}
{{- end -}}

{{- define "hawser.faults.release" -}}
{{- if ne .Release.Namespace "hawser" }}
the release is in namespace {{ .Release.Namespace }}: names on both sides are built on namespace hawser, so use --namespace hawser --create-namespace
{{- end }}
{{- if not (or .Values.multiCluster.enabled .Values.member.enabled .Values.member.controllers.enabled .Values.gate.enabled .Values.operator) }}
nothing is switched on: set multiCluster.enabled on the local side, member.enabled on the remote side
{{- end }}
{{- if and .Values.podDisruptionBudget.enabled (has (toString .Values.podDisruptionBudget.maxUnavailable) (list "0" "0%")) }}
podDisruptionBudget.maxUnavailable is 0: no node could be drained
{{- end }}
{{- end -}}

{{- define "hawser.faults.local" -}}
{{- $mc := .Values.multiCluster }}
{{- if not $mc.enabled }}
{{- if $mc.clusters }}
multiCluster.clusters has entries and multiCluster.enabled is false: nothing would connect to them
{{- end }}
{{- else }}
{{- if not $mc.clusterName }}
multiCluster.clusterName is missing: remote clusters know the local one by it, a DNS label such as primary
{{- else }}
{{- with include "hawser.nameFault" $mc.clusterName }}
multiCluster.clusterName {{ . }}
{{- end }}
{{- end }}
{{- /* The manager says who it is where it runs. Nothing is found by who only renders, or installs for the first time. */}}
{{- $was := dig "data" "clusterName" "" (lookup "v1" "ConfigMap" .Release.Namespace "hawser-manager" | default dict) }}
{{- if and $was $mc.clusterName (ne $was $mc.clusterName) }}
multiCluster.clusterName is {{ $mc.clusterName }}, and the manager here is {{ $was }}: namespaces, users and grants in remote clusters are named after it, so put {{ $was }} back; for another name, uninstall and install anew on both sides
{{- end }}
{{- include "hawser.faults.default" . }}
{{- with .Values.probeInterval }}
{{- if lt (include "hawser.seconds" . | int64) 1 }}
probeInterval {{ . | quote }} is no duration such as 30s
{{- end }}
{{- end }}
{{- $tokens := dict }}
{{- range .Values.projectedTokens }}
{{- if hasKey $tokens .file }}
projectedTokens: two of them have the file {{ .file }}
{{- end }}
{{- $_ := set $tokens .file true }}
{{- end }}
{{- with .Values.sa.roleArn }}
{{- if not (regexMatch "^arn:aws[a-z0-9-]*:iam::[0-9]{12}:role/[\\w+=,.@/-]+$" .) }}
sa.roleArn {{ . | quote }} is no ARN of a role: arn:aws:iam::<account>:role/<name>
{{- end }}
{{- end }}
{{- with .Values.spiffe.endpointSocket }}
{{- if not (regexMatch "^unix:///[^/]+/" .) }}
spiffe.endpointSocket {{ . | quote }} is no socket in a directory: unix:///path/of/agent.sock
{{- end }}
{{- end }}
{{- if and .Values.clusterProfiles.managerName (not .Values.clusterProfiles.namespace) }}
clusterProfiles.managerName is only for clusterProfiles.namespace
{{- end }}
{{- end }}
{{- end -}}

{{/* defaultCluster, isDefault and managementOnly say one thing. */}}
{{- define "hawser.faults.default" -}}
{{- $mc := .Values.multiCluster }}
{{- $marked := list }}
{{- range $name, $cluster := $mc.clusters }}
{{- if ($cluster | default dict).isDefault }}{{ $marked = append $marked $name }}{{ end }}
{{- end }}
{{- $default := $mc.defaultCluster }}
{{- if gt (len $marked) 1 }}
multiCluster.clusters: {{ join " and " $marked }} have isDefault: true, and there is one default cluster
{{- end }}
{{- if and $default (ne $default $mc.clusterName) (not (hasKey $mc.clusters $default)) }}
multiCluster.defaultCluster {{ $default | quote }} is not in multiCluster.clusters, and is not multiCluster.clusterName
{{- end }}
{{- if $default }}
{{- range $marked }}
{{- if ne . $default }}
multiCluster.defaultCluster is {{ $default }} and multiCluster.clusters.{{ . }}.isDefault is true: keep one of the two
{{- end }}
{{- end }}
{{- with get $mc.clusters $default }}
{{- if and (hasKey . "isDefault") (not .isDefault) }}
multiCluster.defaultCluster is {{ $default }} and multiCluster.clusters.{{ $default }}.isDefault is false: keep one of the two
{{- end }}
{{- end }}
{{- end }}
{{- if and $mc.managementOnly $mc.clusterName (or (eq $default $mc.clusterName) (has $mc.clusterName $marked)) }}
multiCluster.managementOnly keeps {{ $mc.clusterName }} out of the fleet, so that it cannot be the default cluster: name another one
{{- end }}
{{- end -}}

{{/* What is wrong with the name of a cluster. */}}
{{- define "hawser.nameFault" -}}
{{- if or (gt (len .) 50) (not (regexMatch "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" .)) -}}
{{ . | quote }} is no DNS label of at most 50 characters (a-z, 0-9 and -): namespaces and Secrets are named after it
{{- end -}}
{{- end -}}

{{- define "hawser.faults.member" -}}
{{- $m := .Values.member }}
{{- if and (not $m.enabled) $m.localClusters }}
member.localClusters has entries and member.enabled is false: nobody could come in
{{- end }}
{{- if $m.enabled }}
{{- if not $m.localClusters }}
member.localClusters is empty: name the local clusters that may connect (their multiCluster.clusterName); for the member controllers alone set member.controllers.enabled without member.enabled
{{- end }}
{{- range $m.localClusters }}
{{- with include "hawser.nameFault" . }}
member.localClusters: {{ . }}
{{- end }}
{{- end }}
{{- if ne (len $m.localClusters) (len (uniq $m.localClusters)) }}
member.localClusters has a name twice
{{- end }}
{{- $identity := include "hawser.identity" . }}
{{- if not (has $identity (list "serviceAccount" "certificate" "renewedCertificate" "foreign")) }}
member.identity {{ $identity | quote }} is unknown: serviceAccount, certificate, renewedCertificate or foreign
{{- end }}
{{- if and (eq $identity "foreign") (not (or $m.users $m.groups $m.iamGroup)) }}
member.identity is foreign and nobody is named: give member.iamGroup, member.users or member.groups
{{- end }}
{{- if and (eq $identity "renewedCertificate") (not $m.controllers.enabled) }}
member.identity renewedCertificate needs member.controllers.enabled: they approve the renewals
{{- end }}
{{- range concat $m.users $m.groups (compact (list $m.iamGroup)) }}
{{- if hasPrefix "system:" . }}
member: {{ . | quote }} belongs to Kubernetes, as all users and groups with system: do
{{- end }}
{{- end }}
{{- if lt (include "hawser.seconds" $m.maxTokenLifetime | int64) 600 }}
member.maxTokenLifetime {{ $m.maxTokenLifetime | quote }} is less than 10m, the least that an API server grants, or no duration such as 24h
{{- end }}
{{- include "hawser.faults.rights" (dict "at" "member" "values" $m) }}
{{- end }}
{{- with $m.controllers.maxCertificateLifetime }}
{{- if lt (include "hawser.seconds" . | int64) 600 }}
member.controllers.maxCertificateLifetime {{ . | quote }} is less than 10m, the least that an API server grants, or no duration such as 24h
{{- end }}
{{- end }}
{{- end -}}

{{/* What a connection may be used for. */}}
{{- define "hawser.faults.rights" -}}
{{- $at := .at }}
{{- range .values.capabilities }}
{{- if not (has . (list "connect" "endpoints")) }}
{{ $at }}.capabilities: {{ . | quote }} is unknown: there is only connect and endpoints
{{- end }}
{{- end }}
{{- range $i, $rule := .values.requires }}
{{- $all := concat ($rule.apiGroups | default list) ($rule.resources | default list) ($rule.verbs | default list) ($rule.resourceNames | default list) }}
{{- if contains "*" (join " " $all) }}
{{ $at }}.requires[{{ $i }}] has a wildcard: name the groups, resources and verbs
{{- end }}
{{- if not (and $rule.apiGroups $rule.resources $rule.verbs) }}
{{ $at }}.requires[{{ $i }}] needs apiGroups ("" is the core group), resources and verbs
{{- end }}
{{- range $rule.verbs }}
{{- if or (has . (list "bind" "escalate" "approve" "sign")) (hasPrefix "impersonate" .) }}
{{ $at }}.requires[{{ $i }}] has the verb {{ . }}: a connection never holds it
{{- end }}
{{- end }}
{{- if and (has "" $rule.apiGroups) (has "create" $rule.verbs) (or (has "secrets" $rule.resources) (has "serviceaccounts/token" $rule.resources)) }}
{{ $at }}.requires[{{ $i }}]: a connection never creates Secrets or mints tokens of other accounts
{{- end }}
{{- end }}
{{- end -}}

{{- define "hawser.faults.gate" -}}
{{- $g := .Values.gate }}
{{- if $g.enabled }}
{{- if not .Values.member.controllers.enabled }}
gate.enabled needs member.controllers.enabled: the gate believes the keys that they fetch
{{- end }}
{{- if not (or $g.tls.secretName $g.tls.issuerRef.name) }}
gate.tls is empty: name a Secret by gate.tls.secretName, or an issuer of cert-manager by gate.tls.issuerRef; without TLS, whoever listens has the tokens
{{- end }}
{{- if and $g.tls.secretName $g.tls.issuerRef.name }}
gate.tls has secretName and issuerRef: keep one of the two
{{- end }}
{{- if and $g.tls.issuerRef.name (not $g.tls.dnsNames) }}
gate.tls.dnsNames is empty: a certificate needs the names by which the gate is reached
{{- end }}
{{- end }}
{{- end -}}

{{/* What only an API server would refuse, object by object, when half of them are there. */}}
{{- define "hawser.faults.pods" -}}
{{- $v := .Values }}
{{- range $at, $resources := dict "resources" $v.resources "member.controllers.resources" $v.member.controllers.resources "gate.resources" $v.gate.resources }}
{{- range $kind := list "requests" "limits" }}
{{- range $name, $quantity := get ($resources | default dict) $kind }}
{{- if not (regexMatch "^[0-9]+([.][0-9]*)?([numkMGTPE]|[KMGTPE]i|[eE][-+]?[0-9]+)?$" (toString $quantity)) }}
{{ $at }}.{{ $kind }}.{{ $name }} {{ $quantity | quote }} is no quantity such as 500m or 128Mi
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- range $at, $duration := dict "serviceMonitor.interval" $v.serviceMonitor.interval "alerts.for" $v.alerts.for }}
{{- if not (regexMatch "^([0-9]+(ms|[smhdwy]))+$" (toString $duration)) }}
{{ $at }} {{ $duration | quote }} is no duration such as 30s
{{- end }}
{{- end }}
{{- end -}}

{{/* What is wrong with the port of an address; empty where nothing is, or where there is none. */}}
{{- define "hawser.portFault" -}}
{{- with regexFind ":[0-9]+(/|$)" (toString .) -}}
{{- $port := trimAll ":/" . -}}
{{- if or (gt (len $port) 5) (gt (int $port) 65535) (lt (int $port) 1) -}}
has port {{ $port }}: there are 1 to 65535
{{- end -}}
{{- end -}}
{{- end -}}
