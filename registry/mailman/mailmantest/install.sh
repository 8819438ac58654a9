#!/bin/sh
# Unpacks Debian's Mailman 3 and HyperKitty, with the Python packages that they need, into the user's cache. Installed,
# they would start services and change the machine's mail.
# usage: install.sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
[ ! -e "${XDG_CACHE_HOME:-$HOME/.cache}/permalink-milter/mailman3" ] || exit 0
sudo=
[ "$(id -u)" -eq 0 ] || sudo=sudo
$sudo apt-get update -qq
# What is not Python is for other databases and for Mailman's own commands.
packages=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
	--no-enhances mailman3 python3-django-hyperkitty python3-mailman-hyperkitty |
	grep -E '^(mailman3|python3-[a-z0-9.+-]+)$' | sort -u)
# shellcheck disable=SC2086 # one word a package
"$here/../../../testdata/unpack.sh" mailman3 $packages
