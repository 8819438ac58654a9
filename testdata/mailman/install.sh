#!/bin/sh
# Unpacks Debian's Mailman 3 and HyperKitty, with the Python packages that they need, into the user's cache, and installs
# none of them: they would start services and change the machine's mail.
# usage: install.sh
set -eu
cache=${XDG_CACHE_HOME:-$HOME/.cache}/permalink-milter
root=$cache/mailman3
sudo=
[ "$(id -u)" -eq 0 ] || sudo=sudo

[ ! -e "$root/complete" ] || exit 0
mkdir -p "$cache"
# One at a time, and none beside testdata/install.sh: apt-get fails at once while another one runs.
exec 9>"${TMPDIR:-/tmp}/permalink-milter-install.lock"
flock 9
[ ! -e "$root/complete" ] || exit 0
$sudo apt-get update -qq
# What is not Python is for other databases and for Mailman's own commands.
packages=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
	--no-enhances mailman3 python3-django-hyperkitty python3-mailman-hyperkitty |
	grep -E '^(mailman3|python3-[a-z0-9.+-]+)$' | sort -u)
echo "downloading Mailman 3 and HyperKitty into $root"
rm -rf "$root"
mkdir -p "$root/packages"
# shellcheck disable=SC2086 # one word a package
(cd "$root/packages" && apt-get download -qq -o APT::Sandbox::User="$(id -un)" $packages)
for package in "$root"/packages/*.deb; do
	dpkg -x "$package" "$root"
done
rm -rf "$root/packages"
touch "$root/complete"
