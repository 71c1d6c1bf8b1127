// Package e2e plays recorded traffic against the whole system as an operator would run it, and compares the records
// that come out with those that `cdr assemble` makes of the same events in a file. It has tests only.
//
// The processes are the real binaries, built once. The broker is the embedded one, unless the environment names
// another:
//
//	JANUSCDR_E2E_BROKERS=host:port,...  an Apache Kafka, see scripts/kafka.sh; topics of its own for each test
//	JANUSCDR_E2E_SECURE=DIR             what scripts/kafka.sh start-secure made: TLS and logins are tried too
//	JANUSCDR_E2E_BEHIND=host:port,...   one whose clock is more than an hour behind, started with KAFKA_CLOCK=-90m
//	JANUSCDR_TEST_POSTGRES=URL, JANUSCDR_TEST_REGISTRY=URL  for what the compose file does with them
//	JANUSCDR_PYTHON=v/bin/python        a Python with confluent-kafka and fastavro: records are read as a stranger would
//	JANUSCDR_E2E_SPEED=1                as recorded; 2 is twice as fast. Without it: as fast as it goes
package e2e
