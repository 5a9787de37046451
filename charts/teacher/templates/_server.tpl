{{/* The server's command line. It contains no secrets. */}}
{{- define "teacher.command" -}}
{{- if eq .Values.engine "vllm" -}}
command: [vllm, serve]
args:
  {{- include "teacher.vllmArguments" . | nindent 2 }}
{{- else -}}
command: [transformers, serve]
args:
  {{- include "teacher.transformersArguments" . | nindent 2 }}
{{- end }}
  {{- range .Values.extraArgs }}
  - {{ . | quote }}
  {{- end }}
{{- end }}

{{- define "teacher.vllmArguments" -}}
{{- $source := include "teacher.source" . }}
{{- $parts := splitList "@" .Values.model.reference }}
{{- if eq $source "hub" -}}
- {{ first $parts | quote }}
{{- if gt (len $parts) 1 }}
- {{ printf "--revision=%s" (last $parts) | quote }}
{{- end }}
{{- else if eq $source "folder" -}}
- {{ .Values.model.reference | trimSuffix "/" | quote }}
{{- else -}}
- {{ include "teacher.placedFolder" . | quote }}
{{- end }}
- {{ printf "--served-model-name=%s" (include "teacher.servedName" .) | quote }}
- --port=8000
- --tensor-parallel-size={{ max 1 (int (include "teacher.gpus" .)) }}
# A model's generation_config.json would add its own top-k and penalties to the sampling that a request states.
- --generation-config=vllm
# Pickled weights can run code.
- --load-format=safetensors
- --shutdown-timeout={{ .Values.drainSeconds }}
{{- if .Values.tls.secret }}
- --ssl-certfile=/etc/tls/tls.crt
- --ssl-keyfile=/etc/tls/tls.key
# A renewed certificate counts at once.
- --enable-ssl-refresh
{{- end }}
{{- end }}

{{/* transformers takes the name that requests use for the model's folder: hence the working folder. */}}
{{- define "teacher.transformersArguments" -}}
- {{ include "teacher.servedName" . | quote }}
- --host=0.0.0.0
- --port=8000
- --device={{ ternary "auto" "cpu" (gt (int (include "teacher.gpus" .)) 0) }}
{{- end }}

{{- define "teacher.workingFolder" -}}
{{- $source := include "teacher.source" . }}
{{- if eq $source "fetched" -}}
/models/served
{{- else if eq $source "folder" -}}
{{ dir (trimSuffix "/" .Values.model.reference) }}
{{- else -}}
/tmp
{{- end }}
{{- end }}

{{- define "teacher.environment" -}}
{{- include "teacher.ownEnvironment" . }}
# Neither says how it is used, and to whom.
- {name: DO_NOT_TRACK, value: "1"}
- {name: HF_HUB_DISABLE_TELEMETRY, value: "1"}
- {name: HF_HUB_CACHE, value: /models}
{{- if eq (include "teacher.source" .) "hub" }}
{{- with .Values.hub.endpoint }}
- {name: HF_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- with .Values.hub.token.secret }}
- name: HF_TOKEN
  valueFrom:
    secretKeyRef: {name: {{ . | quote }}, key: {{ $.Values.hub.token.key | quote }}}
{{- end }}
{{- else }}
- {name: HF_HUB_OFFLINE, value: "1"}
- {name: TRANSFORMERS_OFFLINE, value: "1"}
{{- end }}
{{- if eq .Values.engine "vllm" }}
- {name: VLLM_NO_USAGE_STATS, value: "1"}
- {name: VLLM_ENGINE_READY_TIMEOUT_S, value: {{ mul .Values.model.loadingMinutes 60 | quote }}}
{{- with .Values.apiKey.secret }}
- name: VLLM_API_KEY
  valueFrom:
    secretKeyRef: {name: {{ . | quote }}, key: {{ $.Values.apiKey.key | quote }}}
{{- end }}
{{- else if dig "requests" "cpu" "" .Values.resources }}
# torch would count the node's cores.
- name: OMP_NUM_THREADS
  valueFrom:
    resourceFieldRef: {containerName: server, resource: requests.cpu, divisor: "1"}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What every program needs on a read-only root file system, as a user whom no passwd file names. */}}
{{- define "teacher.ownEnvironment" -}}
- {name: HOME, value: /tmp}
- {name: USER, value: tutelage}
- {name: PYTHONUNBUFFERED, value: "1"}
{{- include "teacher.trust" . }}
{{- end }}

{{- define "teacher.trust" -}}
{{- if or .Values.certificateAuthority.configMap .Values.certificateAuthority.secret }}
{{- range list "AWS_CA_BUNDLE" "REQUESTS_CA_BUNDLE" "SSL_CERT_FILE" }}
- {name: {{ . }}, value: {{ printf "/etc/tutelage/certificates/%s" $.Values.certificateAuthority.key | quote }}}
{{- end }}
{{- end }}
{{- end }}

{{- define "teacher.probe" -}}
httpGet:
  path: /health
  port: http
  scheme: {{ ternary "HTTPS" "HTTP" (not (empty .Values.tls.secret)) }}
{{- end }}

{{- define "teacher.resources" -}}
{{- $resources := deepCopy .Values.resources }}
{{- $gpus := int (include "teacher.gpus" .) }}
{{- if $gpus }}
{{- $requests := merge (dict .Values.gpus.resource $gpus) (dig "requests" (dict) $resources) }}
{{- $limits := merge (dict .Values.gpus.resource $gpus) (dig "limits" (dict) $resources) }}
{{- $resources = merge (dict "requests" $requests "limits" $limits) $resources }}
{{- end }}
{{- toYaml $resources }}
{{- end }}

{{/*
One replica is recreated: a rolling update that may miss one would let `helm --wait` return before there is any.
*/}}
{{- define "teacher.strategy" -}}
{{- if .Values.strategy }}
{{- toYaml .Values.strategy }}
{{- else if or .Values.autoscaling.enabled (gt (int .Values.replicas) 1) -}}
type: RollingUpdate
rollingUpdate: {maxSurge: 0, maxUnavailable: 1}
{{- else -}}
type: Recreate
{{- end }}
{{- end }}
