{{/* An image's reference, of a list: the chart's root, the image's name in values. */}}
{{- define "teacher.image" -}}
{{- $root := first . }}
{{- $image := index $root.Values.images (last .) }}
{{- $registry := $root.Values.global.imageRegistry | default $image.registry | default "" }}
{{- $name := ternary (printf "%s/%s" $registry $image.repository) $image.repository (ne $registry "") }}
{{- if $image.digest }}
{{- printf "%s@%s" $name $image.digest }}
{{- else }}
{{- printf "%s:%s" $name (default $root.Chart.AppVersion $image.tag) }}
{{- end }}
{{- end }}

{{- define "teacher.imagePullSecrets" -}}
{{- with .Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}
