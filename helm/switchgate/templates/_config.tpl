{{/* The folder of one file for each secret that the configuration names. */}}
{{- define "switchgate.files" -}}/etc/switchgate/files{{- end }}

{{/* The name of the file with a node's password: its id, as far as keys of a Secret may look so. */}}
{{- define "switchgate.nodeFile" -}}
{{- $safe := regexReplaceAll "[^-._a-zA-Z0-9]" . "_" -}}
{{- if eq $safe . }}{{ $safe }}{{ else }}{{ printf "%s.%s" $safe (sha256sum . | trunc 8) }}{{ end -}}
{{- end }}

{{/* The configuration file: `config` without the chart's own keys, with what follows from other values. */}}
{{- define "switchgate.config" -}}
{{- $files := include "switchgate.files" . -}}
{{- $config := deepCopy .Values.config -}}

{{- $grpc := $config.grpc | default dict -}}
{{- $_ := set $grpc "listen" (printf "%s:%v" .Values.listenHost .Values.ports.grpc) -}}
{{- if include "switchgate.tls" . -}}
{{- $tls := dict
  "certificate" (printf "%s/tls/server.pem" $files)
  "key" (printf "%s/tls/server.key" $files)
  "client_certificates" .Values.tls.clientCertificates
  "reload_interval" .Values.tls.reloadInterval -}}
{{- if ne .Values.tls.clientCertificates "none" -}}
{{- $_ := set $tls "client_ca" (printf "%s/tls/clients.pem" $files) -}}
{{- if .Values.tls.clientCrl.existingSecret -}}
{{- $_ := set $tls "client_crl" (printf "%s/tls/clients.crl" $files) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $grpc "tls" $tls -}}
{{- end -}}
{{- $_ := set $config "grpc" $grpc -}}

{{- $admin := $config.admin | default dict -}}
{{- $_ := set $admin "listen" (printf "%s:%v" .Values.listenHost .Values.ports.admin) -}}
{{- $_ := set $config "admin" $admin -}}

{{- $nodes := list -}}
{{- range $node := $config.nodes -}}
{{- if or $node.existingSecret $node.password -}}
{{- $_ := set $node "password_file" (printf "%s/esl/nodes/%s" $files (include "switchgate.nodeFile" $node.id)) -}}
{{- end -}}
{{- $nodes = append $nodes (omit $node "existingSecret" "password") -}}
{{- end -}}
{{- $_ := set $config "nodes" $nodes -}}
{{- if .Values.demo }}{{ $config = omit $config "nodes" }}{{ end -}}

{{- with $config.access -}}
{{- $tokens := list -}}
{{- range .tokens }}{{ $tokens = append $tokens (omit . "existingSecret") }}{{ end -}}
{{- if $tokens }}{{ $_ := set . "tokens" $tokens }}{{ end -}}
{{- $issuers := list -}}
{{- range $at, $jwt := .jwt -}}
{{- if $jwt.existingJwks }}{{ $_ := set $jwt "jwks_file" (printf "%s/jwt/%d/jwks.json" $files $at) }}{{ end -}}
{{- if $jwt.existingCa }}{{ $_ := set $jwt "ca_file" (printf "%s/jwt/%d/ca.pem" $files $at) }}{{ end -}}
{{- $issuers = append $issuers (omit $jwt "existingJwks" "existingCa") -}}
{{- end -}}
{{- if $issuers }}{{ $_ := set . "jwt" $issuers }}{{ end -}}
{{- end -}}

{{- with $config.tracing -}}
{{- if .existingHeaders -}}
{{- $_ := set . "headers_file" (printf "%s/tracing/headers" $files) -}}
{{- $_ := unset . "existingHeaders" -}}
{{- end -}}
{{- end -}}
{{- toYaml $config -}}
{{- end }}

