package config

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxSecret bounds a file that holds a password.
const maxSecret = 64 << 10

// maxEmitter bounds the name of an emitter: janus.MaxEmitter, to which a test of cmd/ingest holds it.
const maxEmitter = 512

// check judges what only shows when all values are known, and reads the secrets of the keys in use.
func (c *Config) check(use []string) (complaints []error) {
	complain := func(key, what, remedy string) {
		where := cmp.Or(c.origins[key].Where, "default")
		complaints = append(complaints, &Complaint{Where: where, What: key + ": " + what, Remedy: remedy})
	}
	c.checkAddresses(complain)
	c.checkTLS(complain)
	c.checkURLs(complain)
	c.checkSASL(complain)
	c.checkTopics(complain)
	c.checkTimes(complain)
	c.checkRules(complain)
	c.checkIngest(complain)
	c.checkSources(complain)
	c.checkNames(complain)
	c.checkStateDir(complain, use)
	c.readFiles(complain, use)
	c.checkSecrets(complain) // only now is it known which there are
	return complaints
}

func (c *Config) checkAddresses(complain complain) {
	if len(c.Kafka.Brokers) == 0 {
		complain("kafka.brokers", "no broker is named", "write host:port")
	}
	for _, b := range c.Kafka.Brokers {
		if what := wrongAddress(b, false); what != "" {
			complain("kafka.brokers", fmt.Sprintf("%q %s", b, what), "write host:port, for example kafka-1:9092")
		}
	}
	for _, key := range []string{"ingest.listen", "admin.listen", "ingest.websocket.listen", "ingest.gelf.tcp",
		"ingest.gelf.udp"} {
		address := *byName[key].at(c).(*string)
		if address == "" {
			continue
		}
		if what := wrongAddress(address, true); what != "" {
			complain(key, fmt.Sprintf("%q %s", address, what), "write host:port, or :port for all interfaces")
		}
	}
}

// plainName is the remedy for what Kafka and we do not take as a name.
const plainName = "write up to 200 letters, digits, dots, underscores and dashes"

func (c *Config) checkNames(complain complain) {
	for _, key := range []string{"group", "instance", "sink.group"} {
		switch name := *byName[key].at(c).(*string); {
		case name == "" && key == "sink.group":
		case name == "":
			complain(key, "it is empty", "give it a name")
		case !isName(name):
			complain(key, fmt.Sprintf("%q is not a plain name", name), plainName)
		}
	}
	if c.Sink.Group == c.Group && isName(c.Group) {
		complain("sink.group", c.Group+" is the group of the processors", "give it a name of its own")
	}
}

func (c *Config) checkStateDir(complain complain, use []string) {
	if c.StateDir == "" {
		complain("state_dir", "it is empty", "name a folder that this process may write to")
	} else if i, err := os.Stat(c.StateDir); err == nil && !i.IsDir() && uses(use, "state_dir") {
		complain("state_dir", c.StateDir+" is a file", "name a folder that this process may write to")
	}
}

// readFiles looks at the files that the keys in use name, and reads the secrets in them.
func (c *Config) readFiles(complain complain, use []string) {
	for _, k := range table {
		path, ok := k.at(c).(*string)
		if !k.file || !ok || *path == "" || !uses(use, k.name) {
			continue
		}
		content, err := readBounded(*path, maxSecret)
		if err != nil {
			complain(k.name, "cannot read "+*path+": "+reason(err), "name a file that this process may read")
			continue
		}
		name, isSecret := strings.CutSuffix(k.name, "_file")
		if !isSecret || byName[name] == nil {
			continue
		}
		secret := byName[name].at(c).(*string)
		if *secret != "" {
			complain(k.name, name+" is set too ("+c.origins[name].Where+")", "leave one of them out")
			continue
		}
		if *secret = strings.TrimRight(string(content), "\r\n"); *secret == "" {
			complain(k.name, *path+" is empty", "write the secret into it, in one line")
		}
	}
}

// checkSecrets wants a password for each user, and a key for what is hashed.
func (c *Config) checkSecrets(complain complain) {
	if s := c.Kafka.SASL; s.Mechanism != "" && s.Mechanism != bearer && s.Password == "" &&
		s.PasswordFile == "" {
		complain("kafka.sasl.mechanism", s.Mechanism+" needs a password", "set kafka.sasl.password_file")
	}
	if a := c.Ingest.Auth; a.User != "" && a.Password == "" && a.PasswordFile == "" {
		complain("ingest.auth.user", "there is a user but no password", "set ingest.auth.password_file")
	}
	if r := c.Registry; r.User != "" && r.Password == "" && r.PasswordFile == "" {
		complain("registry.user", "there is a user but no password", "set registry.password_file")
	}
	if k := c.Export.S3; (k.AccessKey == "") != (k.SecretKey == "" && k.SecretKeyFile == "") {
		complain("export.s3.access_key", "name and key belong together", "set export.s3.access_key and "+
			"export.s3.secret_key_file, or none")
	}
	if c.Spool.Dir == "" && c.Spool.KeyFile != "" {
		complain("spool.key_file", "there is a key but no spool", "set spool.dir")
	}
	c.checkHash(complain)
}

