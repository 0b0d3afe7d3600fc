{{/*
Name of everything in this release; also of what is not namespaced, so that two releases don't meet. With the longest
suffix, -store-metrics, it must make the name of a Service, of 63 characters.
*/}}
{{- define "wasmplugin-operator.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 49 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 49 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Labels that select the operator's pods; never changed, since a Deployment's selector can't be. */}}
{{- define "wasmplugin-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "wasmplugin-operator.labels" -}}
{{ include "wasmplugin-operator.selectorLabels" . }}
{{ include "wasmplugin-operator.releaseLabels" . }}
{{- end }}

{{- define "wasmplugin-operator.releaseLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "wasmplugin-operator.serviceAccountName" -}}
{{- default (include "wasmplugin-operator.fullname" .) .Values.serviceAccount.name }}
{{- end }}

{{/* The subject of every binding. */}}
{{- define "wasmplugin-operator.subject" -}}
kind: ServiceAccount
name: {{ include "wasmplugin-operator.serviceAccountName" . }}
namespace: {{ .Release.Namespace }}
{{- end }}

{{- define "wasmplugin-operator.image" -}}
{{- $tag := default .Chart.AppVersion .Values.image.tag }}
{{- printf "%s:%s" .Values.image.repository $tag }}
{{- with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

{{/* A quantity of memory in bytes; empty without one, and for units that nobody gives memory in. */}}
{{- define "wasmplugin-operator.bytes" -}}
{{- $quantity := toString (default "" .) }}
{{- if kindIs "float64" . }}
{{- $quantity = printf "%d" (int64 .) }}
{{- end }}
{{- $bytes := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 }}
{{- $unit := regexFind "[A-Za-z]*$" $quantity }}
{{- if and (regexMatch "^[0-9.]+[A-Za-z]*$" $quantity) (hasKey $bytes $unit) }}
{{- printf "%d" (int64 (floor (mulf (float64 (trimSuffix $unit $quantity)) (get $bytes $unit)))) }}
{{- end }}
{{- end }}

{{/* The variable GOMEMLIMIT of a container with these resources, if they limit memory. */}}
{{- define "wasmplugin-operator.goMemLimit" -}}
{{- with include "wasmplugin-operator.bytes" (dig "limits" "memory" "" .) -}}
# 90 % of the memory limit: the garbage collector works harder before the kernel kills.
- name: GOMEMLIMIT
  value: {{ printf "%dMiB" (int64 (floor (divf (mulf (float64 .) 0.9) 1048576))) }}
{{- end }}
{{- end }}

{{/* No runAsUser: the image names one (65532), and platforms that give each namespace its own range keep theirs. */}}
{{- define "wasmplugin-operator.podSecurity" -}}
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "wasmplugin-operator.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities:
  drop:
  - ALL
readOnlyRootFilesystem: true
{{- end }}

{{/* Says yes if the operator talks to a checker in its pod. */}}
{{- define "wasmplugin-operator.hasChecker" -}}
{{- if and .Values.modules.resolve .Values.modules.dryStart }}yes{{ end }}
{{- end }}

{{/* Ports of a NetworkPolicy. */}}
{{- define "wasmplugin-operator.tcpPorts" -}}
{{- range $i, $port := . }}
{{- if $i }}{{ "\n" }}{{ end -}}
- port: {{ $port }}
  protocol: TCP
{{- end }}
{{- end }}

{{- define "wasmplugin-operator.dnsEgress" -}}
# DNS, wherever it is: a cache on the node has a link-local address.
- ports:
  {{- range .Values.networkPolicy.dnsPorts }}
  - port: {{ . }}
    protocol: UDP
  - port: {{ . }}
    protocol: TCP
  {{- end }}
{{- end }}
