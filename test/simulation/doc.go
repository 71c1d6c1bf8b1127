// Package simulation is the proof of "exactly once, whatever dies", in the small: a broker, real state stores, the
// publisher of ingest and some processors live in one bubble with a clock of its own, where minutes take no time. A seed
// says what goes wrong and when: processes die at any step of the protocol or at any request, the broker is stopped or
// killed, connections are cut before or after it has done what it was asked, answers are late or lost, disks are full,
// slow, old or empty, processes stand still until others have taken over. In the end the records must be those of the pure fold of the input log: none
// lost, none twice, none different.
//
// The seed repeats the faults, not the order in which goroutines run: a failure may need its seed several times. It keeps
// its topics, disks and logs, and says how to judge them again.
//
//	go test -tags synctests ./test/simulation                                              # the committed seeds
//	go test -tags synctests ./test/simulation -run Whatever -simulation.from 5000 -simulation.seeds 1000
//	go test -tags synctests ./test/simulation -run Mutants -simulation.mutants all -timeout 1h # does it notice anything?
//
// Package model beside it explores a model of the protocol exhaustively. It is all tests, and touches a temporary
// directory.
package simulation
