#!/usr/bin/env bash
# Builds an OCI image from scratch with the two static programs, and runs it
# once. The image has no shell, no configuration and no state: mount
# /etc/permalink-milter and /var/lib/permalink-milter. In a container the daemon
# must listen on inet:0.0.0.0:8899 or on a unix socket in a mounted directory.
# Run it as root, or with buildah unshare.
# usage: image.sh DIRECTORY
set -euo pipefail
umask 022
out=$(realpath -m "$1")
VERSION=${VERSION:-$("$(dirname "$0")/version.sh")}
cd "$(git -C "$(dirname "$0")" rev-parse --show-toplevel)"
name=permalink-milter
stage=$(mktemp -d)
container=
trap '[ -z "$container" ] || buildah rm "$container" >/dev/null; rm -rf "$stage"' EXIT

mkdir -p "$out" "$stage"/{usr/bin,etc/ssl/certs,etc/permalink-milter,var/lib/permalink-milter,run/permalink-milter,tmp}
CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X permalink-milter/cmd/internal/version.release=$VERSION" -o "$stage/usr/bin/" ./cmd/permalink-milter ./cmd/permalink
printf '%s:x:65532:65532::/var/lib/permalink-milter:/sbin/nologin\n' $name >"$stage/etc/passwd"
printf '%s:x:65532:\n' $name >"$stage/etc/group"
# For rediss:// and https:// with the CAs of the system.
[ ! -e /etc/ssl/certs/ca-certificates.crt ] || cp /etc/ssl/certs/ca-certificates.crt "$stage/etc/ssl/certs/"

container=$(buildah from scratch)
root=$(buildah mount "$container")
cp -a "$stage/." "$root"
chown -R 0:0 "$root"
chmod 0755 "$root"
chown 65532:65532 "$root/var/lib/permalink-milter" "$root/run/permalink-milter"
buildah umount "$container" >/dev/null
buildah config --user 65532:65532 --port 8899/tcp --volume /var/lib/permalink-milter --workingdir /var/lib/permalink-milter \
	--env STATE_DIRECTORY=/var/lib/permalink-milter --entrypoint '["/usr/bin/permalink-milter"]' \
	--cmd '--config /etc/permalink-milter/permalink-milter.toml' --label org.opencontainers.image.licenses=MIT "$container"
buildah run --isolation chroot "$container" -- /usr/bin/permalink-milter --version
buildah run --isolation chroot "$container" -- /usr/bin/permalink-milter --check
rm -f "$out/$name.oci.tar"
buildah commit --quiet "$container" "oci-archive:$out/$name.oci.tar:$name:latest" >/dev/null
ls -l "$out/$name.oci.tar"
