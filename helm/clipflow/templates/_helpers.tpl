{{/* Selects the pods of one part: dict "root" $ "part" <name>. */}}
{{- define "clipflow.selector" -}}
app.kubernetes.io/name: clipflow
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{- define "clipflow.labels" -}}
{{ include "clipflow.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "clipflow.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* The flow as YAML, its executors named. Fails with the reason where the chart could not do what it says. */}}
{{- define "clipflow.flow" -}}
{{- $flow := .Values.flow -}}
{{- if kindIs "string" $flow -}}
  {{- $flow = fromYaml $flow -}}
  {{- if hasKey $flow "Error" }}{{ fail (printf "flow: it is no YAML mapping: %s" $flow.Error) }}{{ end -}}
{{- end -}}
{{- if not (kindIs "slice" $flow.executors) }}{{ fail "flow: executors: expected a list of at least one" }}{{ end -}}
{{- $names := dict -}}
{{- $named := list -}}
{{- range $index, $executor := $flow.executors -}}
  {{- $name := $executor.name | default (printf "executor%d" $index) -}}
  {{- if not (regexMatch "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$" $name) }}{{ fail (printf "flow: executors[%d].name: %q: in Kubernetes, expected lower-case letters, digits and - only" $index $name) }}{{ end -}}
  {{- if has $name (list "gateway" "nats" "redis" "worker" "jobs") }}{{ fail (printf "flow: executors[%d].name: %q is taken by another part of the release" $index $name) }}{{ end -}}
  {{- if hasKey $names $name }}{{ fail (printf "flow: executors[%d].name: %q is there twice" $index $name) }}{{ end -}}
  {{- $_ := set $names $name true -}}
  {{- $named = append $named (merge (dict "name" $name) $executor) -}}
{{- end -}}
{{- range $name, $_ := .Values.executors -}}
  {{- if not (hasKey $names $name) }}{{ fail (printf "executors.%s: the flow has no such executor; it has: %s" $name (keys $names | sortAlpha | join ", ")) }}{{ end -}}
{{- end -}}
{{- toYaml (merge (dict "executors" $named) $flow) -}}
{{- end }}

{{- define "clipflow.flowText" -}}
{{- if kindIs "string" .Values.flow }}{{ .Values.flow }}{{ else }}{{ toYaml .Values.flow }}{{ end -}}
{{- end }}

{{/* The folder of the flow: file name to text. */}}
{{- define "clipflow.flowFiles" -}}
flow.yml: |
  {{- include "clipflow.flowText" . | nindent 2 }}
{{- range $name, $text := .Values.files }}
{{ $name }}: |
  {{- $text | nindent 2 }}
{{- end }}
{{- end }}

{{- define "clipflow.nats" -}}
{{- if .Values.nats.enabled -}}
nats://{{ .Release.Name }}-nats:4222
{{- else -}}
{{ required "nats.url: needed where nats.enabled is false, such as nats://nats.example:4222" .Values.nats.url }}
{{- end -}}
{{- end }}

{{- define "clipflow.redis" -}}
{{- if .Values.redis.enabled }}redis://{{ .Release.Name }}-redis:6379{{ else }}{{ .Values.redis.url }}{{ end -}}
{{- end }}

{{/* The flow's settings beside its executors. */}}
{{- define "clipflow.with" -}}
{{- $flow := include "clipflow.flow" . | fromYaml -}}
{{- toYaml (merge (dict) ($flow.with | default dict) ($flow.gateway | default dict)) -}}
{{- end }}

{{/* Not empty where bulk jobs are served: the flow has `jobs`, even if they are all defaults. */}}
{{- define "clipflow.jobs" -}}
{{- $with := include "clipflow.with" . | fromYaml -}}
{{- if hasKey $with "jobs" -}}
  {{- if not (or .Values.redis.enabled .Values.redis.url .Values.redis.secret $with.redis) }}{{ fail "flow: jobs: bulk jobs need Redis: set redis.enabled, redis.url or redis.secret" }}{{ end -}}
  true
{{- end -}}
{{- end }}

