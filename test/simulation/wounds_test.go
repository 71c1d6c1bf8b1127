//go:build synctests

package simulation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var whichWounds = flag.String("simulation.wounds", "short", "wounds to try: short, all, or names with commas")

// woundRuns is in how many runs a wound must be noticed.
const woundRuns = 50

// wound is a deliberate fault of the program: a text of a file, and what stands there instead. The program is built with
// it by go build -overlay, so nothing of it is ever in the product.
type wound struct {
	name  string
	short bool // tried with every test
	edits []edit

	scene string // the directed test that should notice it, instead of the seeds

	// alone says why a wound does no harm alone: something else holds, too. It is tried together with the wound of that,
	// which then does harm that it would not do alone, in the scene.
	alone, with string
}

type edit struct{ file, old, new string }

// plainClient gives the committer a client without transactions.
var plainClient = [2]edit{
	{"pipeline/commit.go", "type commitEnv struct {\n", "type commitEnv struct {\n	plain *kgo.Client\n"},
	{"pipeline/run.go", "		commitEnv: commitEnv{\n", "		commitEnv: commitEnv{\n			plain: r.plain,\n"},
}

var wounds = []wound{
	{name: "position in a transaction before the states", edits: []edit{{
		"pipeline/commit.go", "	results := c.produce(ctx, records)\n", `	var positions []*kgo.Record
	for _, tc := range batch {
		positions = append(positions, tc.position)
	}
	first := c.produce(ctx, positions)
	limited, cancelled := context.WithTimeout(ctx, endTimeout)
	defer cancelled()
	if err := c.client.Flush(limited); err != nil || first.firstError() != nil {
		return c.abort(ctx, began, errors.New("positions"))
	}
	if err := c.fence(limited, batch); err != nil {
		return c.abort(ctx, began, err)
	}
	if err := c.client.EndTransaction(limited, kgo.TryCommit); err != nil {
		return c.classify.failure(began, err)
	}
	if err := c.client.BeginTransaction(); err != nil {
		return c.classify.failure(began, err)
	}
	c.hooks.at(AfterBegin)
	rest := records[:0:0]
	for _, r := range records {
		if !slices.Contains(positions, r) {
			rest = append(rest, r)
		}
	}
	results := c.produce(ctx, rest)
`}, {"pipeline/commit.go", "	\"fmt\"\n", "	\"fmt\"\n	\"slices\"\n"}}},

	{name: "store before the commit", short: true, scene: "TestSceneTheEndIsNotAnswered", edits: []edit{{
		"pipeline/commit.go", "	began := time.Now()\n	if err := c.transaction(ctx, batch, records); err != nil {", `	began := time.Now()
	for _, tc := range batch {
		if err := tc.task.store.Remember(ofChanges(tc.step.Changes), tc.task.store.Checkpoint()); err != nil {
			return err
		}
	}
	if err := c.transaction(ctx, batch, records); err != nil {`}}},

	{name: "offsets outside of the transaction", scene: "TestSceneAZombieIsRefused", edits: []edit{{
		"pipeline/commit.go", "	if err := c.fence(end, batch); err != nil {\n", "	if err := error(nil); err != nil {\n",
	}, {
		"pipeline/commit.go", "	c.metrics.commits.WithLabelValues(committed).Inc()\n	c.hooks.at(AfterEnd)\n", `	c.metrics.commits.WithLabelValues(committed).Inc()
	c.hooks.at(AfterEnd)
	offsets := map[string]map[int32]kgo.EpochOffset{c.topics.Events: {}}
	for _, tc := range batch {
		offsets[c.topics.Events][tc.task.partition] = kgo.EpochOffset{Epoch: -1, Offset: tc.step.Next}
	}
	c.client.(*kgo.Client).CommitOffsetsSync(ctx, offsets, nil)
`}}},

	{name: "what the group says to the offsets is not looked at", scene: "TestSceneAZombieIsRefused", edits: []edit{{
		"pipeline/commit.go", "	if err := c.fence(end, batch); err != nil {\n		return c.abort", "	if err := c.fence(end, batch); err != nil && ctx.Err() != nil {\n		return c.abort"}}},

	{name: "a refused generation is taken for success", scene: "TestSceneACommitWithoutItsOffsetsIsNone", edits: []edit{{
		"pipeline/offsets.go", "		// The next generation has begun, and its answer is on the way to us.\n", "		if refused != nil {\n			return nil\n		}\n"}}},

	{name: "who we are in the group is not compared", scene: "TestSceneAWorkerThatIsTakenInAgain", edits: []edit{{
		"pipeline/offsets.go", "			if tc.task.member != member {\n", "			if false {\n"}}},

	{name: "who was thrown out tries again as another", scene: "TestSceneAWorkerThatIsThrownOut", edits: []edit{{
		"pipeline/offsets.go", "	for until := time.Now().Add(generationAtMost); ; {\n", "	first := true\n	for until := time.Now().Add(generationAtMost); ; {\n",
	}, {
		"pipeline/offsets.go", "			if tc.task.member != member {\n", "			if first && tc.task.member != member {\n",
	}, {
		"pipeline/offsets.go", "		if !errors.Is(refused, kerr.IllegalGeneration) || time.Now().After(until) {\n", "		first = false\n		if !errors.Is(refused, kerr.IllegalGeneration) && !errors.Is(refused, kerr.UnknownMemberID) || time.Now().After(until) {\n"}}},

	{name: "offsets before all is acknowledged", scene: "TestSceneMessagesThatAreLate", edits: []edit{{
		"pipeline/commit.go", "	results := c.produce(ctx, records)\n	c.hooks.at(AfterProduce)\n", "	results := c.produce(ctx, records)\n	c.hooks.at(AfterProduce)\n	early := c.fence(ctx, batch)\n",
	}, {
		"pipeline/commit.go", "	if err := c.fence(end, batch); err != nil {\n", "	if err := early; err != nil {\n"}}},

	{name: "unknown is taken for committed", short: true, scene: "TestSceneTheEndIsNotAnswered", edits: []edit{{
		"pipeline/commit.go", "		return c.classify.failure(began, fmt.Errorf(\"end transaction: %w\", err))\n", "		return nil\n"}}},

	{name: "unknown is taken for aborted, and tried again", scene: "TestSceneTheEndIsNotAnswered", edits: []edit{{
		"pipeline/commit.go", "		return c.classify.failure(began, fmt.Errorf(\"end transaction: %w\", err))\n", `		again := make([]*kgo.Record, len(records))
		for i, r := range records {
			again[i] = &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: r.Headers}
		}
		for _, tc := range batch {
			for i, r := range records {
				if r == tc.position {
					tc.position = again[i]
				}
			}
		}
		if err := c.client.EndTransaction(ctx, kgo.TryAbort); err != nil {
			return c.classify.failure(began, err)
		}
		return c.transaction(ctx, batch, again)
`}}},

	{name: "the client goes on after an unknown outcome", scene: "TestSceneTheEndIsNotAnswered", edits: []edit{{
		"pipeline/consumer.go", "	if err := c.committer.commit(ctx, c.ordered()); err != nil {\n		return err\n	}\n", `	if err := c.committer.commit(ctx, c.ordered()); err != nil && (!errors.Is(err, errUnknown) || strings.Contains(err.Error(), "begin")) {
		return err
	} else if err != nil {
		c.since = time.Time{}
		return c.client.EndTransaction(ctx, kgo.TryAbort)
	}
`}, {"pipeline/consumer.go", "	\"strconv\"\n", "	\"strconv\"\n	\"strings\"\n"}}},

	{name: "results are not looked at", scene: "TestSceneAMessageThatIsTooLarge", edits: []edit{{
		"pipeline/commit.go", "	if err == nil {\n		err = results.firstError()\n	}\n	if err != nil {\n		return c.abort", "	_ = results\n	if err != nil {\n		return c.abort"}}},

	{name: "the fold is kept after an abort", scene: "TestSceneAMessageIsRefused", edits: []edit{{
		"pipeline/commit.go", "	return c.classify.failure(began, why)\n}\n\n// applyCommitted", "	return nil // and the store is told\n}\n\n// applyCommitted"}}},

	{name: "no barrier, the end of what is stable instead", edits: []edit{{
		"pipeline/restore.go", "	return offset, nil\n}\n\n// replay tells", `	end, err := r.offsetOf(ctx, r.admin.ListCommittedOffsets, r.topics.State, partition)
	_ = offset
	return end - 1, err
}

// replay tells`}, {
		"pipeline/restore.go", "	offset, err := r.appendPlain(ctx, &kgo.Record{\n", "	offset, err := int64(0), error(nil)\n	_ = (&kgo.Record{\n"}}},

	{name: "no barrier, the checkpoint is trusted", edits: []edit{{
		"pipeline/restore.go", "	for at := from; at <= barrier; {\n", "	for at := from; at <= barrier && kind == \"cold\"; {\n"}}},

	{name: "the restore ends when nothing comes for a moment", scene: "TestSceneWhatIsCommittedAfterAMove", edits: []edit{{
		"pipeline/restore.go", "		records, err := progress.next(ctx, reader, at)\n", `		moment, over := context.WithTimeout(ctx, time.Second)
		records, err := reader.Next(moment)
		over()
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			break
		}
`}}},

	{name: "the restore reads what is not committed", edits: []edit{{
		"kafka/reader.go", "		kgo.FetchIsolationLevel(kgo.ReadCommitted()),\n", "		kgo.FetchIsolationLevel(kgo.ReadUncommitted()),\n"}}},

	{name: "deletions are not replayed", scene: "TestSceneAnOldDisk", edits: []edit{{
		"pipeline/changelog.go", "			if isBarrier(r.Key) {\n", "			if isBarrier(r.Key) || r.Value == nil {\n"}}},

	{name: "a store older than the changelog is kept", scene: "TestSceneAnOldDisk", edits: []edit{{
		"pipeline/restore.go", "			log.Info(\"state store is older than the changelog and starts empty\", \"checkpoint\", c.next, \"log_start\", first)\n			err = store.Reset()\n", "			log.Info(\"state store is older than the changelog\", \"checkpoint\", c.next, \"log_start\", first)\n"}}},

	{name: "the checkpoint before the states", scene: "TestSceneADeathAtEachStep/store_before_checkpoint", edits: []edit{{
		"statestore/flush.go", "	wb := s.db.NewWriteBatch()\n", `	if err := s.db.Update(func(txn *badger.Txn) error { return txn.Set(checkpointKey, b.checkpoint) }); err != nil {
		return err
	}
	if err := s.at(BeforeCheckpoint); err != nil {
		return err
	}
	wb := s.db.NewWriteBatch()
`}}},

	{name: "the checkpoint is too far", edits: []edit{{
		"pipeline/commit.go", "		at := checkpoint{next: tc.position.Offset + 1, at: now}\n", "		at := checkpoint{next: tc.position.Offset + 2 + int64(len(tc.step.Changes)), at: now}\n"}}},

	{name: "a failed write of the store is forgotten", scene: "TestSceneAFullDisk", edits: []edit{{
		"statestore/flush.go", "			s.failed = err\n", "			s.flushing = batch{}\n"}}},

	{name: "the window of duplicates is not refilled", edits: []edit{{
		"pipeline/restore.go", "		from := max(first, next-cdr.WindowSize)\n", "		from := max(first, next)\n"}}},

	{name: "a task lives on when its partition is taken", scene: "TestSceneAPartitionComesBack", edits: []edit{{
		"pipeline/consumer.go", "			closing = and(closing, c.drop(partition))\n		}\n		for _, partition := range e.assigned {\n			closing = and(closing, c.drop(partition))\n			c.startRestore(ctx, partition, e.member, 1)\n", `		}
		for _, partition := range e.assigned {
			if t := c.tasks[partition]; t != nil {
				t.member = e.member
				c.restored[partition] = t
				delete(c.tasks, partition)
				continue
			}
			closing = and(closing, c.drop(partition))
			c.startRestore(ctx, partition, e.member, 1)
`}}},

	{name: "the group's offset counts, not the position", scene: "TestSceneTheGroupsOffsetsAreMovedByHand", edits: []edit{{
		"pipeline/consumer.go", "		c.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{topic: {partition: {Epoch: -1, Offset: t.next()}}})\n", `		from := t.next()
		if group, ok := c.member.inbox.groupOffset(partition); ok {
			from = group
		}
		c.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{topic: {partition: {Epoch: -1, Offset: from}}})
`}}},

	{name: "a timer fires without a tick in the log", edits: []edit{{
		"pipeline/tick.go", "		t.ticked = now\n", `		t.ticked = now
		if err := t.fold.Apply(cdr.Input{Offset: t.next(), Kind: cdr.KindTick, Append: janus.Micros(now.UnixMicro())}); err == nil {
			t.dirty = true
			if c.since.IsZero() {
				c.since = now
			}
			continue
		}
`}, {"pipeline/tick.go", "	\"januscdr/cdr\"\n", "	\"januscdr/cdr\"\n	\"januscdr/janus\"\n"}}},

	{name: "a timer fires when its tick is appended, not when it is read", edits: []edit{{
		"pipeline/tick.go", "		t.ticked = now\n", `		t.ticked = now
		if next := t.next(); next > 0 {
			if err := t.fold.Apply(cdr.Input{Offset: max(next, t.end), Kind: cdr.KindTick, Append: janus.Micros(now.UnixMicro())}); err == nil {
				t.dirty = true
				if c.since.IsZero() {
					c.since = now
				}
			}
		}
`}, {"pipeline/tick.go", "	\"januscdr/cdr\"\n", "	\"januscdr/cdr\"\n	\"januscdr/janus\"\n"}}},

	{name: "parked events outside of the transaction", scene: "TestSceneTheEndIsNotAnswered", edits: []edit{{
		"pipeline/commit.go", "			records = append(records, c.parked(t.partition, parked))\n", "			c.plain.Produce(context.Background(), c.parked(t.partition, parked), nil)\n"}, plainClient[0], plainClient[1]}},

	{name: "records outside of the transaction", scene: "TestSceneTheEndIsNotAnswered", edits: []edit{{
		"pipeline/commit.go", "			records = append(records, r)\n", "			c.plain.Produce(context.Background(), r, nil)\n"}, plainClient[0], plainClient[1]}},

	{name: "old changelog is deleted before the new one is committed", scene: "TestSceneADeathInARewrite", edits: []edit{{
		"pipeline/rewrite.go", "	if err := r.transaction(ctx, []*taskCommit{tc}, records); err != nil {\n", `	var old kadm.Offsets
	old.AddOffset(r.topics.State, t.partition, t.changelog.next, -1)
	r.admin.DeleteRecords(ctx, old)
	if err := r.transaction(ctx, []*taskCommit{tc}, records); err != nil {
`}}},

	{name: "the transactional id is not initialised", scene: "TestSceneARestartDoesNotWait", edits: []edit{{
		"pipeline/worker.go", "	if _, _, err := conn.client.ProducerID(ctx); err != nil {\n", "	if err := error(nil); err != nil {\n"}}},

	{name: "another transactional id at each start", scene: "TestSceneARestartDoesNotWait", edits: []edit{{
		"pipeline/member.go", "		kgo.TransactionalID(m.name),\n", "		kgo.TransactionalID(fmt.Sprintf(\"%s-%p\", m.name, m.plain)),\n",
	}, {
		"pipeline/offsets.go", "	req.TransactionalID, req.ProducerID, req.ProducerEpoch = c.name, id, epoch\n", "	req.TransactionalID, req.ProducerID, req.ProducerEpoch = c.client.(*kgo.Client).OptValue(kgo.TransactionalID).(string), id, epoch\n"}}},

	{name: "what was folded once is folded again", edits: []edit{{
		"cdr/partition.go", "	if p.started && in.Offset < p.pos.next {\n", "	if false {\n"}},
		alone: "the client delivers from the position on, and no offset twice",
		with:  "the group's offset counts, not the position", scene: "TestSceneTheGroupsOffsetsAreMovedByHand/to_the_beginning"},
}

