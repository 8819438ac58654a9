#!/bin/sh
# Makes XML v3, HTML and text of an Internet-Draft, and checks it with idnits.
# usage: build.sh DRAFT.md FOLDER
set -eu
name=$(basename "$1" .md)
mkdir -p "$2"
out=$(cd "$2" && pwd)
cd "$(dirname "$1")"
mmark "$name.md" >"$out/$name.xml"
# A submission bears the date of its day.
sed -i "s|<date/>|$(LC_ALL=C date -u +'<date year="%Y" month="%B" day="%-d"/>')|" "$out/$name.xml"
# mmark leaves the text of references inside the document to xml2rfc.
mmark -html "$name.md" | sed 's|<a href="#\([^"]*\)"></a>|<a href="#\1">section \1</a>|g' >"$out/$name.html"
w3m -dump -cols 72 -T text/html -I UTF-8 -O UTF-8 "$out/$name.html" >"$out/$name.txt"
ls -l "$out"
# idnits ends with 0 whatever it finds.
nits=$(npm exec --yes --package=@ietf-tools/idnits@3.0.0-alpha.74 -- \
	idnits --offline --mode submission --output simple --no-progress "$out/$name.xml")
echo "$nits"
case $nits in PASS*) ;; *) exit 1 ;; esac
