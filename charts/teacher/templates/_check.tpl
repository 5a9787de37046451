{{/* What a schema cannot say: values that do not go together. Each message says the value, the rule and the remedy. */}}
{{- define "teacher.check" -}}
{{- include "teacher.checkModel" . }}
{{- if eq .Values.engine "transformers" }}
{{- include "teacher.checkTransformers" . }}
{{- else if and (lt (int (include "teacher.gpus" .)) 1) (hasSuffix "vllm/vllm-openai" .Values.images.vllm.repository) }}
{{- fail (printf "gpus.count is %d: vLLM's image needs a GPU; set gpus.count to 1 or more, images.vllm to a build for CPUs, or engine to transformers" (int .Values.gpus.count)) }}
{{- end }}
{{- include "teacher.checkCache" . }}
{{- if and .Values.autoscaling.enabled (not .Values.autoscaling.metrics) }}
{{- fail "autoscaling.enabled is true and autoscaling.metrics is empty: neither CPU nor memory says how busy a teacher is; name a metric of your adapter, such as vllm:num_requests_waiting, or set replicas" }}
{{- end }}
{{- if and .Values.certificateAuthority.configMap .Values.certificateAuthority.secret }}
{{- fail "certificateAuthority.configMap and certificateAuthority.secret are both set: name one of the two" }}
{{- end }}
{{- end }}

{{- define "teacher.checkModel" -}}
{{- $reference := required "model.reference is empty: name the model: OWNER/NAME (a hub id), s3://BUCKET/FOLDER, package:FOLDER or /models/FOLDER" .Values.model.reference }}
{{- if and (eq (include "teacher.source" .) "hub") (not (regexMatch "^[A-Za-z0-9][\\w.-]*/[A-Za-z0-9][\\w.-]*(@[\\w./-]+)?$" $reference)) }}
{{- fail (printf "model.reference %q is not a model: allowed are OWNER/NAME or OWNER/NAME@REVISION (a hub id), s3://BUCKET/FOLDER, package:FOLDER and /models/FOLDER" $reference) }}
{{- end }}
{{- end }}

{{- define "teacher.checkTransformers" -}}
{{- if .Values.apiKey.secret }}
{{- fail (printf "apiKey.secret is %q and engine is transformers: transformers serve knows no API key and would let everybody in; use engine vllm, or leave apiKey.secret empty and keep networkPolicy.enabled" .Values.apiKey.secret) }}
{{- end }}
{{- if .Values.tls.secret }}
{{- fail (printf "tls.secret is %q and engine is transformers: transformers serve speaks HTTP only; use engine vllm, or leave tls.secret empty" .Values.tls.secret) }}
{{- end }}
{{- if .Values.serviceMonitor.enabled }}
{{- fail "serviceMonitor.enabled is true and engine is transformers: transformers serve has no metrics; use engine vllm, or set serviceMonitor.enabled to false" }}
{{- end }}
{{- $name := .Values.model.servedName }}
{{- $fixed := ternary .Values.model.reference (base .Values.model.reference) (eq (include "teacher.source" .) "hub") }}
{{- if and $name (ne (include "teacher.source" .) "fetched") (ne $name $fixed) }}
{{- fail (printf "model.servedName is %q and engine is transformers: it serves %s under the name %q only; leave model.servedName empty" $name .Values.model.reference $fixed) }}
{{- end }}
{{- end }}

{{- define "teacher.checkCache" -}}
{{- if and .Values.cache.existingClaim .Values.cache.claim.create }}
{{- fail (printf "cache.existingClaim is %q and cache.claim.create is true: choose one of the two" .Values.cache.existingClaim) }}
{{- end }}
{{- if and (eq (include "teacher.source" .) "folder") (not .Values.cache.existingClaim) }}
{{- fail (printf "model.reference %q is a folder of the cache's volume, and that starts empty: name the claim that holds it in cache.existingClaim" .Values.model.reference) }}
{{- end }}
{{- $several := or .Values.autoscaling.enabled (gt (int .Values.replicas) 1) }}
{{- if and $several .Values.cache.claim.create (not (has "ReadWriteMany" .Values.cache.claim.accessModes)) }}
{{- fail (printf "cache.claim.accessModes is %s with several replicas: nodes share a claim with ReadWriteMany only; add that, or leave cache.claim.create false" (join ", " .Values.cache.claim.accessModes)) }}
{{- end }}
{{- end }}
