{{/* A rule of a policy from a value with peers (none: everywhere) and ports. */}}
{{- define "tutelage.egressRule" -}}
- ports:
    {{- range .ports }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
  {{- with .to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* What every pod may reach. */}}
{{- define "tutelage.egress" -}}
# DNS; 5353 is OpenShift's, behind its port 53.
- ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
    - {protocol: UDP, port: 5353}
    - {protocol: TCP, port: 5353}
  to:
    - namespaceSelector: {}
{{ include "tutelage.egressRule" .Values.networkPolicy.egress.store }}
{{ include "tutelage.egressRule" .Values.networkPolicy.egress.teacher }}
{{- with .Values.networkPolicy.egress.extra }}
{{ toYaml . }}
{{- end }}
{{- end }}
