package inspect

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"januscdr/kafka"
)

// Rights that are missing end a processor, but some are asked for only when there is something to write: a processor
// that may read and not write starts, and ends at its first record. Of topics the brokers tell what we may do. Of a
// group that nobody is in, and of transactional ids, they do not: there we ask for what cannot be, and see whether that
// is refused for the right or for the rest.

// right is what a processor does to a topic.
type right struct {
	topic string
	ops   []kmsg.ACLOperation
	why   string
}

func rightsOf(t kafka.Topics) []right {
	return []right{
		{t.Events, []kmsg.ACLOperation{kmsg.ACLOperationRead, kmsg.ACLOperationWrite}, "events are read, and ticks written"},
		{t.CDR, []kmsg.ACLOperation{kmsg.ACLOperationWrite}, "records are written"},
		{t.State, []kmsg.ACLOperation{kmsg.ACLOperationRead, kmsg.ACLOperationWrite}, "states are written, and restored"},
		{t.DLQ, []kmsg.ACLOperation{kmsg.ACLOperationWrite}, "what is not understood is parked"},
	}
}

// rights looks whether a processor that is who we are may do all that it has to.
func (f *findings) rights(ctx context.Context, cl *kgo.Client, t kafka.Topics, want ProcessorSettings) {
	before := len(*f)
	told := f.topicRights(ctx, cl, t)
	if want.Group != "" && mayNotJoin(ctx, cl, want.Group) {
		f.lacks("group "+want.Group, kmsg.ACLOperationRead, "--group "+want.Group, "the processors are its members")
	}
	if prefix := want.Group + "-" + want.Instance + "-"; want.Instance != "" && mayNotEnd(ctx, cl, prefix+"0") {
		f.lacks("transactional id "+prefix+"0", kmsg.ACLOperationWrite,
			"--transactional-id "+prefix+" --resource-pattern-type prefixed", "each transaction has one")
	}
	if len(*f) == before && told {
		f.add(PromiseFollow, "rights", OK, "rights: we may do what a processor has to, as far as it is told", "")
	}
}

// topicRights tells whether the brokers told of any.
func (f *findings) topicRights(ctx context.Context, cl *kgo.Client, t kafka.Topics) (told bool) {
	meta, err := kadm.NewClient(cl).Metadata(kadm.WithAuthorizedOps(ctx), t.Events, t.CDR, t.State, t.DLQ)
	if err != nil {
		f.unseen(PromiseFollow, "rights", err)
		return false
	}
	for _, need := range rightsOf(t) {
		may := meta.Topics[need.topic].AuthorizedOperations
		if need.topic == "" || len(may) == 0 {
			continue // not told: whom a topic is described to may describe it at least
		}
		told = true
		for _, op := range need.ops {
			if !slices.Contains(may, op) {
				f.lacks(need.topic, op, "--topic "+need.topic, need.why)
			}
		}
	}
	return told
}

// mayNotJoin asks what we may do to a group, and gives a sign of life of a member that it does not have.
func mayNotJoin(ctx context.Context, cl *kgo.Client, group string) bool {
	described, err := kadm.NewClient(cl).DescribeGroups(ctx, group)
	if err == nil && len(described[group].AuthorizedOperations) > 0 {
		return !slices.Contains(described[group].AuthorizedOperations, kmsg.ACLOperationRead)
	}
	beat := kmsg.NewPtrHeartbeatRequest()
	beat.Group, beat.MemberID, beat.Generation = group, "nobody", 0
	answer, err := beat.RequestWith(ctx, cl)
	return errors.Is(err, kerr.GroupAuthorizationFailed) ||
		err == nil && answer.ErrorCode == kerr.GroupAuthorizationFailed.Code
}

// mayNotEnd ends a transaction of a producer that there is not.
func mayNotEnd(ctx context.Context, cl *kgo.Client, id string) bool {
	end := kmsg.NewPtrEndTxnRequest()
	end.TransactionalID, end.ProducerID, end.Commit = id, math.MaxInt64, false
	answer, err := end.RequestWith(ctx, cl)
	return errors.Is(err, kerr.TransactionalIDAuthorizationFailed) ||
		err == nil && answer.ErrorCode == kerr.TransactionalIDAuthorizationFailed.Code
}

func (f *findings) lacks(subject string, op kmsg.ACLOperation, resource, why string) {
	word := strings.ToLower(op.String())
	f.add(PromiseFollow, subject, Broken,
		fmt.Sprintf("we may not %s %s: %s, so a processor ends when it comes to that", word, subject, why),
		fmt.Sprintf("grant it with `kafka-acls --add --operation %s %s --allow-principal User:...`",
			strings.ToUpper(word[:1])+word[1:], resource))
}
