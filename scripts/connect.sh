#!/usr/bin/env bash
# What Kafka Connect needs to put records into a table: Debezium's JDBC sink and Apicurio's Avro converter, a folder each.
# It prints the folder, which becomes plugin.path; Connect itself is among the jars of scripts/kafka.sh. Needs Maven.
#
#   scripts/connect.sh get [DIR]
#
# DIR  default .tools/connect
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
dir=${2:-.tools/connect}
if [[ ${1:-} != get ]]; then
	sed -n '2,/^set/{/^set/!p}' "${BASH_SOURCE[0]}" >&2
	exit 2
fi
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

# plugin puts artifact $2 and what it depends on into the folder $1.
plugin() {
	local folder=$dir/$1 group artifact version
	[[ -e $folder/complete ]] && return
	IFS=: read -r group artifact version <<<"$2"
	rm -rf "$folder"
	mkdir -p "$folder"
	cat >"$folder/pom.xml" <<X
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>januscdr</groupId><artifactId>$1</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>
<dependency><groupId>$group</groupId><artifactId>$artifact</artifactId><version>$version</version></dependency>
</dependencies></project>
X
	mvn -q -B -f "$folder/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
		-DoutputDirectory="$folder" -DincludeScope=runtime >&2
	# Those of the worker itself: twice they are other classes of the same names.
	rm -f "$folder"/{jackson,slf4j,connect,kafka-clients}*.jar
	touch "$folder/complete"
}

plugin jdbc io.debezium:debezium-connector-jdbc:3.2.0.Final
plugin apicurio io.apicurio:apicurio-registry-utils-converter:2.6.13.Final
echo "$dir"
