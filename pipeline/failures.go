package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/statestore"
)

// fetchErrors decides what an error of reading means.
func (w *worker) fetchErrors(ctx context.Context, fetches kgo.Fetches) error {
	var failed error
	fetches.EachError(func(topic string, partition int32, err error) {
		var session *kgo.ErrGroupSession
		switch {
		case failed != nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		case errors.Is(err, kerr.OffsetOutOfRange):
			failed = w.gone(ctx, partition, err)
		case errors.Is(err, kerr.UnknownTopicID):
			failed = fmt.Errorf("read %s: %w: the topic was deleted and made again: give the changelog and the group new names, and delete the state directory: %w", topic, ErrAhead, err)
		case w.final(err) != nil:
			failed = w.final(err)
		case errors.As(err, &session):
			w.log.Warn("membership of the group is interrupted", "error", err) // the client joins again by itself
		default:
			failed = fmt.Errorf("%w: read %s partition %d: %w", errUnknown, topic, partition, err)
		}
	})
	return failed
}

// gone is the error of a position that the log does not have any more.
func (w *worker) gone(ctx context.Context, partition int32, err error) error {
	t := w.tasks[partition]
	if t == nil {
		return fmt.Errorf("%w: %w", errUnknown, err)
	}
	start, listed := w.logStart(ctx, w.p.opts.Topics.Events, partition)
	switch {
	case listed != nil:
		return fmt.Errorf("%w: %w: %w", errUnknown, err, listed)
	case start > t.next() && !w.p.opts.AcceptLoss:
		return w.outOfRange(partition, t.next(), start)
	}
	return fmt.Errorf("%w: %w", errUnknown, err) // the restore finds out what it is
}

// final is the error when trying again would not help, else nil.
func (w *worker) final(err error) error {
	for _, sentinel := range []error{ErrBroken, ErrAhead, ErrOutOfRange, ErrFenced, ErrTooLarge, ErrForeign, ErrVersion, statestore.ErrForeign, statestore.ErrFull} {
		if errors.Is(err, sentinel) {
			return err
		}
	}
	for _, refused := range []error{kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.SaslAuthenticationFailed} {
		if errors.Is(err, refused) {
			return fmt.Errorf("kafka does not let us: grant read on the events and the group %s, write on the other topics, and write on the transactional ids that begin with %s-%s-: %w",
				w.p.opts.Group, w.p.opts.Group, w.p.opts.Instance, err)
		}
	}
	switch {
	case errors.Is(err, kerr.FencedInstanceID):
		return w.fenced(err)
	case errors.Is(err, kerr.InvalidTransactionTimeout):
		return fmt.Errorf("the brokers do not allow a transaction timeout of %v: lower it, or raise transaction.max.timeout.ms there: %w", w.p.opts.TransactionTimeout, err)
	case errors.Is(err, kerr.InvalidSessionTimeout):
		return fmt.Errorf("the brokers do not allow a session timeout of %v: see group.min.session.timeout.ms and group.max.session.timeout.ms there: %w", w.p.opts.SessionTimeout, err)
	}
	return nil
}

func (w *worker) fenced(why error) error {
	if errors.Is(why, ErrFenced) {
		return why
	}
	return fmt.Errorf("%w: %s is used by two processes: give each an instance name of its own: %w", ErrFenced, w.name, why)
}
