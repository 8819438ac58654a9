#!/usr/bin/env bash
# Builds the packages twice and tests them in scratch roots, which are overlays
# of this machine's root, or of the one that ROOT names, in namespaces of their
# own. Needs root.
set -euo pipefail
cd "$(dirname "$0")"
build=../build.sh

if [ "$(id -u)" -ne 0 ]; then
	echo "run it as root: it mounts file systems, in a namespace of its own" >&2
	exit 1
fi
temporary=$(mktemp -d)
# systemd needs a cgroup of its own.
cgroup=$(findmnt -n -o TARGET -t cgroup2 | head -1)/permalink-milter-test.$$
trap 'rm -rf "$temporary"; [ ! -d "$cgroup" ] || find "$cgroup" -depth -type d -exec rmdir {} +' EXIT
export PACKAGES=$temporary/packages WORK=$temporary/scratch
mkdir "$WORK" "$cgroup"

echo "== the same bytes from two places"
"$build" "$PACKAGES/new" >/dev/null
git clone -q "$(git rev-parse --show-toplevel)" "$temporary/clone"
"$temporary/clone/cmd/permalink-milter/package/build.sh" "$temporary/again" >/dev/null
diff -r "$PACKAGES/new" "$temporary/again"
(cd "$PACKAGES/new" && sha256sum -- *)
VERSION=0.0.1 ARCHITECTURES=$(go env GOHOSTARCH) "$build" "$PACKAGES/old" >/dev/null

echo "== lintian"
for deb in "$PACKAGES"/new/*.deb; do
	lintian --allow-root --display-info --pedantic --fail-on error,warning,info,pedantic "$deb"
done

# in_scratch FILE runs it in a scratch root, with output to the file "log".
in_scratch() {
	(
		echo $BASHPID >"$cgroup/cgroup.procs"
		exec timeout 600 unshare --cgroup --ipc --uts --mount --net --pid --fork --kill-child ./scratch.sh "$1" </dev/null
	)
}

for try in deb rpm systemd; do
	echo "== $try in a scratch root"
	: >"$PACKAGES/log"
	result=0
	in_scratch $try.sh >"$temporary/console" 2>&1 || result=$?
	cat "$PACKAGES/log"
	if [ $result -ne 0 ]; then
		cat "$temporary/console"
		exit 1
	fi
done
