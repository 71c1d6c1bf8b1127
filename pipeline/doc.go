// Package pipeline is how it flows: it reads the event log, folds it, and writes records, states and positions, each
// exactly once.
//
// It promises that whoever reads the record topic with read_committed sees what the fold says of the log, no less and
// nothing twice, though processes are killed, connections cut and partitions moved on the way. The changelog topic is
// the truth about states and positions; the state store is a cache of it that never runs ahead; the offsets of the
// consumer group are a copy, for fencing and for graphs. It touches Kafka, and the disk through the state store.
//
// The outline of a commit stands in commit.go, that of a restore in restore.go, and why the offsets are a fence in
// offsets.go.
//
// # Words
//
// Who works:
//
//   - processor: the workers of one process; a run is what it has while it runs.
//   - worker: one goroutine, with one client after the other under one name, which is the instance id of a static
//     member of the group and the transactional id.
//   - consumer: what a worker is while one client lives: its tasks, and what they have folded and not committed.
//   - member: the worker in the group. It makes the clients; what the group tells them it leaves in the worker's inbox.
//   - restorer, committer, rewriter: what makes tasks, commits them, and shortens their changelog.
//   - plain client: one without transactions, of the whole run: it writes barriers, origins and ticks.
//
// What they work on:
//
//   - event log: the input topic. Its records are events, copies of events, ticks and signs of life of emitters.
//   - task: one partition at work: its fold, its state store, and where it stands. It is dirty when it has folded
//     something since the last commit.
//   - slot: the right to open the store of a partition in this process; a task has it until it is closed.
//   - position: the offset of the event log that is to be read next. Of a changelog partition, the record that says so.
//   - changelog: the topic of states. Each partition has the states of one task, its position, barriers and an origin.
//   - checkpoint: up to which offset of the changelog a state store has been told.
//   - origin: which event log, and which group, the positions of a changelog partition are of; a restore claims it.
//
// What they do:
//
//   - restore: make a task of a partition that was assigned. It is warm when the store's checkpoint is used, else cold.
//   - barrier: a record that a restore appends to the changelog and reads up to: what earlier owners wrote lies before.
//   - priming: reading the events before the position again, so that repetitions of them are known.
//   - hand over: let a restored task read, from its position.
//   - commit: one transaction with what all tasks have folded. Its outcome is committed, aborted or unknown.
//   - fence: the offsets of the tasks in a transaction, which the brokers take only from a present member of the group.
//   - rewrite: write the living states of a changelog partition once more and delete what lies before; on the embedded
//     broker only.
//   - tick: a record by which time passes in a partition that is idle.
//   - survey: read the changelog to say what is open and unread, before partitions are added.
//   - permanent: of an error, that it would come again. All others are answered by a new client and a look at the
//     changelog.
//   - crash point: a place between two steps of the protocol where tests let a process die.
package pipeline
