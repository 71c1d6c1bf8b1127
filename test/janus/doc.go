// Package janustest makes calls against a real Janus and finds their records right. Janus runs with its HTTP event
// handler, whose events go the whole way: ingest, the embedded broker, the processor, the record topic. The callers are
// WebRTC clients that send real media and note when they did what, so a record is compared with what its callers saw
// themselves, not with what Janus told.
//
// It is a module of its own, so that the WebRTC library does not become one of the program, and has tests only. They
// need Linux, `apt-get install janus iproute2 rabbitmq-server mosquitto`, and root or unprivileged user namespaces:
//
//	go test -count=1 ./...
//
// Everything happens in a network namespace of the test's own: ports are free, and nothing gets out.
package janustest
