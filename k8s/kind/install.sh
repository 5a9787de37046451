#!/usr/bin/env bash
# Installs on the cluster that KUBECONFIG names what Tutelage runs on, and Tutelage itself. Run it again at any time: what is
# there stays, and keys are made once.
#   k8s/kind/install.sh [--dry-run] [operators] [storage] [pipelines] [namespace] [chart]
# NAMESPACE is where runs are (kubeflow, as Kubeflow Pipelines without profiles has it), STORAGE_NAMESPACE the S3 server's.
set -euo pipefail
cd "${BASH_SOURCE[0]%/*}/../.."
. k8s/kind/versions.env
. k8s/kind/programs.sh

PARTS=(operators storage pipelines namespace chart)
NAMESPACE=${NAMESPACE:-kubeflow}
STORAGE_NAMESPACE=${STORAGE_NAMESPACE:-tutelage-storage}
BUCKET=tutelage
# none, or server: the API server checks everything and keeps nothing.
dry_run=none

main() {
  local parts=() word
  for word; do
    case "$word" in
      --dry-run) dry_run=server ;;
      operators | storage | pipelines | namespace | chart) parts+=("$word") ;;
      *) refuse "there is no part '$word'; there are ${PARTS[*]}, and --dry-run" ;;
    esac
  done
  [ ${#parts[@]} -gt 0 ] || parts=("${PARTS[@]}")
  require kubectl helm openssl git sed tr mktemp
  kubectl version >/dev/null || refuse "no cluster answers: set KUBECONFIG to the file of one that does"
  for word in "${parts[@]}"; do
    echo "== $word" >&2
    "install_$word"
  done
}

refuse() { # WORDS
  echo "$1" >&2
  exit 1
}

install_operators() {
  chart jobset jobset-system "$JOBSET_CHART" "$JOBSET_VERSION"
  chart kubeflow-trainer kubeflow-system "$TRAINER_CHART" "$TRAINER_VERSION" --set jobset.install=false
  chart kuberay-operator kuberay-system kuberay-operator "$KUBERAY_VERSION" --repo "$KUBERAY_REPOSITORY"
  chart kueue kueue-system "$KUEUE_CHART" "$KUEUE_VERSION"
}

install_storage() {
  make_namespace "$STORAGE_NAMESPACE"
  label_restricted "$STORAGE_NAMESPACE"
  there secret s3-keys "$STORAGE_NAMESPACE" || make_keys s3-keys access-key secret-key "$STORAGE_NAMESPACE"
  there secret s3-tls "$STORAGE_NAMESPACE" || make_certificate
  sed "s|\${VERSITYGW_IMAGE}|$VERSITYGW_IMAGE|" k8s/kind/storage.yaml | apply "$STORAGE_NAMESPACE" -f -
  [ "$dry_run" = none ] || return 0
  kubectl rollout status deployment/s3 --namespace "$STORAGE_NAMESPACE" --timeout 5m
  make_bucket
}

install_pipelines() {
  [ "$NAMESPACE" = kubeflow ] || refuse "Kubeflow Pipelines' own manifests are for the namespace kubeflow, not $NAMESPACE"
  kubectl apply --dry-run="$dry_run" -k "$PIPELINES_MANIFESTS/cluster-scoped-resources?ref=$PIPELINES_VERSION"
  # Its manifests ship a key that everybody knows; this one is made here.
  there secret mlpipeline-minio-artifact kubeflow || make_keys mlpipeline-minio-artifact accesskey secretkey kubeflow
  pipelines_without_keys | apply kubeflow -f -
  apply kubeflow -f k8s/kind/pipelines-port.yaml
  [ "$dry_run" = none ] || return 0
  kubectl wait deployments --all --namespace kubeflow --for condition=Available --timeout 15m
}

install_namespace() {
  make_namespace "$NAMESPACE"
  if there secret s3-keys "$STORAGE_NAMESPACE" && there secret s3-tls "$STORAGE_NAMESPACE"; then
    copy_keys | apply "$NAMESPACE" -f -
    authority | kubectl create configmap tutelage-ca --from-file=ca.crt=/dev/stdin --dry-run=client -o yaml |
      apply "$NAMESPACE" -f -
  elif [ "$dry_run" = none ]; then
    refuse "$STORAGE_NAMESPACE has no Secrets s3-keys and s3-tls: run $0 storage first"
  else
    echo "Secret tutelage-s3 and ConfigMap tutelage-ca are left out: the S3 server is not there yet" >&2
  fi
}

install_chart() {
  chart tutelage "$NAMESPACE" charts/tutelage "" --values k8s/kind/values.yaml \
    --set "store.endpoint=https://s3.$STORAGE_NAMESPACE.svc:7070"
}

chart() { # RELEASE NAMESPACE CHART VERSION [ARGUMENT...]
  helm upgrade --install "$1" "$3" --version "$4" --namespace "$2" --create-namespace --wait --timeout 10m \
    --dry-run="$dry_run" "${@:5}"
}

apply() { # NAMESPACE ARGUMENT...
  local how=(--server-side --force-conflicts --dry-run="$dry_run")
  # The server refuses what is in a namespace that a dry run did not make.
  [ "$dry_run" = none ] || there namespace "$1" "" || how=(--dry-run=client)
  kubectl apply "${how[@]}" --namespace "$@"
}

there() { # KIND NAME NAMESPACE
  [ -n "$(kubectl get "$1" "$2" --namespace "$3" --ignore-not-found -o name)" ]
}

make_namespace() { # NAME
  there namespace "$1" "" || kubectl create namespace "$1" --dry-run="$dry_run"
}

label_restricted() { # NAMESPACE
  there namespace "$1" "" || return 0
  kubectl label namespace "$1" pod-security.kubernetes.io/enforce=restricted --overwrite --dry-run="$dry_run"
}

make_keys() { # SECRET ACCESS SECRET NAMESPACE
  create_secret "$4" "$1" --from-literal="$2=tutelage" --from-file="$3=/dev/stdin" < <(openssl rand -hex 20 | tr -d '\n')
}

# An authority of this cluster alone. Its key is not kept: a new certificate takes a new authority.
make_certificate() {
  (
    umask 077
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    sign "$folder" >/dev/null
    create_secret "$STORAGE_NAMESPACE" s3-tls --type=kubernetes.io/tls --from-file="$folder/tls.crt" \
      --from-file="$folder/tls.key" --from-file="$folder/ca.crt"
  )
}

sign() { # FOLDER
  local key=(-newkey rsa:2048 -nodes) host="s3.$STORAGE_NAMESPACE.svc"
  openssl req -x509 "${key[@]}" -days 3650 -subj /CN=tutelage-kind -keyout "$1/ca.key" -out "$1/ca.crt" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
  cat >"$1/extensions" <<EOF
basicConstraints = critical,CA:FALSE
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:s3,DNS:${host%.svc},DNS:$host,DNS:$host.cluster.local,DNS:localhost,IP:127.0.0.1
EOF
  openssl req "${key[@]}" -subj "/CN=$host" -keyout "$1/tls.key" -out "$1/tls.csr" 2>/dev/null
  openssl x509 -req -in "$1/tls.csr" -CA "$1/ca.crt" -CAkey "$1/ca.key" -CAcreateserial -days 3650 \
    -extfile "$1/extensions" -out "$1/tls.crt" 2>/dev/null
}

create_secret() { # NAMESPACE NAME ARGUMENT...
  local checked_by=$dry_run
  [ "$dry_run" = none ] || there namespace "$1" "" || checked_by=client
  kubectl create secret generic "$2" --namespace "$1" --dry-run="$checked_by" "${@:3}"
}

make_bucket() {
  local admin=(kubectl exec deployment/s3 --namespace "$STORAGE_NAMESPACE" -- versitygw admin)
  # A table: bucket and owner.
  [[ $("${admin[@]}" list-buckets) == *$'\n'"$BUCKET "* ]] || "${admin[@]}" create-bucket --owner tutelage --bucket "$BUCKET"
}

copy_keys() {
  kubectl get secret s3-keys --namespace "$STORAGE_NAMESPACE" -o go-template='apiVersion: v1
kind: Secret
metadata: {name: tutelage-s3}
data: {access-key: {{index .data "access-key"}}, secret-key: {{index .data "secret-key"}}}
'
}

authority() {
  kubectl get secret s3-tls --namespace "$STORAGE_NAMESPACE" -o go-template='{{index .data "ca.crt" | base64decode}}'
}

pipelines_without_keys() {
  (
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    cat >"$folder/kustomization.yaml" <<EOF
resources: ["$PIPELINES_MANIFESTS/env/platform-agnostic?ref=$PIPELINES_VERSION"]
patches:
  - patch: '{apiVersion: v1, kind: Secret, metadata: {name: mlpipeline-minio-artifact}, \$patch: delete}'
EOF
    kubectl kustomize "$folder"
  )
}

main "$@"
