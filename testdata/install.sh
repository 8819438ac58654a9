#!/bin/sh
# Installs Debian packages that are missing, and starts none of their services.
# usage: install.sh PACKAGE...
set -eu
sudo=
[ "$(id -u)" -eq 0 ] || sudo=sudo
policy=/usr/sbin/policy-rc.d

missing() {
	for package in "$@"; do
		dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q 'ok installed' || printf ' %s' "$package"
	done
}

[ -n "$(missing "$@")" ] || exit 0
# One at a time: apt-get fails at once while another one runs.
exec 9>"${TMPDIR:-/tmp}/permalink-milter-install.lock"
flock 9
packages=$(missing "$@")
[ -n "$packages" ] || exit 0
if [ ! -e "$policy" ]; then
	trap '$sudo rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
	$sudo chmod 0755 "$policy"
fi
echo "installing$packages"
$sudo apt-get update -qq
# shellcheck disable=SC2086 # one word a package
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	-o DPkg::Lock::Timeout=300 $packages >/dev/null
