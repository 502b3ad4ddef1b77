{{/*
A Deployment of one of Hawser's processes: pod security restricted, nothing writable but /tmp, spread over nodes and
zones. Call with a dict of
  root, name, component, account, replicas, resources, args
  and where they are needed: env, ports, volumes, volumeMounts, initContainers, ingress.
*/}}
{{- define "hawser.deployment" -}}
{{- $values := .root.Values }}
{{- $selector := include "hawser.selector" . | fromYaml }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "hawser.labels" . | nindent 4 }}
spec:
  replicas: {{ .replicas }}
  selector:
    matchLabels:
      {{- toYaml $selector | nindent 6 }}
  template:
    metadata:
      labels:
        {{- merge $selector $values.podLabels | toYaml | nindent 8 }}
      annotations:
        kubectl.kubernetes.io/default-container: hawser
        {{- with $values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ .account }}
      {{- with $values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        runAsGroup: 65532
        fsGroup: 65532
        seccompProfile: {type: RuntimeDefault}
      terminationGracePeriodSeconds: 30
      {{- with .initContainers }}
      initContainers:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: hawser
          image: {{ include "hawser.image" .root }}
          imagePullPolicy: {{ $values.image.pullPolicy }}
          args:
            {{- range concat .args (ternary (list "--verbose") list $values.verbose) }}
            - {{ . | quote }}
            {{- end }}
          {{- with .env }}
          env:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          ports:
            - {name: metrics, containerPort: 8080}
            - {name: health, containerPort: 8081}
            {{- with .ports }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          startupProbe:
            httpGet: {path: /healthz, port: health}
            periodSeconds: 2
            failureThreshold: 30
          livenessProbe:
            httpGet: {path: /healthz, port: health}
            periodSeconds: 20
            timeoutSeconds: 5
          readinessProbe:
            httpGet: {path: /readyz, port: health}
            periodSeconds: 10
            timeoutSeconds: 5
          resources:
            {{- toYaml .resources | nindent 12 }}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {drop: [ALL]}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
            {{- with .volumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        - name: tmp
          emptyDir: {sizeLimit: 64Mi}
        {{- with .volumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      topologySpreadConstraints:
        {{- $spread := list }}
        {{- range $values.topologySpreadConstraints | default (include "hawser.spread" . | fromYamlArray) }}
        {{- $spread = append $spread (merge (deepCopy .) (dict "labelSelector" (dict "matchLabels" (deepCopy $selector)))) }}
        {{- end }}
        {{- toYaml $spread | nindent 8 }}
      {{- with $values.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end -}}

{{- define "hawser.spread" -}}
- {topologyKey: topology.kubernetes.io/zone, maxSkew: 1, whenUnsatisfiable: ScheduleAnyway}
- {topologyKey: kubernetes.io/hostname, maxSkew: 1, whenUnsatisfiable: ScheduleAnyway}
{{- end -}}

{{/* A PodDisruptionBudget where there is more than one replica. The same dict as above. */}}
{{- define "hawser.disruption" -}}
{{- if and .root.Values.podDisruptionBudget.enabled (gt (int .replicas) 1) }}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "hawser.labels" . | nindent 4 }}
spec:
  maxUnavailable: {{ .root.Values.podDisruptionBudget.maxUnavailable }}
  # A pod that is not ready does no work that an eviction could interrupt.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "hawser.selector" . | nindent 6 }}
{{- end }}
{{- end -}}

{{/* A NetworkPolicy: metrics from where values say, and ingress (a list of rules) besides. The kubelet probes all the same. */}}
{{- define "hawser.network" -}}
{{- $policy := .root.Values.networkPolicy }}
{{- if $policy.enabled }}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "hawser.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "hawser.selector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  {{- $ingress := .ingress | default list }}
  {{- with $policy.metricsFrom }}
  {{- $ingress = prepend $ingress (dict "from" . "ports" (list (dict "port" "metrics" "protocol" "TCP"))) }}
  {{- end }}
  ingress:
    {{- toYaml $ingress | nindent 4 }}
  egress:
    {{- with $policy.egress }}
    {{- toYaml . | nindent 4 }}
    {{- else }}
    - ports:
        - {port: 53, protocol: UDP}
        - {port: 53, protocol: TCP}
    - ports:
        - {port: 1, endPort: 65535, protocol: TCP}
    {{- end }}
{{- end }}
{{- end -}}

{{/* A Service for what reads metrics. */}}
{{- define "hawser.metricsService" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ .name }}-metrics
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "hawser.labels" . | nindent 4 }}
spec:
  selector:
    {{- include "hawser.selector" . | nindent 4 }}
  ports:
    - {name: metrics, port: 8080, targetPort: metrics, protocol: TCP}
{{- end -}}
