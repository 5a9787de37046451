#!/bin/sh
# Build versitygw, a real S3 server over a folder, from its Go module: build_versitygw.sh FOLDER
# FOLDER/versitygw is there afterwards; the build takes about a minute once and nothing later.
set -eu

version=v1.8.0
folder=$1
[ -x "$folder/versitygw" ] && exit 0
mkdir -p "$folder"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat >go.mod <<EOF
module build

go 1.24

require github.com/versity/versitygw $version
EOF
CGO_ENABLED=0 GOFLAGS=-mod=mod GOTOOLCHAIN=local go build -trimpath -o versitygw github.com/versity/versitygw/cmd/versitygw
# A rename on the same file system: two builds at once do not see half a program.
cp versitygw "$folder/.versitygw-$$"
mv "$folder/.versitygw-$$" "$folder/versitygw"
