// Package model is the protocol of package pipeline with everything left out that is not the protocol: one partition, two
// workers, a changelog, an output, a consumer group and two disks, all of them values. A step is a choice among what can
// happen next, so that all interleavings of a short run can be looked at, and long ones by chance.
//
// It is a model: that it holds says that the idea is sound, not that the code does it. What ties the two together are the
// names of the steps: package simulation checks that the commits of real processors take them in the order in which the
// model does, and the same mutants are made of both.
package model
