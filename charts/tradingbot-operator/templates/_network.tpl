{{/* Labels that the operator gives every bot's pod. */}}
{{- define "tradingbot.botSelectorLabels" -}}
app.kubernetes.io/name: tradingbot
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* An egress rule of peers and TCP ports: {to, ports}. None without a port: to Kubernetes, a rule without ports opens them all. */}}
{{- define "tradingbot.opened" -}}
{{- if .ports -}}
- ports:
    {{- range .ports }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
  {{- with .to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
{{- end }}

{{- define "tradingbot.dnsEgress" -}}
- ports:
    {{- range .Values.networkPolicy.dns.ports }}
    - {protocol: UDP, port: {{ . }}}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
  {{- with .Values.networkPolicy.dns.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "tradingbot.databaseEgress" -}}
{{- if .Values.postgresql.enabled -}}
- ports:
    - {protocol: TCP, port: postgresql}
  to:
    - podSelector:
        matchLabels:
          {{- include "tradingbot.selectorLabels" (list . "postgresql") | nindent 10 }}
{{- else -}}
{{- include "tradingbot.opened" .Values.networkPolicy.database -}}
{{- end -}}
{{- end }}

{{/* Ingress to named ports from `metricsFrom`; none without it. (list $ ports) */}}
{{- define "tradingbot.metricsIngress" -}}
{{- $root := index . 0 -}}
{{- if $root.Values.networkPolicy.metricsFrom -}}
- from:
    {{- toYaml $root.Values.networkPolicy.metricsFrom | nindent 4 }}
  ports:
    {{- range index . 1 }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- else -}}
[]
{{- end -}}
{{- end }}
