#!/bin/sh
# Unpacks Debian's Mailman 3 and HyperKitty, with the Python packages that they need, into a folder of the user's cache,
# and installs none of them: their packages would start services and change the machine's mail. Prints the folder.
# usage: install.sh
set -eu
cache=${XDG_CACHE_HOME:-$HOME/.cache}/permalink-milter
root=$cache/mailman3

[ ! -e "$root/complete" ] || { echo "$root"; exit 0; }
mkdir -p "$cache"
exec 9>"$cache/mailman3.lock"
flock 9
[ ! -e "$root/complete" ] || { echo "$root"; exit 0; }

sudo=
[ "$(id -u)" -eq 0 ] || sudo=sudo
$sudo apt-get update -qq
# Libraries in C come with install.sh; here are mailman3 and what is Python.
packages=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
	--no-enhances mailman3 python3-django-hyperkitty python3-mailman-hyperkitty |
	grep -E '^(mailman3|python3-[a-z0-9.+-]+)$' | sort -u)
rm -rf "$root"
mkdir -p "$root/packages"
echo "downloading Mailman 3 and HyperKitty: $(echo "$packages" | wc -l) packages" >&2
# shellcheck disable=SC2086 # one word a package
(cd "$root/packages" && apt-get download -qq $packages 2>/dev/null)
for package in "$root"/packages/*.deb; do
	dpkg -x "$package" "$root"
done
rm -rf "$root/packages"
touch "$root/complete"
echo "$root"
