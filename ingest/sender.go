package ingest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// SenderRule gives a name to whoever matches all criteria that are set. Janus' own name need not be unique or present:
// two servers that were not configured share one.
type SenderRule struct {
	Path string // where it sends to: the path of the URL by HTTP, which is served besides HTTP.Path
	User string // whose password was checked

	Certificate string // name in the client's certificate, if clients must show one: its common name

	Address string // IP address, or prefix as 192.0.2.0/24
	Emitter string // the name that its events get, in a header: their bytes are not changed
}

func (r SenderRule) check() error {
	if r.Path == "" && r.User == "" && r.Address == "" && r.Certificate == "" {
		return errors.New("it fits everybody: set a path, a user, a certificate or an address")
	}
	if r.Path != "" && !strings.HasPrefix(r.Path, "/") {
		return fmt.Errorf("path %q does not begin with a slash", r.Path)
	}
	if _, err := parsePrefix(r.Address); err != nil {
		return err
	}
	if r.Emitter == "" {
		return errors.New("the emitter's name is missing")
	}
	if len(r.Emitter) > maxEmitter {
		return fmt.Errorf("the emitter's name has %d bytes: use at most %d", len(r.Emitter), maxEmitter)
	}
	return nil
}

// parsePrefix reads an address or a prefix; empty text is no prefix.
func parsePrefix(text string) (netip.Prefix, error) {
	if text == "" {
		return netip.Prefix{}, nil
	}
	if strings.Contains(text, "/") {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return netip.Prefix{}, fmt.Errorf("address %q: write it as 192.0.2.0/24: %w", text, err)
		}
		return prefix.Masked(), nil
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("address %q: write it as 192.0.2.1 or 192.0.2.0/24: %w", text, err)
	}
	return netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
}

// Sender is who sent a body, as far as that can be told.
type Sender struct {
	Source  string     // name of the source
	Address netip.Addr // without the port: Janus takes a new one for each request; zero where there is none
	User    string     // whose password the source has checked; empty when nobody needs one

	Certificate string // name in the certificate that it showed and that was verified; empty: it showed none

	Path string // where it was sent to; empty where there is but one place

	emitter string // assigned by a rule; empty: what the events say
}

// String names the sender in logs and parked records: user@address or address, else the source.
func (s Sender) String() string {
	who := s.Source
	if s.Address.IsValid() {
		who = s.Address.String()
	}
	if s.User == "" {
		return who
	}
	return s.User + "@" + who
}

// part is the part of the program that took the body in.
func (s Sender) part() string { return "ingest/" + s.Source }

// rules know the names of senders.
type rules struct{ all []rule }

type rule struct {
	SenderRule
	prefix netip.Prefix
}

func newRules(all []SenderRule) *rules {
	r := &rules{}
	for _, one := range all {
		prefix, _ := parsePrefix(one.Address) // checked with the options
		r.all = append(r.all, rule{one, prefix})
	}
	return r
}

// paths are those that are served where paths tell senders apart: the source's own, and those of the rules.
func (r *rules) paths(own string) map[string]bool {
	paths := map[string]bool{own: true}
	for _, one := range r.all {
		if one.Path != "" {
			paths[one.Path] = true
		}
	}
	return paths
}

// emitter is the name by the first rule that fits, or empty.
func (r *rules) emitter(from Sender) string {
	for _, one := range r.all {
		if (one.Path == "" || one.Path == from.Path) && (one.User == "" || one.User == from.User) &&
			(one.Certificate == "" || one.Certificate == from.Certificate) &&
			(!one.prefix.IsValid() || one.prefix.Contains(from.Address)) {
			return one.Emitter
		}
	}
	return ""
}

// party is as whom a sender shares room with others.
func (r *rules) party(from Sender) party {
	switch {
	case from.User != "":
		return party{"user " + from.User, true}
	case from.Certificate != "":
		return party{"certificate " + from.Certificate, true}
	}
	if emitter := r.emitter(from); emitter != "" {
		return party{"emitter " + emitter, true}
	}
	if !from.Address.IsValid() { // it is we who connect, or a pipe
		return party{from.Source, true}
	}
	return stranger(from.Address)
}

// stranger is whoever sends from an address; of IPv6 from a network, of which one host has all addresses.
func stranger(address netip.Addr) party {
	if address.Is6() {
		if network, err := address.Prefix(64); err == nil {
			return party{name: network.String()}
		}
	}
	return party{name: address.String()}
}

// remote is the address of a peer without its port, zero if it is none.
func remote(address string) netip.Addr {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap().WithZone("")
}
