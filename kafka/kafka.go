// Package kafka makes clients and topics, and reads topics from here to there.
//
// It promises that every room talks to Kafka in the same way: one set of options for addresses, TLS, SASL and
// compression, one partitioner, one log. It knows records, not what stands in them. It touches the network, and reads
// the certificates that it is given.
//
// Whether a cluster keeps what we promise is looked at by kafka/inspect; kafka/embedded is a cluster of one.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Options say how to reach a Kafka cluster. They are the same for every client of a process.
type Options struct {
	Brokers     []string // host:port of some brokers; the rest of the cluster is found through them
	ClientID    string   // how the brokers' logs and quotas name us; "januscdr" when empty
	ClusterID   string   // of the cluster, and no other is spoken to; empty: the one that answers first
	TLS         *TLS     // nil: no TLS
	SASL        *SASL    // nil: no authentication
	Compression string   // of what we produce: zstd (when empty), lz4, snappy, gzip or none

	// Dialer opens the connections; nil means the usual one. TLS is spoken on top of what it returns.
	Dialer func(ctx context.Context, network, addr string) (net.Conn, error)
	Log    hclog.Logger // nil: silent

	// Contact hears of each answer of a broker, and holds which cluster it is: all clients that are made with it speak to
	// the one that answered first, and to no other. Nil: each client for itself.
	Contact *Contact
}

// TLS says whom to trust and how to show who we are. Files are PEM.
type TLS struct {
	CAFile     string // certificates to trust instead of those of the system
	CertFile   string // our certificate, for mutual TLS; needs KeyFile
	KeyFile    string
	ServerName string // the name that must stand in the broker's certificate; the dialled host when empty

	InsecureSkipVerify bool // trust anybody: for tests only

	read atomic.Pointer[material]
}

// DefaultClientID is how we are called when Options name nothing else.
const DefaultClientID = "januscdr"

// MaxMessageBytes is the largest record batch that our topics must take (max.message.bytes): one event has at most
// 1 MiB, and needs room for its key and headers, also when it is parked.
const MaxMessageBytes = 2 << 20

// maxBatchBytes is what a client puts in one batch at most, before compression. It leaves room for what compression
// can add to bytes that cannot be compressed.
const maxBatchBytes = MaxMessageBytes - 64<<10

// ClientOpts turns the options into those of franz-go. An error names the option or file that is wrong.
func (o Options) ClientOpts() ([]kgo.Opt, error) {
	if len(o.Brokers) == 0 {
		return nil, errors.New("kafka brokers are missing: name at least one as host:port")
	}
	id := o.ClientID
	if id == "" {
		id = DefaultClientID
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(o.Brokers...),
		kgo.ClientID(id),
		kgo.WithLogger(clientLog{o.logger()}),
		kgo.ProducerBatchMaxBytes(maxBatchBytes),
		// A client that was hung up on looks for the leader first, and by default not more often than every 5 s: as long
		// as Janus waits for an answer.
		kgo.MetadataMinAge(500 * time.Millisecond),
	}
	if o.Contact != nil {
		opts = append(opts, kgo.WithHooks(o.Contact))
	}
	codec, err := codecOf(o.Compression)
	if err != nil {
		return nil, err
	}
	opts = append(opts, kgo.ProducerBatchCompression(codec, kgo.NoCompression()))

	dial := o.Dialer
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	if o.TLS != nil {
		if err := o.TLS.renew(); err != nil {
			return nil, err
		}
		dial = overTLS(dial, o.TLS.current)
		opts = append(opts, kgo.WithHooks(speaksOverTLS{}))
	}
	began := &home{}
	if o.Contact != nil {
		began = &o.Contact.home
	}
	began.expect(o.ClusterID)
	opts = append(opts, kgo.Dialer(toHome(unhurried(dial), began, id, o.SASL != nil, o.logger())))

	if o.SASL != nil {
		mechanism, err := o.SASL.mechanism()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.SASL(mechanism))
	}
	return opts, nil
}

// NewClient makes a client; it does not connect yet (see WaitReady). The extra options win over ours. The caller closes
// the client.
func NewClient(o Options, extra ...kgo.Opt) (*kgo.Client, error) {
	opts, err := o.ClientOpts()
	if err != nil {
		return nil, fmt.Errorf("make kafka client: %w", err)
	}
	client, err := kgo.NewClient(append(opts, extra...)...)
	if err != nil {
		return nil, fmt.Errorf("make kafka client: %w", err)
	}
	return client, nil
}

// PartitionOf is the partition of a record with this key, of so many: the hash that every Kafka client has by default
// (murmur2, as in Java). Our clients use it too, where a record names no partition. The key must not be empty.
//
// Another hash would spread a session over two partitions: it is part of the data, not a detail.
func PartitionOf(key []byte, partitions int32) int32 {
	return int32(keyPartitioner.Partition(&kgo.Record{Key: key}, int(partitions)))
}

var keyPartitioner = kgo.StickyKeyPartitioner(nil).ForTopic("")

func (o Options) logger() hclog.Logger {
	if o.Log == nil {
		return hclog.NewNullLogger()
	}
	return o.Log
}

func codecOf(name string) (kgo.CompressionCodec, error) {
	switch strings.ToLower(name) {
	case "", "zstd":
		return kgo.ZstdCompression().WithLevel(int(zstd.SpeedFastest)), nil
	case "lz4":
		return kgo.Lz4Compression(), nil
	case "snappy":
		return kgo.SnappyCompression(), nil
	case "gzip":
		return kgo.GzipCompression(), nil
	case "none":
		return kgo.NoCompression(), nil
	}
	return kgo.CompressionCodec{}, fmt.Errorf("compression %q is unknown: use zstd, lz4, snappy, gzip or none", name)
}