{{/* Passwords that are values: what the chart's own Secret holds. */}}
{{- define "switchgate.passwords" -}}
{{- $data := dict -}}
{{- if not (include "switchgate.foreignConfig" .) -}}
{{- if and .Values.eslPassword.value (not .Values.eslPassword.existingSecret.name) -}}
{{- $_ := set $data "password" (b64enc .Values.eslPassword.value) -}}
{{- end -}}
{{- range .Values.config.nodes -}}
{{- if and .password (not .existingSecret) -}}
{{- $_ := set $data (printf "node.%s" (include "switchgate.nodeFile" .id)) (b64enc .password) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with $data }}{{ toYaml . }}{{ end -}}
{{- end }}

{{/* One source of the projected volume. Takes a list: {name or secret or configMap, key}, the key when left out, the path. */}}
{{- define "switchgate.source" -}}
{{- $from := index . 0 -}}
- {{ ternary "configMap" "secret" (not (empty $from.configMap)) }}:
    name: {{ coalesce $from.configMap $from.secret $from.name }}
    items: [{key: {{ default (index . 1) $from.key | quote }}, path: {{ index . 2 | quote }}}]
{{ end }}

{{/* Sources of the projected volume with all secrets that the configuration names. */}}
{{- define "switchgate.sources" -}}
{{- if not (include "switchgate.foreignConfig" .) -}}
{{- $own := printf "%s-esl" (include "switchgate.fullname" .) -}}
{{- with .Values.eslPassword -}}
{{- if .existingSecret.name -}}
{{- include "switchgate.source" (list .existingSecret "password" "esl/password") -}}
{{- else if .value -}}
{{- include "switchgate.source" (list (dict "name" $own) "password" "esl/password") -}}
{{- end -}}
{{- end -}}
{{- range .Values.config.nodes -}}
{{- $file := include "switchgate.nodeFile" .id -}}
{{- if .existingSecret -}}
{{- include "switchgate.source" (list .existingSecret "password" (printf "esl/nodes/%s" $file)) -}}
{{- else if .password -}}
{{- include "switchgate.source" (list (dict "name" $own) (printf "node.%s" $file) (printf "esl/nodes/%s" $file)) -}}
{{- end -}}
{{- end -}}
{{- if include "switchgate.tls" . -}}
{{- with .Values.tls -}}
{{- $server := dict "name" .existingSecret -}}
{{- include "switchgate.source" (list $server .certificateKey "tls/server.pem") -}}
{{- include "switchgate.source" (list $server .privateKeyKey "tls/server.key") -}}
{{- if ne .clientCertificates "none" -}}
{{- $ca := dict "name" (default .existingSecret .clientCa.existingSecret) "key" .clientCa.key -}}
{{- include "switchgate.source" (list $ca "ca.crt" "tls/clients.pem") -}}
{{- if .clientCrl.existingSecret -}}
{{- $crl := dict "name" .clientCrl.existingSecret "key" .clientCrl.key -}}
{{- include "switchgate.source" (list $crl "ca.crl" "tls/clients.crl") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $at, $jwt := (.Values.config.access | default dict).jwt -}}
{{- with $jwt.existingJwks }}{{ include "switchgate.source" (list . "jwks.json" (printf "jwt/%d/jwks.json" $at)) }}{{ end -}}
{{- with $jwt.existingCa }}{{ include "switchgate.source" (list . "ca.crt" (printf "jwt/%d/ca.pem" $at)) }}{{ end -}}
{{- end -}}
{{- with (.Values.config.tracing | default dict).existingHeaders -}}
{{- include "switchgate.source" (list . "headers" "tracing/headers") -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The environment by which secrets reach the gateway that no key of the file can name a file for. */}}
{{- define "switchgate.env" -}}
{{- if not (include "switchgate.foreignConfig" .) -}}
{{- if or .Values.eslPassword.existingSecret.name .Values.eslPassword.value }}
- name: SWITCHGATE_ESL_PASSWORD_FILE
  value: {{ include "switchgate.files" . }}/esl/password
{{- end }}
{{- range $at, $token := (.Values.config.access | default dict).tokens }}
{{- with $token.existingSecret }}
- name: SWITCHGATE__ACCESS__TOKENS__{{ $at }}__SHA256
  valueFrom: {secretKeyRef: {name: {{ .name }}, key: {{ default "sha256" .key | quote }}}}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
