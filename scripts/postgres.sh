#!/usr/bin/env bash
# A PostgreSQL of Debian's package for tests: on the loopback, with a data directory of its own, never as root. It prints
# the URL of its database.
#
#   scripts/postgres.sh start [DIR]    starts one and returns when it is ready
#   scripts/postgres.sh strike [DIR]   kills it, as a loss of power does to a process, and starts it again
#   scripts/postgres.sh stop [DIR]
#
# DIR            default .tools/postgres
# POSTGRES_PORT  default 21432
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command=${1:-} dir=${2:-.tools/postgres}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)


# The folder of a checkout may be closed to others, so root's data lies where the user postgres may go.
if ((EUID == 0)); then

	[[ -e $dir/home ]] || {
		home=$(mktemp -d "${TMPDIR:-/tmp}/januscdr-postgres.XXXXXX")
		chown postgres "$home"
		echo "$home" >"$dir/home"
	}
	data=$(<"$dir/home")
	as=(runuser -u postgres -- env -C "$data")
else
	data=$dir
	as=()
fi
bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)

ctl() { "${as[@]}" "$bin/pg_ctl" -D "$data/data" -w -t 60 "$@" </dev/null >>"$dir/log" 2>&1; }

start() {
	port=$(<"$dir/port")
	# Without fsync a killed process loses nothing, only a machine would.
	ctl start -l "$data/server.log" -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$data -c fsync=off" || {
		cat "$dir/log" "$data/server.log" >&2
		return 1
	}
}

case $command in
start)
	echo "${POSTGRES_PORT:-21432}" >"$dir/port"
	"${as[@]}" "$bin/initdb" -D "$data/data" -A trust -U postgres --no-sync >"$dir/log" 2>&1 || {
		cat "$dir/log" >&2
		exit 1
	}
	start
	echo "postgres://postgres@127.0.0.1:$(<"$dir/port")/postgres"
	;;
strike)
	ctl stop -m immediate
	start
	;;
stop)
	if [[ -e $data/data/postmaster.pid ]]; then ctl stop -m fast; fi
	if ((EUID == 0)); then rm -rf "${data:?}" "${dir:?}/home"; else rm -rf "${data:?}/data"; fi
	;;
*)
	sed -n '2,/^set/{/^set/!p}' "${BASH_SOURCE[0]}" >&2
	exit 2
	;;
esac
