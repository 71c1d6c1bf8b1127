package config

import (
	"reflect"
	"strings"
	"testing"
	"testing/quick"
	"time"
)

func printed(t *testing.T, c *Config) string {
	t.Helper()
	var b strings.Builder
	if err := c.Print(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// wantPrinted is what the next test prints.
const wantPrinted = `kafka:
  brokers: [127.0.0.1:9092] # default
  cluster_id: "" # default
  client_id: januscdr # default
  compression: zstd # default
  tls:
    enabled: false # default
    ca_file: "" # default
    cert_file: "" # default
    key_file: "" # default
    server_name: "" # default
    insecure_skip_verify: false # default
  sasl:
    mechanism: PLAIN # flag --kafka-sasl-mechanism
    user: "#1" # environment JANUSCDR_KAFKA_SASL_USER
    # password: ******** # environment JANUSCDR_KAFKA_SASL_PASSWORD
    password_file: "" # default
    token_file: "" # default

topics:
  events: janus.events # default
  cdr: janus.cdr # default
  state: janus.cdr.state # default
  dlq: janus.dlq # default
  schemas: [] # default
  partitions: 24 # file januscdr.yaml:2
  replication: -1 # default
  require_durable: false # default
  retention_events: 7d # default
  retention_cdr: 90d # default
  retention_dlq: 90d # default

registry:
  url: [] # default
  subject: "" # default
  register: false # default
  user: "" # default
  password: "" # default
  password_file: "" # default
  tls:
    ca_file: "" # default
    cert_file: "" # default
    key_file: "" # default
    server_name: "" # default

group: blue # environment JANUSCDR_GROUP
instance: cdr-1 # flag --instance
workers: 2 # flag --workers
state_dir: januscdr-data # default
state_min_free: 64MiB # default
commit_interval: 200ms # default
commit_backlog: 1s # default
commit_bytes: 16MiB # default
changelog_lag: 1s # default
transaction_timeout: 10s # default
session_timeout: 30s # default

policy:
  grace: 5s # default
  leg_silence: 1h # default
  leg_silence_without_statistics: 24h # default
  emitter_silence: 25h # default
  session_silence: 7d # default
  stub_retention: 10m # default
  chargeable: [] # default
  partial_every: 0s # default
  partial_volume: 0B # default
  partial_midnight: "" # default
  address: emit # default
  display_name: emit # default
  vanished_client: held # default
  hash_key: "" # default
  hash_key_file: "" # default
  rules: [] # default

ingest:
  listen: 127.0.0.1:8090 # default
  path: /events # default
  body_limit: 32MiB # default
  event_limit: 1MiB # default
  delivery_timeout: 8s # default
  inflight_limit: 256MiB # default
  min_rate: 1KiB # default
  sender_rate: 0B # default
  max_connections: 3000 # default
  tls:
    cert_file: "" # default
    key_file: "" # default
    client_ca_file: "" # default
  auth:
    user: janus # flag --ingest-auth-user
    # password: ******** # file named by ingest.auth.password_file
    password_file: secret # flag --ingest-auth-password-file
    users_file: "" # default
  senders: [{address: "2001:db8::1", emitter: "edge, 1"}] # file januscdr.yaml:4
  websocket:
    listen: "" # default
    path: /events # default
    subprotocol: "" # default
  rabbitmq:
    url: "" # default
    user: guest # default
    password: "" # default
    password_file: "" # default
    ca_file: "" # default
    cert_file: "" # default
    key_file: "" # default
    queue: janus-events # default
    queue_kind: janus # default
    exchange: "" # default
    exchange_type: fanout # default
    routing_key: "" # default
  mqtt:
    brokers: [] # default
    client_id: januscdr # default
    user: "" # default
    password: "" # default
    password_file: "" # default
    ca_file: "" # default
    cert_file: "" # default
    key_file: "" # default
    topics: ["/janus/events/#"] # default
    qos: 1 # default
  nanomsg:
    connect: [] # default
    listen: [] # default
  gelf:
    tcp: "" # default
    udp: "" # default

spool:
  dir: "" # default
  max_bytes: 10GiB # default
  max_age: 7d # default
  key_file: "" # default

sink:
  batch_records: 5000 # default
  batch_delay: 1s # default
  group: "" # default
  postgres:
    url: "" # default
    url_file: "" # default
  sqlite:
    file: januscdr.sqlite # default
  otlp:
    url: "" # default
    file: januscdr-otlp.json # default

export:
  to: "" # default
  format: parquet # default
  rotate_every: 1h # default
  rotate_size: 256MiB # default
  rotate_records: 1000000 # default
  zone: UTC # default
  s3:
    endpoint: "" # default
    region: "" # default
    access_key: "" # default
    secret_key: "" # default
    secret_key_file: "" # default

copy:
  to: janus.cdr.json # default
  format: json # default
  where: [] # default

admin:
  listen: 127.0.0.1:8091 # default

log:
  level: info # default
  format: text # default
`

func TestThePrintedConfigurationSaysWhereEachValueComesFrom(t *testing.T) {
	inFolder(t, "januscdr.yaml",
		"topics:\n  partitions: 24\ningest:\n  senders:\n  - {address: '2001:db8::1', emitter: \"edge, 1\"}\n", "secret",
		"hidden\n")
	c := load(t, Sources{
		File:    "januscdr.yaml",
		Environ: []string{"JANUSCDR_GROUP=blue", "JANUSCDR_KAFKA_SASL_PASSWORD=hidden", "JANUSCDR_KAFKA_SASL_USER=#1"},
		Flags: map[string]string{"kafka.sasl.mechanism": "PLAIN", "instance": "cdr-1", "workers": "2",
			"ingest.auth.user": "janus", "ingest.auth.password_file": "secret"},
	})
	if got := printed(t, c); got != wantPrinted {
		t.Errorf("got:\n%s\nwant:\n%s", got, wantPrinted)
	}
}

func TestAMachinesOwnDefaultsArePrintedAsComments(t *testing.T) {
	c := load(t, Sources{})
	c.Instance, c.Workers = "host-7", 8
	got := printed(t, c)
	for _, line := range []string{"\n# instance: host-7 # default, the host name\n",
		"\n# workers: 8 # default, the number of cores\n"} {
		if !strings.Contains(got, line) {
			t.Errorf("%q is missing in:\n%s", line, got)
		}
	}
}

func TestWhatIsPrintedCanBeUsedAsAFile(t *testing.T) {
	awkward := []string{"", "a", "null", "true", "007", "1.5", "a: b", "a#b", "a #b", "#", "[x]", "{x", "'", `"`, "x,y",
		"é", "a\\b", "- a", "&a", "*a", "!t", "%", "@", "`", "~", " lead", "trail ", ":", "?", "|", ">", "\ttab", "0x1F",
		"2026-01-01", "yes", "=", "a\nb", "192.0.2.1", "192.0.2.0/24", ":8090", "off", "1e3", "/x y"}
	for _, s := range awkward {
		c := load(t, Sources{})
		c.Kafka.ClientID, c.Kafka.TLS.ServerName = s, s
		c.Kafka.TLS.Enabled = true
		c.Ingest.Senders = []Sender{{Path: "/" + s, Emitter: "e" + s}, {Path: "/second", Emitter: s + "e"}}
		text := printed(t, c)
		inFolder(t, "c.yaml", text)
		got := load(t, Sources{File: "c.yaml"})
		got.origins, c.origins = nil, nil
		if !reflect.DeepEqual(got, c) {
			t.Errorf("%q: got %+v\nwant %+v\nfrom:\n%s", s, got, c, text)
		}
	}
	described := load(t, Sources{})
	var b strings.Builder
	if err := described.PrintWithDescriptions(&b); err != nil {
		t.Fatal(err)
	}
	inFolder(t, "c.yaml", b.String())
	load(t, Sources{File: "c.yaml"})
	if !strings.Contains(b.String(), "  # how to log in to Kafka; empty: not at all\n  mechanism") &&
		!strings.Contains(b.String(), "    # how to log in to Kafka; empty: not at all\n    mechanism") {
		t.Errorf("no description above a key in:\n%s", b.String())
	}
}

func TestDurationsAndSizesAreReadAsTheyAreWritten(t *testing.T) {
	duration := func(n int64) bool {
		d := time.Duration(n & 0x7fffffffffffffff)
		got, err := ParseDuration(FormatDuration(d))
		return err == nil && got == d
	}
	size := func(n int64) bool {
		s := Size(n & 0x7fffffffffffffff)
		got, err := ParseSize(s.String())
		return err == nil && got == s
	}
	for _, law := range []any{duration, size} {
		if err := quick.Check(law, nil); err != nil {
			t.Error(err)
		}
	}
	for d, want := range map[time.Duration]string{0: "0s", 90 * 24 * time.Hour: "90d", 24 * time.Hour: "24h",
		36 * time.Hour: "36h", 10 * time.Minute: "10m", 90 * time.Second: "1m30s", time.Hour + time.Second: "1h0m1s"} {
		if got := FormatDuration(d); got != want {
			t.Errorf("%d is written %s, want %s", d, got, want)
		}
	}
	for _, wrong := range []string{"", "7", "d", "-1s", "1d-1s", "7d7", "1.5d", "300000000d", "1x"} {
		if d, err := ParseDuration(wrong); err == nil {
			t.Errorf("%q was read as the duration %v", wrong, d)
		}
	}
	for _, wrong := range []string{"", "MiB", "-1", "1MB", "1.5MiB", "9000000000GiB"} {
		if s, err := ParseSize(wrong); err == nil {
			t.Errorf("%q was read as the size %v", wrong, s)
		}
	}
}

func TestTheNearestWordIsTheOneThatWasMeant(t *testing.T) {
	words := []string{"zstd", "lz4", "gzip", "snappy", "none"}
	for word, want := range map[string]string{"zst": "zstd", "zsdt": "zstd", "ZSTD": "zstd", "snapy": "snappy",
		"brotli": "", "": "", "gzpi": "gzip"} {
		if got := Nearest(word, words); got != want {
			t.Errorf("for %q: %q, want %q", word, got, want)
		}
	}
}
