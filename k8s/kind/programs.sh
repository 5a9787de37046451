# Sourced: says which programs are missing, all at once, and how to get each. Uses the shell alone.
# shellcheck shell=bash

require() { # PROGRAM...
  local program missing=0
  for program; do
    command -v "$program" >/dev/null && continue
    echo "$program is missing: $(how_to_get "$program")" >&2
    missing=1
  done
  [ "$missing" -eq 0 ] || exit 1
}

how_to_get() { # PROGRAM
  case "$1" in
    kind) echo "https://kind.sigs.k8s.io/docs/user/quick-start/#installation, version $KIND_VERSION or later" ;;
    docker) echo "https://docs.docker.com/engine/install/" ;;
    kubectl) echo "https://kubernetes.io/docs/tasks/tools/" ;;
    helm) echo "https://helm.sh/docs/intro/install/, version 3.13 or later" ;;
    buildx) echo "https://docs.docker.com/build/install-buildx/, or buildah, or --no-images" ;;
    *) echo "apt-get install $1, or your system's like" ;;
  esac
}
