package ingest

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// SenderRule gives a name to whoever matches all criteria that are set. Janus' own name need not be unique or present:
// two servers that were not configured share one.
type SenderRule struct {
	Path    string // path of the URL; it is served, besides Options.Path
	User    string // user of HTTP Basic authentication
	Address string // IP address, or prefix as 192.0.2.0/24
	Emitter string // the name that its events get, in a header: their bytes are not changed
}

func (r SenderRule) check(user string) error {
	if r.Path == "" && r.User == "" && r.Address == "" {
		return errors.New("it fits everybody: set a path, a user or an address")
	}
	if r.Path != "" && !strings.HasPrefix(r.Path, "/") {
		return fmt.Errorf("path %q does not begin with a slash", r.Path)
	}
	if r.User != "" && r.User != user {
		return fmt.Errorf("user %q is not known: a name that is not checked proves nothing", r.User)
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

// sender is who posted a body, as far as that can be told.
type sender struct {
	address netip.Addr // without the port: Janus takes a new one for each request
	user    string     // authenticated; empty when nobody needs to
	path    string
	emitter string // assigned by a rule; empty: what the events say
}

// String names the sender in logs and parked records.
func (s sender) String() string {
	if s.user == "" {
		return s.address.String()
	}
	return s.user + "@" + s.address.String()
}

// senders knows who may send, and their names.
type senders struct {
	paths map[string]bool
	auth  bool
	want  [sha256.Size]byte // of user and password
	user  string
	rules []rule
}

type rule struct {
	SenderRule
	prefix netip.Prefix
}

func newSenders(o Options) *senders {
	s := &senders{paths: map[string]bool{o.Path: true}, auth: o.User != "", user: o.User, want: credential(o.User, o.Password)}
	for _, r := range o.Rules {
		prefix, _ := parsePrefix(r.Address) // checked with the options
		s.rules = append(s.rules, rule{r, prefix})
		if r.Path != "" {
			s.paths[r.Path] = true
		}
	}
	return s
}

// credential hashes a user and a password, so that comparing takes the same time whatever their lengths.
func credential(user, password string) [sha256.Size]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%d:%s%s", len(user), user, password))
}

// of tells who sends a request. A refusal says why; none is empty.
func (s *senders) of(r *http.Request) (who sender, refused refusal) {
	who = sender{address: remote(r.RemoteAddr), path: r.URL.Path}
	if !s.paths[r.URL.Path] {
		return who, refusedPath
	}
	if s.auth {
		user, password, _ := r.BasicAuth()
		got := credential(user, password)
		if subtle.ConstantTimeCompare(got[:], s.want[:]) != 1 {
			return who, refusedCredentials
		}
		who.user = s.user
	}
	who.emitter = s.emitter(who)
	return who, ""
}

// emitter is the name by the first rule that fits, or empty.
func (s *senders) emitter(who sender) string {
	for _, r := range s.rules {
		if (r.Path == "" || r.Path == who.path) && (r.User == "" || r.User == who.user) &&
			(!r.prefix.IsValid() || r.prefix.Contains(who.address)) {
			return r.Emitter
		}
	}
	return ""
}

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
