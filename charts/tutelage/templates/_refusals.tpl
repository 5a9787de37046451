{{/* What the schema cannot say: values that need or exclude each other. */}}
{{- define "tutelage.refusals" -}}
{{- $authority := .Values.certificateAuthority }}
{{- if gt (len (compact (list $authority.bundle $authority.configMap $authority.secret))) 1 }}
{{- fail "certificateAuthority: bundle, configMap and secret exclude each other; set one of them" }}
{{- end }}
{{- if and .Values.cleanUp.enabled (not .Values.store.root) }}
{{- fail "cleanUp.enabled: the clean-up looks through store.root, which is empty; set store.root to s3://BUCKET/PREFIX" }}
{{- end }}
{{- if and .Values.kueue.localQueue.create (not .Values.kueue.localQueue.clusterQueue) }}
{{- fail "kueue.localQueue.create: a LocalQueue belongs to a ClusterQueue; set kueue.localQueue.clusterQueue" }}
{{- end }}
{{- if and .Values.test.enabled (not .Values.placement.create) }}
{{- fail "test.enabled: `helm test` reads the placement; set placement.create to true, or test.enabled to false" }}
{{- end }}
{{- range $name := list "store" "teacher" }}
{{- $secret := (index $.Values $name).secret }}
{{- if $secret.externalSecret.create }}
{{- range $field := ternary (list "accessKey" "secretKey") (list "apiKey") (eq $name "store") }}
{{- if not (index $secret.externalSecret $field).key }}
{{- fail (printf "%s.secret.externalSecret.create: say in %s.secret.externalSecret.%s.key where it lies" $name $name $field) }}
{{- end }}
{{- end }}
{{- if not (and $secret.name $secret.externalSecret.secretStore.name) }}
{{- fail (printf "%s.secret.externalSecret.create: name %s.secret.name and %s.secret.externalSecret.secretStore.name" $name $name $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
