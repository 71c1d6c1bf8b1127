package ingest

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// JanusFile is a file of Janus' configuration, or the part of it that makes Janus send its events.
type JanusFile struct {
	Name string // janus.eventhandler.wsevh.jcfg
	Text string
}

// JanusConfig is what stands in Janus' configuration, in janus.jcfg and in the file of each handler, for events to come
// to the sources; one handler is enough for one Janus. The host is where Janus reaches us, and stands for listening
// addresses that name none. Secrets are left out: what stands in their place says which they are.
func JanusConfig(sources []Source, host string) []JanusFile {
	files := []JanusFile{{"janus.jcfg", `general: {
  server_name = "NAME"       # of this Janus alone: it stands in each event
}
events: {
  broadcast = true
  stats_period = 5
}
`}}
	for _, source := range sources {
		switch s := source.(type) {
		case *HTTP:
			files = append(files, handler("sampleevh", s.lines(host)))
		case *WebSocket:
			files = append(files, handler("wsevh", s.lines(host)))
		case *RabbitMQ:
			files = append(files, handler("rabbitmqevh", s.lines()))
		case *MQTT:
			files = append(files, handler("mqttevh", s.lines()))
		case *Nanomsg:
			for _, lines := range s.lines(host) {
				files = append(files, handler("nanomsgevh", lines))
			}
		case *GELF:
			for _, lines := range s.lines(host) {
				files = append(files, handler("gelfevh", lines))
			}
		}
	}
	return files
}

func handler(name string, lines []string) JanusFile {
	all := append([]string{"enabled = true", `events = "all"`}, lines...)
	return JanusFile{"janus.eventhandler." + name + ".jcfg", "general: {\n  " + strings.Join(all, "\n  ") + "\n}\n"}
}

const grouped = "grouping = true\n  json = \"compact\""

// reach is where Janus reaches what listens at an address.
func reach(address, host string) string {
	h, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(h); h == "" || h == "*" || ip != nil && ip.IsUnspecified() {
		h = host
	}
	return net.JoinHostPort(h, port)
}

func scheme(plain string, secure bool) string {
	if secure {
		return plain + "s"
	}
	return plain
}

// bound is where it listens: by its listener, if that is open, for the port may be one that was free.
func bound(l net.Listener, address string) string {
	if l == nil {
		return address
	}
	return l.Addr().String()
}

func (h *HTTP) lines(host string) []string {
	lines := []string{grouped, fmt.Sprintf("backend = \"%s://%s%s\"", scheme("http", h.TLS != nil),
		reach(bound(h.listener, h.listen()), host), h.path())}
	if h.User != "" {
		lines = append(lines, fmt.Sprintf("backend_user = %q", h.User), `backend_pwd = "PASSWORD"   # of ingest.auth`)
	}
	return append(lines, "compress = false           # compressed batches over 8 kB are dropped by Janus",
		"max_retransmissions = 15   # about 55 minutes of patience; not more than 15")
}

func (s *WebSocket) lines(host string) []string {
	lines := []string{grouped, fmt.Sprintf("backend = \"%s://%s%s\"", scheme("ws", s.TLS != nil),
		reach(bound(s.listener, s.listen()), host), s.path())}
	if s.Subprotocol != "" {
		lines = append(lines, fmt.Sprintf("subprotocol = %q", s.Subprotocol))
	}
	return append(lines, "# no events_cap_on_reconnect: it drops the oldest events")
}

func (s *RabbitMQ) lines() []string {
	u, err := url.Parse(s.URL)
	if err != nil {
		return nil // was checked
	}
	lines := []string{grouped, fmt.Sprintf("host = %q", u.Hostname())}
	if u.Port() != "" {
		lines = append(lines, "port = "+u.Port())
	}
	if vhost := strings.TrimPrefix(u.Path, "/"); vhost != "" {
		lines = append(lines, fmt.Sprintf("vhost = %q", vhost))
	}
	lines = append(lines, fmt.Sprintf("username = %q", cmp.Or(s.User, "guest")),
		`password = "PASSWORD"      # of that user`)
	if s.Exchange == "" {
		lines = append(lines, fmt.Sprintf("route_key = %q", s.queue()))
	} else {
		lines = append(lines, fmt.Sprintf("exchange = %q", s.Exchange),
			fmt.Sprintf("exchange_type = %q", cmp.Or(s.ExchangeType, defaultExchange)),
			fmt.Sprintf("route_key = %q", cmp.Or(s.RoutingKey, s.queue())))
	}
	if cmp.Or(s.Kind, QueueAsJanus) != QueueAsJanus || s.Exchange != "" {
		lines = append(lines, "declare_outgoing_queue = false   # it would be another one, or another kind of it")
	}
	if u.Scheme == "amqps" {
		lines = append(lines, "ssl_enable = true", "ssl_verify_peer = true", "ssl_verify_hostname = true",
			`ssl_cacert = "CA.pem"`)
	}
	return append(lines, "heartbeat = 4              # it notices after half of this that the connection is gone")
}

func (s *MQTT) lines() []string {
	topic := strings.TrimSuffix(s.topics()[0], "/#")
	broker := s.Brokers[0]
	lines := []string{`json = "compact"`, fmt.Sprintf("url = %q", broker),
		`client_id = "NAME"         # of this Janus alone`,
		fmt.Sprintf("topic = %q", topic), "addevent = true", fmt.Sprintf("qos = %d", max(s.QoS, 1)),
		"max_inflight = 100", "max_buffered = 100000      # with fewer, an outage of seconds loses events"}
	if s.User != "" {
		lines = append(lines, fmt.Sprintf("username = %q", s.User), `password = "PASSWORD"      # of that user`)
	}
	if strings.HasPrefix(broker, "ssl:") {
		lines = append(lines, "tls_enable = true", "tls_verify_peer = true", "tls_verify_hostname = true",
			`tls_cacert = "CA.pem"`)
	}
	return lines
}

func (s *Nanomsg) lines(host string) (all [][]string) {
	for _, address := range s.Connect {
		if where, ok := strings.CutPrefix(address, "tcp://"); ok {
			_, port, _ := net.SplitHostPort(where)
			address = "tcp://*:" + port
			if ip := net.ParseIP(strings.TrimSuffix(where, ":"+port)); ip != nil && ip.IsLoopback() {
				address = "tcp://" + where
			}
		}
		all = append(all, []string{grouped, `mode = "bind"`, fmt.Sprintf("address = %q", address)})
	}
	for i, address := range s.Listen {
		if where, ok := strings.CutPrefix(address, "tcp://"); ok {
			if i < len(s.listeners) {
				where = s.listeners[i].Addr().String()
			}
			address = "tcp://" + reach(where, host)
		}
		all = append(all, []string{grouped, `mode = "connect"`, fmt.Sprintf("address = %q", address)})
	}
	return all
}

func (g *GELF) lines(host string) (all [][]string) {
	add := func(address, protocol string, more ...string) {
		h, port, _ := net.SplitHostPort(reach(address, host))
		all = append(all, append([]string{fmt.Sprintf("backend = %q", h), fmt.Sprintf("port = %q", port),
			fmt.Sprintf("protocol = %q", protocol)}, more...))
	}
	if g.TCP != "" {
		add(bound(g.listener, g.TCP), "tcp")
	}
	if g.UDP != "" {
		address := g.UDP
		if g.packets != nil {
			address = g.packets.LocalAddr().String()
		}
		add(address, "udp", "max_message_len = 1400     # of a datagram; an event may take 128 of them", "compress = true")
	}
	return all
}
