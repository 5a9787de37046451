#!/usr/bin/env bash
# A base image without a registry: minimal Debian with Python, from Debian's packages, committed under the name REFERENCE.
#   images/debian/bootstrap.sh REFERENCE EPOCH
set -euo pipefail
reference=$1 epoch=$2
root=$(mktemp -d "${TMPDIR:-/var/tmp}/tutelage-debian.XXXXXX")
trap 'rm -rf "$root"' EXIT

debootstrap --variant=minbase --include=ca-certificates,python3 bookworm "$root" > "$root.log" 2>&1 || {
  tail -20 "$root.log" >&2
  exit 1
}
rm -f "$root.log"
# Security updates too, in the image as in whatever is installed on top of it.
mirror=$(awk '$1 == "deb" { print $2; exit }' "$root/etc/apt/sources.list")
for source in "$mirror bookworm" "$mirror bookworm-updates" "${mirror%/debian}/debian-security bookworm-security"; do
  echo "deb $source main"
done > "$root/etc/apt/sources.list"
chroot "$root" sh -c 'apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get upgrade -qq --yes' > /dev/null

# Whatever differs from run to run, and what no container reads. Licences stay.
rm -rf "$root"/var/cache/apt/* "$root"/var/cache/debconf/*-old "$root"/var/cache/ldconfig/* "$root"/var/lib/apt/lists/* \
  "$root"/var/lib/dpkg/*-old "$root"/var/log/* "$root"/usr/share/{man,info,locale} "$root"/etc/{hostname,machine-id,resolv.conf}
find "$root/usr/share/doc" -type f ! -name copyright -delete
find "$root/usr" -name __pycache__ -prune -exec rm -rf {} +

container=$(buildah from scratch)
buildah copy --quiet "$container" "$root" /
buildah config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
buildah commit --quiet --rm --timestamp "$epoch" "$container" "$reference"
