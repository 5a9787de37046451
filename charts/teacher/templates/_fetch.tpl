{{/* The init container that brings a model of the store, or of a package, into the cache. */}}
{{- define "teacher.fetch" -}}
- name: fetch-model
  image: {{ include "teacher.image" (list . "launcher") | quote }}
  imagePullPolicy: {{ .Values.images.pullPolicy }}
  command: [python, -m, components.models.place_model]
  args: [{{ .Values.model.reference | quote }}, {{ include "teacher.placedFolder" . | quote }}]
  env:
    {{- include "teacher.ownEnvironment" . | nindent 4 }}
    - {name: TUTELAGE_CACHE, value: /models/tutelage}
    {{- if hasPrefix "s3://" .Values.model.reference }}
    {{- include "teacher.storeEnvironment" . | nindent 4 }}
    {{- end }}
  resources:
    {{- toYaml .Values.fetchResources | nindent 4 }}
  securityContext:
    {{- toYaml .Values.securityContext | nindent 4 }}
  terminationMessagePolicy: FallbackToLogsOnError
  volumeMounts:
    - {name: models, mountPath: /models}
    - {name: scratch, mountPath: /tmp}
    {{- with include "teacher.certificateMount" . | trim }}
    {{- . | nindent 4 }}
    {{- end }}
{{- end }}

{{- define "teacher.storeEnvironment" -}}
{{- with .Values.store -}}
- {name: AWS_REGION, value: {{ .region | quote }}}
# Minutes of a store's absence are waited for.
- {name: AWS_MAX_ATTEMPTS, value: "20"}
{{- with .endpoint }}
- {name: AWS_ENDPOINT_URL, value: {{ . | quote }}}
{{- end }}
{{- with .addressing }}
- {name: TUTELAGE_S3_ADDRESSING, value: {{ . | quote }}}
{{- end }}
{{- if .secret.name }}
- name: AWS_ACCESS_KEY_ID
  valueFrom:
    secretKeyRef: {name: {{ .secret.name | quote }}, key: {{ .secret.accessKey | quote }}}
- name: AWS_SECRET_ACCESS_KEY
  valueFrom:
    secretKeyRef: {name: {{ .secret.name | quote }}, key: {{ .secret.secretKey | quote }}}
{{- end }}
{{- end }}
{{- end }}
