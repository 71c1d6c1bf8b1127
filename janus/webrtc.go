package janus

import (
	"strconv"
	"strings"
)

// The subtypes of type 16.
const (
	subICEState = iota + 1
	subLocalCandidate
	subRemoteCandidate
	subSelectedPair
	subDTLSState
	subConnection
)

// webrtcBody reads a body of type 16. Each subtype has a key of its own, by which a body without subtype is known.
func (p *Parser) webrtcBody(s *scanner, subtype int) Body {
	var ice, local, remote, pair, dtls, connection, reason string
	var iceKnown, localKnown, remoteKnown, dtlsKnown, candidates bool
	var retransmissions int
	for key, ok := s.first(); ok; key, ok = s.next() {
		switch key {
		case "ice":
			iceKnown = s.peek() == '"'
			ice = s.text()
		case "local-candidate":
			localKnown = s.peek() == '"'
			local = s.text()
		case "remote-candidate":
			remoteKnown = s.peek() == '"'
			remote = s.text()
		case "selected-pair":
			pair = s.text()
		case "candidates":
			candidates = p.candidates(s)
		case "dtls":
			dtlsKnown = s.peek() == '"'
			dtls = s.text()
		case "retransmissions":
			retransmissions = s.small()
		case "connection":
			connection = s.text()
		case "reason":
			reason = s.text()
		default:
			s.skip()
		}
	}
	is := func(want int) bool { return subtype == want || subtype == subAbsent }
	switch {
	case is(subConnection) && connection == "webrtcup":
		return &p.peerConnectionUp
	case is(subConnection) && connection == "hangup":
		p.peerConnectionHangup.Reason = reason
		return &p.peerConnectionHangup
	case is(subICEState) && iceKnown:
		p.iceState.State = ice
		return &p.iceState
	case is(subDTLSState) && dtlsKnown:
		p.dtlsState = DTLSState{State: dtls, Retransmissions: retransmissions}
		return &p.dtlsState
	case is(subLocalCandidate) && localKnown:
		p.localCandidate.Candidate = local
		return &p.localCandidate
	case is(subRemoteCandidate) && remoteKnown:
		p.remoteCandidate.Candidate = remote
		return &p.remoteCandidate
	case is(subSelectedPair) && (candidates || p.pairFromText(pair)):
		return &p.selectedPair
	}
	return &p.unknown
}

// candidates reads both ends of a pair; false when one of them is not there.
func (p *Parser) candidates(s *scanner) bool {
	p.selectedPair = SelectedPair{}
	if s.peek() != '{' {
		s.skip()
		return false
	}
	var local, remote bool
	for key, ok := s.first(); ok; key, ok = s.next() {
		switch key {
		case "local":
			local = p.selectedPair.Local.read(s)
		case "remote":
			remote = p.selectedPair.Remote.read(s)
		default:
			s.skip()
		}
	}
	return local && remote
}

// read reads one end of a pair; false when it is no object.
func (c *Candidate) read(s *scanner) bool {
	*c = Candidate{}
	if s.peek() != '{' {
		s.skip()
		return false
	}
	for key, ok := s.first(); ok; key, ok = s.next() {
		switch key {
		case "address":
			c.Address = s.text()
		case "port":
			c.Port = s.small()
		case "type":
			c.Type = s.text()
		case "transport":
			c.Transport = s.text()
		default:
			s.skip()
		}
	}
	return true
}

// pairFromText reads the pair from the words of the key selected-pair, which is all that older releases write:
//
//	192.0.2.1:20000 [host,udp] <-> 198.51.100.7:61000 [prflx,udp]
func (p *Parser) pairFromText(pair string) bool {
	local, remote, ok := strings.Cut(pair, " <-> ")
	if !ok {
		return false
	}
	l, lok := candidateFromText(local)
	r, rok := candidateFromText(remote)
	p.selectedPair = SelectedPair{Local: l, Remote: r}
	return lok && rok
}

func candidateFromText(text string) (Candidate, bool) {
	where, what, ok := strings.Cut(text, " [")
	colon := strings.LastIndexByte(where, ':') // an IPv6 address has more of them
	if !ok || colon < 0 {
		return Candidate{}, false
	}
	port, err := strconv.ParseUint(where[colon+1:], 10, 16)
	if err != nil {
		return Candidate{}, false
	}
	kind, transport, ok := strings.Cut(strings.TrimSuffix(what, "]"), ",")
	return Candidate{Address: where[:colon], Port: int(port), Type: kind, Transport: transport}, ok
}
