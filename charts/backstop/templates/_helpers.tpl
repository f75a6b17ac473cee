{{- define "backstop.fullname" -}}
{{- $name := .Values.nameOverride | default "backstop" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride }}
{{- else if contains $name .Release.Name -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{- define "backstop.selector" -}}
app.kubernetes.io/name: backstop
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "backstop.labels" -}}
{{ include "backstop.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "backstop.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "backstop.fullname" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{- define "backstop.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* Names of the Deployments: one, or one for each shard. */}}
{{- define "backstop.deployment" -}}
{{- if gt (int .root.Values.shards) 1 -}}
{{ include "backstop.fullname" .root }}-{{ .shard }}
{{- else -}}
{{ include "backstop.fullname" .root }}
{{- end -}}
{{- end -}}

{{- define "backstop.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "backstop.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
privileged: false
capabilities: {drop: [ALL]}
{{- end -}}

{{/* The operator's configuration, as docs/configuration.md describes it. */}}
{{- define "backstop.config" -}}
sources:
{{- range $name, $source := .Values.sources }}
  {{ $name }}:
    url: {{ $source.url | quote }}
    {{- with $source.timeout }}
    timeout: {{ . | quote }}
    {{- end }}
    {{- with $source.headers }}
    headers: {{ toJson . }}
    {{- end }}
    {{- with $source.tenantLabel }}
    tenantLabel: {{ . | quote }}
    {{- end }}
    {{- if $source.bearerToken }}
    bearerTokenFile: /etc/backstop/sources/{{ $name }}/token
    {{- end }}
    {{- with $source.basicAuth }}
    basicAuth: {username: {{ .username | quote }}, passwordFile: /etc/backstop/sources/{{ $name }}/password}
    {{- end }}
    {{- if $source.ca }}
    caFile: /etc/backstop/sources/{{ $name }}/ca
    {{- end }}
{{- end }}
targets: {{ toJson .Values.targets }}
routers: {{ toJson .Values.routers }}
secretChanges: {{ .Values.permissions.secretChanges }}
webhooks:
  allowedHosts: {{ toJson .Values.webhooks.allowedHosts }}
  timeout: {{ .Values.webhooks.timeout | quote }}
  {{- if .Values.webhooks.signingKey.secret }}
  secretFile: /etc/backstop/keys/webhooks
  {{- end }}
{{- with .Values.notifications }}
{{- if .url }}
notifications:
  url: {{ .url | quote }}
  timeout: {{ .timeout | quote }}
  pageOnly: {{ .pageOnly }}
  {{- if .signingKey.secret }}
  secretFile: /etc/backstop/keys/notifications
  {{- end }}
{{- end }}
{{- end }}
budgets: {{ toJson .Values.budgets }}
killSwitch: {{ .Values.killSwitch | quote }}
metrics: {{ toJson .Values.metrics }}
responderImage: {{ include "backstop.image" . | quote }}
concurrentWrites: {{ .Values.concurrentWrites }}
{{- end -}}

{{- define "backstop.volumes" -}}
- name: config
  projected:
    defaultMode: 0440
    sources:
      - configMap: {name: {{ include "backstop.fullname" . }}}
      {{- range $name, $source := .Values.sources }}
      {{- with $source.bearerToken }}
      - secret:
          name: {{ .secret | quote }}
          items: [{key: {{ .key | quote }}, path: sources/{{ $name }}/token}]
      {{- end }}
      {{- with $source.basicAuth }}
      - secret:
          name: {{ .secret | quote }}
          items: [{key: {{ .key | quote }}, path: sources/{{ $name }}/password}]
      {{- end }}
      {{- with $source.ca }}
      {{- if .secret }}
      - secret:
          name: {{ .secret | quote }}
          items: [{key: {{ .key | quote }}, path: sources/{{ $name }}/ca}]
      {{- else }}
      - configMap:
          name: {{ .configMap | quote }}
          items: [{key: {{ .key | quote }}, path: sources/{{ $name }}/ca}]
      {{- end }}
      {{- end }}
      {{- end }}
      {{- range $part := list "webhooks" "notifications" }}
      {{- with (index $.Values $part).signingKey }}
      {{- if .secret }}
      - secret:
          name: {{ .secret | quote }}
          items: [{key: {{ .key | quote }}, path: keys/{{ $part }}}]
      {{- end }}
      {{- end }}
      {{- end }}
- name: tmp
  emptyDir: {medium: Memory, sizeLimit: 16Mi}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "backstop.mounts" -}}
- {name: config, mountPath: /etc/backstop, readOnly: true}
- {name: tmp, mountPath: /var/lib/backstop}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "backstop.commonArgs" -}}
- --config=/etc/backstop/config.yaml
- --lease-namespace=$(POD_NAMESPACE)
- --lease-name={{ include "backstop.fullname" . }}
{{- if eq .Values.scope "namespaces" }}
{{- range .Values.namespaces }}
- {{ printf "--namespace=%s" . | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "backstop.env" -}}
# The only place that can be written to.
- {name: TMPDIR, value: /var/lib/backstop}
- name: POD_IP
  valueFrom: {fieldRef: {fieldPath: status.podIP}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Where pods run, those of the hooks, too. */}}
{{- define "backstop.placement" -}}
{{- range $key := list "imagePullSecrets" "priorityClassName" "nodeSelector" "tolerations" "affinity" }}
{{- with index $.Values $key }}
{{ dict $key . | toYaml }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Mistakes that a schema cannot tell: each fails the command with a sentence. */}}
{{- define "backstop.check" -}}
{{- if and (eq .Values.scope "namespaces") (not .Values.namespaces) -}}
{{- fail "scope: namespaces needs at least one entry in `namespaces`" -}}
{{- end -}}
{{- if and (eq .Values.scope "cluster") .Values.namespaces -}}
{{- fail "`namespaces` has no effect with scope: cluster; set scope: namespaces or empty the list" -}}
{{- end -}}
{{- if and .Values.webhooks.allowedHosts (not .Values.webhooks.signingKey.secret) -}}
{{- fail "webhooks.allowedHosts needs webhooks.signingKey.secret: calls are signed. Name a Secret of the release's namespace whose key holds at least 16 bytes" -}}
{{- end -}}
{{- range $name, $source := .Values.sources -}}
{{- if and $source.ca (eq (empty $source.ca.secret) (empty $source.ca.configMap)) -}}
{{- fail (printf "sources.%s.ca needs exactly one of `secret` and `configMap`" $name) -}}
{{- end -}}
{{- range $key := list "bearerToken" "basicAuth" -}}
{{- if and (index $source $key) (hasPrefix "http://" $source.url) -}}
{{- fail (printf "sources.%s.%s would be sent unencrypted: write an https URL" $name $key) -}}
{{- end -}}
{{- end -}}
{{- if and $source.bearerToken $source.basicAuth -}}
{{- fail (printf "sources.%s: give bearerToken or basicAuth, not both" $name) -}}
{{- end -}}
{{- end -}}
{{- range $name, $source := .Values.sources -}}
{{- include "backstop.checkPort" (dict "key" (printf "sources.%s.url" $name) "text" (index (splitList "/" $source.url) 2)) -}}
{{- end -}}
{{- with .Values.notifications.url -}}
{{- include "backstop.checkPort" (dict "key" "notifications.url" "text" (index (splitList "/" (splitList "?" . | first)) 2)) -}}
{{- end -}}
{{- range .Values.webhooks.allowedHosts -}}
{{- $host := regexReplaceAll "(^\\*\\.)|(:[0-9]*$)" . "" | trimSuffix "." -}}
{{- $number := regexMatch "(^|\\.)[0-9]+$" $host -}}
{{- if or (hasSuffix ":" .) (and $number (hasPrefix "*" .)) (not (regexMatch (ternary "^([0-9]{1,3}\\.){3}[0-9]{1,3}$" "^(\\[[0-9a-fA-F:.]+\\]|[a-zA-Z0-9_]([a-zA-Z0-9_-]*[a-zA-Z0-9_])?(\\.[a-zA-Z0-9_]([a-zA-Z0-9_-]*[a-zA-Z0-9_])?)*)$" $number) $host)) -}}
{{- fail (printf "webhooks.allowedHosts: %q is no host: write for example hooks.example.com, 10.0.0.7:8443 or *.example.com" .) -}}
{{- end -}}
{{- include "backstop.checkPort" (dict "key" "webhooks.allowedHosts" "text" .) -}}
{{- end -}}
{{- range $label := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "backstop.dev/shard" -}}
{{- if hasKey $.Values.podLabels $label -}}
{{- fail (printf "podLabels must not set %s: pods are found by it" $label) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.prometheusRule.enabled (not (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1")) -}}
{{- fail "prometheusRule.enabled needs the CRDs of the Prometheus operator (monitoring.coreos.com/v1) in the cluster; without them load charts/backstop/rules/*.yaml into Prometheus" -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled (not (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1")) -}}
{{- fail "serviceMonitor.enabled needs the CRDs of the Prometheus operator (monitoring.coreos.com/v1) in the cluster; the pods are annotated for scraping without it" -}}
{{- end -}}
{{- end -}}

{{/* Fails unless what stands behind the last colon of `text`, a host, is a port. */}}
{{- define "backstop.checkPort" -}}
{{- $port := regexFind ":[0-9]+$" .text | trimPrefix ":" | default "80" | atoi -}}
{{- if or (lt $port 1) (gt $port 65535) -}}
{{- fail (printf "%s: %s has no port from 1 to 65535" .key .text) -}}
{{- end -}}
{{- end -}}

{{/* The listed ports and those in the URLs of all that is dialled, as a JSON array. */}}
{{- define "backstop.egressPorts" -}}
{{- $places := .Values.webhooks.allowedHosts -}}
{{- $urls := compact (list .Values.notifications.url) -}}
{{- range .Values.sources -}}
{{- $urls = append $urls .url -}}
{{- end -}}
{{- range $urls -}}
{{- $place := index (splitList "/" (splitList "?" . | first)) 2 -}}
{{- if not (regexMatch ":[0-9]+$" $place) -}}
{{- $place = printf "%s:%s" $place (ternary "443" "80" (hasPrefix "https:" .)) -}}
{{- end -}}
{{- $places = append $places $place -}}
{{- end -}}
{{- $ports := list -}}
{{- range .Values.networkPolicy.ports -}}
{{- $ports = append $ports (int .) -}}
{{- end -}}
{{- range $places -}}
{{- with regexFind ":[0-9]+$" . -}}
{{- $ports = append $ports (trimPrefix ":" . | atoi) -}}
{{- end -}}
{{- end -}}
{{ uniq $ports | toJson }}
{{- end -}}
