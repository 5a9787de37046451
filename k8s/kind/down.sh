#!/usr/bin/env bash
# Removes the cluster of up.sh with everything in it, the store too.
set -euo pipefail
cd "${BASH_SOURCE[0]%/*}/../.."
. k8s/kind/versions.env
. k8s/kind/programs.sh

require kind docker rm
kind delete cluster --name tutelage
rm -f "${TUTELAGE_KIND_KUBECONFIG:-$HOME/.kube/tutelage-kind}"
