package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/kafka"
)

const maxBackoff = 10 * time.Second

// worker is one goroutine with one client at a time, a member of the group under a name of its own. What it does with a
// client is a consumer's.
type worker struct {
	name       string // of the member of the group, and the transactional id
	group      string
	topic      string // the event log
	partitions int32  // of it

	commitInterval time.Duration
	commitBacklog  time.Duration
	commitBytes    int
	changelogLag   time.Duration

	member     *member
	restorer   *restorer
	commitEnv  commitEnv
	rewriteEnv rewriteEnv

	log        hclog.Logger
	metrics    *metrics
	board      workerBoard
	hooks      hooks
	classify   classifier
	plain      *kgo.Client // for ticks
	awaitJoins func()      // waits until no worker of this process is about to join the group
}

// run works with one client after the other until the context ends. An error is final.
func (w *worker) run(ctx context.Context) error {
	backoff := 100 * time.Millisecond
	for {
		committed, err := w.runClient(ctx)
		w.board.join(false)
		if fenced := w.member.inbox.fenced(); fenced != nil {
			return w.classify.fenced(fenced)
		}
		if err == nil || !errors.Is(err, errUnknown) {
			return err
		}
		if ctx.Err() != nil {
			return nil // the next start finds out
		}
		w.log.Warn("dropping the client and all tasks, the changelog will tell what was committed", "error", err)
		if committed {
			backoff = 100 * time.Millisecond
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, maxBackoff)
		// Without a word: that Kafka is away is said once for all workers, by Contact.Watch.
		if err := kafka.WaitReady(ctx, w.plain, nil); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// runClient joins the group with a client of its own and works until it is fenced, fails, or the context ends. When it
// returns, nothing of the client is left: its tasks are dropped, and it is closed. It tells whether anything was
// committed.
func (w *worker) runClient(ctx context.Context) (committed bool, err error) {
	w.member.inbox.reset()
	conn, err := w.member.join(ctx)
	if err != nil {
		return false, err
	}
	c := newConsumer(w, conn)
	lifetime, end := context.WithCancel(ctx)
	defer func() {
		end()
		committed, err = c.commits > 0, and(err, c.releaseTasks())
		conn.close()
	}()
	// Before anything else: it puts an end to the transaction that our predecessor left open, on which a restore would
	// wait.
	//mutant:initialise
	if _, _, err := conn.client.ProducerID(ctx); err != nil {
		if ctx.Err() != nil {
			return false, nil
		}
		return false, w.classify.failure(time.Now(), fmt.Errorf("initialise transactional id %s: %w", w.name, err))
	}
	w.hooks.at(AfterInit)
	for {
		if err := c.pollOnce(lifetime); err != nil {
			return false, err
		}
		if ctx.Err() != nil {
			err := c.finish(ctx)
			conn.client.AllowRebalance()
			w.awaitJoins()
			return false, err
		}
	}
}
