{{/* What the schema can't say, or says only in words that help nobody. */}}
{{- define "wasmplugin-operator.validate" -}}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) }}
{{- fail "serviceAccount.name: is required with serviceAccount.create: false; name the ServiceAccount that the operator runs as" }}
{{- end }}
{{- if and .Values.metrics.enabled (eq (int .Values.metrics.port) 8081) }}
{{- fail "metrics.port: 8081 is taken by the probes; choose another port" }}
{{- end }}
{{- range $path, $namespaces := dict "rulesFrom.secretNamespaces" .Values.rulesFrom.secretNamespaces "modules.secretNamespaces" .Values.modules.secretNamespaces }}
{{- range $namespace := $namespaces }}
{{- if and $.Values.watchNamespaces (not (has $namespace $.Values.watchNamespaces)) }}
{{- fail (printf "%s: %s is none of watchNamespaces, so no WasmPlugin there needs its Secrets; take it out, or add it there" $path $namespace) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $path, $labels := dict "podLabels" .Values.podLabels "store.podLabels" .Values.store.podLabels }}
{{- range $key := list "app.kubernetes.io/name" "app.kubernetes.io/instance" }}
{{- if hasKey $labels $key }}
{{- fail (printf "%s: the chart sets %s itself, since the Deployment selects its pods by it; take it out" $path $key) }}
{{- end }}
{{- end }}
{{- end }}
{{- include "wasmplugin-operator.validateProxies" .Values.proxies }}
{{- include "wasmplugin-operator.validateModules" .Values }}
{{- if .Values.store.enabled }}
{{- include "wasmplugin-operator.validateStore" .Values }}
{{- end }}
{{- end }}

{{- define "wasmplugin-operator.validateProxies" -}}
{{- range $name := list "istiodNamespace" "istiodAddresses" "istiodServerName" }}
{{- if and (get $ $name) (not $.observe) }}
{{- fail (printf "proxies.%s: nobody asks istiod with proxies.observe: false; take one of them out" $name) }}
{{- end }}
{{- end }}
{{- if and .istiodNamespace .istiodAddresses }}
{{- fail "proxies.istiodNamespace: with proxies.istiodAddresses nobody looks for istiod; take one of them out" }}
{{- end }}
{{- if and .istiodServerName (not .istiodAddresses) }}
{{- fail "proxies.istiodServerName: is for proxies.istiodAddresses; an istiod that was found is verified by the name of its Service" }}
{{- end }}
{{- end }}

{{- define "wasmplugin-operator.validateModules" -}}
{{- range $name := list "requireDigest" "requireSignature" }}
{{- if and (get $.modules $name) (not $.modules.resolve) }}
{{- fail (printf "modules.%s: nothing looks at modules with modules.resolve: false; take one of them out" $name) }}
{{- end }}
{{- end }}
{{- if lt (int64 (include "wasmplugin-operator.bytes" .modules.cacheSizeLimit)) 1610612736 }}
{{- fail "modules.cacheSizeLimit: the operator keeps up to 1Gi there, and a pod that exceeds the limit is evicted; give it 1536Mi or more" }}
{{- end }}
{{- end }}

{{- define "wasmplugin-operator.validateStore" -}}
{{- if not .modules.resolve }}
{{- fail "store.enabled: the store holds what the operator resolves, and modules.resolve is false; set store.enabled to false too" }}
{{- end }}
{{- if and .store.persistence.enabled .store.bucket }}
{{- fail "store.persistence.enabled: modules stand in store.bucket, so the volume would stay empty; choose one of them" }}
{{- end }}
{{- if and .store.durable (not .store.persistence.enabled) (not .store.bucket) }}
{{- fail "store.durable: pushed modules would go with the pods; set store.persistence.enabled or store.bucket" }}
{{- end }}
{{- if and .store.persistence.enabled (ne .store.persistence.accessMode "ReadWriteMany") (gt (int .store.replicas) 1) }}
{{- fail (printf "store.persistence.accessMode: %d replicas share the volume, which needs ReadWriteMany; set store.replicas to 1, or use store.bucket" (int .store.replicas)) }}
{{- end }}
{{- if and .store.persistence.existingClaim (not .store.persistence.enabled) }}
{{- fail "store.persistence.existingClaim: has no effect without store.persistence.enabled: true" }}
{{- end }}
{{- end }}