// together is a wound with the one that it does harm with.
func (w wound) together() wound {
	for _, other := range wounds {
		if other.name == w.with {
			w.edits = append(slices.Clone(w.edits), other.edits...)
			return w
		}
	}
	panic("there is no wound " + w.with)
}

// TestEachWoundStillFits fails when the program has changed where a wound is cut.
func TestEachWoundStillFits(t *testing.T) {
	for _, w := range wounds {
		if _, err := w.cut(); err != nil {
			t.Errorf("%s: %v", w.name, err)
		}
	}
}

// cut makes the wounded files.
func (w wound) cut() (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, e := range w.edits {
		text, ok := files[e.file]
		if !ok {
			var err error
			if text, err = os.ReadFile(filepath.Join("../..", e.file)); err != nil {
				return nil, err
			}
		}
		if n := bytes.Count(text, []byte(e.old)); n != 1 {
			return nil, fmt.Errorf("%s has this %d times, want once:\n%s", e.file, n, e.old)
		}
		files[e.file] = bytes.Replace(text, []byte(e.old), []byte(e.new), 1)
	}
	return files, nil
}

// TestWoundsAreNoticed builds the program with each wound and lets the directed tests and some seeds look at it.
func TestWoundsAreNoticed(t *testing.T) {
	if testing.Short() {
		t.Skip("each wound is a build")
	}
	var table strings.Builder
	for _, w := range wounds {
		switch *whichWounds {
		case "all":
		case "short":
			if !w.short {
				continue
			}
		default:
			if !strings.Contains(","+*whichWounds+",", ","+w.name+",") {
				continue
			}
		}
		began := time.Now()
		by, err := w.noticed(t.Context(), t.TempDir())
		switch {
		case err != nil:
			t.Errorf("%s: %v", w.name, err)
			by = "NOT TRIED"
		case w.alone != "" && by != "":
			t.Errorf("%s: it does harm alone: %s", w.name, by)
		case w.alone != "":
			by, err = w.together().noticed(t.Context(), t.TempDir())
			if err != nil || by == "" {
				t.Errorf("%s: nobody notices it together with %q: %v", w.name, w.with, err)
				by = "BY NOBODY"
			}
			by = fmt.Sprintf("harmless alone: %s; together with %q: %s", w.alone, w.with, by)
		case by == "":
			t.Errorf("%s: nobody notices in %d runs", w.name, woundRuns)
			by = "BY NOBODY"
		}
		fmt.Fprintf(&table, "%-60s %5.1fs  %s\n", w.name, time.Since(began).Seconds(), by)
		fmt.Fprintf(os.Stderr, "%-60s %5.1fs  %s\n", w.name, time.Since(began).Seconds(), by)
	}
	t.Logf("wound, how long it took, who noticed\n%s", table.String())
}

