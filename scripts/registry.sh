#!/usr/bin/env bash
# An Apicurio schema registry for tests: on the loopback, kept in memory. It prints the URL at which it speaks Confluent's
# interface. Needs Java 17 and, for the download, Maven.
#
#   scripts/registry.sh start [DIR]    starts one and returns when it is ready
#   scripts/registry.sh strike [DIR]   kills it, which makes it forget everything
#   scripts/registry.sh stop [DIR]
#
# DIR            default .tools/registry
# REGISTRY_PORT  default 19281, below the ports of outgoing connections
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command=${1:-} dir=${2:-.tools/registry}
version=2.6.13.Final port=${REGISTRY_PORT:-19281}
mkdir -p "$dir"

get() {
	[[ -e $dir/complete ]] && return
	mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.6.1:get -Dtransitive=false \
		-Dartifact=io.apicurio:apicurio-registry-app:$version:tar.gz:all >&2
	tar xzf "${M2_REPO:-$HOME/.m2/repository}/io/apicurio/apicurio-registry-app/$version/apicurio-registry-app-$version-all.tar.gz" -C "$dir"
	touch "$dir/complete"
}

running() { [[ -e $dir/pid ]] && kill -0 "$(<"$dir/pid")" 2>/dev/null; }

case $command in
start)
	get
	java -Xmx384m -Dquarkus.http.host=127.0.0.1 -Dquarkus.http.port="$port" \
		-jar "$dir/apicurio-registry-app-$version-runner.jar" >"$dir/log" 2>&1 </dev/null &
	echo $! >"$dir/pid"
	url=http://127.0.0.1:$port/apis/ccompat/v7
	for ((i = 0; i < 400; i++)); do
		running || break
		# An answer on the port may be somebody else's: its log says that it listens.
		if grep -q "Listening on" "$dir/log" && curl -sf "$url/subjects" >/dev/null; then
			echo "$url"
			exit
		fi
		sleep 0.3
	done
	tail -n 20 "$dir/log" >&2
	exit 1
	;;
strike)
	kill -9 "$(<"$dir/pid")"
	;;
stop)
	if running; then kill "$(<"$dir/pid")"; fi
	rm -f "$dir/pid"
	;;
*)
	sed -n '2,/^set/{/^set/!p}' "${BASH_SOURCE[0]}" >&2
	exit 2
	;;
esac
