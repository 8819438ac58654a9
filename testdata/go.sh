#!/bin/sh
# Says in one line what is missing where Go is not there, or too old to fetch the
# version that go.mod names. Go does so by itself since 1.21.
# usage: go.sh
needs=$(sed -n 's/^go //p' "$(dirname "$0")/../go.mod")
get="get it from https://go.dev/dl/, or on Debian with: apt-get install -t bookworm-backports golang-go"
version=$(GOTOOLCHAIN=local go version 2>/dev/null | sed -n 's/^go version go\([0-9.]*\).*/\1/p')
if [ -z "$version" ]; then
	echo "Go is missing: Go 1.21 or later is needed, which fetches $needs by itself; $get" >&2
	exit 1
fi
minor=${version#1.}
if [ "${minor%%.*}" -lt 21 ]; then
	echo "Go $version is too old: Go 1.21 or later is needed, which fetches $needs by itself; $get" >&2
	exit 1
fi
