// Package config is what the operator may say: defaults, then a YAML file, then the environment, then flags; the later
// wins. It is the same for ingest and cdr, so that one file serves both.
//
// It promises that a key has one name everywhere (kafka.brokers in the file is JANUSCDR_KAFKA_BROKERS in the
// environment and --kafka-brokers on the command line), that a word it does not know is an error with a suggestion,
// that all complaints come at once, and that no secret is ever printed. It touches files and the environment it is
// given, knows no other room, and changes nothing.
package config

import "time"

// Config is everything that can be configured. Its keys, their defaults and their meaning stand in one table
// (table.go); each field here has exactly one row there. Use Load to make one: the zero value is not valid.
type Config struct {
	Kafka  Kafka
	Topics Topics

	Registry Registry

	Group              string        // consumer group of the processors
	Instance           string        // name of this process inside the group
	Workers            int           // transactional workers, each with a client of its own
	StateDir           string        // folder of the state cache
	StateMinFree       Size          // of its disk, which must stay free
	CommitInterval     time.Duration // time between commits
	CommitBacklog      time.Duration // time between commits while there is a backlog
	CommitBytes        Size          // of a worker, after which it commits sooner
	ChangelogLag       time.Duration // how long states may lag behind records
	TransactionTimeout time.Duration // after this the brokers abort a transaction
	SessionTimeout     time.Duration // after this the group takes a silent worker for dead

	Policy Policy
	Ingest Ingest
	Spool  Spool
	Sink   Sink
	Export Export
	Copy   Copy
	Admin  Admin
	Log    Log

	origins map[string]Origin // by key; what is absent is a default
}

// Kafka says how to reach the cluster.
type Kafka struct {
	Brokers     []string // host:port
	ClientID    string
	ClusterID   string
	Compression string // none, gzip, snappy, lz4 or zstd
	TLS         TLS
	SASL        SASL
}

// TLS says whether and how the connection to Kafka is encrypted.
type TLS struct {
	Enabled            bool
	CAFile             string
	CertFile, KeyFile  string
	ServerName         string
	InsecureSkipVerify bool
}

// SASL says who we are to Kafka. An empty Mechanism means that no authentication is wanted.
type SASL struct {
	Mechanism    string // "", PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or AWS_MSK_IAM
	User         string
	Password     string // also what was read from PasswordFile
	PasswordFile string
	TokenFile    string
}

// Topics names the topics and says how they are made.
type Topics struct {
	Events, CDR, State, DLQ string
	Schemas                 []string // files
	Partitions              int
	Replication             int // -1: the default of the brokers
	RequireDurable          bool
	RetentionEvents         time.Duration
	RetentionCDR            time.Duration
	RetentionDLQ            time.Duration
}

// Registry says which schema registry readers of the records ask; no URL means none.
type Registry struct {
	URL          []string
	Subject      string // empty: the topic of the records, with -value behind it
	Register     bool
	User         string
	Password     string // also what was read from PasswordFile
	PasswordFile string
	TLS          RegistryTLS
}

// RegistryTLS says whom to trust, and who we are, where the URL is https.
type RegistryTLS struct{ CAFile, CertFile, KeyFile, ServerName string }

// Policy is what the operator decides about records: when a call is over, what is charged, what is told.
type Policy struct {
	Grace                       time.Duration
	LegSilence                  time.Duration
	LegSilenceWithoutStatistics time.Duration
	EmitterSilence              time.Duration
	SessionSilence              time.Duration
	StubRetention               time.Duration
	Chargeable                  []string      // kinds of legs; empty: the usual ones
	PartialEvery                time.Duration // 0: never
	PartialVolume               Size          // 0: never
	PartialMidnight             string        // a place of the time zone database; empty: never
	Address, DisplayName        string        // emit, hash or omit
	VanishedClient              string        // held or last_sign
	HashKey                     string        // also what was read from HashKeyFile
	HashKeyFile                 string
	Rules                       []Rule
}

// Rule is what holds instead for the handles of some plugins on some emitters. What is nil, or an empty text, is left
// as it is.
type Rule struct {
	Plugin, Emitter string // patterns of path.Match; empty: all

	Grace, LegSilence, LegSilenceWithoutStatistics *time.Duration
	Chargeable                                     []string
	PartialEvery                                   *time.Duration
	PartialVolume                                  *Size
	PartialMidnight                                string
	Address, DisplayName                           string
	VanishedClient                                 string
}