// checkHash wants a key where personal data is to be hashed.
func (c *Config) checkHash(complain complain) {
	const atLeast = 16 // bytes: fewer could be guessed
	p := c.Policy
	if p.HashKey == "" && p.HashKeyFile != "" {
		return // another program reads it, or it was complained about
	}
	remedy := fmt.Sprintf("set policy.hash_key_file, with %d bytes or more", atLeast)
	if p.HashKey != "" && len(p.HashKey) < atLeast {
		complain("policy.hash_key", fmt.Sprintf("it has %d bytes", len(p.HashKey)), remedy)
		return
	}
	for _, key := range []string{"policy.address", "policy.display_name"} {
		if *byName[key].at(c).(*string) == "hash" && p.HashKey == "" {
			complain(key, "hash needs a key", remedy)
		}
	}
	for i, r := range p.Rules {
		if (r.Address == "hash" || r.DisplayName == "hash") && p.HashKey == "" {
			complain("policy.rules", fmt.Sprintf("rule %d: hash needs a key", i+1), remedy)
		}
	}
}

// checkRules judges the rules of the policy; the values in them are judged like those of the keys.
func (c *Config) checkRules(complain complain) {
	for i, r := range c.Policy.Rules {
		for _, p := range []struct{ name, pattern string }{{"plugin", r.Plugin}, {"emitter", r.Emitter}} {
			if _, err := path.Match(p.pattern, ""); err != nil {
				complain("policy.rules", fmt.Sprintf("rule %d: %s %q is not a pattern", i+1, p.name, p.pattern),
					"use *, ? and [a-z]: janus.plugin.*")
			}
		}
		if same := (Rule{Plugin: r.Plugin, Emitter: r.Emitter}); reflect.DeepEqual(r, same) {
			complain("policy.rules", fmt.Sprintf("rule %d changes nothing", i+1), "say what holds instead, or leave it out")
		}
	}
}

type complain func(key, what, remedy string)

func (c *Config) checkTLS(complain complain) {
	for _, section := range []string{"kafka.tls", "ingest.tls", "ingest.rabbitmq", "ingest.mqtt", "registry.tls"} {
		set, missing := section+".cert_file", section+".key_file"
		if *byName[set].at(c).(*string) == "" {
			set, missing = missing, set
		}
		if *byName[set].at(c).(*string) != "" && *byName[missing].at(c).(*string) == "" {
			complain(set, "it comes in a pair with "+missing+", which is empty", "set both or none")
		}
	}
	if c.Kafka.TLS.Enabled {
		return
	}
	for _, member := range []string{"ca_file", "cert_file", "key_file", "server_name"} {
		key := "kafka.tls." + member
		if *byName[key].at(c).(*string) != "" {
			complain(key, "it is set, but kafka.tls.enabled is false", "set kafka.tls.enabled to true or leave this out")
		}
	}
}

func (c *Config) checkURLs(complain complain) {
	r := c.Registry
	if text := c.Export.S3.Endpoint; text != "" {
		if u, err := url.Parse(text); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			complain("export.s3.endpoint", "it is no URL", "write http://host:port or https://host")
		}
	}
	if text := c.Sink.OTLP.URL; text != "" {
		if u, err := url.Parse(text); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			complain("sink.otlp.url", "it is no URL", "write http://host:port/v1/traces")
		}
	}
	for _, text := range r.URL {
		switch u, err := url.Parse(text); {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
			complain("registry.url", "it is no URL",
				"write http://host:port or https://host:port, with the path if there is one")
		case u.User != nil:
			complain("registry.url", "there is a user in it, who would be logged",
				"set registry.user and registry.password_file")
		}
	}
	if r.User == "" && (r.Password != "" || r.PasswordFile != "") {
		key := "registry.password"
		if r.Password == "" {
			key = "registry.password_file"
		}
		complain(key, "there is a password but no user", "set registry.user")
	}
}

// bearer is the mechanism that has a token, and neither user nor password.
const bearer = "OAUTHBEARER"

