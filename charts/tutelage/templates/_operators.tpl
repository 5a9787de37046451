{{/* Whether an operator is there: "true" or nothing. Arguments: root, wanted (auto, enabled, disabled), kind. */}}
{{- define "tutelage.operator" -}}
{{- if eq .wanted "auto" }}
{{- if .root.Capabilities.APIVersions.Has .kind }}true{{ end }}
{{- else if eq .wanted "enabled" }}true
{{- end }}
{{- end }}

{{- define "tutelage.hasRayJob" -}}
{{- include "tutelage.operator" (dict "root" . "wanted" .Values.operators.kuberay "kind" "ray.io/v1/RayJob") }}
{{- end }}

{{- define "tutelage.hasTrainJob" -}}
{{- include "tutelage.operator" (dict "root" . "wanted" .Values.operators.trainer "kind" "trainer.kubeflow.org/v1alpha1/TrainJob") }}
{{- end }}

{{- define "tutelage.hasPyTorchJob" -}}
{{- include "tutelage.operator" (dict "root" . "wanted" .Values.operators.trainingOperator "kind" "kubeflow.org/v1/PyTorchJob") }}
{{- end }}

{{- define "tutelage.hasJobSet" -}}
{{- include "tutelage.operator" (dict "root" . "wanted" .Values.operators.jobset "kind" "jobset.x-k8s.io/v1alpha2/JobSet") }}
{{- end }}

{{/* The newest served version. Arguments: root, group, kind, versions (newest first), and otherwise: where nobody says. */}}
{{- define "tutelage.apiVersion" -}}
{{- $version := .otherwise }}
{{- range reverse .versions }}
{{- if $.root.Capabilities.APIVersions.Has (printf "%s/%s/%s" $.group . $.kind) }}
{{- $version = . }}
{{- end }}
{{- end }}
{{- printf "%s/%s" .group $version }}
{{- end }}

{{- define "tutelage.queue" -}}
{{- .Values.kueue.queue | default (ternary (include "tutelage.fullname" .) "" .Values.kueue.localQueue.create) }}
{{- end }}

{{- define "tutelage.trainingRuntimeName" -}}
{{- $changed := or .Values.pods.priorityClassName (ne .Values.images.pullPolicy "IfNotPresent") (ne (int64 .Values.pods.user) 1000) }}
{{- .Values.trainingRuntime.name | default (printf "%s%s" (include "tutelage.fullname" .) (ternary "-site" "" (not (not $changed)))) }}
{{- end }}
