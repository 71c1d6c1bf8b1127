package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"januscdr/config"
	"januscdr/ingest"
)

func TestEachWayInIsOpenedWhenItIsToldWhere(t *testing.T) {
	for _, scene := range []struct{ flags, want string }{
		{"", "http"},
		{"ingest.listen=", ""},
		{"ingest.listen= ingest.websocket.listen=127.0.0.1:0", "websocket"},
		{"ingest.rabbitmq.url=amqp://mq:5672/ ingest.mqtt.brokers=tcp://mq:1883", "http rabbitmq mqtt"},
		{"ingest.nanomsg.connect=ipc:///tmp/janusevh.ipc ingest.gelf.udp=127.0.0.1:0", "http nanomsg gelf"},
	} {
		flags := map[string]string{}
		for _, pair := range strings.Fields(scene.flags) {
			name, value, _ := strings.Cut(pair, "=")
			flags[name] = value
		}
		c, err := config.Load(config.Sources{Flags: flags})
		if err != nil {
			t.Fatal(err)
		}
		all, err := sources(c, hclog.NewNullLogger())
		if (err != nil) != (scene.want == "") {
			t.Errorf("%s: %v", scene.flags, err)
		}
		var got []string
		for _, s := range all {
			got = append(got, s.Name())
			for _, complaint := range s.Check(ingest.Options{}) {
				t.Errorf("%s: %s: %v", scene.flags, s.Name(), complaint)
			}
		}
		if strings.Join(got, " ") != scene.want {
			t.Errorf("%s: opens %q, want %s", scene.flags, got, scene.want)
		}
	}
}

func TestThePasswordOfAQueueIsReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("one\n")
	c, err := config.Load(config.Sources{Flags: map[string]string{"ingest.rabbitmq.url": "amqp://mq:5672/",
		"ingest.rabbitmq.password_file": file}})
	if err != nil {
		t.Fatal(err)
	}
	source, err := rabbitSource(c.Ingest.RabbitMQ, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"one", "two"} {
		write(want + "\n")
		if got, err := source.Password(); got != want || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
}

func TestJanusIsToldHowToReachUs(t *testing.T) {
	for _, scene := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"# janus.jcfg\n", "broadcast = true", "# janus.eventhandler.sampleevh.jcfg\n",
			`backend = "http://127.0.0.1:8090/events"`, "max_retransmissions = 15"}},
		{[]string{"--ingest-listen", ":8090", "--host", "in.example.com", "--ingest-auth-user", "janus",
			"--ingest-auth-password", "geheim"},
			[]string{`backend = "http://in.example.com:8090/events"`, `backend_user = "janus"`, `backend_pwd = "PASSWORD"`}},
		{[]string{"--ingest-listen", "", "--ingest-websocket-listen", "[::]:8092", "--host", "::1",
			"--ingest-websocket-subprotocol", "x"},
			[]string{`backend = "ws://[::1]:8092/events"`, `subprotocol = "x"`}},
		{[]string{"--ingest-rabbitmq-url", "amqps://mq/janus", "--ingest-rabbitmq-exchange", "e",
			"--ingest-rabbitmq-routing-key", "k"},
			[]string{`host = "mq"`, `vhost = "janus"`, `exchange = "e"`, `route_key = "k"`, "ssl_enable = true",
				"declare_outgoing_queue = false"}},
		{[]string{"--ingest-mqtt-brokers", "ssl://mq:8883", "--ingest-mqtt-topics", "/j/#", "--ingest-mqtt-user", "u"},
			[]string{`url = "ssl://mq:8883"`, `topic = "/j"`, "qos = 1", `username = "u"`, "tls_enable = true",
				"max_buffered = 100000"}},
		{[]string{"--ingest-nanomsg-connect", "tcp://10.0.0.1:5000", "--ingest-nanomsg-listen", "tcp://*:5001"},
			[]string{`mode = "bind"`, `address = "tcp://*:5000"`, `mode = "connect"`, `address = "tcp://HOST:5001"`}},
		{[]string{"--ingest-gelf-tcp", ":12201", "--ingest-gelf-udp", "10.0.0.9:12201"},
			[]string{`backend = "HOST"`, `port = "12201"`, `protocol = "tcp"`, `protocol = "udp"`, `backend = "10.0.0.9"`}},
	} {
		root := newRoot(nil)
		var said bytes.Buffer
		root.SetOut(&said)
		root.SetArgs(append([]string{"janus-config"}, scene.args...))
		if err := root.ExecuteContext(t.Context()); err != nil {
			t.Errorf("%q: %v", scene.args, err)
			continue
		}
		for _, want := range scene.want {
			if !strings.Contains(said.String(), want) {
				t.Errorf("%q: %q is not in\n%s", scene.args, want, said.String())
			}
		}
		if strings.Contains(said.String(), "geheim") {
			t.Errorf("a password is told:\n%s", said.String())
		}
	}
}
