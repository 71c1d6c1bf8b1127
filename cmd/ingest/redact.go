package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
)

// redaction replaces what tells of persons, in JSON of any kind: the same text by the same stand-in, so that what
// belongs together still does. The stand-ins hang on a key of this process, which is nowhere kept. Bytes that it does
// not replace stay as they are.
type redaction struct{ key []byte }

func newRedaction() (*redaction, error) {
	r := &redaction{key: make([]byte, 32)}
	_, err := rand.Read(r.key)
	return r, err
}

// named are the members, in lower case, whose text is of a person or a secret as a whole.
var named = map[string]string{
	"display": "name", "display_name": "name", "displayname": "name", "username": "name", "authuser": "name",
	"caller": "name", "callee": "name", "peer": "name", "from": "name", "to": "name", "referred_by": "name",
	"secret": "secret", "pin": "secret", "room_pin": "secret", "token": "secret", "password": "secret",
	"ha1_secret": "secret",
	"proxy":      "name", "outbound_proxy": "name", "user_agent": "agent", "user-agent": "agent",
}

// What stands for a person inside of a text.
var (
	sipURI    = regexp.MustCompile(`(?i)\b(sips?|tel):([^\s"<>;,\\]+)`)
	mail      = regexp.MustCompile(`[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}`)
	ipv4      = regexp.MustCompile(`\b(?:\d{1,3}\.){3}\d{1,3}\b`)
	ipv6      = regexp.MustCompile(`(?i)[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?:\.\d{1,3}){0,3}`)
	iceSecret = regexp.MustCompile(`(?i)(a=ice-(?:pwd|ufrag):|a=fingerprint:\S+ )(\S+)`)
)

// stand is the stand-in of a text: a word and 40 bits.
func (r *redaction) stand(word, text string) string {
	return word + "-" + hex.EncodeToString(r.hash(text)[:5])
}

func (r *redaction) hash(text string) []byte {
	h := hmac.New(sha256.New, r.key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// address is the stand-in of an address: another one of the same kind. Those that are of nobody stay.
func (r *redaction) address(text string) string {
	a, err := netip.ParseAddr(text)
	if err != nil || a.IsUnspecified() || a.IsLoopback() {
		return text
	}
	h := r.hash(a.Unmap().String())
	if a.Is4() || a.Is4In6() {
		n := binary.BigEndian.Uint32(h)
		return fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255)
	}
	return netip.AddrFrom16([16]byte(append([]byte{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0}, h[:8]...))).String()
}

func (r *redaction) text(member, text string) string {
	if word := named[strings.ToLower(member)]; word != "" && text != "" {
		if uri := sipURI.FindStringSubmatch(text); len(uri) > 2 && uri[0] == text {
			return uri[1] + ":" + r.stand("user", strings.ToLower(uri[2])) + "@example.invalid"
		}
		return r.stand(word, text)
	}
	text = iceSecret.ReplaceAllStringFunc(text, func(found string) string {
		parts := iceSecret.FindStringSubmatch(found)
		return parts[1] + r.stand("ice", parts[2])
	})
	text = sipURI.ReplaceAllStringFunc(text, func(found string) string {
		scheme, rest, _ := strings.Cut(found, ":")
		return scheme + ":" + r.stand("user", strings.ToLower(rest)) + "@example.invalid"
	})
	text = mail.ReplaceAllStringFunc(text, func(found string) string {
		if strings.HasSuffix(found, "@example.invalid") {
			return found
		}
		return r.stand("user", strings.ToLower(found)) + "@example.invalid"
	})
	text = ipv6.ReplaceAllStringFunc(text, r.address)
	return ipv4.ReplaceAllStringFunc(text, r.address)
}

// body is JSON in which texts are replaced. What is no JSON is replaced as a whole: nobody can tell what stands in it.
func (r *redaction) body(body []byte) []byte {
	if !json.Valid(body) {
		return fmt.Appendf(nil, `{"redacted":"no json","bytes":%d}`, len(body))
	}
	out := make([]byte, 0, len(body))
	member := ""
	for i := 0; i < len(body); {
		if body[i] != '"' {
			out = append(out, body[i])
			i++
			continue
		}
		end := i + 1
		for body[end] != '"' {
			if body[end] == '\\' {
				end++
			}
			end++
		}
		end++
		raw := body[i:end]
		i = end
		var text string
		if err := json.Unmarshal(raw, &text); err != nil { // cannot be, as it is valid
			continue
		}
		if rest := bytes.TrimLeft(body[i:], " \t\r\n"); len(rest) > 0 && rest[0] == ':' {
			member = text
			out = append(out, raw...)
			continue
		}
		if other := r.text(member, text); other != text {
			raw = quoted(other)
		}
		out = append(out, raw...)
	}
	return out
}

func quoted(text string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(text) != nil {
		return []byte(`""`)
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}
