{{/* Names and labels, by Helm's conventions. */}}
{{- define "tutelage.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* 40 characters: suffixes and Kubernetes' own endings follow. */}}
{{- define "tutelage.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name }}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- .Values.fullnameOverride | default $full | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "tutelage.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "tutelage.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: tutelage
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "tutelage.selectorLabels" -}}
app.kubernetes.io/name: {{ include "tutelage.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tutelage.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "tutelage.fullname" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{/* An image's reference. Arguments: root, name (launcher, train, ray, rayVllm or trainVllm). A digest replaces the tag, since tools that
mirror images take no reference with both. */}}
{{- define "tutelage.image" -}}
{{- $image := index .root.Values.images .name }}
{{- $registry := .root.Values.global.imageRegistry | default $image.registry | default "" | trimSuffix "/" }}
{{- $repository := ternary (printf "%s/%s" $registry $image.repository) $image.repository (ne $registry "") }}
{{- if $image.digest }}
{{- printf "%s@%s" $repository $image.digest }}
{{- else }}
{{- printf "%s:%s" $repository ($image.tag | default .root.Chart.AppVersion) }}
{{- end }}
{{- end }}
