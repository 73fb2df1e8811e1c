{{- define "shr.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "shr.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "shr.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "shr.selector" . }}
{{- end -}}

{{- define "shr.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "shr.name" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "shr.image" -}}
{{- $repository := required "image.repository is missing: build the image with `make dispatcher-image TAG=… PUSH=1`, and name it" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* What the values say and cannot mean. */}}
{{- define "shr.hold" -}}
{{- if gt (int .Values.replicas) 1 -}}
{{- fail (printf "replicas is %d, and the ledger is SQLite: two dispatchers would each launch runners for the same jobs. Set it to 1." (int .Values.replicas)) -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- fail "ingress.enabled needs ingress.host: GitHub sends webhooks to a name" -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled (not .Values.serviceMonitor.tokenSecret) -}}
{{- fail "serviceMonitor.enabled needs serviceMonitor.tokenSecret: the metrics are for the holder of the admin token" -}}
{{- end -}}
{{- $brought := dict -}}
{{- range .Values.secretFiles -}}
{{- $_ := set $brought .path true -}}
{{- end -}}
{{- $written := printf "%s%s" (toJson .Values.dispatcher) (toJson .Values.registrations) -}}
{{- range regexFindAll "[$][{]file:secrets/[^/}]+" $written -1 -}}
{{- $path := trimPrefix "${file:secrets/" . -}}
{{- if not (hasKey $brought $path) -}}
{{- fail (printf "%s/…} is in no Secret of secretFiles: the pod would not start. Create one, and add {secretName: shr-%s, path: %s}." . $path $path) -}}
{{- end -}}
{{- end -}}
{{- end -}}