func (c *Config) checkSASL(complain complain) {
	s := c.Kafka.SASL
	unused := func(why, remedy string, keys ...string) {
		for _, key := range keys {
			if *byName[key].at(c).(*string) != "" {
				complain(key, "it is set, but "+why, remedy)
			}
		}
	}
	const user, password, passwordFile, token = "kafka.sasl.user", "kafka.sasl.password", "kafka.sasl.password_file",
		"kafka.sasl.token_file"
	switch s.Mechanism {
	case "":
		unused("kafka.sasl.mechanism is empty", "set kafka.sasl.mechanism to SCRAM-SHA-512 or leave this out", user, password,
			passwordFile, token)
		return
	case bearer:
		unused("OAUTHBEARER has a token", "leave this out, and set kafka.sasl.token_file", user, password, passwordFile)
		if s.TokenFile == "" {
			complain("kafka.sasl.mechanism", bearer+" needs a token", "set kafka.sasl.token_file")
		}
		return
	case "AWS_MSK_IAM":
	default:
		unused(s.Mechanism+" has no token", "leave this out", token)
	}
	if s.User == "" {
		complain("kafka.sasl.mechanism", s.Mechanism+" needs a user", "set kafka.sasl.user")
	}
}

func (c *Config) checkTopics(complain complain) {
	taken := map[string]string{}
	for _, t := range []struct{ key, name string }{
		{"topics.events", c.Topics.Events}, {"topics.cdr", c.Topics.CDR},
		{"topics.state", c.Topics.State}, {"topics.dlq", c.Topics.DLQ}, {"copy.to", c.Copy.To},
	} {
		if !isName(t.name) || t.name == "." || t.name == ".." {
			complain(t.key, fmt.Sprintf("%q is not a name for a topic", t.name), plainName)
		}
		if other := taken[t.name]; other != "" {
			complain(t.key, t.name+" is the name of "+other+" too", "give each topic a name of its own")
		}
		taken[t.name] = t.key
	}
	if c.Topics.Replication == 0 {
		complain("topics.replication", "0 copies hold nothing", "write -1 for the default of the brokers, or 3")
	}
}

func (c *Config) checkTimes(complain complain) {
	less := func(shorter string, than string, why string) {
		a, b := *byName[shorter].at(c).(*time.Duration), *byName[than].at(c).(*time.Duration)
		if a < b {
			return
		}
		// The complaint stands where somebody said something, if anybody did.
		at := shorter
		if c.origins[than].Kind > c.origins[shorter].Kind {
			at = than
		}
		what := fmt.Sprintf("%s (%s) must be less than %s (%s), %s",
			shorter, FormatDuration(a), than, FormatDuration(b), why)
		complain(at, what, "lower the first or raise the second")
	}
	less("commit_interval", "transaction_timeout", "or the brokers abort each transaction before its commit")
	less("commit_backlog", "transaction_timeout", "or the brokers abort each transaction before its commit")
	less("transaction_timeout", "session_timeout",
		"so that the transaction of a dead worker is over when another takes its partitions")
	less("policy.grace", "policy.leg_silence", "or silence would be noticed before a close is complete")
	if c.Policy.LegSilence > c.Policy.LegSilenceWithoutStatistics {
		what := fmt.Sprintf("it is %s and thus longer than policy.leg_silence_without_statistics (%s), "+
			"where silence says less", FormatDuration(c.Policy.LegSilence), FormatDuration(c.Policy.LegSilenceWithoutStatistics))
		complain("policy.leg_silence", what, "lower the first or raise the second")
	}
}

func (c *Config) checkIngest(complain complain) {
	in := c.Ingest
	if in.EventLimit > in.BodyLimit {
		what := fmt.Sprintf("it is %s and thus larger than ingest.body_limit (%s), which no event can fill",
			in.EventLimit, in.BodyLimit)
		complain("ingest.event_limit", what, "lower the first or raise the second")
	}
	if in.InflightLimit < 2*in.BodyLimit {
		what := fmt.Sprintf("it is %s, not twice ingest.body_limit (%s): "+
			"there must be room for one body and its decompressed form", in.InflightLimit, in.BodyLimit)
		complain("ingest.inflight_limit", what, "raise the first or lower the second")
	}
	if !strings.HasPrefix(in.Path, "/") {
		complain("ingest.path", fmt.Sprintf("%q is not a path", in.Path), "begin it with a slash: /events")
	}
	if in.Auth.User == "" && (in.Auth.Password != "" || in.Auth.PasswordFile != "") {
		key := "ingest.auth.password"
		if in.Auth.Password == "" {
			key = "ingest.auth.password_file"
		}
		complain(key, "there is a password but no user", "set ingest.auth.user")
	}
	c.checkSenders(complain)
}

