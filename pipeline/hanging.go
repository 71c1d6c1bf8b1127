package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/kafka"
)

// A restore reads what is committed, and that ends before an open transaction. Mostly it is one of the owner before,
// and the brokers end it when its time is over. One that the log has and no coordinator knows of hangs: brokers before
// 3.6 could make such a one of a message that came after an abort (KIP-890). Nobody but a person ends it, and until
// then nobody can say what the partition holds. So the partition stands still, and what is left to do is that nothing
// else does, and that it is said who holds it and how to end it.

const (
	stuckAfter = 5 * time.Second // without a record: say who holds the changelog
	// brokersLook is how long brokers may take to notice that the time of a transaction is over
	// (transaction.abort.timed.out.transaction.cleanup.interval.ms, 10 s), and to end it in each of its partitions.
	brokersLook = 30 * time.Second
)

// errHanging ends a restore that waits for a transaction longer than any of ours can take. It begins again, for ever.
var errHanging = errors.New("a transaction is left open in the changelog, and nobody ends it")

// hangingAfter is how long a transaction of ours can be open, with the time that brokers take to see that it is over.
func hangingAfter(transactionTimeout time.Duration) time.Duration {
	return 2*transactionTimeout + brokersLook
}

// turn is the right to be one of the restores that run at once in a process. One that waits for somebody else gives it
// to the next, and takes one again when it has something to do.
type turn struct {
	limit chan struct{}
	taken bool
}

func (t *turn) take(ctx context.Context) error {
	if t.taken {
		return nil
	}
	select {
	case t.limit <- struct{}{}:
		t.taken = true
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *turn) give() {
	if t.taken {
		<-t.limit
		t.taken = false
	}
}

// next reads on, and while nothing comes, says who holds the partition.
func (p *progress) next(ctx context.Context, reader *kafka.Reader, at int64) ([]*kgo.Record, error) {
	for began := time.Now(); ; {
		wait, cancel := context.WithTimeout(ctx, stuckAfter)
		records, err := reader.Next(wait)
		cancel()
		if err == nil {
			return records, p.turn.take(ctx)
		}
		if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return nil, err
		}
		//mutant:waits-aside
		p.turn.give()
		open, err := p.openTransactions(ctx)
		waited := time.Since(began).Round(time.Second)
		//mutant:hanging
		if len(open) > 0 && waited >= p.r.waits {
			p.r.metrics.hanging.Inc()
			return nil, fmt.Errorf("%w: waited %v at offset %d of %s for: %s", errHanging, waited, at, p.r.topics.State,
				strings.Join(open, "; "))
		}
		p.log.Warn("restore waits for an open transaction, or for kafka", "offset", at, "barrier", p.barrier,
			"waited", waited, "transactions", told(open, err))
	}
}

func told(open []string, err error) string {
	switch {
	case err != nil:
		return "cannot be listed: " + err.Error()
	case len(open) == 0:
		return "none"
	}
	return strings.Join(open, "; ")
}

// openTransactions names the transactions that are open in the changelog partition, and for each how it comes to its
// end.
func (p *progress) openTransactions(ctx context.Context) (open []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, stuckAfter)
	defer cancel()
	topic := p.r.topics.State
	var set kadm.TopicsSet
	set.Add(topic, p.partition)
	producers, err := p.r.admin.DescribeProducers(ctx, set)
	if err != nil {
		return nil, err
	}
	producers.EachProducer(func(d kadm.DescribedProducer) {
		if d.CurrentTxnStartOffset >= 0 {
			open = append(open, fmt.Sprintf("producer %d (epoch %d) since offset %d, last written at %s, %s", d.ProducerID,
				d.ProducerEpoch, d.CurrentTxnStartOffset, time.UnixMilli(d.LastTimestamp).UTC().Format(time.RFC3339),
				p.whoEnds(ctx, d)))
		}
	})
	return open, nil
}

// whoEnds says what the coordinators know of an open transaction.
func (p *progress) whoEnds(ctx context.Context, d kadm.DescribedProducer) string {
	abort := fmt.Sprintf("`kafka-transactions.sh --bootstrap-server BROKER abort --topic %s --partition %d "+
		"--start-offset %d`", d.Topic, d.Partition, d.CurrentTxnStartOffset)
	listed, err := p.r.admin.ListTransactions(ctx, []int64{d.ProducerID}, nil)
	if err != nil {
		return "whether a coordinator knows it cannot be seen (" + err.Error() + "): if none does, end it with " + abort
	}
	for _, t := range listed {
		if t.ProducerID != d.ProducerID || !slices.Contains([]string{"Ongoing", "PrepareCommit", "PrepareAbort"}, t.State) {
			continue
		}
		timeout := "its transaction timeout"
		if of, err := p.r.admin.DescribeTransactions(ctx, t.TxnID); err == nil && of[t.TxnID].Err == nil {
			timeout += fmt.Sprintf(" of %v", time.Duration(of[t.TxnID].TimeoutMillis)*time.Millisecond)
		}
		return fmt.Sprintf("transactional id %s, %s at coordinator %d: it ends by %s, or when %s starts again",
			t.TxnID, t.State, t.Coordinator, timeout, t.TxnID)
	}
	return "no coordinator knows it, so it hangs: end it with " + abort
}