var caught = regexp.MustCompile(`CAUGHT by run (\d+), seed (\d+): (.*)`)

// noticed says who notices a wound, or is empty.
func (w wound) noticed(ctx context.Context, dir string) (string, error) {
	files, err := w.cut()
	if err != nil {
		return "", err
	}
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for name, text := range files {
		real, err := filepath.Abs(filepath.Join("../..", name))
		if err != nil {
			return "", err
		}
		fake := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(fake, text, 0o644); err != nil {
			return "", err
		}
		overlay.Replace[real] = fake
	}
	b, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	list, program := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "wounded.test")
	if err := os.WriteFile(list, b, 0o644); err != nil {
		return "", err
	}
	build := exec.CommandContext(ctx, "go", "test", "-c", "-tags", "synctests", "-overlay", list, "-o", program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w: %s", err, out)
	}
	run := []string{"-test.run", "^TestNothingIsLost", "-simulation.brief", "-simulation.from", "20000", "-simulation.seeds", fmt.Sprint(woundRuns)}
	if w.scene != "" {
		run = []string{"-test.run", "^" + w.scene, "-test.failfast"}
	}
	look := exec.CommandContext(ctx, program, append(run, "-test.timeout", "4m")...)
	look.Env = append(os.Environ(), "TMPDIR="+dir)
	out, err := look.CombinedOutput()
	var failed *exec.ExitError
	switch {
	case err == nil:
		return "", nil
	case !errors.As(err, &failed):
		return "", err
	}
	if m := caught.FindSubmatch(out); m != nil {
		return fmt.Sprintf("run %s (seed %s): %.160s", m[1], m[2], m[3]), nil
	}
	scene := ""
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		switch name, failed := strings.CutPrefix(line, "--- FAIL: "); {
		case failed:
			scene, _, _ = strings.Cut(name, " ")
		case strings.HasPrefix(line, "panic:"):
			return fmt.Sprintf("%.160s", line), nil
		case scene != "" && strings.Contains(line, "_test.go:"):
			return fmt.Sprintf("%s: %.160s", scene, line[strings.Index(line, ": ")+2:]), nil
		}
	}
	return fmt.Sprintf("%.200s", out), nil
}
