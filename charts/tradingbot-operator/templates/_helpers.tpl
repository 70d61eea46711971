{{/* The stem of all names: release and chart, short enough to be lengthened. */}}
{{- define "tradingbot.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 45 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 45 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* What selects the pods of one component: (list $ "operator"). */}}
{{- define "tradingbot.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: tradingbot-operator
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Labels of the chart's own objects. None is labelled as managed by the operator: it must never touch them. */}}
{{- define "tradingbot.labels" -}}
{{- $root := index . 0 -}}
{{ include "tradingbot.selectorLabels" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name ($root.Chart.Version | replace "+" "_") }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* repository:tag of an image: (list $ .Values.bot.image). */}}
{{- define "tradingbot.image" -}}
{{- $root := index . 0 -}}{{- $image := index . 1 -}}
{{- printf "%s:%s" $image.repository (default $root.Chart.AppVersion $image.tag) -}}
{{- end }}

{{- define "tradingbot.postgresqlName" -}}
{{ include "tradingbot.fullname" . }}-postgresql
{{- end }}

{{/* The Secret that holds the database URL; here the one choice that a release must make is checked. */}}
{{- define "tradingbot.databaseSecret" -}}
{{- if and .Values.database.existingSecret .Values.postgresql.enabled -}}
{{- fail "database.existingSecret and postgresql.enabled are both set: choose one database" -}}
{{- else if .Values.database.existingSecret -}}
{{- .Values.database.existingSecret -}}
{{- else if .Values.postgresql.enabled -}}
{{- include "tradingbot.postgresqlName" . -}}
{{- else -}}
{{- fail "no database: set database.existingSecret to the name of a Secret that holds the database URL, or postgresql.enabled=true for a trial" -}}
{{- end -}}
{{- end }}

{{- define "tradingbot.databaseEnv" -}}
- name: DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ include "tradingbot.databaseSecret" . }}
      key: {{ if .Values.postgresql.enabled }}url{{ else }}{{ .Values.database.secretKey }}{{ end }}
{{- end }}

{{/* Key of the URL that leads past PgBouncer; empty without one. */}}
{{- define "tradingbot.listenKey" -}}
{{- if not .Values.postgresql.enabled -}}{{- .Values.database.listenSecretKey -}}{{- end -}}
{{- end }}

{{- define "tradingbot.listenEnv" -}}
{{- with include "tradingbot.listenKey" . -}}
- name: DATABASE_LISTEN_URL
  valueFrom:
    secretKeyRef:
      name: {{ include "tradingbot.databaseSecret" $ }}
      key: {{ . }}
{{- end -}}
{{- end }}

{{/* The token of a pod's account, for the one container that mounts it; pods get none by themselves. */}}
{{- define "tradingbot.apiAccessVolume" -}}
- name: api-access
  projected:
    sources:
      - serviceAccountToken: {path: token, expirationSeconds: 3607}
      - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
      - downwardAPI: {items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}
{{- end }}

{{- define "tradingbot.apiAccessMount" -}}
- name: api-access
  mountPath: /var/run/secrets/kubernetes.io/serviceaccount
  readOnly: true
{{- end }}

{{/* What the pods of jobs and tests have in common with the operator's: where they may run, and their images' registry. */}}
{{- define "tradingbot.placement" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.operator.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.operator.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.operator.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Restricted pod security, for a user id. */}}
{{- define "tradingbot.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "tradingbot.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Secrets of the release itself, which no row may name: a prefix that covers one of them is refused. Names, one a line. */}}
{{- define "tradingbot.ownSecrets" -}}
{{ include "tradingbot.databaseSecret" . }}
{{ .Values.notifications.existingSecret }}
{{ .Values.monitoring.podMonitor.tokenSecret.name }}
{{- range .Values.imagePullSecrets }}
{{ .name }}
{{- end }}
{{- range concat .Values.bot.env .Values.notifications.env }}
{{ dig "valueFrom" "secretKeyRef" "name" "" . }}
{{- end }}
{{- range .Values.bot.volumes }}
{{ dig "secret" "secretName" "" . }}
{{- end }}
{{- end }}

{{/* The prefixes of Secrets that rows may name, once they are known to cover keys of bots alone. */}}
{{- define "tradingbot.secretPrefixes" -}}
{{- $prefixes := default list .Values.bot.credentials.secretPrefixes -}}
{{- range $prefix := $prefixes -}}
{{- range $name := splitList "\n" (include "tradingbot.ownSecrets" $) -}}
{{- if and (trim $name) (hasPrefix $prefix (trim $name)) -}}
{{- fail (printf "bot.credentials.secretPrefixes: %q would let any row have the Secret %s, which is the release's own: rename one of them" $prefix (trim $name)) -}}
{{- end -}}
{{- end -}}
{{- if or (hasPrefix "sh.helm." $prefix) (hasPrefix $prefix "sh.helm.") -}}
{{- fail (printf "bot.credentials.secretPrefixes: %q would let any row have Helm's own Secrets (sh.helm.release.v1.*)" $prefix) -}}
{{- end -}}
{{- end -}}
{{- toJson $prefixes -}}
{{- end }}

{{/* What the operator reads: settings.json. It holds no secret, only the name of one. */}}
{{- define "tradingbot.settings" -}}
{{- $bot := .Values.bot -}}
{{- $database := dict "secretName" (include "tradingbot.databaseSecret" .) "secretKey" (ternary "url" .Values.database.secretKey .Values.postgresql.enabled) -}}
{{- with include "tradingbot.listenKey" . -}}
{{- $database = set $database "listenKey" . -}}
{{- end -}}
{{- $volumes := $bot.volumes -}}
{{- $mounts := $bot.volumeMounts -}}
{{- $env := $bot.env -}}
{{- with $bot.plugins.configMap -}}
{{- $volumes = append $volumes (dict "name" "plugins" "configMap" (dict "name" .)) -}}
{{- $mounts = append $mounts (dict "name" "plugins" "mountPath" "/plugins" "readOnly" true) -}}
{{- $env = append $env (dict "name" "TRADINGBOT_PLUGINS" "value" "/plugins") -}}
{{- end -}}
{{- $pod := dict
  "image" (include "tradingbot.image" (list . $bot.image))
  "imagePullPolicy" $bot.image.pullPolicy
  "imagePullSecrets" .Values.imagePullSecrets
  "serviceAccountName" (printf "%s-bot" (include "tradingbot.fullname" .))
  "resources" $bot.resources
  "nodeSelector" $bot.nodeSelector
  "tolerations" $bot.tolerations
  "volumes" $volumes
  "volumeMounts" $mounts
  "env" $env
  "terminationGracePeriodSeconds" $bot.terminationGracePeriodSeconds
  "credentials" (dict "secretPrefixes" (include "tradingbot.secretPrefixes" . | fromJsonArray))
  "policy" $bot.policy
-}}
{{- dict
  "namespace" .Release.Namespace
  "release" .Release.Name
  "database" $database
  "pollSeconds" .Values.operator.pollSeconds
  "statusSeconds" .Values.operator.statusSeconds
  "logLevel" .Values.operator.logLevel
  "bot" $pod
  "plugins" $bot.plugins.names
  "safety" .Values.safety
  "trouble" .Values.trouble
  "recovery" .Values.recovery
  "rollout" .Values.rollout
  "leader" (merge (dict "enabled" true "leaseName" (include "tradingbot.fullname" .) "deployment" (include "tradingbot.fullname" .)) .Values.operator.leader)
| toPrettyJson -}}
{{- end }}
