#!/usr/bin/env bash
# The CGRateS with which the tests rate our records, as test/cgrates names it: built once, its databases in memory. It
# prints the program.
#
#   scripts/cgrates.sh get [DIR]
#
# DIR  default .tools/cgrates
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
dir=${2:-.tools/cgrates}
if [[ ${1:-} != get ]]; then
	sed -n '2,/^set/{/^set/!p}' "${BASH_SOURCE[0]}" >&2
	exit 2
fi
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
go -C test/cgrates build -o "$dir/cgr-engine" github.com/cgrates/cgrates/cmd/cgr-engine
echo "$dir/cgr-engine"
