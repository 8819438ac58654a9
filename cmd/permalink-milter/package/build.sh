#!/usr/bin/env bash
# Builds the Debian and RPM packages of the last commit. The build is
# reproducible: a commit gives the same bytes on every machine.
# usage: build.sh DIRECTORY
# Variables: VERSION, PACKAGER='NAME <ADDRESS>', ARCHITECTURES='amd64 arm64'
set -euo pipefail
umask 022
out=$(realpath -m "$1")
cd "$(dirname "$0")"
nfpm=github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2

export VERSION=${VERSION:-$(./version.sh)}
export PACKAGER=${PACKAGER:-permalink-milter authors <permalink-milter@lists.example.org>}
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH LC_ALL=C TZ=UTC CGO_ENABLED=0 GOFLAGS=

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
mkdir -p "$out" "$stage"/{source,man,completion}
(cd "$(git rev-parse --show-toplevel)" && git archive HEAD) | tar -x --no-same-permissions -C "$stage/source"
cd "$stage/source"

# compile ARCHITECTURE DIRECTORY
compile() {
	GOOS=linux GOARCH=$1 go build -trimpath -buildvcs=false -ldflags "-s -w -X permalink-milter/cmd/internal/version.release=$VERSION" -o "$2/" ./cmd/permalink-milter ./cmd/permalink
}

# pack compresses stdin without a name and time.
pack() { gzip -9n; }

manuals() {
	local page
	for page in cmd/permalink-milter/*.[58] cmd/permalink/man/*.1; do
		pack <"$page" >"$stage/man/${page##*/}.gz"
	done
}

# completions runs the programs, which print their completions.
completions() {
	local program shell
	compile "$(go env GOHOSTARCH)" "$stage/host"
	for program in permalink permalink-milter; do
		for shell in bash zsh fish; do
			"$stage/host/$program" completion $shell >"$stage/completion/$program.$shell"
		done
	done
}

# configuration prints the example with all settings commented out but two:
# state_dir, the default of the daemon's unit, which makes it the tool's, too, and
# the addresses: unix sockets, which only the MTA may open. The first is inside
# the chroot of Debian's Postfix.
configuration() {
	echo '# Settings after # are examples, most of them the defaults: permalink-milter.toml(5).'
	echo '# permalink-milter --check reports every problem of this file.'
	echo
	sed -E -e '/^state_dir = /! s/^([a-z_]+ = |\[\[)/#\1/' \
		-e "s|^#listen = \\['inet:.*|listen = ['unix:/var/spool/postfix/permalink-milter/milter.sock', 'unix:/run/permalink-milter/milter.sock']|" config/example.toml
}

# licences prints the licences of what is linked into the programs, as they
# require.
licences() {
	local module
	echo Go
	cat "$(go env GOROOT)/LICENSE"
	go version -m "$stage/bin" | awk '$1 == "dep" { print $2 }' | sort -u | while read -r module; do
		printf '\n%s\n\n' "$module"
		find "$(go list -m -f '{{.Dir}}' "$module")" -maxdepth 1 -type f \( -iname 'licen[cs]e*' -o -iname 'notice*' \) -exec cat {} +
	done
}

# changelog prints a Debian changelog with one entry, for this build.
changelog() {
	printf 'permalink-milter (%s-1) unstable; urgency=medium\n\n' "$VERSION"
	printf '  * Build of this version. See changelog.gz for the changes.\n\n'
	printf ' -- %s  %s\n' "$PACKAGER" "$(date -R -d "@$SOURCE_DATE_EPOCH")"
}

# documents copies the documents as they lie beside each other, so that their
# links work.
documents() {
	local file
	while read -r file; do
		mkdir -p "$1/$(dirname "$file")"
		cp -r "$file" "$1/$file"
	done <cmd/permalink-milter/package/documents
}

manuals
completions
documents "$stage/doc"
configuration >"$stage/permalink-milter.toml"
pack <CHANGELOG.md >"$stage/changelog.gz"
changelog | pack >"$stage/changelog.Debian.gz"
for ARCH in ${ARCHITECTURES:-amd64 arm64}; do
	export ARCH
	compile "$ARCH" "$stage/bin"
	licences | pack >"$stage/licences.gz"
	find "$stage" -exec touch -hd "@$SOURCE_DATE_EPOCH" {} +
	for packager in deb rpm; do
		(cd "$stage" && go run "$nfpm" package --config source/cmd/permalink-milter/package/nfpm.yaml --packager $packager --target "$out")
	done
done
