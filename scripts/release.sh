#!/usr/bin/env bash
# Builds what is released, in a way that anybody can repeat: static programs for each platform with their manual,
# completions and a bill of materials, in archives, and their checksums.
#
#   scripts/release.sh VERSION [DIR]     into DIR (default: dist), which is made anew; VERSION as v1.2.3
#   scripts/release.sh check             builds twice, in two folders, and compares
#
# PLATFORMS  which, as "linux/amd64 linux/arm64 darwin/arm64" (the default)
# SBOM       empty: without bills of materials, which need a tool that is built first
#
# The same commit, version and Go give the same bytes. Changes that are not committed are an error.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
sbom_tool=github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.9.0
platforms=${PLATFORMS:-linux/amd64 linux/arm64 darwin/arm64}
export LC_ALL=C TZ=UTC

if [[ ${1:-} == check ]]; then
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	git clone -q "$top" "$work/1/januscdr-1"
	git clone -q "$work/1/januscdr-1" "$work/2/januscdr-2" # the same commit, whatever is committed meanwhile
	for n in 1 2; do
		(cd "$work/$n/januscdr-$n" && scripts/release.sh v0.0.0-check "$work/$n/dist")
	done
	diff "$work/1/dist/SHA256SUMS" "$work/2/dist/SHA256SUMS" || { echo "two builds differ"; exit 1; }
	(cd "$work/1/dist" && sha256sum --quiet -c SHA256SUMS)
	echo "two builds are the same, to the byte"
	for platform in $platforms; do
		name=januscdr-v0.0.0-check-${platform/\//-}
		tar -C "$work" -xzf "$work/1/dist/$name.tar.gz"
		for program in cdr ingest; do
			for part in "$program" "man1/$program.1" "completions/$program."{bash,zsh,fish} README.md CHANGELOG.md LICENSE; do
				[[ -s $work/$name/$part ]] || { echo "$name has no $part"; exit 1; }
			done
			if [[ ${SBOM-yes} ]] && ! grep -q '"purl": "pkg:golang/github.com/twmb/franz-go@' "$work/$name/$program.cdx.json"; then
				echo "$name: the bill of materials of $program does not name its client of Kafka"
				exit 1
			fi
			[[ $platform != "$(go env GOHOSTOS)/$(go env GOHOSTARCH)" ]] ||
				[[ $("$work/$name/$program" --version) == "$program v0.0.0-check" ]] ||
				{ echo "$name: $program says another version"; exit 1; }
		done
	done
	echo "each archive has programs, manual, completions and what they are made of"
	exit
fi

version=${1:-}
dist=$(realpath -m "${2:-dist}")
[[ $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] || { echo "usage: scripts/release.sh v1.2.3 [DIR] | check"; exit 2; }
cd "$top"
[[ -z $(git status --porcelain) ]] || { echo "there are changes that are not committed"; exit 1; }
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
rm -rf "$dist"
mkdir -p "$dist/tools"

# build OS ARCH DIR: the programs.
build() {
	CGO_ENABLED=0 GOOS=$1 GOARCH=$2 GOFLAGS='' go build -trimpath -buildvcs=false -pgo=cmd/cdr/cdr.pgo -o "$3/" \
		-ldflags "-s -w -buildid= -X januscdr/internal/cli.version=$version" ./cmd/cdr ./cmd/ingest
}

own=$dist/tools/own
build "$(go env GOHOSTOS)" "$(go env GOHOSTARCH)" "$own" # to write manual and completions
if [[ ${SBOM-yes} ]]; then GOBIN=$dist/tools GOFLAGS='' go install "$sbom_tool"; fi
for platform in $platforms; do
	os=${platform%/*} arch=${platform#*/}
	name=januscdr-$version-$os-$arch
	dir=$dist/$name
	mkdir -p "$dir/completions"
	build "$os" "$arch" "$dir"
	for program in cdr ingest; do
		"$own/$program" man "$dir/man1"
		for shell in bash zsh fish; do "$own/$program" completion $shell >"$dir/completions/$program.$shell"; done
		if [[ ${SBOM-yes} ]]; then
			"$dist/tools/cyclonedx-gomod" bin -json -noserial -version "$version" -output "$dir/$program.cdx.json" "$dir/$program"
			# when it was made is not what it is made of
			sed -i '/^ *"timestamp": /d' "$dir/$program.cdx.json"
		fi
	done
	cp README.md CHANGELOG.md LICENSE "$dir/"
	tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=u+rwX,go+rX,go-w \
		-C "$dist" -cf - "$name" | gzip -9n >"$dist/$name.tar.gz"
	rm -rf "$dir"
done
rm -rf "$dist/tools"
(cd "$dist" && sha256sum -- *.tar.gz >SHA256SUMS && cat SHA256SUMS)
