{{/* Flags of the operator about modules. */}}
{{- define "wasmplugin-operator.moduleArgs" -}}
- --resolve-modules={{ .Values.modules.resolve }}
{{- if .Values.modules.resolve }}
- --module-resolve-interval={{ .Values.modules.resolveIntervalSeconds }}s
- --module-cache-dir=/var/cache/modules
{{- if .Values.modules.caConfigMap.name }}
- --module-ca-file=/etc/wasmplugin-operator/ca/ca.crt
{{- end }}
{{- with .Values.modules.insecureRegistries }}
- --insecure-registries={{ join "," . }}
{{- end }}
- --block-private-addresses={{ .Values.modules.blockPrivateAddresses }}
- --proxy-from-environment={{ .Values.modules.proxyFromEnvironment }}
- --require-digest={{ .Values.modules.requireDigest }}
- --require-signature={{ .Values.modules.requireSignature }}
{{- if .Values.modules.trustRootConfigMap.name }}
- --signature-trust-root=/etc/wasmplugin-operator/trust-root/trusted_root.json
{{- end }}
- --dry-start={{ .Values.modules.dryStart }}
{{- if .Values.modules.dryStart }}
- --checker-socket=/run/checker/checker.sock
{{- end }}
{{- if .Values.store.enabled }}
- --store-url={{ include "wasmplugin-operator.storeURL" . }}
- --store-upload-url={{ include "wasmplugin-operator.storeUploadURL" . }}
- --store-ca-file=/var/run/secrets/wasm.solarmesh.io/ca.crt
- --store-token-file=/var/run/secrets/wasm.solarmesh.io/token
{{- end }}
{{- end }}
{{- end }}

{{/* Where the manager's container has what these flags name. */}}
{{- define "wasmplugin-operator.moduleMounts" -}}
{{- if .Values.modules.resolve -}}
- name: modules
  mountPath: /var/cache/modules
{{- if .Values.modules.dryStart }}
- name: checker
  mountPath: /run/checker
  readOnly: true
{{- end }}
{{- if .Values.modules.caConfigMap.name }}
- name: ca
  mountPath: /etc/wasmplugin-operator/ca
  readOnly: true
{{- end }}
{{- if .Values.modules.trustRootConfigMap.name }}
- name: trust-root
  mountPath: /etc/wasmplugin-operator/trust-root
  readOnly: true
{{- end }}
{{- if .Values.store.enabled }}
- name: store
  mountPath: /var/run/secrets/wasm.solarmesh.io
  readOnly: true
{{- end }}
{{- end }}
{{- end }}

{{- define "wasmplugin-operator.moduleVolumes" -}}
{{- if .Values.modules.resolve -}}
- name: modules
  emptyDir:
    sizeLimit: {{ .Values.modules.cacheSizeLimit }}
{{- if .Values.modules.dryStart }}
# The socket.
- name: checker
  emptyDir:
    sizeLimit: 1Mi
{{- end }}
{{- with .Values.modules.caConfigMap.name }}
- name: ca
  configMap:
    name: {{ . }}
    items:
    - key: {{ $.Values.modules.caConfigMap.key }}
      path: ca.crt
{{- end }}
{{- with .Values.modules.trustRootConfigMap.name }}
- name: trust-root
  configMap:
    name: {{ . }}
    items:
    - key: {{ $.Values.modules.trustRootConfigMap.key }}
      path: trusted_root.json
{{- end }}
{{- if .Values.store.enabled }}
- name: store
  projected:
    sources:
    {{- include "wasmplugin-operator.storeToken" . | nindent 4 }}
{{- end }}
{{- end }}
{{- end }}