// Ingest says how events come in.
type Ingest struct {
	Listen          string // host:port; empty: not by HTTP
	Path            string
	BodyLimit       Size
	EventLimit      Size
	DeliveryTimeout time.Duration
	InflightLimit   Size
	MinRate         Size // a second
	SenderRate      Size // a second
	MaxConnections  int
	TLS             Certificate
	Auth            Auth
	Senders         []Sender
	WebSocket       IngestWebSocket
	RabbitMQ        IngestRabbitMQ
	MQTT            IngestMQTT
	Nanomsg         IngestNanomsg
	GELF            IngestGELF
}

// IngestWebSocket says where wsevh connects to; an empty Listen is nowhere.
type IngestWebSocket struct {
	Listen      string // host:port
	Path        string
	Subprotocol string
}

// IngestRabbitMQ says from which queue events are taken; an empty URL is from none.
type IngestRabbitMQ struct {
	URL          string
	User         string
	Password     string // also what was read from PasswordFile
	PasswordFile string
	CAFile       string
	CertFile     string
	KeyFile      string
	Queue        string
	QueueKind    string // janus, durable, quorum or exists
	Exchange     string
	ExchangeType string
	RoutingKey   string
}

// IngestMQTT says from which broker events are taken; no brokers is from none.
type IngestMQTT struct {
	Brokers      []string // URLs
	ClientID     string
	User         string
	Password     string // also what was read from PasswordFile
	PasswordFile string
	CAFile       string
	CertFile     string
	KeyFile      string
	Topics       []string
	QoS          int
}

// IngestNanomsg says which publishers events are taken from: addresses as nanomsg writes them.
type IngestNanomsg struct{ Connect, Listen []string }

// IngestGELF says where gelfevh sends to: host:port of each, empty for neither.
type IngestGELF struct{ TCP, UDP string }

// Spool says where events wait while Kafka does not take them, and how many.
type Spool struct {
	Dir      string // empty: nowhere
	MaxBytes Size
	MaxAge   time.Duration // 0: no bound
	KeyFile  string        // empty: not encrypted
}

// Certificate is what a server shows, with its key; none: no TLS. With ClientCAFile, clients must show one, too.
type Certificate struct{ CertFile, KeyFile, ClientCAFile string }

// Auth is HTTP Basic authentication; no user means none is asked for.
type Auth struct {
	User         string
	Password     string // also what was read from PasswordFile
	PasswordFile string
	UsersFile    string // of more users, a line each
}

// Sender gives a name to the events of whoever matches all criteria that are set.
type Sender struct {
	Path    string // path of the URL
	User    string // user name of HTTP Basic authentication
	Address string // IP address or CIDR prefix of the sender

	Certificate string // name in the client's certificate

	Emitter string // the name that its events get
}

// Sink says where records are brought to, and how.
type Sink struct {
	BatchRecords int
	BatchDelay   time.Duration
	Group        string // empty: none
	Postgres     SinkPostgres
	SQLite       SinkSQLite
	OTLP         SinkOTLP
}

// SinkPostgres is a database of PostgreSQL.
type SinkPostgres struct {
	URL     string // also what was read from URLFile
	URLFile string
}

// SinkSQLite is a database of SQLite.
type SinkSQLite struct{ File string }

// SinkOTLP is what takes traces, and the file of how far it has them.
type SinkOTLP struct{ URL, File string }

// Export says where files of records are written, and when each is complete.
type Export struct {
	To            string // folder
	Format        string // csv, jsonl, avro or parquet
	RotateEvery   time.Duration
	RotateSize    Size
	RotateRecords int
	Zone          string // a place of the time zone database
	S3            ExportS3
}

// ExportS3 says how to reach an object store.
type ExportS3 struct {
	Endpoint      string // empty: Amazon's
	Region        string // empty: asked for
	AccessKey     string // empty: what the machine has
	SecretKey     string // also what was read from SecretKeyFile
	SecretKeyFile string
}

// Copy says to which topic records are copied, and which.
type Copy struct {
	To     string
	Format string   // json, cloudevents or flat-avro
	Where  []string // terms that hold for all
}

// Admin says where health and metrics are served; an empty Listen serves none.
type Admin struct {
	Listen string // host:port
}

// Log says what is logged, and how.
type Log struct {
	Level  string // trace, debug, info, warn, error or off
	Format string // text or json
}

// Origin says where the value of a key comes from.
type Origin struct {
	Kind  Kind
	Where string // "januscdr.yaml:7", "JANUSCDR_GROUP", "--group"; empty for a default
}

// Kind is the kind of an origin. A greater one wins.
type Kind uint8

// The kinds of origins.
const (
	Default Kind = iota
	File
	Environment
	Flag
)

// String is the kind in a word.
func (k Kind) String() string { return [...]string{"default", "file", "environment", "flag"}[k] }

// Origin tells where the value of a key, "kafka.brokers", comes from. An unknown key is a default.
func (c *Config) Origin(key string) Origin { return c.origins[key] }
