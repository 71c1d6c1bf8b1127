#!/usr/bin/env bash
# A real Apache Kafka (KRaft, no Docker) for trying out and for tests. Needs Java 17 and, for `get`, Maven; `start-secure` needs openssl.
#
#   scripts/kafka.sh get                        download Apache Kafka once
#   scripts/kafka.sh start [BROKERS] [DIR]      start 1 or 3 brokers (default 1), wait until they are ready, print their addresses
#   scripts/kafka.sh start-secure [DIR]         one broker that also listens with TLS: SASL (PLAIN, SCRAM) and client certificates;
#                                               what has an access list is for those in it, and for who comes without TLS
#   scripts/kafka.sh start-one BROKER DIR       start one of them again that does not run, and wait until it is ready
#   scripts/kafka.sh status [DIR]               say what runs; the exit status is 0 when all brokers do
#   scripts/kafka.sh stop [DIR]                 stop them and keep their data; delete DIR to forget everything
#
# `start` over a folder that has data goes on with that data, and starts again only those brokers that do not run.
#
# DIR                .tools/kafka/data (start-secure: .tools/kafka/secure): data, logs and pids, all state there is
# KAFKA_PORT         first port, 19092 (start-secure: 19192). Broker N has KAFKA_PORT+10(N-1) for clients and the next one for its
#                    controller; start-secure adds +2 for SASL_SSL and +3 for SSL. Below 32768: above, an outgoing
#                    connection of any client can own the port already.
# KAFKA_THROUGH      a port, or empty: broker N then also listens at its port +4, and tells who comes there to come to KAFKA_THROUGH+N-1:
#                    somebody listens there and passes on what is said, as a balancer does
# KAFKA_CLOCK        empty, or -90m: how wrong the clocks of the brokers are; needs libfaketime (apt-get install faketime)
# KAFKA_VERSION      4.1.1
# KAFKA_LIB          .tools/kafka/lib-VERSION: the jars
# KAFKA_WAIT         seconds to wait for a broker, 60
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
version=${KAFKA_VERSION:-4.1.1}
lib=${KAFKA_LIB:-$top/.tools/kafka/lib-$version}
wait_s=${KAFKA_WAIT:-60}

fail() {
	echo "kafka.sh: $*" >&2
	exit 1
}

usage() {
	sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
}

get() {
	[[ -e $lib/complete ]] && return
	command -v mvn >/dev/null || fail "get Kafka $version: mvn is not installed (apt-get install maven)"
	mkdir -p "$(dirname "$lib")"
	(
		flock 9
		[[ -e $lib/complete ]] && exit
		rm -rf "$lib"
		mkdir -p "$lib"
		# kafka 4.x speaks slf4j 1.7, hence log4j-slf4j-impl; without it the server is mute.
		cat >"$lib/pom.xml" <<X
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>januscdr</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$version</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$version</version></dependency>
<dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.24.3</version></dependency>
</dependencies></project>
X
		mvn -q -B -f "$lib/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
			-DoutputDirectory="$lib" -DincludeScope=runtime >&2 || fail "get Kafka $version: Maven failed, see above"
		cat >"$lib/log4j2.properties" <<'X'
rootLogger.level = ${sys:level:-info}
rootLogger.appenderRef.c.ref = C
appender.c.type = Console
appender.c.name = C
appender.c.layout.type = PatternLayout
appender.c.layout.pattern = [%d] %p %m (%c)%n
X
		touch "$lib/complete"
	) 9>"$lib.lock"
}

