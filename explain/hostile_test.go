package explain

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"januscdr/cdr"
)

// ofJanus are the keys of words of Janus, without which an event would mean something else.
var ofJanus = []string{
	"emitter", "event", "name", "plugin", "transport", "type", "owner", "status", "connection", "ice", "dtls", "media",
	"mid", "slow_link", "videoroom", "textroom", "streaming", "audiobridge", "videocall", "recordplay",
}

// spoilt is a log in which a suffix is on each text that a client may choose, and, where all is set, on the words of
// Janus too: a server may have been taken over.
func spoilt(t *testing.T, inputs []cdr.Input, suffix string, all bool) []cdr.Input {
	t.Helper()
	out := slices.Clone(inputs)
	for i := range out {
		var e map[string]any
		d := json.NewDecoder(bytes.NewReader(out[i].Value))
		d.UseNumber()
		if d.Decode(&e) != nil {
			continue
		}
		b, err := json.Marshal(spoil(e, suffix, all))
		if err != nil {
			t.Fatal(err)
		}
		out[i].Value = b
	}
	return out
}

func spoil(v any, suffix string, all bool) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if text, ok := value.(string); ok {
				if all && key != "emitter" || !slices.Contains(ofJanus, key) {
					v[key] = text + suffix
				}
				continue
			}
			v[key] = spoil(value, suffix, all)
		}
	case []any:
		for i := range v {
			v[i] = spoil(v[i], suffix, all)
		}
	case string:
		return v + suffix
	}
	return v
}

// Whatever stands in the texts of events: nothing of it steers a terminal, makes an element of the page, or is told
// without end.
func TestNoTextOfAnEventComesThroughAsItIs(t *testing.T) {
	const bad = "\x1b[31m\u202e\u2028<b onclick=x>\x00"
	suffix := strings.Repeat(bad, 12) // longer than any text that is shown
	plain := strings.Repeat("x", utf8.RuneCountInString(suffix))
	notPrinted := func(r rune) bool { return !unicode.IsPrint(r) }
	told, places := 0, map[string]bool{}
	everyPlay(t, func(t *testing.T, name string, p *play) {
		all := told%2 == 1
		tame := &play{policy: p.policy, inputs: spoilt(t, p.inputs, plain, all), ends: true}
		wild := &play{policy: p.policy, inputs: spoilt(t, p.inputs, suffix, all), ends: true}
		for _, at := range p.sessions() {
			told++
			s := wild.tell(t, at)
			for where, text := range texts("", reflect.ValueOf(*s)) {
				if !utf8.ValidString(text) || strings.ContainsFunc(text, notPrinted) {
					t.Errorf("%s: %s is %q", name, where, text)
				}
				if strings.Contains(text, "<b onclick") {
					places[strings.Map(withoutDigits, where)] = true
				}
			}
			if told%3 != 0 {
				continue // a third of the pages is enough
			}
			page, same := mustPage(t, s), mustPage(t, tame.tell(t, at))
			if got, want := bytes.Count(page, []byte("<")), bytes.Count(same, []byte("<")); got != want {
				t.Errorf("%s: the page has %d tags, not %d", name, got, want)
			}
			if err := inOrder(page); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	if told < 250 || len(places) < 8 {
		t.Errorf("%d stories, with hostile texts in %v: nothing is tested", told, places)
	}
}

func withoutDigits(r rune) rune {
	if unicode.IsDigit(r) {
		return -1
	}
	return r
}
