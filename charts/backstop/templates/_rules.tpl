{{/* Rules of the role for monitors and what they name, by the kinds that are enabled. */}}
{{- define "backstop.rules" -}}
- apiGroups: [backstop.dev]
  resources: [modelmonitors]
  verbs: [get, list, watch, patch]
- apiGroups: [backstop.dev]
  resources: [modelmonitors/status, incidents/status]
  verbs: [patch]
- apiGroups: [backstop.dev]
  resources: [incidents]
  verbs: [list, create, delete]
- apiGroups: [backstop.dev]
  resources: [runbooks]
  verbs: [get, list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- $targets := .Values.targets }}
{{- $routers := .Values.routers }}
{{- if has "Deployment" $targets }}
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, patch]
- apiGroups: [apps]
  resources: [deployments/scale]
  verbs: [get, patch]
{{- end }}
{{- if has "StatefulSet" $targets }}
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list, watch, patch]
- apiGroups: [apps]
  resources: [statefulsets/scale]
  verbs: [get, patch]
- apiGroups: [apps]
  resources: [controllerrevisions]
  verbs: [list]
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
{{- end }}
{{- if has "Rollout" $targets }}
- apiGroups: [argoproj.io]
  resources: [rollouts]
  verbs: [get, list, watch, patch]
- apiGroups: [argoproj.io]
  resources: [rollouts/status]
  verbs: [patch]
- apiGroups: [argoproj.io]
  resources: [rollouts/scale]
  verbs: [get, patch]
{{- end }}
{{- if has "InferenceService" $targets }}
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get]
- apiGroups: [serving.knative.dev]
  resources: [services]
  verbs: [get]
- apiGroups: [serving.knative.dev]
  resources: [revisions]
  verbs: [list]
{{- end }}
{{- if has "Canary" $targets }}
- apiGroups: [flagger.app]
  resources: [canaries]
  verbs: [get, patch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, patch]
{{- end }}
{{- if or (has "InferenceService" $targets) (has "InferenceService" $routers) }}
- apiGroups: [serving.kserve.io]
  resources: [inferenceservices]
  verbs: [get, patch]
{{- end }}
{{- if or (has "Deployment" $targets) (has "Rollout" $targets) (has "InferenceService" $targets) (has "Canary" $targets) }}
- apiGroups: [apps]
  resources: [replicasets]
  verbs: [get, list]
{{- end }}
{{- if or (has "Deployment" $targets) (has "StatefulSet" $targets) (has "Rollout" $targets) }}
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [list, patch]
{{- end }}
- apiGroups: [""]
  resources: [pods]
  verbs: [get, delete]
{{- if has "HTTPRoute" $routers }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, patch]
{{- end }}
{{- if has "GRPCRoute" $routers }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [grpcroutes]
  verbs: [get, list, watch, patch]
{{- end }}
{{- if has "VirtualService" $routers }}
- apiGroups: [networking.istio.io]
  resources: [virtualservices]
  verbs: [get, list, watch, patch]
{{- end }}
{{- if has "Ingress" $routers }}
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [get, patch]
{{- end }}
{{- if has "Service" $routers }}
- apiGroups: [""]
  resources: [services]
  verbs: [get, patch]
{{- end }}
{{- if has "ReplicaRatio" $routers }}
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get]
- apiGroups: [apps]
  resources: [deployments/scale]
  verbs: [patch]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [list]
{{- end }}
{{- if has "InferenceService" $routers }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get]
{{- end }}
{{- if $routers }}
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list]
{{- end }}
{{- if .Values.permissions.jobs }}
- apiGroups: [batch]
  resources: [cronjobs]
  verbs: [get]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, create]
{{- end }}
{{- if .Values.permissions.defaultPredictions }}
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, create, patch]
- apiGroups: [""]
  resources: [services]
  verbs: [get, create, patch]
{{- end }}
{{- if .Values.permissions.configMapChanges }}
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get]
{{- end }}
{{- if .Values.permissions.secretChanges }}
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
{{- end }}
{{- end -}}
