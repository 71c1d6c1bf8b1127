// Package interleavings forces the orders of requests that docs/adr/0014-the-protocol-read-again.md talks about on a
// real Apache Kafka: each processor has a wire of its own that holds back chosen requests and answers, or cuts the
// connection at them, until a test lets go. What comes out is compared with a fold of the log. It has tests only.
//
//	JANUSCDR_INTERLEAVINGS_BROKERS=host:port,...  an Apache Kafka of one or three brokers that nobody else uses, see
//	                                              scripts/kafka.sh; without it, the tests are skipped
//
//	-interleavings.lag 1s                         states in the changelog lag behind the records by so much
//
// Coordinators are moved where there are three brokers, and the level of transactions is that of the cluster, and 1.
// Where there are three, one story starts three more of its own, and kills them.
package interleavings
