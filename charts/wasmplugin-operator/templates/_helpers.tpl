{{/* Name of everything in this release; also of what is not namespaced, so that two releases don't meet. */}}
{{- define "wasmplugin-operator.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 53 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Labels that select the operator's pods; never changed, since a Deployment's selector can't be. */}}
{{- define "wasmplugin-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "wasmplugin-operator.labels" -}}
{{ include "wasmplugin-operator.selectorLabels" . }}
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

{{/* 90 % of the memory limit, in MiB; empty without a limit, and for units that nobody limits memory with. */}}
{{- define "wasmplugin-operator.goMemLimit" -}}
{{- $limit := toString (dig "limits" "memory" "" .Values.resources) }}
{{- $bytes := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 }}
{{- $unit := regexFind "[A-Za-z]*$" $limit }}
{{- if and (regexMatch "^[0-9.]+[A-Za-z]*$" $limit) (hasKey $bytes $unit) }}
{{- printf "%dMiB" (int64 (floor (divf (mulf (float64 (trimSuffix $unit $limit)) (get $bytes $unit) 0.9) 1048576))) }}
{{- end }}
{{- end }}
