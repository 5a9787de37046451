{{/* placement.yaml: what the values say about images, secrets and pods. files/steps.json lists the steps. */}}
{{- define "tutelage.placement" -}}
{{- $launcher := include "tutelage.image" (dict "root" . "name" "launcher") }}
{{- $images := dict
  "ray-vllm" (include "tutelage.image" (dict "root" . "name" "rayVllm"))
  "train-vllm" (include "tutelage.image" (dict "root" . "name" "trainVllm")) }}
{{- range $name, $step := .Files.Get "files/steps.json" | fromJson }}
{{- if or $step.program (eq $step.image "launcher") }}{{ $_ := set $images $name $launcher }}{{ end }}
{{- end }}
{{- $placement := dict
  "image" (include "tutelage.image" (dict "root" . "name" "train"))
  "images" $images
  "pods" (include "tutelage.placementPods" . | fromYaml)
  "tasks" .Values.placement.tasks
  "jobs" (include "tutelage.placementJobs" . | fromYaml) }}
{{- with .Values.placement.stepsServiceAccount }}{{ $_ := set $placement "service_account" . }}{{ end }}
{{- toYaml $placement }}
{{- end }}

{{- define "tutelage.placementPods" -}}
{{- $labels := merge (deepCopy .Values.pods.labels) (dict "tutelage.dev/release" (include "tutelage.fullname" .)) }}
{{- $pods := dict
  "service_account" (include "tutelage.serviceAccountName" .)
  "environment" (include "tutelage.environment" . | fromYaml)
  "labels" $labels }}
{{- with include "tutelage.secrets" . | fromYaml }}{{ $_ := set $pods "secrets" . }}{{ end }}
{{- with .Values.global.imagePullSecrets }}{{ $_ := set $pods "image_pull_secrets" . }}{{ end }}
{{- if ne .Values.images.pullPolicy "IfNotPresent" }}{{ $_ := set $pods "image_pull_policy" .Values.images.pullPolicy }}{{ end }}
{{- if ne (int64 .Values.pods.user) 1000 }}{{ $_ := set $pods "user" (int64 .Values.pods.user) }}{{ end }}
{{- with .Values.pods.priorityClassName }}{{ $_ := set $pods "priority_class" . }}{{ end }}
{{- with .Values.pods.nodeSelector }}{{ $_ := set $pods "node_selector" . }}{{ end }}
{{- with .Values.pods.tolerations }}{{ $_ := set $pods "tolerations" . }}{{ end }}
{{- with .Values.pods.affinity }}{{ $_ := set $pods "affinity" . }}{{ end }}
{{- with .Values.pods.annotations }}{{ $_ := set $pods "annotations" . }}{{ end }}
{{- if include "tutelage.hasCertificates" . }}
{{- $authority := dict "key" .Values.certificateAuthority.key }}
{{- if .Values.certificateAuthority.secret }}
{{- $_ := set $authority "secret" .Values.certificateAuthority.secret }}
{{- else }}
{{- $_ := set $authority "config_map" (include "tutelage.certificateMap" .) }}
{{- end }}
{{- $_ := set $pods "certificate_authority" $authority }}
{{- end }}
{{- toYaml $pods }}
{{- end }}

{{/* The jobs of the values, completed from the chart: by STEP, or by STEP-VARIANT. Values take precedence. */}}
{{- define "tutelage.placementJobs" -}}
{{- $jobs := dict }}
{{- $steps := .Files.Get "files/steps.json" | fromJson }}
{{- range $name, $job := .Values.placement.jobs }}
{{- $step := get $steps (splitList "-" $name | first) }}
{{- $pods := dict "image" (include "tutelage.image" (dict "root" $ "name" $step.image)) }}
{{- with include "tutelage.queue" $ }}{{ $_ := set $pods "queue" . }}{{ end }}
{{- $known := dict "pods" $pods }}
{{- if eq (get $job "launcher") "TrainJob" }}{{ $_ := set $known "training_runtime" (include "tutelage.trainingRuntimeName" $) }}{{ end }}
{{- $_ := set $jobs $name (merge (deepCopy $job) $known) }}
{{- end }}
{{- toYaml $jobs }}
{{- end }}
