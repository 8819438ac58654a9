#!/bin/sh
# Unpacks Debian packages into a folder of the user's cache, where they do not get in the way of what the machine runs,
# and installs the libraries that they need; not with --alone.
# usage: unpack.sh [--alone] NAME PACKAGE...
set -eu
alone=
[ "$1" != --alone ] || { alone=1 && shift; }
here=$(cd "$(dirname "$0")" && pwd)
folder="${XDG_CACHE_HOME:-$HOME/.cache}/permalink-milter/$1"
shift
[ ! -e "$folder" ] || exit 0
sudo=
[ "$(id -u)" -eq 0 ] || sudo=sudo
mkdir -p "$(dirname "$folder")"
work=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
echo "unpacking $* into $folder"
$sudo apt-get update -qq
apt-get download -qq "$@" >/dev/null 2>apt.err || { cat apt.err >&2; exit 1; } # it warns that root needs no sandbox
libraries=
for file in *.deb; do
	dpkg -x "$file" tree
	[ -z "$alone" ] || continue
	needs=$(dpkg-deb -f "$file" Depends | tr ',' '\n' | sed -n 's/^ *\(lib[^ (|]*\).*/\1/p')
	libraries="$libraries $needs"
done
# shellcheck disable=SC2086 # one word a package
"$here/install.sh" $libraries
chmod 0755 tree
mv -T tree "$folder" || [ -e "$folder" ] # which another run may have made
