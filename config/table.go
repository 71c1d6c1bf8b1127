package config

import (
	"os"
	"runtime"
	"strings"
	"time"
)

// Prefix begins the name of each environment variable of ours.
const Prefix = "JANUSCDR_"

// FileVariable names the environment variable, and FileFlag the flag, that name the file. Neither is a key: a file
// does not name itself.
const (
	FileVariable = Prefix + "CONFIG"
	FileFlag     = "config"
)

// key is a row of the table: all there is to know of one key.
type key struct {
	name    string
	def     string // in the notation of the environment
	machine string // the default depends on the machine: what it is, in words
	about   string
	words   []string // the only values, "" is shown as none
	min     int64    // of numbers, durations (ns) and sizes (bytes); checked if max is not 0
	max     int64
	zero    bool // 0 is possible too, though it is below min
	secret  bool
	zone    bool // the value is a place of the time zone database
	file    bool // the value names a file that must be readable
	at      func(*Config) any
}

// Env is the name of the key in the environment.
func (k *key) env() string { return EnvName(k.name) }

// flag is the name of the key on the command line, without dashes.
func (k *key) flag() string { return FlagName(k.name) }

// EnvName is the name of a key in the environment: kafka.brokers is JANUSCDR_KAFKA_BROKERS.
func EnvName(key string) string { return Prefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_")) }

// FlagName is the name of a key on the command line, without dashes: kafka.client_id is kafka-client-id.
func FlagName(key string) string { return strings.NewReplacer(".", "-", "_", "-").Replace(key) }

const (
	ms     = int64(time.Millisecond)
	sec    = int64(time.Second)
	minute = 60 * sec
	hour   = int64(time.Hour)
	day    = 24 * hour
)

// table has the keys in the order in which they are shown. The rows of one section stand together.
var table = []*key{
	{name: "kafka.brokers", def: "127.0.0.1:9092", at: func(c *Config) any { return &c.Kafka.Brokers },
		about: "brokers to ask first, host:port; one that answers is enough to find the others"},
	{name: "kafka.cluster_id", at: func(c *Config) any { return &c.Kafka.ClusterID },
		about: "id of the cluster, as cdr check tells it: no other is spoken to. Empty: the one that answers first"},
	{name: "kafka.client_id", def: "januscdr", at: func(c *Config) any { return &c.Kafka.ClientID },
		about: "name of this client in the logs and quotas of the brokers"},
	{name: "kafka.compression", def: "zstd", words: []string{"none", "gzip", "snappy", "lz4", "zstd"},
		at: func(c *Config) any { return &c.Kafka.Compression },
		about: "compression of what is written; events are JSON that repeats itself, and zstd makes them smallest for the " +
			"CPU it takes"},
	{name: "kafka.tls.enabled", def: "false", at: func(c *Config) any { return &c.Kafka.TLS.Enabled },
		about: "encrypt the connection to Kafka"},
	{name: "kafka.tls.ca_file", file: true, at: func(c *Config) any { return &c.Kafka.TLS.CAFile },
		about: "PEM file of the authorities that sign the brokers' certificates; empty: those of the system"},
	{name: "kafka.tls.cert_file", file: true, at: func(c *Config) any { return &c.Kafka.TLS.CertFile },
		about: "PEM file of our own certificate, for brokers that ask for one"},
	{name: "kafka.tls.key_file", file: true, at: func(c *Config) any { return &c.Kafka.TLS.KeyFile },
		about: "PEM file of the key of our own certificate"},
	{name: "kafka.tls.server_name", at: func(c *Config) any { return &c.Kafka.TLS.ServerName },
		about: "name to expect in the brokers' certificates; empty: the host they are reached at"},
	{name: "kafka.tls.insecure_skip_verify", def: "false",
		at:    func(c *Config) any { return &c.Kafka.TLS.InsecureSkipVerify },
		about: "accept any certificate; anyone in between can then read and forge, so for trying out only"},
	{name: "kafka.sasl.mechanism", words: []string{"", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512",
		"OAUTHBEARER", "AWS_MSK_IAM"},
		at:    func(c *Config) any { return &c.Kafka.SASL.Mechanism },
		about: "how to log in to Kafka; empty: not at all"},
	{name: "kafka.sasl.user", at: func(c *Config) any { return &c.Kafka.SASL.User },
		about: "user to log in as; of AWS_MSK_IAM the access key; OAUTHBEARER has none"},
	{name: "kafka.sasl.password", secret: true, at: func(c *Config) any { return &c.Kafka.SASL.Password },
		about: "password to log in with, of AWS_MSK_IAM the secret key; a file keeps it out of process lists"},
	{name: "kafka.sasl.password_file", file: true, at: func(c *Config) any { return &c.Kafka.SASL.PasswordFile },
		about: "file that holds the password, read at each login; a line end after it does not count"},
	{name: "kafka.sasl.token_file", file: true, at: func(c *Config) any { return &c.Kafka.SASL.TokenFile },
		about: "file that holds the token of OAUTHBEARER, or a session token of AWS_MSK_IAM, read at each login: whoever " +
			"renews it writes it there"},

	{name: "topics.events", def: "janus.events", at: func(c *Config) any { return &c.Topics.Events },
		about: "topic of the events as Janus sent them"},
	{name: "topics.cdr", def: "janus.cdr", at: func(c *Config) any { return &c.Topics.CDR },
		about: "topic of the call detail records"},
	{name: "topics.state", def: "janus.cdr.state", at: func(c *Config) any { return &c.Topics.State },
		about: "compacted topic of the state of open sessions"},
	{name: "topics.dlq", def: "janus.dlq", at: func(c *Config) any { return &c.Topics.DLQ },
		about: "topic where events that cannot be understood are parked, with the reason"},
	{name: "topics.schemas", at: func(c *Config) any { return &c.Topics.Schemas },
		about: "files with schemas of records that a newer program wrote, as its `cdr schema` prints them; what older ones " +
			"wrote is read without"},
	{name: "topics.partitions", def: "12", min: 1, max: 10000, at: func(c *Config) any { return &c.Topics.Partitions },
		about: "partitions of each topic; they bound how far the work can be spread, and are chosen once"},
	{name: "topics.replication", def: "-1", min: -1, max: 100, at: func(c *Config) any { return &c.Topics.Replication },
		about: "copies of each partition when topics are made; -1: the default of the brokers"},
	{name: "topics.require_durable", def: "false", at: func(c *Config) any { return &c.Topics.RequireDurable },
		about: "refuse topics that do not survive the loss of a broker (three copies, min.insync.replicas 2); false: warn"},
	{name: "topics.retention_events", def: "7d", min: hour, max: 3650 * day,
		at:    func(c *Config) any { return &c.Topics.RetentionEvents },
		about: "how long events are kept; as long can be replayed, and the processor must never be away for longer"},
	{name: "topics.retention_cdr", def: "90d", min: hour, max: 36500 * day,
		at:    func(c *Config) any { return &c.Topics.RetentionCDR },
		about: "how long records are kept for their readers"},
	{name: "topics.retention_dlq", def: "90d", min: hour, max: 36500 * day,
		at:    func(c *Config) any { return &c.Topics.RetentionDLQ },
		about: "how long parked events are kept for a person to look at"},

	{name: "registry.url", at: func(c *Config) any { return &c.Registry.URL },
		about: "schema registry, https://host:port/path; several are tried in turn; set, records are framed for its " +
			"readers, and what wrote this topic before must have done so, too; empty: Avro's single-object encoding"},
	{name: "registry.subject", at: func(c *Config) any { return &c.Registry.Subject },
		about: "subject of the schema there; empty: the name of topics.cdr with -value behind it, which readers expect"},
	{name: "registry.register", def: "false", at: func(c *Config) any { return &c.Registry.Register },
		about: "register the schema at start if it is missing; false: `cdr schema register` does"},
	{name: "registry.user", at: func(c *Config) any { return &c.Registry.User },
		about: "user to name to the registry by HTTP Basic authentication; empty: none"},
	{name: "registry.password", secret: true, at: func(c *Config) any { return &c.Registry.Password },
		about: "password of that user; a file keeps it out of process lists"},
	{name: "registry.password_file", file: true, at: func(c *Config) any { return &c.Registry.PasswordFile },
		about: "file that holds that password; a line end after it does not count"},
	{name: "registry.tls.ca_file", file: true, at: func(c *Config) any { return &c.Registry.TLS.CAFile },
		about: "PEM file of the authorities that sign the registry's certificate; empty: those of the system"},
	{name: "registry.tls.cert_file", file: true, at: func(c *Config) any { return &c.Registry.TLS.CertFile },
		about: "PEM file of our own certificate, for a registry that asks for one"},
	{name: "registry.tls.key_file", file: true, at: func(c *Config) any { return &c.Registry.TLS.KeyFile },
		about: "PEM file of the key of our own certificate"},
	{name: "registry.tls.server_name", at: func(c *Config) any { return &c.Registry.TLS.ServerName },
		about: "name to expect in the registry's certificate; empty: the host of the URL"},

	{name: "group", def: "januscdr", at: func(c *Config) any { return &c.Group },
		about: "consumer group of the processors; all processes of one deployment share it"},
	{name: "instance", machine: "the host name", at: func(c *Config) any { return &c.Instance },
		about: "name of this process in the group; the same after a restart, and no other process may have it"},
	{name: "workers", machine: "the number of cores", min: 1, max: 1024, at: func(c *Config) any { return &c.Workers },
		about: "workers of this process, each with transactions of its own"},
	{name: "state_dir", def: "januscdr-data", at: func(c *Config) any { return &c.StateDir },
		about: "folder of the processor's cache of states; what is lost there is read from the changelog again, and no " +
			"other process may use it"},
	{name: "state_min_free", def: "64MiB", min: 1 << 20, max: 1 << 50, at: func(c *Config) any { return &c.StateMinFree },
		about: "the processor stops before the disk of state_dir has less room than this; a full disk would end it in the " +
			"middle of a write"},
	{name: "commit_interval", def: "200ms", min: 10 * ms, max: 60 * sec,
		at:    func(c *Config) any { return &c.CommitInterval },
		about: "time between transactions; shorter brings records sooner, longer costs less"},
	{name: "commit_backlog", def: "1s", min: 10 * ms, max: 60 * sec,
		at: func(c *Config) any { return &c.CommitBacklog },
		about: "the same while a worker is more than 20 000 events behind, if it is longer: each session that changed is " +
			"written once a transaction, so fewer cost less"},
	{name: "commit_bytes", def: "16MiB", min: 64 << 10, max: 1 << 30, at: func(c *Config) any { return &c.CommitBytes },
		about: "a worker commits sooner when so much has been collected; it bounds the memory and the size of a " +
			"transaction. States that may lag wait up to four times as much"},
	{name: "changelog_lag", def: "1s", max: 60 * sec,
		at: func(c *Config) any { return &c.ChangelogLag },
		about: "for how long the states in the changelog may lag behind the records that are out; who takes over folds the " +
			"events between again. Longer costs less, 0 writes states with each transaction. While a worker is far behind it " +
			"is thirty times as long, a minute at most"},
	{name: "transaction_timeout", def: "10s", min: sec, max: 900 * sec,
		at:    func(c *Config) any { return &c.TransactionTimeout },
		about: "the brokers abort a transaction that is open for longer; readers wait this long after a crash"},
	{name: "session_timeout", def: "30s", min: 6 * sec, max: 1800 * sec,
		at:    func(c *Config) any { return &c.SessionTimeout },
		about: "a worker that is silent for longer loses its partitions to others"},

	{name: "policy.grace", def: "5s", min: 0, max: hour, at: func(c *Config) any { return &c.Policy.Grace },
		about: "time to wait for stragglers after a close; Janus sends last statistics after the end"},
	{name: "policy.leg_silence", def: "1h", min: minute, max: 365 * day,
		at:    func(c *Config) any { return &c.Policy.LegSilence },
		about: "a leg that had statistics and is silent for this long is closed at its last evidence"},
	{name: "policy.leg_silence_without_statistics", def: "24h", min: minute, max: 365 * day,
		at:    func(c *Config) any { return &c.Policy.LegSilenceWithoutStatistics },
		about: "the same for a leg without statistics, where silence says less"},
	{name: "policy.emitter_silence", def: "25h", min: sec, max: 365 * day,
		at: func(c *Config) any { return &c.Policy.EmitterSilence },
		about: "a Janus that is silent for this long is taken for gone, and what was open there is closed; more than the " +
			"other silences, which wait meanwhile; it shows that it lives every 30s, so less than 1m is for trying out"},
	{name: "policy.session_silence", def: "7d", min: minute, max: 365 * day,
		at: func(c *Config) any { return &c.Policy.SessionSilence },
		about: "a session with nothing open is given up after this long, and what was given up is remembered for it, so " +
			"that its records can be amended"},
	{name: "policy.stub_retention", def: "10m", min: sec, max: 365 * day,
		at:    func(c *Config) any { return &c.Policy.StubRetention },
		about: "how long a closed session is remembered, so that late events open nothing"},
	{name: "policy.chargeable", words: []string{"PEER_CONNECTION", "SIP_CALL", "ROOM_MEMBERSHIP", "STREAM_VIEW",
		"RECORDING"},
		at:    func(c *Config) any { return &c.Policy.Chargeable },
		about: "kinds of legs that are charged; empty: the SIP call on a SIP handle, elsewhere the PeerConnection"},
	{name: "policy.partial_every", def: "0s", min: minute, max: 365 * day, zero: true,
		at:    func(c *Config) any { return &c.Policy.PartialEvery },
		about: "a leg that is longer is reported in parts of this length; 0s: never"},
	{name: "policy.partial_volume", def: "0B", max: 1 << 50, at: func(c *Config) any { return &c.Policy.PartialVolume },
		about: "a leg that carries more is reported in parts of this size; 0B: never"},
	{name: "policy.partial_midnight", zone: true, at: func(c *Config) any { return &c.Policy.PartialMidnight },
		about: "a leg is reported in parts at midnight of this place, for example Europe/Vienna; empty: never"},
	{name: "policy.address", def: "emit", words: disclosures, at: func(c *Config) any { return &c.Policy.Address },
		about: "what becomes of the address of a client, which is personal data"},
	{name: "policy.display_name", def: "emit", words: disclosures,
		at:    func(c *Config) any { return &c.Policy.DisplayName },
		about: "what becomes of the display name of a client, which is personal data"},
	{name: "policy.vanished_client", def: "held", words: vanished,
		at: func(c *Config) any { return &c.Policy.VanishedClient },
		about: "when a leg ends whose client was gone when its session timed out: held, when Janus let go, or last_sign, " +
			"at the client's last sign of life"},
	{name: "policy.hash_key", secret: true, at: func(c *Config) any { return &c.Policy.HashKey },
		about: "key of the hash that stands for personal data, 16 bytes or more; a file keeps it out of process lists"},
	{name: "policy.hash_key_file", file: true, at: func(c *Config) any { return &c.Policy.HashKeyFile },
		about: "file that holds that key; a line end after it does not count"},
	{name: "policy.rules", def: "[]", at: func(c *Config) any { return &c.Policy.Rules },
		about: "what holds instead for some: a list of {plugin, emitter, and any of grace to vanished_client}; plugin and " +
			"emitter are patterns, later rules win"},

	{name: "ingest.listen", def: "127.0.0.1:8090", at: func(c *Config) any { return &c.Ingest.Listen },
		about: "address where events are received by HTTP; :8090 for all interfaces, so that Janus on other hosts can " +
			"reach it; empty: not by HTTP"},
	{name: "ingest.path", def: "/events", at: func(c *Config) any { return &c.Ingest.Path },
		about: "path of the URL that Janus sends to"},
	{name: "ingest.body_limit", def: "32MiB", min: 1 << 10, max: 1 << 30,
		at:    func(c *Config) any { return &c.Ingest.BodyLimit },
		about: "largest body that is accepted, after decompression"},
	{name: "ingest.event_limit", def: "1MiB", min: 1 << 10, max: 1920 << 10,
		at:    func(c *Config) any { return &c.Ingest.EventLimit },
		about: "largest single event that is accepted; the topics take batches of 2MiB"},
	{name: "ingest.delivery_timeout", def: "8s", min: 100 * ms, max: 9500 * ms,
		at:    func(c *Config) any { return &c.Ingest.DeliveryTimeout },
		about: "time to make a body safe before the sender must try again; Janus gives up at 10s"},
	{name: "ingest.inflight_limit", def: "256MiB", min: 2 << 10, max: 1 << 40,
		at: func(c *Config) any { return &c.Ingest.InflightLimit },
		about: "bodies held in memory at a time, decompressed, and the same again of records on their way to Kafka; what " +
			"comes beyond is left without an answer; one sender has half of it, and strangers a quarter where senders can be " +
			"known"},
	{name: "ingest.min_rate", def: "1KiB", max: 1 << 30, at: func(c *Config) any { return &c.Ingest.MinRate },
		about: "a body that comes by HTTP with fewer bytes a second is left without an answer, after 3s, and a message by " +
			"websocket, gelf or nanomsg ends its connection, after 30s; 0B: a body has the time of ingest.delivery_timeout"},
	{name: "ingest.sender_rate", def: "0B", max: 1 << 40, at: func(c *Config) any { return &c.Ingest.SenderRate },
		about: "bytes a second that one sender may send, decompressed, with a burst of ten seconds; beyond, its bodies " +
			"wait, and are left without an answer after ingest.delivery_timeout; 0B: any"},
	{name: "ingest.max_connections", def: "3000", min: 8, max: 1000000,
		at: func(c *Config) any { return &c.Ingest.MaxConnections },
		about: "connections by HTTP at a time; beyond, the oldest of the stranger who has most makes room for the next; " +
			"the process must be allowed some hundred more descriptors"},
	{name: "ingest.tls.cert_file", file: true, at: func(c *Config) any { return &c.Ingest.TLS.CertFile },
		about: "PEM file of the certificate that senders are shown, with those between it and its authority; empty: plain " +
			"HTTP; read again when it was renewed"},
	{name: "ingest.tls.key_file", file: true, at: func(c *Config) any { return &c.Ingest.TLS.KeyFile },
		about: "PEM file of the key of that certificate"},
	{name: "ingest.tls.client_ca_file", file: true, at: func(c *Config) any { return &c.Ingest.TLS.ClientCAFile },
		about: "PEM file of the authorities that sign the certificates which senders must show; empty: they need none"},
	{name: "ingest.auth.user", at: func(c *Config) any { return &c.Ingest.Auth.User },
		about: "user that senders must name by HTTP Basic authentication; empty: anyone may send"},
	{name: "ingest.auth.password", secret: true, at: func(c *Config) any { return &c.Ingest.Auth.Password },
		about: "password that senders must give; a file keeps it out of process lists"},
	{name: "ingest.auth.password_file", file: true, at: func(c *Config) any { return &c.Ingest.Auth.PasswordFile },
		about: "file that holds that password; a line end after it does not count"},
	{name: "ingest.auth.users_file", file: true, at: func(c *Config) any { return &c.Ingest.Auth.UsersFile },
		about: "file of more users, user:password a line, so that each Janus has its own; read again when it was changed"},
	{name: "ingest.senders", def: "[]", at: func(c *Config) any { return &c.Ingest.Senders },
		about: "names for senders: a list of {path, user, certificate, address, emitter}; who matches all that is set gets " +
			"the emitter's name; the path is that of the URL, of MQTT the topic, of RabbitMQ the routing key behind a slash"},

	{name: "ingest.websocket.listen", at: func(c *Config) any { return &c.Ingest.WebSocket.Listen },
		about: "address where events are received by WebSocket, 127.0.0.1:8092 for example; with TLS if ingest.tls is set; " +
			"empty: not"},
	{name: "ingest.websocket.path", def: "/events", at: func(c *Config) any { return &c.Ingest.WebSocket.Path },
		about: "path of the URL that Janus connects to"},
	{name: "ingest.websocket.subprotocol", at: func(c *Config) any { return &c.Ingest.WebSocket.Subprotocol },
		about: "subprotocol that Janus must offer; empty: any or none"},

	{name: "ingest.rabbitmq.url", at: func(c *Config) any { return &c.Ingest.RabbitMQ.URL },
		about: "RabbitMQ to take events from: amqp://host:5672/vhost, or amqps://, without user and password; empty: none"},
	{name: "ingest.rabbitmq.user", def: "guest", at: func(c *Config) any { return &c.Ingest.RabbitMQ.User },
		about: "user to log in as"},
	{name: "ingest.rabbitmq.password", secret: true, at: func(c *Config) any { return &c.Ingest.RabbitMQ.Password },
		about: "password to log in with, guest if none is set; a file keeps it out of process lists"},
	{name: "ingest.rabbitmq.password_file", file: true, at: func(c *Config) any { return &c.Ingest.RabbitMQ.PasswordFile },
		about: "file that holds that password, read at each connect; a line end after it does not count"},
	{name: "ingest.rabbitmq.ca_file", file: true, at: func(c *Config) any { return &c.Ingest.RabbitMQ.CAFile },
		about: "PEM file of the authorities that sign its certificate; empty: those of the system"},
	{name: "ingest.rabbitmq.cert_file", file: true, at: func(c *Config) any { return &c.Ingest.RabbitMQ.CertFile },
		about: "PEM file of our own certificate, if it asks for one"},
	{name: "ingest.rabbitmq.key_file", file: true, at: func(c *Config) any { return &c.Ingest.RabbitMQ.KeyFile },
		about: "PEM file of the key of our own certificate"},
	{name: "ingest.rabbitmq.queue", def: "janus-events", at: func(c *Config) any { return &c.Ingest.RabbitMQ.Queue },
		about: "queue to take events from; of the ingests that have the same one, one takes and the others wait"},
	{name: "ingest.rabbitmq.queue_kind", def: "janus", words: []string{"janus", "durable", "quorum", "exists"},
		at: func(c *Config) any { return &c.Ingest.RabbitMQ.QueueKind },
		about: "how the queue is declared: as Janus does; durable, or quorum, which alone keeps Janus' messages over a " +
			"restart, both with declare_outgoing_queue = false there; exists: not at all, nor is it bound"},
	{name: "ingest.rabbitmq.exchange", at: func(c *Config) any { return &c.Ingest.RabbitMQ.Exchange },
		about: "exchange that Janus publishes to, and that the queue is bound to; empty: Janus has no exchange set"},
	{name: "ingest.rabbitmq.exchange_type", def: "fanout", words: []string{"fanout", "direct", "topic", "headers"},
		at:    func(c *Config) any { return &c.Ingest.RabbitMQ.ExchangeType },
		about: "type of that exchange, as Janus has it"},
	{name: "ingest.rabbitmq.routing_key", at: func(c *Config) any { return &c.Ingest.RabbitMQ.RoutingKey },
		about: "what binds the queue to the exchange, Janus' route_key; empty: the name of the queue"},

	{name: "ingest.mqtt.brokers", at: func(c *Config) any { return &c.Ingest.MQTT.Brokers },
		about: "brokers of MQTT to take events from, tried in turn: tcp://host:1883 or ssl://host:8883; empty: none"},
	{name: "ingest.mqtt.client_id", def: "januscdr", at: func(c *Config) any { return &c.Ingest.MQTT.ClientID },
		about: "name of the lasting session at the broker; the same after a restart, and no other client may have it"},
	{name: "ingest.mqtt.user", at: func(c *Config) any { return &c.Ingest.MQTT.User },
		about: "user to log in as; empty: none"},
	{name: "ingest.mqtt.password", secret: true, at: func(c *Config) any { return &c.Ingest.MQTT.Password },
		about: "password to log in with; a file keeps it out of process lists"},
	{name: "ingest.mqtt.password_file", file: true, at: func(c *Config) any { return &c.Ingest.MQTT.PasswordFile },
		about: "file that holds that password, read at each connect; a line end after it does not count"},
	{name: "ingest.mqtt.ca_file", file: true, at: func(c *Config) any { return &c.Ingest.MQTT.CAFile },
		about: "PEM file of the authorities that sign its certificate; empty: those of the system"},
	{name: "ingest.mqtt.cert_file", file: true, at: func(c *Config) any { return &c.Ingest.MQTT.CertFile },
		about: "PEM file of our own certificate, if it asks for one"},
	{name: "ingest.mqtt.key_file", file: true, at: func(c *Config) any { return &c.Ingest.MQTT.KeyFile },
		about: "PEM file of the key of our own certificate"},
	{name: "ingest.mqtt.topics", def: "/janus/events/#", at: func(c *Config) any { return &c.Ingest.MQTT.Topics },
		about: "topics to subscribe to; Janus appends the type of an event to its own"},
	{name: "ingest.mqtt.qos", def: "1", max: 2, at: func(c *Config) any { return &c.Ingest.MQTT.QoS },
		about: "quality of service to ask for; Janus must publish with the same or more: its default is 0, which loses " +
			"events"},

	{name: "ingest.nanomsg.connect", at: func(c *Config) any { return &c.Ingest.Nanomsg.Connect },
		about: "addresses where a Janus publishes by nanomsg with mode bind: tcp://host:port or ipc:///path"},
	{name: "ingest.nanomsg.listen", at: func(c *Config) any { return &c.Ingest.Nanomsg.Listen },
		about: "addresses to listen on for a Janus that connects by nanomsg: tcp://*:port or ipc:///path"},
	{name: "ingest.gelf.tcp", at: func(c *Config) any { return &c.Ingest.GELF.TCP },
		about: "address where events are received by GELF over TCP, 127.0.0.1:12201 for example; empty: not"},
	{name: "ingest.gelf.udp", at: func(c *Config) any { return &c.Ingest.GELF.UDP },
		about: "the same over UDP"},

	{name: "spool.dir", at: func(c *Config) any { return &c.Spool.Dir },
		about: "folder where ingest keeps events while Kafka does not take them; of this process alone; " +
			"empty: they are left with Janus"},
	{name: "spool.max_bytes", def: "10GiB", min: 1 << 20, max: 1 << 44,
		at:    func(c *Config) any { return &c.Spool.MaxBytes },
		about: "bytes that the spool may take; when it is full, bodies are left without an answer"},
	{name: "spool.max_age", def: "7d", min: minute, max: 365 * day, zero: true,
		at:    func(c *Config) any { return &c.Spool.MaxAge },
		about: "when an event has waited for so long, the spool takes no more; 0: however long"},
	{name: "spool.key_file", file: true, at: func(c *Config) any { return &c.Spool.KeyFile },
		about: "file of keys that encrypt the spool, one a line, 32 bytes in hexadecimal or base64; " +
			"the first writes, all read; empty: not encrypted"},

	{name: "sink.batch_records", def: "5000", min: 1, max: 100000, at: func(c *Config) any { return &c.Sink.BatchRecords },
		about: "records that a sink writes in one transaction; more cost less each, and take memory"},
	{name: "sink.batch_delay", def: "1s", min: 10 * ms, max: minute, at: func(c *Config) any { return &c.Sink.BatchDelay },
		about: "how long a record waits for others to be written together"},
	{name: "sink.group", at: func(c *Config) any { return &c.Sink.Group },
		about: "consumer group that the position is copied to, for tools that draw its lag; empty: none; it is never read"},
	{name: "sink.postgres.url", secret: true, at: func(c *Config) any { return &c.Sink.Postgres.URL },
		about: "database of `cdr sink postgres`: postgres://user:password@host:5432/database; a file keeps it out of " +
			"process lists"},
	{name: "sink.postgres.url_file", file: true, at: func(c *Config) any { return &c.Sink.Postgres.URLFile },
		about: "file that holds that URL; a line end after it does not count"},
	{name: "sink.sqlite.file", def: "januscdr.sqlite", at: func(c *Config) any { return &c.Sink.SQLite.File },
		about: "database of `cdr sink sqlite`; made if needed"},

	{name: "sink.otlp.url", at: func(c *Config) any { return &c.Sink.OTLP.URL },
		about: "where `cdr sink otlp` sends traces: http://collector:4318/v1/traces"},
	{name: "sink.otlp.file", def: "januscdr-otlp.json", at: func(c *Config) any { return &c.Sink.OTLP.File },
		about: "file that keeps how far `cdr sink otlp` is; of this process alone"},

	{name: "export.to", at: func(c *Config) any { return &c.Export.To },
		about: "folder of `cdr export`, made if needed; or s3://bucket/prefix"},
	{name: "export.format", def: "parquet", words: []string{"csv", "jsonl", "avro", "parquet"},
		at:    func(c *Config) any { return &c.Export.Format },
		about: "form of the files"},
	{name: "export.rotate_every", def: "1h", min: sec, max: day, at: func(c *Config) any { return &c.Export.RotateEvery },
		about: "a file is complete after this time; records are not seen before"},
	{name: "export.rotate_size", def: "256MiB", min: 1 << 10, max: 1 << 40,
		at:    func(c *Config) any { return &c.Export.RotateSize },
		about: "a file is complete when it has this size, about"},
	{name: "export.rotate_records", def: "1000000", min: 1, max: 1 << 40,
		at:    func(c *Config) any { return &c.Export.RotateRecords },
		about: "a file is complete when it has so many records, about"},
	{name: "export.zone", def: "UTC", zone: true, at: func(c *Config) any { return &c.Export.Zone },
		about: "place of the days, for example Europe/Vienna: files are complete at its midnight, and lie in folders by " +
			"its days"},

	{name: "export.s3.endpoint", at: func(c *Config) any { return &c.Export.S3.Endpoint },
		about: "object store that speaks S3, http://host:port or https://host; empty: that of Amazon"},
	{name: "export.s3.region", at: func(c *Config) any { return &c.Export.S3.Region },
		about: "region of the bucket; empty: the store is asked"},
	{name: "export.s3.access_key", at: func(c *Config) any { return &c.Export.S3.AccessKey },
		about: "name of the key for the store; empty: AWS_ACCESS_KEY_ID, ~/.aws/credentials or the role of the machine"},
	{name: "export.s3.secret_key", secret: true, at: func(c *Config) any { return &c.Export.S3.SecretKey },
		about: "that key; a file keeps it out of process lists"},
	{name: "export.s3.secret_key_file", file: true, at: func(c *Config) any { return &c.Export.S3.SecretKeyFile },
		about: "file that holds that key; a line end after it does not count"},

	{name: "copy.to", def: "janus.cdr.json", at: func(c *Config) any { return &c.Copy.To },
		about: "topic that `cdr copy` writes to, for readers that know no Avro and no transactions"},
	{name: "copy.format", def: "json", words: []string{"json", "cloudevents", "flat-avro"},
		at:    func(c *Config) any { return &c.Copy.Format },
		about: "form of the copies: JSON, without or with the headers of CloudEvents, or Avro without lists"},
	{name: "copy.where", at: func(c *Config) any { return &c.Copy.Where },
		about: "terms that must hold for a record that is copied: chargeable, !end_missing, record_type=LEG, " +
			"disposition!=BUSY; empty: all"},

	{name: "admin.listen", def: "127.0.0.1:8091", at: func(c *Config) any { return &c.Admin.Listen },
		about: "address of /healthz, /readyz and /metrics; empty: none; ingest has 127.0.0.1:8089 by default"},
	{name: "log.level", def: "info", words: []string{"trace", "debug", "info", "warn", "error", "off"},
		at:    func(c *Config) any { return &c.Log.Level },
		about: "what is logged: this and what is graver"},
	{name: "log.format", def: "text", words: []string{"text", "json"}, at: func(c *Config) any { return &c.Log.Format },
		about: "text for people, json for machines"},
}

var (
	disclosures = []string{"emit", "hash", "omit"}
	vanished    = []string{"held", "last_sign"}
)

// A member is a key of the sets that a list has.
type member[T any] struct {
	name string
	key  string // of the table, whose values and bounds it has; empty: any text
	at   func(*T) any
}

// senderMembers and ruleMembers are in the order in which they are shown.
var (
	senderMembers = []member[Sender]{
		{"path", "", func(s *Sender) any { return &s.Path }},
		{"user", "", func(s *Sender) any { return &s.User }},
		{"certificate", "", func(s *Sender) any { return &s.Certificate }},
		{"address", "", func(s *Sender) any { return &s.Address }},
		{"emitter", "", func(s *Sender) any { return &s.Emitter }},
	}
	ruleMembers = []member[Rule]{
		{"plugin", "", func(r *Rule) any { return &r.Plugin }},
		{"emitter", "", func(r *Rule) any { return &r.Emitter }},
		{"grace", "policy.grace", func(r *Rule) any { return &r.Grace }},
		{"leg_silence", "policy.leg_silence", func(r *Rule) any { return &r.LegSilence }},
		{"leg_silence_without_statistics", "policy.leg_silence_without_statistics",
			func(r *Rule) any { return &r.LegSilenceWithoutStatistics }},
		{"chargeable", "policy.chargeable", func(r *Rule) any { return &r.Chargeable }},
		{"partial_every", "policy.partial_every", func(r *Rule) any { return &r.PartialEvery }},
		{"partial_volume", "policy.partial_volume", func(r *Rule) any { return &r.PartialVolume }},
		{"partial_midnight", "policy.partial_midnight", func(r *Rule) any { return &r.PartialMidnight }},
		{"address", "policy.address", func(r *Rule) any { return &r.Address }},
		{"display_name", "policy.display_name", func(r *Rule) any { return &r.DisplayName }},
		{"vanished_client", "policy.vanished_client", func(r *Rule) any { return &r.VanishedClient }},
	}
)

var byName, byEnv, byFlag = index()

func index() (name, env, flag map[string]*key) {
	name, env, flag = map[string]*key{}, map[string]*key{}, map[string]*key{}
	for _, k := range table {
		name[k.name], env[k.env()], flag[k.flag()] = k, k, k
	}
	return name, env, flag
}

// machineDefaults are the defaults that this machine decides.
func machineDefaults(c *Config) {
	c.Workers = runtime.GOMAXPROCS(0)
	c.Instance, _ = os.Hostname() // an empty name is complained about by check
}
