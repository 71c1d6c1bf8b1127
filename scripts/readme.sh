#!/usr/bin/env bash
# Walks the README in a fresh clone of what is committed: each command that it shows is run as it stands, but for what
# stands for something else (…, SESSION, names of hosts and files), which is filled in. A command that is not known
# here, or one that the README does not show any more, is an error.
#
#   scripts/readme.sh        needs Go and curl; ports are free ones
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
demo=''
# shellcheck disable=SC2317,SC2329 # called by the trap
cleanup() {
	if [[ $demo ]]; then kill "$demo" 2>/dev/null && wait "$demo" 2>/dev/null || true; fi
	rm -rf "$work"
}
trap cleanup EXIT
git clone -q "$top" "$work/clone"
cd "$work/clone"
export GOFLAGS=-buildvcs=false JANUSCDR_LOG_LEVEL=error

# What the README shows: code in the text, and blocks of shell.
shown() {
	# shellcheck disable=SC2016 # the backquotes are Markdown's
	grep -oE '`(cdr|ingest|go) [^`]*`' README.md | tr -d '`'
	# shellcheck disable=SC2016
	sed -n '/^```sh$/,/^```$/p' README.md | grep -v '^```'
}
shown >"$work/shown"
declare -A walked=()
failed=0

# walk TEXT COMMAND...: the README shows TEXT, and COMMAND is how it is run here. It must end with 0, or with what
# CODE says.
walk() {
	local text=$1 code=0 begun=$SECONDS
	shift
	walked[$text]=1
	"$@" >"$work/said" 2>&1 </dev/null || code=$?
	if [[ $code != "${CODE:-0}" ]]; then
		printf 'README: %s\n  run as: %s\n  ended with %s:\n' "$text" "$*" "$code"
		head -n 20 "$work/said"
		failed=1
	else
		printf '%3d s  %s\n' $((SECONDS - begun)) "$text"
	fi
}

port() { echo $((20000 + RANDOM % 10000)); }
broker=127.0.0.1:$(port) events=127.0.0.1:$(port) health=127.0.0.1:$(port)
walk "go run ./cmd/cdr demo --exit" go run ./cmd/cdr demo --exit --speed 0 --broker-listen 127.0.0.1:0 \
	--ingest-listen 127.0.0.1:0 --admin-listen 127.0.0.1:0
walk "go test ./..." go test -run '^$' ./cmd/... ./cdr # that they build; the test stage runs them
go build -o "$work/bin/" ./cmd/cdr ./cmd/ingest
PATH=$work/bin:$PATH
cdr demo --speed 0 --broker-listen "$broker" --ingest-listen "$events" --admin-listen "$health" >"$work/demo" 2>&1 &
demo=$!
until curl -fsS "http://$health/readyz" >/dev/null 2>&1 && grep -q 'What to try next' "$work/demo"; do
	kill -0 "$demo" 2>/dev/null || { cat "$work/demo"; exit 1; }
	sleep 0.2
done
session=$(sed -n 's/.* explain \([0-9]*\) .*/\1/p' "$work/demo" | head -n 1)
log=januscdr-data/events.jsonl
call=$(cdr assemble $log 2>/dev/null | sed -n 's/.*"sip_call_id":"\([^"]*\)".*/\1/p' | head -n 1)
of=(--config januscdr-data/demo.yaml)
other=(--kafka-brokers "$broker" --topics-events re --topics-cdr rc --topics-state rs --topics-dlq rd)

walk "cdr topics create --kafka-brokers kafka-1:9092,kafka-2:9092,kafka-3:9092 --topics-replication 3" \
	cdr topics create "${other[@]}" --topics-replication 1
walk "cdr topics check" cdr topics check "${other[@]}"
walk "ingest --kafka-brokers … --ingest-listen 127.0.0.1:8090 --spool-dir /var/lib/januscdr-spool" \
	timeout --foreground --preserve-status 3 ingest --kafka-brokers "$broker" "${other[@]:2}" --ingest-listen 127.0.0.1:0 \
	--admin-listen "" --spool-dir "$work/spool"
walk "cdr play http://127.0.0.1:8090/events" cdr play "http://$events/events" --speed 0
walk "cdr run --kafka-brokers … --state-dir /var/lib/januscdr" timeout --foreground --preserve-status 5 \
	cdr run "${other[@]}" --state-dir "$work/state" --instance readme --admin-listen ""
walk "cdr tail --json" cdr tail "${of[@]}" --json --once --from earliest
walk "cdr tail --last 2h --outcome busy --newest-first" cdr tail "${of[@]}" --last 2h --outcome busy --newest-first
walk "cdr tail --dlq" cdr tail "${of[@]}" --dlq --once
walk "cdr explain SESSION" cdr explain "$session" "${of[@]}"
walk "cdr explain --call-id …" cdr explain --call-id "$call" "$log"
walk "cdr replay --verify" cdr replay "${of[@]}" --verify
walk "cdr config print --describe" cdr config print --describe
walk "ingest janus-config" ingest janus-config
walk "ingest --stdin" ingest --stdin "${other[@]}"
walk "cdr assemble events.jsonl" cdr assemble "$log"
walk "cdr explain SESSION events.jsonl" cdr explain "$session" "$log"

while read -r text; do
	case $text in
	"cdr run" | "cdr sink" | "cdr export" | "cdr copy" | "cdr tail") ;; # a command as a name
	*) [[ ${walked[$text]:-} ]] || { echo "README shows a command that is not walked here: $text"; failed=1; } ;;
	esac
done <"$work/shown"
for text in "${!walked[@]}"; do
	grep -qxF -- "$text" "$work/shown" || { echo "README does not show any more: $text"; failed=1; }
done
exit $failed
