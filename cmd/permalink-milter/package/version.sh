#!/usr/bin/env bash
# Prints the version of a package or image: the number of a tag, TAG+COMMITS.gHASH
# for a commit after one, and a pre-release version if there is no tag.
set -euo pipefail
cd "$(dirname "$0")"
git describe --tags --match 'v*' 2>/dev/null | sed 's/^v//; s/-\([0-9]*\)-g/+\1.g/' | grep . ||
	echo "0.1.0~dev.$(git rev-list --count HEAD).g$(git rev-parse --short=8 HEAD)"
