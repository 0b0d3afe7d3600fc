{{/* Labels that select the store's pods. Another name than the operator's, whose selectors would match them too. */}}
{{- define "wasmplugin-operator.storeSelectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}-store
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "wasmplugin-operator.storeLabels" -}}
{{ include "wasmplugin-operator.storeSelectorLabels" . }}
{{ include "wasmplugin-operator.releaseLabels" . }}
{{- end }}

{{/* Name of the store's Deployment and ServiceAccount, of the Service that proxies ask, and of the volume. */}}
{{- define "wasmplugin-operator.storeName" -}}
{{ include "wasmplugin-operator.fullname" . }}-store
{{- end }}

{{/* Domain of the Services in the release's namespace. */}}
{{- define "wasmplugin-operator.serviceDomain" -}}
{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}
{{- end }}

{{/* Where proxies fetch from. */}}
{{- define "wasmplugin-operator.storeURL" -}}
{{- $service := printf "http://%s.%s" (include "wasmplugin-operator.storeName" .) (include "wasmplugin-operator.serviceDomain" .) }}
{{- default $service .Values.store.url }}
{{- end }}

{{/* Where the operator uploads to. */}}
{{- define "wasmplugin-operator.storeUploadURL" -}}
https://{{ include "wasmplugin-operator.storeName" . }}-upload.{{ include "wasmplugin-operator.serviceDomain" . }}
{{- end }}

{{/* The operator's image, but for what the store has of its own. */}}
{{- define "wasmplugin-operator.storeImage" -}}
{{- if or .Values.store.image.repository .Values.store.image.tag .Values.store.image.digest }}
{{- $repository := default .Values.image.repository .Values.store.image.repository }}
{{- printf "%s:%s" $repository (coalesce .Values.store.image.tag .Values.image.tag .Chart.AppVersion) }}
{{- with .Values.store.image.digest }}@{{ . }}{{ end }}
{{- else }}
{{- include "wasmplugin-operator.image" . }}
{{- end }}
{{- end }}

{{- define "wasmplugin-operator.storeTLSSecret" -}}
{{- default (printf "%s-tls" (include "wasmplugin-operator.storeName" .)) .Values.store.tls.secretName }}
{{- end }}

{{/* Says yes if each replica has a folder of its own, and so fetches what it lacks from the others. */}}
{{- define "wasmplugin-operator.storeHasPeers" -}}
{{- if not (or .Values.store.bucket .Values.store.persistence.enabled) }}yes{{ end }}
{{- end }}

{{- define "wasmplugin-operator.storeSubject" -}}
kind: ServiceAccount
name: {{ include "wasmplugin-operator.storeName" . }}
namespace: {{ .Release.Namespace }}
{{- end }}

{{/* A token that only a store of modules takes, and what to know that store by. */}}
{{- define "wasmplugin-operator.storeToken" -}}
- serviceAccountToken:
    audience: wasm.solarmesh.io
    expirationSeconds: 3600
    path: token
- secret:
    name: {{ include "wasmplugin-operator.storeTLSSecret" . }}
    items:
    - key: ca.crt
      path: ca.crt
{{- end }}

{{- define "wasmplugin-operator.storeArgs" -}}
- store
- --bucket={{ default "file:///var/lib/wasmplugin-store" .Values.store.bucket }}
- --modules-bind-address=:8082
- --upload-bind-address=:8443
- --tls-cert-file=/etc/wasmplugin-operator/tls/tls.crt
- --tls-key-file=/etc/wasmplugin-operator/tls/tls.key
{{- if include "wasmplugin-operator.storeHasPeers" . }}
- --peers={{ include "wasmplugin-operator.storeName" . }}-peers.{{ include "wasmplugin-operator.serviceDomain" . }}:8443
- --ca-file=/var/run/secrets/wasm.solarmesh.io/ca.crt
- --token-file=/var/run/secrets/wasm.solarmesh.io/token
{{- end }}
- --durable={{ .Values.store.durable }}
- --grace={{ int64 .Values.store.graceSeconds }}s
- --quota={{ .Values.store.quota }}
{{- if .Values.metrics.enabled }}
- --metrics-bind-address=:8444
- --metrics-secure={{ .Values.metrics.secure }}
{{- end }}
- --zap-log-level={{ .Values.logging.level }}
- --zap-encoder={{ .Values.logging.format }}
{{- end }}
