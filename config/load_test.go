package config

import (
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// inFolder makes a folder with the files, which come as name and content, the working directory of the test.
func inFolder(t *testing.T, files ...string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for i := 0; i < len(files); i += 2 {
		if err := os.WriteFile(files[i], []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func load(t *testing.T, s Sources) *Config {
	t.Helper()
	c, err := Load(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wantComplaints compares the whole text: it is what an operator reads.
func wantComplaints(t *testing.T, s Sources, want ...string) {
	t.Helper()
	c, err := Load(s)
	if err == nil {
		t.Fatalf("loaded, want complaints:\n%s\ngot %+v", strings.Join(want, "\n"), c)
	}
	if got := err.Error(); got != strings.Join(want, "\n") {
		t.Errorf("complaints:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
}

func TestWithoutAnythingSaidTheDefaultsAreThoseOfTheDesign(t *testing.T) {
	c := load(t, Sources{})
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Kafka: Kafka{Brokers: []string{"127.0.0.1:9092"}, ClientID: "januscdr", Compression: "zstd"},
		Topics: Topics{Events: "janus.events", CDR: "janus.cdr", State: "janus.cdr.state", DLQ: "janus.dlq", Partitions: 12,
			Replication:     -1,
			RetentionEvents: 7 * 24 * time.Hour, RetentionCDR: 90 * 24 * time.Hour, RetentionDLQ: 90 * 24 * time.Hour},
		Group: "januscdr", Instance: host, Workers: runtime.GOMAXPROCS(0), StateDir: "januscdr-data", StateMinFree: 64 << 20,
		CommitInterval: 200 * time.Millisecond, CommitBacklog: time.Second, CommitBytes: 16 << 20, ChangelogLag: time.Second,
		TransactionTimeout: 10 * time.Second, SessionTimeout: 30 * time.Second,
		Policy: Policy{Grace: 5 * time.Second, LegSilence: time.Hour, LegSilenceWithoutStatistics: 24 * time.Hour,
			EmitterSilence: 25 * time.Hour, SessionSilence: 168 * time.Hour, StubRetention: 10 * time.Minute, Address: "emit",
			DisplayName: "emit", VanishedClient: "held"},
		Ingest: Ingest{Listen: "127.0.0.1:8090", Path: "/events", BodyLimit: 32 << 20, EventLimit: 1 << 20,
			DeliveryTimeout: 8 * time.Second, InflightLimit: 256 << 20, MinRate: 1 << 10, MaxConnections: 3000,
			WebSocket: IngestWebSocket{Path: "/events"},
			RabbitMQ:  IngestRabbitMQ{User: "guest", Queue: "janus-events", QueueKind: "janus", ExchangeType: "fanout"},
			MQTT:      IngestMQTT{ClientID: "januscdr", Topics: []string{"/janus/events/#"}, QoS: 1}},
		Spool: Spool{MaxBytes: 10 << 30, MaxAge: 7 * 24 * time.Hour},
		Sink: Sink{BatchRecords: 5000, BatchDelay: time.Second, SQLite: SinkSQLite{File: "januscdr.sqlite"},
			OTLP: SinkOTLP{File: "januscdr-otlp.json"}},
		Export: Export{Format: "parquet", RotateEvery: time.Hour, RotateSize: 256 << 20, RotateRecords: 1_000_000,
			Zone: "UTC"},
		Copy:  Copy{To: "janus.cdr.json", Format: "json"},
		Admin: Admin{Listen: "127.0.0.1:8091"},
		Log:   Log{Level: "info", Format: "text"},
	}
	c.origins = nil
	if !reflect.DeepEqual(*c, want) {
		t.Errorf("got  %+v\nwant %+v", *c, want)
	}
}

func TestAWayInIsToldWhatItLacks(t *testing.T) {
	for _, scene := range []struct {
		environ []string
		want    string // in the complaint; empty: none
	}{
		{[]string{"INGEST_LISTEN=", "INGEST_WEBSOCKET_LISTEN=:8092"}, ""},
		{[]string{"INGEST_LISTEN=", "INGEST_RABBITMQ_URL=amqp://mq:5672/"}, ""},
		{[]string{"INGEST_LISTEN=", "INGEST_MQTT_BROKERS=tcp://mq:1883"}, ""},
		{[]string{"INGEST_LISTEN=", "INGEST_NANOMSG_CONNECT=ipc:///tmp/janusevh.ipc"}, ""},
		{[]string{"INGEST_LISTEN=", "INGEST_GELF_UDP=:12201"}, ""},
		{[]string{"INGEST_WEBSOCKET_LISTEN=8092"}, "ingest.websocket.listen: \"8092\" is not host:port"},
		{[]string{"INGEST_WEBSOCKET_PATH=events"}, "begin it with a slash"},
		{[]string{"INGEST_RABBITMQ_URL=mq:5672"}, "amqp://host:5672/vhost"},
		{[]string{"INGEST_RABBITMQ_URL=amqp://guest:secret@mq:5672"}, "ingest.rabbitmq.user"},
		{[]string{"INGEST_RABBITMQ_QUEUE_KIND=classic"}, "quorum"},
		{[]string{"INGEST_RABBITMQ_QUEUE="}, "name the queue"},
		{[]string{"INGEST_MQTT_BROKERS=tcp://a:1,http://b:2"}, "ssl://host:8883"},
		{[]string{"INGEST_MQTT_QOS=3"}, "ingest.mqtt.qos"},
		{[]string{"INGEST_MQTT_TOPICS="}, "ingest.mqtt.topics"},
		{[]string{"INGEST_MQTT_CLIENT_ID="}, "name the session"},
		{[]string{"INGEST_NANOMSG_LISTEN=0.0.0.0:18102"}, "tcp://host:port or ipc:///path"},
		{[]string{"INGEST_GELF_TCP=12201"}, "ingest.gelf.tcp"},
	} {
		var environ []string
		for _, pair := range scene.environ {
			environ = append(environ, Prefix+pair)
		}
		_, err := Load(Sources{Environ: environ})
		switch {
		case scene.want == "" && err != nil:
			t.Errorf("%s: %v", scene.environ, err)
		case scene.want != "" && (err == nil || !strings.Contains(err.Error(), scene.want)):
			t.Errorf("%s: got %v, want %q", scene.environ, err, scene.want)
		case err != nil && strings.Contains(err.Error(), "secret"):
			t.Errorf("%s: a password is told: %v", scene.environ, err)
		}
	}
}

func TestASenderIsKnownByWhatIsChecked(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("janus-1:x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tls := "INGEST_TLS_CERT_FILE=" + file + " INGEST_TLS_KEY_FILE=" + file
	for _, scene := range []struct{ said, senders, want string }{
		{"INGEST_AUTH_USERS_FILE=" + file, "[{user: janus-1, emitter: fra}]", ""},
		{"", "[{user: janus-1, emitter: fra}]", "a name that is not checked proves nothing"},
		{tls + " INGEST_TLS_CLIENT_CA_FILE=" + file, "[{certificate: janus-1, emitter: fra}]", ""},
		{tls, "[{certificate: janus-1, emitter: fra}]", "nobody shows one"},
		{"INGEST_TLS_CLIENT_CA_FILE=" + file, "[]", "there is no TLS"},
	} {
		environ := []string{Prefix + "INGEST_SENDERS=" + scene.senders}
		for _, pair := range strings.Fields(scene.said) {
			environ = append(environ, Prefix+pair)
		}
		_, err := Load(Sources{Environ: environ})
		if scene.want == "" && err != nil || scene.want != "" && (err == nil || !strings.Contains(err.Error(), scene.want)) {
			t.Errorf("%s %s: got %v, want %q", scene.said, scene.senders, err, scene.want)
		}
	}
}

func TestALoginAtKafkaHasWhatItsMechanismNeeds(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("t"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, scene := range []struct{ said, want string }{
		{"MECHANISM=OAUTHBEARER TOKEN_FILE=" + token, ""},
		{"MECHANISM=OAUTHBEARER", "needs a token"},
		{"MECHANISM=OAUTHBEARER USER=u TOKEN_FILE=" + token, "OAUTHBEARER has a token"},
		{"MECHANISM=AWS_MSK_IAM USER=AKIA PASSWORD=s", ""},
		{"MECHANISM=AWS_MSK_IAM USER=AKIA PASSWORD=s TOKEN_FILE=" + token, ""},
		{"MECHANISM=AWS_MSK_IAM PASSWORD=s", "needs a user"},
		{"MECHANISM=AWS_MSK_IAM USER=AKIA", "needs a password"},
		{"MECHANISM=PLAIN USER=u PASSWORD=s TOKEN_FILE=" + token, "PLAIN has no token"},
		{"TOKEN_FILE=" + token, "kafka.sasl.mechanism is empty"},
		{"MECHANISM=GSSAPI", "AWS_MSK_IAM"},
	} {
		var environ []string
		for _, pair := range strings.Fields(scene.said) {
			environ = append(environ, Prefix+"KAFKA_SASL_"+pair)
		}
		_, err := Load(Sources{Environ: environ})
		if scene.want == "" && err != nil || scene.want != "" && (err == nil || !strings.Contains(err.Error(), scene.want)) {
			t.Errorf("%s: got %v, want %q", scene.said, err, scene.want)
		}
	}
}

func TestTheLaterSourceWins(t *testing.T) {
	inFolder(t, "januscdr.yaml", "group: file\nworkers: 2\nlog:\n  level: debug\ncommit_interval: 50ms\n")
	c := load(t, Sources{
		File:    "januscdr.yaml",
		Environ: []string{"JANUSCDR_GROUP=environment", "JANUSCDR_WORKERS=3", "PATH=/bin"},
		Flags:   map[string]string{"group": "flag"},
	})
	if c.Group != "flag" || c.Workers != 3 || c.Log.Level != "debug" || c.CommitInterval != 50*time.Millisecond {
		t.Errorf("got group %s, workers %d, level %s, commit %v", c.Group, c.Workers, c.Log.Level, c.CommitInterval)
	}
	for key, want := range map[string]Origin{
		"group":      {Flag, "--group"},
		"workers":    {Environment, "JANUSCDR_WORKERS"},
		"log.level":  {File, "januscdr.yaml:4"},
		"log.format": {},
	} {
		if got := c.Origin(key); got != want {
			t.Errorf("%s comes from %v, want %v", key, got, want)
		}
	}
}

func TestTheEnvironmentCanNameTheFile(t *testing.T) {
	inFolder(t, "here.yaml", "group: here\n", "there.yaml", "group: there\n")
	if c := load(t, Sources{Environ: []string{"JANUSCDR_CONFIG=here.yaml"}}); c.Group != "here" {
		t.Errorf("group %s", c.Group)
	}
	if c := load(t, Sources{Environ: []string{"JANUSCDR_CONFIG=here.yaml"}, File: "there.yaml"}); c.Group != "there" {
		t.Errorf("the flag should win, got group %s", c.Group)
	}
}

func TestAllNotationsOfValuesAreRead(t *testing.T) {
	inFolder(t, "c.yaml", `
kafka:
  brokers: [kafka-1:9092, kafka-2:9092]
  tls: {enabled: yes}
topics:
  retention_events: 1d12h
ingest:
  body_limit: 8MiB
  event_limit: 65536
  senders:
    - {path: /events/edge, emitter: edge-1}
    - address: 192.0.2.0/24
      emitter: "lab: 2"
`)
	c := load(t, Sources{File: "c.yaml", Environ: []string{"JANUSCDR_POLICY_GRACE=0s"}})
	if !reflect.DeepEqual(c.Kafka.Brokers, []string{"kafka-1:9092", "kafka-2:9092"}) || !c.Kafka.TLS.Enabled ||
		c.Topics.RetentionEvents != 36*time.Hour || c.Ingest.BodyLimit != 8<<20 || c.Ingest.EventLimit != 1<<16 ||
		c.Policy.Grace != 0 {
		t.Errorf("got %+v", c)
	}
	want := []Sender{{Path: "/events/edge", Emitter: "edge-1"}, {Address: "192.0.2.0/24", Emitter: "lab: 2"}}
	if !reflect.DeepEqual(c.Ingest.Senders, want) {
		t.Errorf("senders %+v", c.Ingest.Senders)
	}

	c = load(t, Sources{Environ: []string{
		"JANUSCDR_KAFKA_BROKERS=a:1, b:2",
		"JANUSCDR_INGEST_SENDERS=[{user: lab, emitter: edge-2}]", "JANUSCDR_INGEST_AUTH_USER=lab",
		"JANUSCDR_INGEST_AUTH_PASSWORD=x",
	}})
	if !reflect.DeepEqual(c.Kafka.Brokers, []string{"a:1", "b:2"}) || !reflect.DeepEqual(c.Ingest.Senders,
		[]Sender{{User: "lab", Emitter: "edge-2"}}) {
		t.Errorf("got %+v", c)
	}
}

func TestARuleOfThePolicySaysOnlyWhatItChanges(t *testing.T) {
	inFolder(t, "c.yaml", `
policy:
  partial_every: 0
  chargeable: [SIP_CALL, RECORDING]
  hash_key_file: key
  rules:
    - plugin: janus.plugin.sip
      partial_every: 15m
      chargeable: SIP_CALL
      partial_midnight: UTC
    - {emitter: "lab-*", grace: 0s, partial_volume: 1GiB, address: hash}
`, "key", "0123456789abcdef\n")
	c := load(t, Sources{File: "c.yaml"})
	quarter, none, volume := 15*time.Minute, time.Duration(0), Size(1<<30)
	want := []Rule{
		{Plugin: "janus.plugin.sip", PartialEvery: &quarter, Chargeable: []string{"SIP_CALL"}, PartialMidnight: "UTC"},
		{Emitter: "lab-*", Grace: &none, PartialVolume: &volume, Address: "hash"},
	}
	if !reflect.DeepEqual(c.Policy.Rules, want) || c.Policy.PartialEvery != 0 || len(c.Policy.Chargeable) != 2 ||
		c.Policy.HashKey != "0123456789abcdef" {
		t.Errorf("got %+v", c.Policy)
	}
	const line = `  rules: [{plugin: janus.plugin.sip, chargeable: [SIP_CALL], partial_every: 15m, partial_midnight: ` +
		`UTC}, {emitter: "lab-*", grace: 0s, partial_volume: 1GiB, address: hash}] # file c.yaml:6`
	text := printed(t, c)
	if !strings.Contains(text, line+"\n") || strings.Contains(text, "0123456789abcdef") {
		t.Errorf("printed:\n%s", text)
	}
	if err := os.WriteFile("again.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if again := load(t, Sources{File: "again.yaml"}); !reflect.DeepEqual(again.Policy, c.Policy) {
		t.Errorf("read back: %+v", again.Policy)
	}
}

func TestAnEmptyFileSaysNothing(t *testing.T) {
	for name, content := range map[string]string{"empty": "", "comment": "# nothing\n", "document": "---\n",
		"section": "kafka:\n"} {
		t.Run(name, func(t *testing.T) {
			inFolder(t, "c.yaml", content)
			load(t, Sources{File: "c.yaml"})
		})
	}
}

func TestAllComplaintsComeAtOnceEachInOneLineWithARemedy(t *testing.T) {
	inFolder(t, "januscdr.yaml", `kafka:
  broker: kafka:9092
  compression: zst
  tls:
    enabled: maybe
topics:
  retention_cdr: 90
polcy:
  grace: 3s
`)
	wantComplaints(t, Sources{
		File: "januscdr.yaml",
		Environ: []string{"JANUSCDR_KAFKA_BROKER=kafka:9092", "JANUSCDR_WORKERS=many",
			"JANUSCDR_SOMETHING_ELSE_ALTOGETHER=1"},
		Flags: map[string]string{"commit_interval": "fast", "topics.partitions": "0"},
	},
		`januscdr.yaml:2: kafka.broker is not a known key; did you mean kafka.brokers?`,
		`januscdr.yaml:8: polcy is not a known key; did you mean policy?`,
		`JANUSCDR_KAFKA_BROKER: not a known variable; did you mean JANUSCDR_KAFKA_BROKERS?`,
		"JANUSCDR_SOMETHING_ELSE_ALTOGETHER: not a known variable; unset it; `config print` shows all keys",
		`januscdr.yaml:3: kafka.compression: "zst" is not a known word; did you mean zstd?`,
		`januscdr.yaml:5: kafka.tls.enabled: "maybe" is neither true nor false; write one of them`,
		`--topics-partitions: topics.partitions: 0 is too small; write 1 to 10000`,
		`januscdr.yaml:7: topics.retention_cdr: "90" has no unit; write 200ms, 10s, 5m, 1h or 7d`,
		`JANUSCDR_WORKERS: workers: "many" is not a whole number; write digits only`,
		`--commit-interval: commit_interval: "fast" is not a duration; write 200ms, 10s, 5m, 1h or 7d`,
	)
}

func TestAMisspeltKeyIsAnErrorThatNamesTheRightOne(t *testing.T) {
	for _, scene := range []struct{ file, want string }{
		{"grup: x", "c.yaml:1: grup is not a known key; did you mean group?"},
		{"kafka:\n  tls:\n    cafile: x", "c.yaml:3: kafka.tls.cafile is not a known key; did you mean kafka.tls.ca_file?"},
		{"brokers: [a:1]", "c.yaml:1: brokers is not a known key; did you mean kafka.brokers?"},
		{"ingest:\n  grace: 1s", "c.yaml:2: ingest.grace is not a known key; did you mean policy.grace?"},
		{"kafka.brokers: a:1", "c.yaml:1: kafka.brokers is not a known key; write it as sections: kafka: brokers:"},
		{"colour: blue", "c.yaml:1: colour is not a known key; take it out; `config print` shows all keys"},
		{"kafka: b:9092", "c.yaml:1: kafka has a value where keys were expected; write a key and a colon, below and " +
			"further in"},
		{"group:\n  name: x",
			"c.yaml:1: group: keys stand where a value was expected; write the value on the line of the key"},
		{"group: [x]", "c.yaml:1: group: a list stands where a single value was expected; write the value alone"},
		{"group: &g x", "c.yaml:1: group: anchors, aliases and tags are not understood here; write the value itself"},
		{"ingest:\n  senders:\n    - {adress: 192.0.2.1, emitter: a}",
			"c.yaml:2: ingest.senders: sender 1: adress is not a known key; did you mean address?"},
		{"ingest:\n  senders: edge",
			"c.yaml:2: ingest.senders: senders are a list; write [{address: 192.0.2.1, emitter: name}]"},
		{"group: a\ngroup: b",
			`c.yaml:2: not YAML: mapping key "group" already defined at [1:1]; mend this line or the one before`},
		{"group: 'a", "c.yaml:1: not YAML: could not find end character of single-quoted text; mend this line or the one " +
			"before"},
		{"group: a\n---\ngroup: b", "c.yaml:3: not YAML: a second document begins here; mend this line or the one before"},
		{"- a", "c.yaml:1: the file has a value where keys were expected; write a key and a colon, below and further in"},
	} {
		t.Run(scene.file, func(t *testing.T) {
			inFolder(t, "c.yaml", scene.file+"\n")
			wantComplaints(t, Sources{File: "c.yaml"}, scene.want)
		})
	}
}

func TestAFileThatCannotBeReadIsAnError(t *testing.T) {
	inFolder(t, "large.yaml", strings.Repeat("#", maxFile+1))
	wantComplaints(t, Sources{File: "absent.yaml"},
		"absent.yaml: cannot read the configuration: no such file or directory; name another with --config or "+
			"JANUSCDR_CONFIG")
	wantComplaints(t, Sources{File: "large.yaml"},
		"large.yaml: cannot read the configuration: it is larger than 1MiB; name another with --config or JANUSCDR_CONFIG")
}

func TestAMistakeInTheFileIsAMistakeAlsoWhenItIsOverridden(t *testing.T) {
	inFolder(t, "c.yaml", "workers: many\n")
	wantComplaints(t, Sources{File: "c.yaml", Flags: map[string]string{"workers": "2"}},
		`c.yaml:1: workers: "many" is not a whole number; write digits only`)
}

func TestVariablesThatKubernetesMakesOfAServiceOfOurNameAreNoMistake(t *testing.T) {
	load(t, Sources{Environ: []string{
		"JANUSCDR_SERVICE_HOST=10.0.0.1", "JANUSCDR_SERVICE_PORT=8090", "JANUSCDR_SERVICE_PORT_HTTP=8090",
		"JANUSCDR_PORT=tcp://10.0.0.1:8090", "JANUSCDR_INGEST_PORT_8090_TCP=tcp://10.0.0.1:8090",
		"JANUSCDR_INGEST_PORT_8090_TCP_PROTO=tcp", "JANUSCDR_INGEST_PORT_8090_TCP_ADDR=10.0.0.1",
	}})
	wantComplaints(t, Sources{Environ: []string{"JANUSCDR_PORT=8090"}},
		"JANUSCDR_PORT: not a known variable; unset it; `config print` shows all keys")
}

// misfits are flags that do not fit together, and what is complained about.
var misfits = map[string]struct {
	flags map[string]string
	want  []string
}{
	"a transaction that outlives its worker": {map[string]string{"transaction_timeout": "30s"},
		[]string{"--transaction-timeout: transaction_timeout: transaction_timeout (30s) must be less than " +
			"session_timeout (30s), so that the transaction of a dead worker is over when another takes its partitions; " +
			"lower the first or raise the second"}},
	"a commit that comes too late": {map[string]string{"commit_interval": "20s"},
		[]string{"--commit-interval: commit_interval: commit_interval (20s) must be less than transaction_timeout (10s)," +
			" or the brokers abort each transaction before its commit; lower the first or raise the second"}},
	"a delivery that Janus does not wait for": {map[string]string{"ingest.delivery_timeout": "10s"},
		[]string{"--ingest-delivery-timeout: ingest.delivery_timeout: 10s is too large; write 100ms to 9.5s"}},
	"two topics of one name": {map[string]string{"topics.dlq": "janus.cdr"},
		[]string{"--topics-dlq: topics.dlq: janus.cdr is the name of topics.cdr too; give each topic a name of its own"}},
	"a topic that Kafka refuses": {map[string]string{"topics.cdr": "call records"},
		[]string{`--topics-cdr: topics.cdr: "call records" is not a name for a topic; write up to 200 letters, digits, ` +
			`dots, underscores and dashes`}},
	"no broker": {map[string]string{"kafka.brokers": ""},
		[]string{"--kafka-brokers: kafka.brokers: no broker is named; write host:port"}},
	"a broker without a port": {map[string]string{"kafka.brokers": "kafka-1,kafka-2:none"},
		[]string{`--kafka-brokers: kafka.brokers: "kafka-1" is not host:port; write host:port, for example kafka-1:9092`,
			`--kafka-brokers: kafka.brokers: "kafka-2:none" has no port from 1 to 65535; write host:port, for example ` +
				`kafka-1:9092`}},
	"TLS files without TLS": {map[string]string{"kafka.tls.server_name": "kafka"},
		[]string{"--kafka-tls-server-name: kafka.tls.server_name: it is set, but kafka.tls.enabled is false; set " +
			"kafka.tls.enabled to true or leave this out"}},
	"a login without a mechanism": {map[string]string{"kafka.sasl.user": "cdr"},
		[]string{"--kafka-sasl-user: kafka.sasl.user: it is set, but kafka.sasl.mechanism is empty; set " +
			"kafka.sasl.mechanism to SCRAM-SHA-512 or leave this out"}},
	"a mechanism without a login": {map[string]string{"kafka.sasl.mechanism": "PLAIN"},
		[]string{"--kafka-sasl-mechanism: kafka.sasl.mechanism: PLAIN needs a user; set kafka.sasl.user",
			"--kafka-sasl-mechanism: kafka.sasl.mechanism: PLAIN needs a password; set kafka.sasl.password_file"}},
	"a mechanism of another spelling": {map[string]string{"kafka.sasl.mechanism": "scram-sha512"},
		[]string{`--kafka-sasl-mechanism: kafka.sasl.mechanism: "scram-sha512" is not a known word; did you mean ` +
			`SCRAM-SHA-512?`}},
	"a certificate without its key": {map[string]string{"kafka.tls.enabled": "true",
		"kafka.tls.cert_file": "load_test.go"},
		[]string{"--kafka-tls-cert-file: kafka.tls.cert_file: it comes in a pair with kafka.tls.key_file, which is " +
			"empty; set both or none"}},
	"an event larger than any body": {map[string]string{"ingest.body_limit": "64KiB"},
		[]string{"default: ingest.event_limit: it is 1MiB and thus larger than ingest.body_limit (64KiB), which no " +
			"event can fill; lower the first or raise the second"}},
	"bodies that do not fit into what is held": {map[string]string{"ingest.body_limit": "200MiB"},
		[]string{"default: ingest.inflight_limit: it is 256MiB, not twice ingest.body_limit (200MiB): there must be " +
			"room for one body and its decompressed form; raise the first or lower the second"}},
	"a key without its certificate": {map[string]string{"ingest.tls.key_file": "load_test.go"},
		[]string{"--ingest-tls-key-file: ingest.tls.key_file: it comes in a pair with ingest.tls.cert_file, which is " +
			"empty; set both or none"}},
	"a certificate that is not there": {map[string]string{"ingest.tls.cert_file": "absent",
		"ingest.tls.key_file": "load_test.go"},
		[]string{"--ingest-tls-cert-file: ingest.tls.cert_file: cannot read absent: no such file or directory; name a " +
			"file that this process may read"}},
	"a disk that may be full": {map[string]string{"state_min_free": "0"},
		[]string{"--state-min-free: state_min_free: 0B is too small; write 1MiB to 1048576GiB"}},
	"transactions of next to nothing": {map[string]string{"commit_bytes": "1KiB"},
		[]string{"--commit-bytes: commit_bytes: 1KiB is too small; write 64KiB to 1GiB"}},
	"a user without a password": {map[string]string{"ingest.auth.user": "janus"},
		[]string{"--ingest-auth-user: ingest.auth.user: there is a user but no password; set ingest.auth.password_file"}},
	"a password without a user": {map[string]string{"ingest.auth.password": "x"},
		[]string{"--ingest-auth-password: ingest.auth.password: there is a password but no user; set ingest.auth.user"}},
	"a receiver of traces that is no URL": {map[string]string{"sink.otlp.url": "collector:4318"},
		[]string{"--sink-otlp-url: sink.otlp.url: it is no URL; write http://host:port/v1/traces"}},
	"a store that is no URL": {map[string]string{"export.s3.endpoint": "minio:9000"},
		[]string{"--export-s3-endpoint: export.s3.endpoint: it is no URL; write http://host:port or https://host"}},
	"the name of a key without it": {map[string]string{"export.s3.access_key": "x"},
		[]string{"--export-s3-access-key: export.s3.access_key: name and key belong together; set export.s3.access_key " +
			"and export.s3.secret_key_file, or none"}},
	"a registry that is no URL": {map[string]string{"registry.url": "registry:8081,https://cdr:x@registry"},
		[]string{"--registry-url: registry.url: it is no URL; write http://host:port or https://host:port, with the path " +
			"if there is one",
			"--registry-url: registry.url: there is a user in it, who would be logged; set registry.user and " +
				"registry.password_file"}},
	"a user of the registry without a password": {map[string]string{"registry.user": "cdr"},
		[]string{"--registry-user: registry.user: there is a user but no password; set registry.password_file"}},
	"a password for the registry without a user": {map[string]string{"registry.password": "x"},
		[]string{"--registry-password: registry.password: there is a password but no user; set registry.user"}},
	"silence that is noticed too early": {map[string]string{"policy.leg_silence": "25h"},
		[]string{"--policy-leg-silence: policy.leg_silence: it is 25h and thus longer than " +
			"policy.leg_silence_without_statistics (24h), where silence says less; lower the first or raise the second"}},
	"senders that say too little or the same": {map[string]string{"ingest.senders": "[{path: edge, emitter: a}, " +
		"{emitter: b}, {address: host, path: /u}, {address: 192.0.2.1, emitter: a}, {address: 192.0.2.1, emitter: b}]"},
		[]string{`--ingest-senders: ingest.senders: sender 1 has a path "edge"; begin it with a slash: /events/edge-1`,
			"--ingest-senders: ingest.senders: sender 2 says nothing of who it is; set path, user, certificate or address",
			"--ingest-senders: ingest.senders: sender 3 has no emitter; say which name its events get",
			`--ingest-senders: ingest.senders: sender 3 has an address "host"; write an IP address or a prefix: 192.0.2.1 ` +
				`or 192.0.2.0/24`,
			"--ingest-senders: ingest.senders: sender 5 is the same as sender 4; leave one of them out"}},
	"personal data that is to be hashed without a key": {map[string]string{"policy.address": "hash",
		"policy.rules": "[{plugin: 'janus.plugin.*', display_name: hash}]"},
		[]string{"--policy-address: policy.address: hash needs a key; set policy.hash_key_file, with 16 bytes or more",
			"--policy-rules: policy.rules: rule 1: hash needs a key; set policy.hash_key_file, with 16 bytes or more"}},
	"a key that can be guessed": {map[string]string{"policy.hash_key": "secret", "policy.address": "hash"},
		[]string{"--policy-hash-key: policy.hash_key: it has 6 bytes; set policy.hash_key_file, with 16 bytes or more"}},
	"a place that does not exist": {map[string]string{"policy.partial_midnight": "Europe/Wien"},
		[]string{`--policy-partial-midnight: policy.partial_midnight: "Europe/Wien" is no place of the time zone ` +
			`database; write Europe/Vienna, America/New_York or UTC`}},
	"parts that are too short": {map[string]string{"policy.partial_every": "1s"},
		[]string{"--policy-partial-every: policy.partial_every: 1s is too small; write 1m to 365d"}},
	"a kind of leg that does not exist": {map[string]string{"policy.chargeable": "SIP_CALL,PEERCONNECTION"},
		[]string{`--policy-chargeable: policy.chargeable: "PEERCONNECTION" is not a known word; did you mean ` +
			`PEER_CONNECTION?`}},
	"rules that say nothing": {map[string]string{"policy.rules": "[{plugin: 'janus.plugin.[sip', grace: 1s}, " +
		"{emitter: edge-1}]"},
		[]string{`--policy-rules: policy.rules: rule 1: plugin "janus.plugin.[sip" is not a pattern; use *, ? and ` +
			`[a-z]: janus.plugin.*`,
			"--policy-rules: policy.rules: rule 2 changes nothing; say what holds instead, or leave it out"}},
	"a rule with a value out of bounds": {map[string]string{"policy.rules": "[{plugin: janus.plugin.sip, " +
		"leg_silence: 1s}]"},
		[]string{"--policy-rules: policy.rules: rule 1: leg_silence: 1s is too small; write 1m to 365d"}},
	"a rule with a misspelt key": {map[string]string{"policy.rules": "[{plugins: janus.plugin.sip}]"},
		[]string{"--policy-rules: policy.rules: rule 1: plugins is not a known key; did you mean plugin?"}},
	"a sender by a user whom nobody checks": {map[string]string{"ingest.senders": "[{user: lab, emitter: a}]"},
		[]string{`--ingest-senders: ingest.senders: sender 1 has a user "lab" who is not ingest.auth.user, and a name ` +
			`that is not checked proves nothing; name that user, or a path or address instead`}},
	"an instance that is no name": {map[string]string{"instance": "a/b", "group": ""},
		[]string{"--group: group: it is empty; give it a name",
			`--instance: instance: "a/b" is not a plain name; write up to 200 letters, digits, dots, underscores and dashes`}},
	"a folder that is a file": {map[string]string{"state_dir": "load_test.go"},
		[]string{"--state-dir: state_dir: load_test.go is a file; name a folder that this process may write to"}},
	"an address without a port": {map[string]string{"admin.listen": "localhost"},
		[]string{`--admin-listen: admin.listen: "localhost" is not host:port; write host:port, or :port for all ` +
			`interfaces`}},
}

func TestWhatDoesNotFitTogetherIsAnError(t *testing.T) {
	for name, scene := range misfits {
		t.Run(name, func(t *testing.T) {
			wantComplaints(t, Sources{Flags: scene.flags}, scene.want...)
		})
	}
}

func TestAPasswordCanComeFromAFile(t *testing.T) {
	inFolder(t, "secret", "s3cret\r\n", "empty", "\n")
	sasl := func(more ...string) Sources {
		flags := map[string]string{"kafka.sasl.mechanism": "PLAIN", "kafka.sasl.user": "cdr"}
		for i := 0; i < len(more); i += 2 {
			flags[more[i]] = more[i+1]
		}
		return Sources{Flags: flags}
	}
	if c := load(t, sasl("kafka.sasl.password_file", "secret")); c.Kafka.SASL.Password != "s3cret" {
		t.Errorf("password %q", c.Kafka.SASL.Password)
	}
	wantComplaints(t, sasl("kafka.sasl.password_file", "absent"),
		"--kafka-sasl-password-file: kafka.sasl.password_file: cannot read absent: no such file or directory; name a "+
			"file that this process may read")
	wantComplaints(t, sasl("kafka.sasl.password_file", "empty"),
		"--kafka-sasl-password-file: kafka.sasl.password_file: empty is empty; write the secret into it, in one line")
	wantComplaints(t, sasl("kafka.sasl.password_file", "secret", "kafka.sasl.password", "x"),
		"--kafka-sasl-password-file: kafka.sasl.password_file: kafka.sasl.password is set too (--kafka-sasl-password); "+
			"leave one of them out")
}

func TestAProgramDoesNotLookAtTheSecretsOfAnother(t *testing.T) {
	s := Sources{Flags: map[string]string{"ingest.auth.user": "janus", "ingest.auth.password_file": "/nowhere/secret"},
		Uses: []string{"kafka", "group"}}
	if c := load(t, s); c.Ingest.Auth.Password != "" {
		t.Errorf("password %q", c.Ingest.Auth.Password)
	}
	s.Uses = append(s.Uses, "ingest")
	wantComplaints(t, s, "--ingest-auth-password-file: ingest.auth.password_file: cannot read /nowhere/secret: no "+
		"such file or directory; name a file that this process may read")
}

func TestFlagsHaveTheNamesOfTheKeysAndOnlyThoseInUse(t *testing.T) {
	inFolder(t, "c.yaml", "group: file\nworkers: 2\n")
	set := pflag.NewFlagSet("test", pflag.ContinueOnError)
	flags := Bind(set, "kafka", "group", "workers")
	if set.Lookup("ingest-listen") != nil {
		t.Error("a flag of a section that is not in use")
	}
	if err := set.Parse([]string{"--config", "c.yaml", "--kafka-brokers=a:1,b:2", "--kafka-tls-enabled", "--group",
		"flag"}); err != nil {
		t.Fatal(err)
	}
	c, err := flags.Load([]string{"JANUSCDR_WORKERS=4"})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Kafka.Brokers) != 2 || !c.Kafka.TLS.Enabled || c.Group != "flag" || c.Workers != 4 {
		t.Errorf("got %+v", c)
	}
}

// Each field has exactly one row, and each row is reachable by its three names.
func TestTheTableAndTheStructAgree(t *testing.T) {
	var c Config
	rows := map[uintptr]string{}
	for _, k := range table {
		p := reflect.ValueOf(k.at(&c)).Pointer()
		if other := rows[p]; other != "" {
			t.Errorf("%s and %s are the same field", k.name, other)
		}
		rows[p] = k.name
		if k.about == "" || strings.HasSuffix(k.about, ".") {
			t.Errorf("%s: about is %q, want a phrase", k.name, k.about)
		}
	}
	var fields func(v reflect.Value, path string)
	fields = func(v reflect.Value, path string) {
		for i := range v.NumField() {
			f, name := v.Field(i), path+"."+v.Type().Field(i).Name
			switch {
			case !v.Type().Field(i).IsExported():
			case f.Kind() == reflect.Struct:
				fields(f, name)
			case rows[f.Addr().Pointer()] == "":
				t.Errorf("%s has no row in the table", name)
			default:
				delete(rows, f.Addr().Pointer())
			}
		}
	}
	fields(reflect.ValueOf(&c).Elem(), "Config")
	for _, name := range rows {
		t.Errorf("%s is in the table but is no field", name)
	}
	if len(byEnv) != len(table) || len(byFlag) != len(table) {
		t.Errorf("%d keys, but %d variables and %d flags", len(table), len(byEnv), len(byFlag))
	}
}

func TestFilesOfOtherFoldersAreNamedAsTheyWereGiven(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "c.yaml")
	if err := os.WriteFile(path, []byte("grup: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantComplaints(t, Sources{File: path}, path+":1: grup is not a known key; did you mean group?")
}

func TestAKeyWithoutASpoolIsAMistake(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile("keys", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantComplaints(t, Sources{Flags: map[string]string{"spool.key_file": "keys"}},
		"--spool-key-file: spool.key_file: there is a key but no spool; set spool.dir")
	c := load(t, Sources{Flags: map[string]string{
		"spool.dir": "s", "spool.key_file": "keys", "spool.max_age": "0", "spool.max_bytes": "1MiB"}})
	if c.Spool != (Spool{Dir: "s", KeyFile: "keys", MaxBytes: 1 << 20}) {
		t.Errorf("%+v", c.Spool)
	}
}