// checkSources wants what belongs together.
func (c *Config) checkSources(complain complain) {
	in := c.Ingest
	if !strings.HasPrefix(in.WebSocket.Path, "/") {
		complain("ingest.websocket.path", fmt.Sprintf("%q is not a path", in.WebSocket.Path),
			"begin it with a slash: /events")
	}
	if u := in.RabbitMQ.URL; u != "" && !isURL(u, "amqp", "amqps") {
		complain("ingest.rabbitmq.url", "it is no URL of RabbitMQ without a user",
			"write amqp://host:5672/vhost, and ingest.rabbitmq.user beside it")
	}
	if in.RabbitMQ.Queue == "" {
		complain("ingest.rabbitmq.queue", "it is empty", "name the queue")
	}
	for _, u := range in.MQTT.Brokers {
		if !isURL(u, "tcp", "ssl") {
			complain("ingest.mqtt.brokers", "there is one that is no URL without a user",
				"write tcp://host:1883 or ssl://host:8883, and ingest.mqtt.user beside it")
		}
	}
	if in.MQTT.ClientID == "" {
		complain("ingest.mqtt.client_id", "it is empty", "name the session, each ingest its own")
	}
	if len(in.MQTT.Topics) == 0 {
		complain("ingest.mqtt.topics", "there is none", "write Janus' topic with /# behind it")
	}
	for _, key := range []string{"ingest.nanomsg.connect", "ingest.nanomsg.listen"} {
		for _, u := range *byName[key].at(c).(*[]string) {
			if !strings.HasPrefix(u, "tcp://") && !strings.HasPrefix(u, "ipc://") {
				complain(key, fmt.Sprintf("%q is no address of nanomsg", u), "write tcp://host:port or ipc:///path")
			}
		}
	}
}

// isURL tells whether text is a URL of one of the schemes, with a host and without a user.
func isURL(text string, schemes ...string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && u.User == nil && slices.Contains(schemes, u.Scheme)
}

func (c *Config) checkSenders(complain complain) {
	in := c.Ingest
	if in.TLS.ClientCAFile != "" && in.TLS.CertFile == "" {
		complain("ingest.tls.client_ca_file", "it is set, but there is no TLS",
			"set ingest.tls.cert_file and ingest.tls.key_file")
	}
	seen := map[Sender]int{}
	for i, s := range in.Senders {
		wrong := func(what, remedy string) {
			complain("ingest.senders", fmt.Sprintf("sender %d %s", i+1, what), remedy)
		}
		s.check(in, wrong)
		who := s
		who.Emitter = ""
		if other := seen[who]; other != 0 && who != (Sender{}) {
			wrong(fmt.Sprintf("is the same as sender %d", other), "leave one of them out")
			continue
		}
		seen[who] = i + 1
	}
}

// check judges a sender by itself.
func (s Sender) check(in Ingest, wrong func(what, remedy string)) {
	if s.Emitter == "" {
		wrong("has no emitter", "say which name its events get")
	}
	if s == (Sender{Emitter: s.Emitter}) {
		wrong("says nothing of who it is", "set path, user, certificate or address")
	}
	if s.User != "" && s.User != in.Auth.User && in.Auth.UsersFile == "" {
		wrong(fmt.Sprintf("has a user %q who is not ingest.auth.user, "+
			"and a name that is not checked proves nothing", s.User),
			"name that user, or a path or address instead")
	}
	if s.Certificate != "" && in.TLS.ClientCAFile == "" {
		wrong(fmt.Sprintf("has a certificate %q, and nobody shows one", s.Certificate), "set ingest.tls.client_ca_file")
	}
	if len(s.Emitter) > maxEmitter {
		wrong(fmt.Sprintf("has an emitter of %d bytes", len(s.Emitter)), fmt.Sprintf("shorten it to %d", maxEmitter))
	}
	if s.Path != "" && !strings.HasPrefix(s.Path, "/") {
		wrong(fmt.Sprintf("has a path %q", s.Path), "begin it with a slash: /events/edge-1")
	}
	if s.Address != "" && !isAddress(s.Address) {
		wrong(fmt.Sprintf("has an address %q", s.Address), "write an IP address or a prefix: 192.0.2.1 or 192.0.2.0/24")
	}
}

// wrongAddress says what is wrong with host:port, "" when nothing is.
func wrongAddress(address string, listen bool) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "is not host:port"
	}
	if host == "" && !listen {
		return "has no host"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 && !listen {
		return "has no port from 1 to 65535"
	}
	return ""
}

func isAddress(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	_, err := netip.ParsePrefix(s)
	return err == nil
}

// isName tells whether s can be a topic, a group and a part of a transactional id: what Kafka allows in a topic, and
// short enough to have something appended.
func isName(s string) bool {
	if s == "" || len(s) > 200 {
		return false
	}
	const legal = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	return strings.Trim(s, legal) == "" && filepath.Base(s) == s
}
