{{/* The chart's own pods: the same user, secrets and certificates as those of steps. */}}
{{- define "tutelage.certificateMap" -}}
{{- if .Values.certificateAuthority.bundle }}
{{- include "tutelage.fullname" . }}-certificates
{{- else }}
{{- .Values.certificateAuthority.configMap | default "" }}
{{- end }}
{{- end }}

{{- define "tutelage.hasCertificates" -}}
{{- if or (include "tutelage.certificateMap" .) .Values.certificateAuthority.secret }}true{{ end }}
{{- end }}

{{/* Variables of the store and of MLflow, by name. */}}
{{- define "tutelage.environment" -}}
{{- $values := dict "AWS_REGION" .Values.store.region }}
{{- if .Values.store.endpoint }}{{ $_ := set $values "AWS_ENDPOINT_URL" .Values.store.endpoint }}{{ end }}
{{- if .Values.store.addressing }}{{ $_ := set $values "TUTELAGE_S3_ADDRESSING" .Values.store.addressing }}{{ end }}
{{- with .Values.mlflow }}
{{- if .trackingUri }}{{ $_ := set $values "MLFLOW_TRACKING_URI" .trackingUri }}{{ end }}
{{- if and .trackingUri .experiment }}{{ $_ := set $values "MLFLOW_EXPERIMENT_NAME" .experiment }}{{ end }}
{{- end }}
{{- toYaml (merge (deepCopy .Values.pods.environment) $values) }}
{{- end }}

{{/* Variables from Secrets, by name. */}}
{{- define "tutelage.secrets" -}}
{{- $secrets := deepCopy .Values.pods.secrets }}
{{- with .Values.store.secret }}
{{- if .name }}
{{- $_ := set $secrets "AWS_ACCESS_KEY_ID" (dict "secret" .name "key" .accessKey) }}
{{- $_ := set $secrets "AWS_SECRET_ACCESS_KEY" (dict "secret" .name "key" .secretKey) }}
{{- end }}
{{- end }}
{{- with .Values.teacher.secret }}
{{- if .name }}{{ $_ := set $secrets .variable (dict "secret" .name "key" .key) }}{{ end }}
{{- end }}
{{- with .Values.mlflow }}
{{- if and .trackingUri .secret.name }}{{ $_ := set $secrets "MLFLOW_TRACKING_TOKEN" (dict "secret" .secret.name "key" .secret.key) }}{{ end }}
{{- end }}
{{- toYaml $secrets }}
{{- end }}

{{/* The environment of the chart's own containers, which talk to the store. */}}
{{- define "tutelage.containerEnvironment" -}}
{{- $fixed := dict "HOME" "/tmp" "USER" "tutelage" "TMPDIR" "/tmp" "PYTHONUNBUFFERED" "1" }}
{{- if include "tutelage.hasCertificates" . }}
{{- range list "AWS_CA_BUNDLE" "REQUESTS_CA_BUNDLE" "SSL_CERT_FILE" }}
{{- $_ := set $fixed . "/etc/tutelage/certificates/ca.crt" }}
{{- end }}
{{- end }}
{{- range $name, $value := merge (include "tutelage.environment" . | fromYaml) $fixed }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- range $name, $from := include "tutelage.secrets" . | fromYaml }}
{{- if hasPrefix "AWS_" $name }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $from.secret }}
      key: {{ $from.key }}
{{- end }}
{{- end }}
{{- end }}

{{/* What of a pod's spec is the same in the chart's own pods. */}}
{{- define "tutelage.podSpec" -}}
restartPolicy: Never
enableServiceLinks: false
serviceAccountName: {{ include "tutelage.serviceAccountName" . }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ int64 .Values.pods.user }}
  runAsGroup: {{ int64 .Values.pods.user }}
  fsGroup: {{ int64 .Values.pods.user }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.pods.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.pods.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.pods.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "tutelage.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "tutelage.volumes" -}}
- name: scratch
  emptyDir:
    sizeLimit: 1Gi
{{- if include "tutelage.hasCertificates" . }}
- name: certificates
{{- if .Values.certificateAuthority.secret }}
  secret:
    secretName: {{ .Values.certificateAuthority.secret }}
{{- else }}
  configMap:
    name: {{ include "tutelage.certificateMap" . }}
{{- end }}
    items:
      - key: {{ .Values.certificateAuthority.key }}
        path: ca.crt
{{- end }}
{{- end }}

{{- define "tutelage.volumeMounts" -}}
- name: scratch
  mountPath: /tmp
{{- if include "tutelage.hasCertificates" . }}
- name: certificates
  mountPath: /etc/tutelage/certificates
  readOnly: true
{{- end }}
{{- end }}
