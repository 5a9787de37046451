{{/* The chart's name, as a label holds it. */}}
{{- define "teacher.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* What everything of a release is called. */}}
{{- define "teacher.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- $name := include "teacher.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "teacher.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "teacher.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: tutelage
{{- end }}

{{- define "teacher.selectorLabels" -}}
app.kubernetes.io/name: {{ include "teacher.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: server
{{- end }}

{{/* The pod of `helm test`: not one of the Service's. */}}
{{- define "teacher.testLabels" -}}
app.kubernetes.io/name: {{ include "teacher.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: test
{{- end }}

{{- define "teacher.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "teacher.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "teacher.claimName" -}}
{{- default (printf "%s-models" (include "teacher.fullname" . | trunc 56)) .Values.cache.existingClaim }}
{{- end }}

{{/* The endpoint, as a recipe names it. */}}
{{- define "teacher.url" -}}
{{ ternary "https" "http" (not (empty .Values.tls.secret)) }}://{{ include "teacher.fullname" . }}.{{ .Release.Namespace }}.svc:{{ .Values.service.port }}/v1
{{- end }}
