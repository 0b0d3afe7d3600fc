{{/* The namespace of istiod. */}}
{{- define "wasmplugin-operator.istiodNamespace" -}}
{{- default .Values.meshConfig.namespace .Values.proxies.istiodNamespace }}
{{- end }}

{{/* Says yes if the operator looks for istiod itself. */}}
{{- define "wasmplugin-operator.looksForIstiod" -}}
{{- if and .Values.proxies.observe (not .Values.proxies.istiodAddresses) }}yes{{ end }}
{{- end }}

{{/* Flags of the operator about proxies. */}}
{{- define "wasmplugin-operator.proxyArgs" -}}
- --observe-proxies={{ .Values.proxies.observe }}
{{- if .Values.proxies.observe }}
{{- with .Values.proxies.istiodNamespace }}
- --istiod-namespace={{ . }}
{{- end }}
{{- with .Values.proxies.istiodAddresses }}
- --istiod-addresses={{ join "," . }}
{{- end }}
{{- with .Values.proxies.istiodServerName }}
- --istiod-server-name={{ . }}
{{- end }}
- --istiod-ca-file=/var/run/secrets/istio/root-cert.pem
- --istiod-token-file=/var/run/secrets/istiod/token
{{- end }}
{{- end }}

{{/* Where the manager's container has what these flags name. */}}
{{- define "wasmplugin-operator.proxyMounts" -}}
{{- if .Values.proxies.observe -}}
- name: istiod-ca
  mountPath: /var/run/secrets/istio
  readOnly: true
- name: istiod-token
  mountPath: /var/run/secrets/istiod
  readOnly: true
{{- end }}
{{- end }}

{{- define "wasmplugin-operator.proxyVolumes" -}}
{{- if .Values.proxies.observe -}}
# istiod writes it into every namespace. The pod starts without it too: plugins need no istiod to answer.
- name: istiod-ca
  configMap:
    name: istio-ca-root-cert
    optional: true
# A token that only istiod takes.
- name: istiod-token
  projected:
    sources:
    - serviceAccountToken:
        audience: istio-ca
        expirationSeconds: 3600
        path: token
{{- end }}
{{- end }}

{{/* Ports of istiod: those of its pods, and those of addresses that are given. */}}
{{- define "wasmplugin-operator.istiodPorts" -}}
{{- $ports := .Values.networkPolicy.istiodPorts }}
{{- range .Values.proxies.istiodAddresses }}
{{- $ports = append $ports (regexFind "[0-9]+$" . | float64) }}
{{- end }}
{{- include "wasmplugin-operator.tcpPorts" (uniq $ports) }}
{{- end }}
