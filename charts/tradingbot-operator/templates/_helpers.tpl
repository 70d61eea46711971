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
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/*
Labels of the chart's own objects: (list $ "operator"), and as a third, further ones. A key is there once, and the further one wins.
None is labelled as managed by the operator: it must never touch them.
*/}}
{{- define "tradingbot.labels" -}}
{{- $root := index . 0 -}}
{{- $further := dict -}}
{{- if gt (len .) 2 -}}
{{- $further = default dict (index . 2) -}}
{{- end -}}
{{- $own := dict
  "app.kubernetes.io/version" $root.Chart.AppVersion
  "app.kubernetes.io/managed-by" $root.Release.Service
  "helm.sh/chart" (printf "%s-%s" $root.Chart.Name ($root.Chart.Version | replace "+" "_"))
-}}
{{- $found := include "tradingbot.selectorLabels" . | fromYaml -}}
{{- merge dict $further $found $own (default dict $root.Values.commonLabels) | toYaml -}}
{{- end }}

{{/* repository:tag of an image: (list $ .Values.bot.image). */}}
{{- define "tradingbot.image" -}}
{{- $root := index . 0 -}}{{- $image := index . 1 -}}
{{- printf "%s:%s" $image.repository (default $root.Chart.AppVersion $image.tag) -}}
{{- end }}

{{/* At most 52 characters: a pod of a StatefulSet has the label NAME-REVISION, ten more and a dash, and a label has 63 at most. */}}
{{- define "tradingbot.postgresqlName" -}}
{{ include "tradingbot.fullname" . | trunc 41 | trimSuffix "-" }}-postgresql
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
{{ .Values.monitoring.serviceMonitor.tokenSecret.name }}
{{- range .Values.imagePullSecrets }}
{{ .name }}
{{- end }}
{{- range list .Values.operator.env .Values.bot.env .Values.notifications.env }}
{{- range . }}
{{- with .valueFrom }}
{{- with .secretKeyRef }}
{{ .name }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- range .Values.bot.volumes }}
{{- with .secret }}
{{ .secretName }}
{{- end }}
{{- with .projected }}
{{- range .sources }}
{{- with .secret }}
{{ .name }}
{{- end }}
{{- end }}
{{- end }}
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

{{/* A quantity as a number of cores or bytes; the schema has seen to its form. */}}
{{- define "tradingbot.amount" -}}
{{- $factors := dict "" 1 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $suffix := regexFind "[A-Za-z]*$" . -}}
{{- mulf (trimSuffix $suffix .) (get $factors $suffix) -}}
{{- end }}

{{/* What rows may ask for, with quantities within the operator's own bounds, and as text where they were written as numbers. */}}
{{- define "tradingbot.policy" -}}
{{- $policy := deepCopy .Values.bot.policy -}}
{{- range $key, $bounds := dict "maxCpu" (list "1m" "1000") "maxMemory" (list "16Mi" "16Ti") -}}
{{- if hasKey $policy $key -}}
{{- $value := index $policy $key -}}
{{- if not (kindIs "string" $value) -}}
{{- $value = ternary (int64 $value | toString) (toString $value) (eq (float64 $value) (floor $value)) -}}
{{- end -}}
{{- $amount := include "tradingbot.amount" $value | float64 -}}
{{- if or (lt $amount (include "tradingbot.amount" (first $bounds) | float64)) (gt $amount (include "tradingbot.amount" (last $bounds) | float64)) -}}
{{- fail (printf "bot.policy.%s: %s is out of range; allowed: %s to %s" $key $value (first $bounds) (last $bounds)) -}}
{{- end -}}
{{- $_ := set $policy $key $value -}}
{{- end -}}
{{- end -}}
{{- toJson $policy -}}
{{- end }}

{{/* How replicas elect their leader. It must be able to renew twice before it stops writing, after seven tenths of its lease. */}}
{{- define "tradingbot.leader" -}}
{{- $leader := .Values.operator.leader -}}
{{- if gt (mulf $leader.renewSeconds 20) (mulf $leader.leaseSeconds 7) -}}
{{- fail (printf "operator.leader: renewSeconds %v is too long for leaseSeconds %v: at most %v, seven twentieths of it" $leader.renewSeconds $leader.leaseSeconds (mulf $leader.leaseSeconds 0.35)) -}}
{{- end -}}
{{- merge (dict "enabled" true "leaseName" (include "tradingbot.fullname" .) "deployment" (include "tradingbot.fullname" .)) $leader | toJson -}}
{{- end }}

{{/* What the operator reads: settings.json. It holds no secret, only the name of one. */}}
{{- define "tradingbot.settings" -}}
{{- $bot := .Values.bot -}}
{{- $database := dict "secretName" (include "tradingbot.databaseSecret" .) "secretKey" (ternary "url" .Values.database.secretKey .Values.postgresql.enabled) -}}
{{- with include "tradingbot.listenKey" . -}}
{{- $database = set $database "listenKey" . -}}
{{- end -}}
{{- with .Values.database.idleSeconds -}}
{{- $database = set $database "idleSeconds" . -}}
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
  "policy" (include "tradingbot.policy" . | fromJson)
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
  "leader" (include "tradingbot.leader" . | fromJson)
| toPrettyJson -}}
{{- end }}