{{/* Where gateways and workers keep the files of jobs: s3://..., or the volume. */}}
{{- define "clipflow.jobFiles" -}}
{{- $with := include "clipflow.with" . | fromYaml -}}
{{- $ofFlow := dig "files" "" ($with.jobs | default dict) | toString -}}
{{- if .Values.jobs.files }}{{ .Values.jobs.files }}{{ else if hasPrefix "s3://" $ofFlow }}{{ $ofFlow }}{{ else }}/jobs{{ end -}}
{{- end }}

{{/* What gateways and workers have beside `clipflow.env`. */}}
{{- define "clipflow.jobsEnv" -}}
{{- if include "clipflow.jobs" . -}}
- { name: CLIPFLOW_JOBS_FILES, value: {{ include "clipflow.jobFiles" . | quote }} }
{{- if .Values.gateway.tokensSecret }}
- name: CLIPFLOW_WORKER_TOKEN
  valueFrom: { secretKeyRef: { name: {{ .Release.Name }}-worker, key: token } }
{{- end }}
{{- end }}
{{- end }}

{{- define "clipflow.jobsEnvFrom" -}}
{{- if and (include "clipflow.jobs" .) .Values.jobs.envSecret -}}
envFrom:
  - secretRef: { name: {{ .Values.jobs.envSecret }} }
{{- end }}
{{- end }}

{{- define "clipflow.jobsMount" -}}
{{- if and (include "clipflow.jobs" .) (eq (include "clipflow.jobFiles" .) "/jobs") -}}
- { name: jobs, mountPath: /jobs }
{{- end }}
{{- end }}

{{- define "clipflow.jobsVolume" -}}
{{- if include "clipflow.jobsMount" . -}}
- name: jobs
  persistentVolumeClaim: { claimName: {{ .Values.jobs.storage.existingClaim | default (printf "%s-jobs" .Release.Name) }} }
{{- end }}
{{- end }}

{{/* Seconds that the parts have to finish what they hold: the flow's. */}}
{{- define "clipflow.grace" -}}
{{- $with := include "clipflow.with" . | fromYaml -}}
{{- $with.grace | default 30 -}}
{{- end }}

{{- define "clipflow.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "clipflow.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- define "clipflow.env" -}}
- { name: HOME, value: /tmp }
- { name: CLIPFLOW_TRANSPORT, value: {{ include "clipflow.nats" . | quote }} }
{{- if .Values.redis.secret }}
- name: CLIPFLOW_REDIS
  valueFrom: { secretKeyRef: { name: {{ .Values.redis.secret }}, key: url } }
{{- else }}
{{- with include "clipflow.redis" . }}
- { name: CLIPFLOW_REDIS, value: {{ . | quote }} }
{{- end }}
{{- end }}
{{- if or .Values.models.cache.enabled .Values.models.cache.existingClaim }}
- { name: HF_HUB_CACHE, value: /models }
{{- end }}
{{- range $name, $value := .Values.env }}
- { name: {{ $name }}, value: {{ $value | quote }} }
{{- end }}
{{- end }}

{{/* Fails where no node of the cluster offers what a pod asks for; nothing to ask where it is only rendered. */}}
{{- define "clipflow.checkNodes" -}}
{{- $nodes := (lookup "v1" "Node" "" "").items -}}
{{- $gpu := .settings.gpu -}}
{{- $most := 0 -}}
{{- range $nodes }}{{ $most = max $most (get .status.allocatable $gpu.resource | default 0 | int) }}{{ end -}}
{{- if and $nodes (lt $most (int $gpu.count)) }}{{ fail (printf "executors.%s.gpu: each pod asks for %d %s, and the most that a node of this cluster has is %d" .part (int $gpu.count) $gpu.resource $most) }}{{ end -}}
{{- end }}

{{/* What every pod of clipflow's has: dict "root" $ "part" <name> "settings" <values>. */}}
{{- define "clipflow.pod" -}}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- if .root.Values.priorityClass.create }}
priorityClassName: {{ .root.Values.priorityClass.name | default (printf "%s-clipflow" .root.Release.Name) }}
{{- else if .root.Values.priorityClass.name }}
priorityClassName: {{ .root.Values.priorityClass.name }}
{{- end }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- include "clipflow.podSecurity" .root | nindent 2 }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "clipflow.selector" . | nindent 8 }}
{{- with .settings.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .settings.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .settings.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
