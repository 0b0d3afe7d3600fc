{{/* What the schema can't say, or says only in words that help nobody. */}}
{{- define "wasmplugin-operator.validate" -}}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) }}
{{- fail "serviceAccount.name: is required with serviceAccount.create: false; name the ServiceAccount that the operator runs as" }}
{{- end }}
{{- if and .Values.metrics.enabled (eq (int .Values.metrics.port) 8081) }}
{{- fail "metrics.port: 8081 is taken by the probes; choose another port" }}
{{- end }}
{{- range $namespace := .Values.rulesFrom.secretNamespaces }}
{{- if and $.Values.watchNamespaces (not (has $namespace $.Values.watchNamespaces)) }}
{{- fail (printf "rulesFrom.secretNamespaces: %s is none of watchNamespaces, so no WasmPlugin there needs its Secrets; take it out, or add it there" $namespace) }}
{{- end }}
{{- end }}
{{- range $key := list "app.kubernetes.io/name" "app.kubernetes.io/instance" }}
{{- if hasKey $.Values.podLabels $key }}
{{- fail (printf "podLabels: the chart sets %s itself, since the Deployment selects its pods by it; take it out" $key) }}
{{- end }}
{{- end }}
{{- end }}
