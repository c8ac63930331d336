{{- define "switchgate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{/* Names of objects; 52 characters, so that the longest suffix fits into 63. */}}
{{- define "switchgate.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "switchgate.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "switchgate.selectorLabels" -}}
app.kubernetes.io/name: {{ include "switchgate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Labels of pods: part of the selectors, so that `helm test` and others are no gateways. */}}
{{- define "switchgate.podSelectorLabels" -}}
{{ include "switchgate.selectorLabels" . }}
app.kubernetes.io/component: gateway
{{- end }}

{{/*
Metadata of an object. Takes a list: the root, a suffix of the name, further labels, further annotations.
*/}}
{{- define "switchgate.metadata" -}}
{{- $root := index . 0 -}}
{{- $labels := dict
  "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/version" ($root.Chart.AppVersion | replace "+" "_")
  "app.kubernetes.io/managed-by" $root.Release.Service
  "app.kubernetes.io/part-of" "switchgate" -}}
{{- $own := include "switchgate.selectorLabels" $root | fromYaml -}}
{{- $labels = mergeOverwrite $labels (deepCopy $root.Values.commonLabels) (deepCopy (index . 2)) $own -}}
{{- $annotations := mergeOverwrite (deepCopy $root.Values.commonAnnotations) (deepCopy (index . 3)) -}}
name: {{ include "switchgate.fullname" $root }}{{ index . 1 }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- toYaml $labels | nindent 2 }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "switchgate.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "switchgate.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{- define "switchgate.image" -}}
{{- with .Values.image -}}
{{- with .registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- .repository -}}
{{- if .digest }}@{{ .digest }}{{ else }}:{{ default $.Chart.AppVersion .tag }}{{ end -}}
{{- end -}}
{{- end }}

{{/* Whether gRPC speaks TLS, as far as the chart knows: "true" or nothing. */}}
{{- define "switchgate.tls" -}}
{{- if and .Values.tls.existingSecret (not (include "switchgate.foreignConfig" .)) }}true{{ end -}}
{{- end }}

{{/* Whether the configuration file is not the chart's: "true" or nothing. */}}
{{- define "switchgate.foreignConfig" -}}
{{- if or .Values.existingConfig.configMap .Values.existingConfig.secret }}true{{ end -}}
{{- end }}

{{/* Whether clients need a proof of who they are: "true" or nothing. */}}
{{- define "switchgate.proof" -}}
{{- $access := .Values.config.access | default dict -}}
{{- if or $access.tokens $access.jwt $access.certificates }}true{{ end -}}
{{- end }}

{{/* A duration such as 1m30s in whole seconds, rounded up. */}}
{{- define "switchgate.seconds" -}}
{{- $ms := dict "ms" 1 "s" 1000 "sec" 1000 "m" 60000 "min" 60000 "h" 3600000 -}}
{{- $total := 0 -}}
{{- $text := toString . -}}
{{- if not (regexMatch "^([0-9]+ *(ms|s|sec|m|min|h) *)+$" $text) -}}
{{- fail (printf "`%s` is no duration; write it as 30s, 5m or 1h30m" $text) -}}
{{- end -}}
{{- range regexFindAll "[0-9]+ *(ms|sec|s|min|m|h)" $text -1 -}}
{{- $count := regexFind "^[0-9]+" . | int64 -}}
{{- $unit := regexFind "[a-z]+$" . -}}
{{- $total = add $total (mul $count (index $ms $unit)) -}}
{{- end -}}
{{- div (add $total 999) 1000 -}}
{{- end }}

{{/* The time that a pod needs to stop: the grace, and 15 s for what follows it (docs/operating-drain.md). */}}
{{- define "switchgate.stopSeconds" -}}
{{- $shutdown := .Values.config.shutdown | default dict -}}
{{- add 15 (include "switchgate.seconds" (default "30s" $shutdown.grace) | int64) -}}
{{- end }}