# java_small runs a Java program that should start quickly and stay small.
java_small() {
	java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$lib/log4j2.properties" -cp "$lib/*" "$@"
}

# pid_of prints the pid of broker $2 below $1 if it runs. A pid file alone proves nothing: the number may be somebody else's by now.
pid_of() {
	local pid
	pid=$(cat "$1/b$2/pid" 2>/dev/null) || return 1
	[[ -n $pid ]] && tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qxF "$1/b$2/server.properties" || return 1
	echo "$pid"
}

answers() { (exec 3<>"/dev/tcp/localhost/$1") 2>/dev/null; }

port_of() { echo $(($1 + 10 * ($2 - 1))); }

# settings prints server.properties of broker $2 of $3 below $1, with the first port $4; $5 is "secure" or empty.
settings() {
	local dir=$1 id=$2 n=$3 first=$4 secure=$5 port isr=1 voters='' i listeners advertised
	port=$(port_of "$first" "$id")
	if ((n > 1)); then isr=2; fi
	for ((i = 1; i <= n; i++)); do voters+="${voters:+,}$i@localhost:$(($(port_of "$first" "$i") + 1))"; done
	listeners=PLAINTEXT://localhost:$port
	if [[ $secure ]]; then listeners+=,SASL_SSL://localhost:$((port + 2)),SSL://localhost:$((port + 3)); fi
	advertised=$listeners
	if [[ ${KAFKA_THROUGH:-} ]]; then
		listeners+=,THROUGH://localhost:$((port + 4))
		advertised+=,THROUGH://localhost:$((KAFKA_THROUGH + id - 1))
	fi
	# The two short broker.* times make fail-over quick enough for a test.
	cat <<X
process.roles=broker,controller
node.id=$id
controller.quorum.voters=$voters
listeners=$listeners,CONTROLLER://localhost:$((port + 1))
advertised.listeners=$advertised
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,THROUGH:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL
log.dirs=$dir/b$id/data
auto.create.topics.enable=false
default.replication.factor=$n
min.insync.replicas=$isr
offsets.topic.replication.factor=$n
offsets.topic.num.partitions=5
transaction.state.log.replication.factor=$n
transaction.state.log.min.isr=$isr
transaction.state.log.num.partitions=5
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
X
	[[ $secure ]] || return 0
	cat <<X
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_cdr="$(cat "$dir/tls/password")";
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.ssl.ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.location=$dir/tls/server.pem
ssl.truststore.type=PEM
ssl.truststore.location=$dir/tls/ca.pem
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
allow.everyone.if.no.acl.found=true
X
}

# certificates makes, below $1/tls, a CA, a server certificate for localhost, a client certificate and the password of the user cdr.
certificates() {
	local tls=$1/tls who
	[[ -e $tls/complete ]] && return
	command -v openssl >/dev/null || fail "make certificates: openssl is not installed (apt-get install openssl)"
	rm -rf "$tls"
	(
		umask 077
		mkdir -p "$tls"
		cd "$tls"
		openssl rand -hex 16 >password
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 3650 -subj "/CN=januscdr test CA" \
			-keyout ca.key -out ca.pem
		for who in server client; do
			openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj "/CN=$who" -keyout $who.key -out $who.csr
			openssl x509 -req -in $who.csr -CA ca.pem -CAkey ca.key -days 3650 -out $who.crt \
				-extfile <(echo "subjectAltName=DNS:localhost,IP:127.0.0.1")
		done
		cat server.key server.crt >server.pem # one file, as Kafka wants it
		touch complete
	) 2>"$1/openssl.log" || fail "make certificates: openssl failed, see $1/openssl.log"
}

# launch starts broker $2 below $1 unless it runs, with its settings in place and its storage formatted.
launch() {
	local dir=$1 id=$2 first=$3 b=$1/b$2 port p formatted=() clock=()
	pid_of "$dir" "$id" >/dev/null && return
	port=$(port_of "$first" "$id")
	for p in "$port" "$((port + 1))"; do
		if answers "$p"; then fail "start broker $id: something else listens on port $p; choose another KAFKA_PORT"; fi
	done
	if [[ ! -e $b/data/meta.properties ]]; then
		rm -rf "$b/data"
		if [[ -e $dir/tls/complete ]]; then
			for p in 256 512; do formatted+=(-S "SCRAM-SHA-$p=[name=cdr,password=$(cat "$dir/tls/password")]"); done
		fi
		java_small -Dlevel=error kafka.tools.StorageTool format -t "$(cat "$dir/cluster")" -c "$b/server.properties" "${formatted[@]}" \
			>"$b/format.log" 2>&1 || fail "format the storage of broker $id: see $b/format.log"
	fi
	if [[ ${KAFKA_CLOCK:-} ]]; then
		p=$(compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1') || fail "start broker $id: KAFKA_CLOCK needs libfaketime (apt-get install faketime)"
		clock=(env "LD_PRELOAD=$p" "FAKETIME=$KAFKA_CLOCK" FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_FORCE_MONOTONIC_FIX=0)
	fi
	# Ready is what the log of this start says, so it begins empty.
	if [[ -e $b/log ]]; then mv "$b/log" "$b/log.before"; fi
	# 9>&- : whoever waits for the end of this script must not wait for the broker.
	setsid "${clock[@]}" java -Xmx512m -Xms128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$lib/log4j2.properties" \
		-cp "$lib/*" kafka.Kafka "$b/server.properties" >"$b/log" 2>&1 </dev/null 9>&- &
	echo $! >"$b/pid"
}

# ready waits until broker $2 runs, says that it is started, and answers. A port that answers alone may be somebody else's.
ready() {
	local dir=$1 id=$2 port=$3 until=$((SECONDS + wait_s)) pid
	pid=$(cat "$dir/b$id/pid")
	until grep -qs 'Kafka Server started' "$dir/b$id/log" && answers "$port"; do
		kill -0 "$pid" 2>/dev/null || fail "start broker $id: it ended, see $dir/b$id/log"
		((SECONDS < until)) || fail "start broker $id: not ready after $wait_s s, see $dir/b$id/log"
		sleep 0.1
	done
}

# addresses prints the plaintext addresses of $1, separated by commas.
addresses() {
	local n first i out=''
	read -r n first <"$1/size"
	for ((i = 1; i <= n; i++)); do out+="${out:+,}localhost:$(port_of "$first" "$i")"; done
	echo "$out"
}

start() {
	local secure=$1 n=$2 dir=$3 first=$4 i had
	command -v java >/dev/null || fail "start Kafka: java is not installed (apt-get install openjdk-17-jre-headless)"
	[[ $n =~ ^[1-9]$ ]] || fail "start Kafka: '$n' is not a number of brokers from 1 to 9"
	((first + 10 * n < 32768)) || fail "start Kafka: KAFKA_PORT=$first: choose ports below 32768"
	get
	mkdir -p "$dir"
	dir=$(cd "$dir" && pwd)
	exec 9>"$dir/lock"
	flock 9
	if had=$(cat "$dir/size" 2>/dev/null) && [[ $had != "$n $first" ]]; then
		fail "start Kafka: $dir was made for ${had% *} broker(s) from port ${had#* }, not $n from $first; choose another DIR, or delete it"
	fi
	if [[ $secure ]]; then certificates "$dir"; fi
	[[ -e $dir/cluster ]] || java_small -Dlevel=error kafka.tools.StorageTool random-uuid >"$dir/cluster"
	echo "$n $first" >"$dir/size"
	for ((i = 1; i <= n; i++)); do
		mkdir -p "$dir/b$i"
		settings "$dir" "$i" "$n" "$first" "$secure" >"$dir/b$i/server.properties"
	done
	for ((i = 1; i <= n; i++)); do launch "$dir" "$i" "$first"; done
	for ((i = 1; i <= n; i++)); do ready "$dir" "$i" "$(port_of "$first" "$i")"; done
	addresses "$dir"
	if [[ $secure ]]; then
		cat <<X
SASL_SSL localhost:$((first + 2))  user cdr, password in $dir/tls/password; PLAIN, SCRAM-SHA-256, SCRAM-SHA-512
SSL      localhost:$((first + 3))  client certificate $dir/tls/client.crt, key $dir/tls/client.key
CA       $dir/tls/ca.pem
X
	fi
}

# start_one starts broker $1 of the cluster in $2, which was started before.
start_one() {
	local id=$1 dir n first
	dir=$(cd "$2" 2>/dev/null && pwd) && [[ -e $dir/b$id/server.properties ]] || fail "start broker $id: there is none in $2"
	read -r n first <"$dir/size"
	exec 9>"$dir/lock"
	flock 9
	launch "$dir" "$id" "$first"
	ready "$dir" "$id" "$(port_of "$first" "$id")"
}

status() {
	local dir n first i pid missing=0
	dir=$(cd "$1" 2>/dev/null && pwd) && [[ -e $dir/size ]] || fail "status: there is no Kafka in $1"
	read -r n first <"$dir/size"
	for ((i = 1; i <= n; i++)); do
		if pid=$(pid_of "$dir" "$i"); then
			echo "broker $i: localhost:$(port_of "$first" "$i") pid $pid"
		else
			echo "broker $i: localhost:$(port_of "$first" "$i") stopped"
			missing=1
		fi
	done
	return $missing
}

stop() {
	local dir i pid until running=()
	dir=$(cd "$1" 2>/dev/null && pwd) && [[ -e $dir/size ]] || return 0
	for i in 1 2 3 4 5 6 7 8 9; do
		if pid=$(pid_of "$dir" "$i"); then
			running+=("$i")
			kill "$pid" 2>/dev/null || true
		fi
	done
	# The last brokers of a cluster can wait for a quorum that is gone; what was acknowledged is on disk.
	until=$((SECONDS + 10))
	for i in "${running[@]}"; do
		while pid=$(pid_of "$dir" "$i"); do
			if ((SECONDS >= until)); then kill -9 "$pid" 2>/dev/null || true; fi
			sleep 0.1
		done
	done
	rm -f "$dir"/b*/pid
}

case ${1:-} in
get) get ;;
start) start "" "${2:-1}" "${3:-$top/.tools/kafka/data}" "${KAFKA_PORT:-19092}" ;;
start-one) start_one "${2:-}" "${3:-}" ;;
start-secure) start secure 1 "${2:-$top/.tools/kafka/secure}" "${KAFKA_PORT:-19192}" ;;
status) status "${2:-$top/.tools/kafka/data}" ;;
stop) stop "${2:-$top/.tools/kafka/data}" ;;
*)
	usage
	exit 2
	;;
esac
