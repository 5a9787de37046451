#!/usr/bin/env bash
# A cluster in Docker with all that Tutelage runs on. Run it again to bring it up to date.
#   k8s/kind/up.sh [--no-images]
# --no-images leaves out building and loading the images: they are in the node already, or come from elsewhere.
# Docker builds them; where buildah is installed it does, since then only changed layers are sent to the node.
set -euo pipefail
cd "${BASH_SOURCE[0]%/*}/../.."
. k8s/kind/versions.env
. k8s/kind/programs.sh

CLUSTER=tutelage
KUBECONFIG=${TUTELAGE_KIND_KUBECONFIG:-$HOME/.kube/tutelage-kind}
export KUBECONFIG TUTELAGE_KIND_NODE=$CLUSTER-control-plane

main() {
  local images=1
  case "${1:-}" in
    "") ;;
    --no-images) images=0 ;;
    *) echo "unknown argument '$1'; there is --no-images" >&2 && exit 1 ;;
  esac
  # All checks come first: nothing is made when something is missing.
  local needed=(kind docker kubectl helm make openssl git sed tr mktemp mkdir)
  if [ "$images" -eq 1 ] && has_buildah; then needed+=(python3); fi
  require "${needed[@]}"
  docker info >/dev/null 2>&1 || {
    echo "docker does not answer: start its daemon, or add yourself to the group docker" >&2
    exit 1
  }
  if [ "$images" -eq 1 ] && ! has_buildah && ! docker buildx version >/dev/null 2>&1; then
    echo "docker buildx is missing: $(how_to_get buildx)" >&2
    exit 1
  fi
  make_cluster
  [ "$images" -eq 0 ] || load_images
  k8s/kind/install.sh
  say_what_next
}

make_cluster() {
  mkdir -p "${KUBECONFIG%/*}"
  if [[ " $(kind get clusters 2>/dev/null | tr '\n' ' ')" == *" $CLUSTER "* ]]; then
    kind export kubeconfig --name "$CLUSTER"
  else
    kind create cluster --name "$CLUSTER" --config k8s/kind/cluster.yaml --image "$KIND_NODE_IMAGE" --wait 5m
  fi
}

has_buildah() {
  command -v buildah >/dev/null
}

load_images() {
  local version
  version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
  if has_buildah; then load_layers "$version"; else load_whole "$version"; fi
}

# Into Docker's own image store, which may keep no attestations.
load_whole() { # VERSION
  VERSION=$1 docker buildx bake --file images/docker-bake.hcl --set '*.output=type=docker' --provenance=false --sbom=false
  kind load docker-image --name "$CLUSTER" "tutelage/launcher:$1" "tutelage/ray:$1" "tutelage/train:$1"
}

# Only the layers that the node lacks are sent: bin/ctr is the node's own ctr.
load_layers() { # VERSION
  local built reference name version=$1
  built=$(make --silent images)
  echo "$built" | PATH="$PWD/k8s/kind/bin:$PATH" python3 images/load.py | while read -r reference; do
    name=${reference##*/}
    # The name by which recipes and the chart know it.
    k8s/kind/bin/ctr --namespace k8s.io images tag --force "$reference" "docker.io/tutelage/${name%%:*}:$version" \
      </dev/null
  done
}

say_what_next() {
  cat <<EOF

Kubeflow Pipelines: http://localhost:8080    S3: https://localhost:7070

  export KUBECONFIG=$KUBECONFIG TUTELAGE_KFP_HOST=http://localhost:8080
  .venv/bin/tutelage submit pipelines/recipes/demo.yaml --placement k8s/kind/placement.yaml --store s3://tutelage/demo --watch

k8s/kind/down.sh removes all of it.
EOF
}

main "$@"
