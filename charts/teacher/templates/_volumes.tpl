{{- define "teacher.volumes" -}}
- name: models
{{- if or .Values.cache.existingClaim .Values.cache.claim.create }}
  persistentVolumeClaim:
    claimName: {{ include "teacher.claimName" . }}
{{- else }}
  emptyDir:
    sizeLimit: {{ .Values.cache.size }}
{{- end }}
- name: scratch
  emptyDir:
    sizeLimit: {{ .Values.scratch }}
- name: shared-memory
  emptyDir:
    medium: Memory
    sizeLimit: {{ .Values.sharedMemory }}
{{- include "teacher.certificateVolume" . }}
{{- with .Values.tls.secret }}
- name: tls
  secret:
    secretName: {{ . }}
{{- end }}
{{- end }}

{{- define "teacher.certificateVolume" -}}
{{- with .Values.certificateAuthority.configMap }}
- name: certificates
  configMap:
    name: {{ . }}
{{- end }}
{{- with .Values.certificateAuthority.secret }}
- name: certificates
  secret:
    secretName: {{ . }}
    # Not the other keys beside it, such as a private key.
    items:
      - {key: {{ $.Values.certificateAuthority.key | quote }}, path: {{ $.Values.certificateAuthority.key | quote }}}
{{- end }}
{{- end }}

{{- define "teacher.certificateMount" -}}
{{- if or .Values.certificateAuthority.configMap .Values.certificateAuthority.secret }}
- {name: certificates, mountPath: /etc/tutelage/certificates, readOnly: true}
{{- end }}
{{- end }}
