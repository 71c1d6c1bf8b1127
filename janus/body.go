package janus

import "strings"

// body reads the value of "event" by the type of the event. A value of another shape than that type has is Unknown.
func (p *Parser) body(s *scanner, t Type, subtype int) Body {
	if s.peek() == '{' {
		switch t {
		case TypeSession:
			return p.sessionBody(s)
		case TypeHandle:
			return p.handleBody(s)
		case TypeExternal:
			return p.externalBody(s)
		case TypeJSEP:
			return p.jsepBody(s)
		case TypeWebRTC:
			return p.webrtcBody(s, subtype)
		case TypeMedia:
			return p.mediaBody(s, subtype)
		case TypePlugin:
			return p.pluginBody(s)
		case TypeTransport:
			return p.transportBody(s)
		case TypeCore:
			return p.coreBody(s, subtype)
		}
	}
	if s.peek() == '[' && t == TypeMedia && (subtype == subMediaReport || subtype == subAbsent) {
		return p.mediaReports(s)
	}
	s.skip()
	return &p.unknown
}

// subAbsent is the subtype of Janus before 0.9.1, which had none: the keys of the body tell.
const subAbsent = 0

func (p *Parser) sessionBody(s *scanner) Body {
	var name string
	created := &p.sessionCreated
	*created = SessionCreated{}
	for key, ok := s.first(); ok; key, ok = s.next() {
		switch key {
		case "name":
			name = s.text()
		case "transport":
			*created = SessionCreated{}
			if s.peek() != '{' {
				s.skip()
				continue
			}
			for key, ok := s.first(); ok; key, ok = s.next() {
				switch key {
				case "transport":
					created.Transport = s.text()
				case "id":
					created.TransportID = s.text()
				default:
					s.skip()
				}
			}
		default:
			s.skip()
		}
	}
	switch name {
	case "created":
		return created
	case "destroyed":
		return &p.sessionDestroyed
	case "timeout":
		return &p.sessionTimedOut
	}
	return &p.unknown
}

func (p *Parser) handleBody(s *scanner) Body {
	var name, plugin string
	for key, ok := s.first(); ok; key, ok = s.next() {
		switch key {
		case "name":
			name = s.text()
		case "plugin":
			plugin = s.text()
		default:
			s.skip()
		}
	}
	switch name {
	case "attached":
		p.handleAttached.Plugin = plugin
		return &p.handleAttached
	case "detached":
		p.handleDetached.Plugin = plugin
		return &p.handleDetached
	}
	return &p.unknown
}

func (p *Parser) externalBody(s *scanner) Body {
	p.external = External{}
	for key, ok := s.first(); ok; key, ok = s.next() {
		switch key {
		case "schema":
			p.external.Schema = s.text()
		default:
			s.skip()
		}
	}
	return &p.external
}

func (p *Parser) jsepBody(s *scanner) Body {
	var owner, kind, sdp string
	for key, ok := s.first(); ok; key, ok = s.next() {
		switch key {
		case "owner":
			owner = s.text()
		case "jsep":
			kind, sdp = "", ""
			if s.peek() != '{' {
				s.skip()
				continue
			}
			for key, ok := s.first(); ok; key, ok = s.next() {
				switch key {
				case "type":
					kind = s.text()
				case "sdp":
					sdp = s.text()
				default:
					s.skip()
				}
			}
		default:
			s.skip()
		}
	}
	// The type of a remote half is as the client typed it; Janus compares without regard to case.
	offer := strings.EqualFold(kind, "offer")
	if owner != "remote" && owner != "local" || !offer && !strings.EqualFold(kind, "answer") {
		return &p.unknown
	}
	p.jsep = JSEP{FromClient: owner == "remote", Offer: offer, SDP: sdp}
	return &p.jsep
}

func (p *Parser) transportBody(s *scanner) Body {
	t := &p.transportEvent
	*t = TransportEvent{}
	data := false
	for key, ok := s.first(); ok; key, ok = s.next() {
		switch key {
		case "transport":
			t.Transport = s.text()
		case "id":
			t.ID = s.text()
		case "data":
			t.Event, t.Address, t.AdminAPI = "", "", false
			if data = s.peek() == '{'; !data {
				s.skip()
				continue
			}
			for key, ok := s.first(); ok; key, ok = s.next() {
				switch key {
				case "event":
					t.Event = s.text()
				case "ip":
					t.Address = s.text()
				case "admin_api":
					t.AdminAPI, _ = s.boolean()
				default:
					s.skip()
				}
			}
		default:
			s.skip()
		}
	}
	if !data {
		return &p.unknown
	}
	return t
}

// coreBody tells a start from a heartbeat by status: both have subtype 1.
func (p *Parser) coreBody(s *scanner, subtype int) Body {
	var status string
	started, update, shutdown := &p.serverStarted, &p.serverUpdate, &p.serverShutdown
	*started, *update, *shutdown = ServerStarted{}, ServerUpdate{}, ServerShutdown{}
	for key, ok := s.first(); ok; key, ok = s.next() {
		switch key {
		case "status":
			status = s.text()
		case "signum":
			shutdown.Signal = s.small()
		case "info":
			*started, *update = ServerStarted{}, ServerUpdate{}
			if s.peek() != '{' {
				s.skip()
				continue
			}
			for key, ok := s.first(); ok; key, ok = s.next() {
				switch key {
				case "version_string":
					started.Version = s.text()
				case "session-timeout":
					started.SessionTimeout = s.gauge()
				case "reclaim-session-timeout":
					started.ReclaimSessionTimeout = s.gauge()
				case "sessions":
					update.Sessions = s.gauge()
				case "handles":
					update.Handles = s.gauge()
				case "peerconnections":
					update.PeerConnections = s.gauge()
				case "stats-period":
					update.StatsPeriod = s.gauge()
				default:
					s.skip()
				}
			}
		default:
			s.skip()
		}
	}
	switch {
	case status == "started" && (subtype == 1 || subtype == subAbsent):
		return started
	case status == "update" && (subtype == 1 || subtype == subAbsent):
		return update
	case status == "shutdown" && (subtype == 2 || subtype == subAbsent):
		return shutdown
	}
	return &p.unknown
}
