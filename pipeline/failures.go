package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Whether an error is permanent, so that it would come again whatever we try, is a property of the error: one in its
// chain says so with a method Permanent. Errors of this package and of others do, as they like; nobody has to list
// them here.
//
// An error that says nothing is taken for one that passes: the client and all tasks are dropped, the changelog is
// asked, and work begins again. That is safe, since nothing goes on from memory, and what does not pass is seen as
// warnings, 10 s apart at most, and in the counter of transactions of unknown outcome. The other way round, a code of
// the brokers that nobody has seen before would stop all work until a person comes. (A restore that fails is tried ten
// times.)

// permanentError is an error that would come again.
type permanentError struct{ error }

func (permanentError) Permanent() bool { return true }

func (e permanentError) Unwrap() error { return e.error }

// permanent makes a permanent error of its own.
func permanent(text string) error { return permanentError{errors.New(text)} }

// isPermanent tells whether an error, or one that it wraps, says that it would come again.
func isPermanent(err error) bool {
	var says interface{ Permanent() bool }
	return errors.As(err, &says) && says.Permanent()
}

// classifier tells failures that would come again from those that pass, and says what to do about the former.
type classifier struct {
	group, instance string
	name            string // of the worker: instance id in the group, and transactional id

	transactionTimeout time.Duration
	sessionTimeout     time.Duration
}

// failure is what an error of the client means that began something at began: an error that will come again, or one
// that wraps errUnknown. The brokers say "fenced" of another process that has our name, and also of a transaction that
// took longer than the transaction timeout: then it was our own fault, and we go on with a new client.
func (c classifier) failure(began time.Time, why error) error {
	if final := c.permanent(why); final != nil {
		return final
	}
	fenced := errors.Is(why, kerr.ProducerFenced) || errors.Is(why, kerr.InvalidProducerEpoch)
	// By both clocks: the monotonic one stands still while a machine sleeps.
	took := max(time.Since(began), time.Now().Round(0).Sub(began.Round(0)))
	if fenced && took < c.transactionTimeout {
		return c.fenced(why)
	}
	return fmt.Errorf("%w: %w", errUnknown, why)
}

// permanent is the error when trying again would not help, else nil. To what the brokers refuse for good it adds the
// remedy, and from then on the error says itself that it is permanent.
func (c classifier) permanent(err error) error {
	if isPermanent(err) {
		return err
	}
	for _, refused := range []error{
		kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed,
		kerr.ClusterAuthorizationFailed, kerr.SaslAuthenticationFailed,
	} {
		if errors.Is(err, refused) {
			return permanentError{fmt.Errorf("kafka does not let us: grant read on the events and the group %s, "+
				"write on the other topics, and write on the transactional ids that begin with %s-%s-: %w",
				c.group, c.group, c.instance, err)}
		}
	}
	switch {
	case errors.Is(err, kerr.FencedInstanceID):
		return c.fenced(err)
	case errors.Is(err, kerr.InvalidTransactionTimeout):
		return permanentError{fmt.Errorf("the brokers do not allow a transaction timeout of %v: "+
			"lower it, or raise transaction.max.timeout.ms there: %w", c.transactionTimeout, err)}
	case errors.Is(err, kerr.InvalidSessionTimeout):
		return permanentError{fmt.Errorf("the brokers do not allow a session timeout of %v: "+
			"see group.min.session.timeout.ms and group.max.session.timeout.ms there: %w", c.sessionTimeout, err)}
	}
	return nil
}

func (c classifier) fenced(why error) error {
	if errors.Is(why, ErrFenced) {
		return why
	}
	return fmt.Errorf("%w: %s is used by two processes: give each an instance name of its own: %w", ErrFenced, c.name, why)
}

// fetchErrors decides what an error of reading means.
func (c *consumer) fetchErrors(ctx context.Context, fetches kgo.Fetches) error {
	var failed error
	fetches.EachError(func(topic string, partition int32, err error) {
		var session *kgo.ErrGroupSession
		switch {
		case failed != nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		case errors.Is(err, kerr.OffsetOutOfRange):
			failed = c.offsetDeleted(ctx, partition, err)
		case errors.Is(err, kerr.UnknownTopicID):
			failed = fmt.Errorf("read %s: %w: the topic was deleted and made again: "+
				"give the changelog and the group new names, and delete the state directory: %w", topic, ErrAhead, err)
		case c.classify.permanent(err) != nil:
			failed = c.classify.permanent(err)
		case errors.As(err, &session):
			if !c.interrupted { // the client tries again by itself, and says the same each time
				c.log.Warn("membership of the group is interrupted", "error", err)
			}
			c.interrupted = true
		default:
			failed = fmt.Errorf("%w: read %s partition %d: %w", errUnknown, topic, partition, err)
		}
	})
	return failed
}

// offsetDeleted is the error of a position that the log does not have any more.
func (c *consumer) offsetDeleted(ctx context.Context, partition int32, err error) error {
	t := c.tasks[partition]
	if t == nil {
		return fmt.Errorf("%w: %w", errUnknown, err)
	}
	start, listed := c.restorer.logStart(ctx, c.topic, partition)
	switch {
	case listed != nil:
		return fmt.Errorf("%w: %w: %w", errUnknown, err, listed)
	case start > t.next() && !c.restorer.acceptLoss:
		return c.restorer.errOutOfRange(partition, t.next(), start)
	}
	return fmt.Errorf("%w: %w", errUnknown, err) // the restore finds out what it is
}

// and puts two errors into one line; either may be nil.
func and(first, second error) error {
	switch {
	case first == nil:
		return second
	case second == nil:
		return first
	}
	return fmt.Errorf("%w; and then: %w", first, second)
}
