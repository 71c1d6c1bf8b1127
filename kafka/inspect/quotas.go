package inspect

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"januscdr/kafka"
)

// What a quota must allow to be no weakness. A broker answers late to whom is over a quota, so a transaction may take
// longer than its timeout, and is written again. Nothing is lost, but nothing may come out, either.
const (
	slowReading  = 1 << 20 // bytes a second: a restore of 1 GiB takes a quarter of an hour
	fewRequests  = 25      // percent of one thread of a broker; a processor with 8 workers needs some
	defaultBatch = 16 << 20
)

// quotas looks at those that may hold us back: of our user, of our client id, and of all that have none of their own.
func (f *findings) quotas(ctx context.Context, admin *kadm.Client, want ProcessorSettings) {
	all, err := admin.DescribeClientQuotas(ctx, false, nil)
	if errors.Is(err, kerr.UnsupportedVersion) {
		return
	}
	if err != nil {
		f.unseen(PromiseFollow, "quotas", err)
		return
	}
	before := len(*f)
	for _, quota := range all {
		who, ours := ofUs(quota.Entity, want)
		if !ours {
			continue
		}
		for _, v := range quota.Values {
			f.quota(who, v.Key, v.Value, want)
		}
	}
	if len(*f) == before {
		f.add(PromiseFollow, "quotas", OK, "quotas: none holds us back", "")
	}
}

// ofUs names whom a quota is of, and tells whether we may be it.
func ofUs(entity kadm.ClientQuotaEntity, want ProcessorSettings) (who string, ours bool) {
	id := want.ClientID
	if id == "" {
		id = kafka.DefaultClientID
	}
	var parts []string
	for _, part := range entity {
		name := "the default"
		if part.Name != nil {
			name = *part.Name
		}
		parts = append(parts, part.Type+" "+name)
		switch {
		case part.Name == nil:
		case part.Type == "user" && name == want.User, part.Type == "client-id" && name == id:
		default:
			return "", false
		}
	}
	return strings.Join(parts, ", "), true
}

func (f *findings) quota(who, key string, value float64, want ProcessorSettings) {
	batch := want.CommitBytes
	if batch <= 0 {
		batch = defaultBatch
	}
	remedy := fmt.Sprintf("raise it, or give the processors a user or a client id of their own without one "+
		"(`kafka-configs --alter --entity-type users|clients --entity-name ... --delete-config %s`)", key)
	subject := "quota of " + who
	allows := value * want.TransactionTimeout.Seconds()
	switch {
	case key == "producer_byte_rate" && allows < kafka.MaxMessageBytes:
		f.add(PromiseFollow, subject, Broken, fmt.Sprintf("%s is %.0f bytes a second for %s: one large event takes "+
			"longer than transaction_timeout, %v, so its partition would never go on", key, value, who,
			want.TransactionTimeout), remedy)
	case key == "producer_byte_rate" && allows < float64(batch):
		f.add(PromiseFollow, subject, Weak, fmt.Sprintf("%s is %.0f bytes a second for %s, for all processes together: a "+
			"transaction of commit_bytes, %d, takes longer than transaction_timeout, %v, and is aborted and written again",
			key, value, who, batch, want.TransactionTimeout), remedy+", or lower commit_bytes")
	case key == "consumer_byte_rate" && value < slowReading:
		f.add(PromiseFollow, subject, Weak, fmt.Sprintf("%s is %.0f bytes a second for %s: restores take long, and records "+
			"come late", key, value, who), remedy)
	case key == "request_percentage" && value < fewRequests:
		f.add(PromiseFollow, subject, Weak, fmt.Sprintf("%s is %.0f for %s: heartbeats and ends of transactions wait, too",
			key, value, who), remedy)
	}
}
