package explain

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"januscdr/cdr"
	"januscdr/internal/fixtures/recordings"
)

// written are all forms of a story.
func written(t *testing.T, s *Story) map[string]string {
	t.Helper()
	page, err := Page(s)
	if err != nil {
		t.Fatal(err)
	}
	data, err := JSON(s)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"page": string(page), "json": string(data),
		"text": string(Text(s, Width, false)), "colours": string(Text(s, Width, true)),
	}
}

// hostile are names that somebody may choose.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `'-alert(1)-'`,
	`</title></style></svg><svg onload=alert(1)>`, `javascript:alert(1)`, "\x1b[2J\x1b]0;owned\x07",
	"\u202egnirts\u202c\u2066", "{leg} {word} %s %d {{.Session}}", "a\r\nSet-Cookie: b", strings.Repeat("x", 4000),
	"\x00\xff\xfe",
}

func TestNamesThatClientsChooseSteerNeitherTerminalNorBrowser(t *testing.T) {
	for _, name := range hostile {
		quoted, err := json.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		inside := string(quoted[1 : len(quoted)-1])
		lines := [][]byte{}
		for _, b := range recordings.Events("1.1-c_videoroom") {
			for _, mine := range []string{"Zoë 🎧", "bill-2024-A17", "janus-par-01"} {
				b = bytes.ReplaceAll(b, []byte(mine), []byte(inside))
			}
			lines = append(lines, b)
		}
		s := tellLines(t, name, lines, Query{ID: "1621078475626805"})
		forms := written(t, s)
		plain := strings.Count(string(recordedPage(t, "1.1-c_videoroom", Query{OpaqueID: "bill-2024-A17"})), "<")
		if got := strings.Count(forms["page"], "<"); got != plain && len(name) < 512 { // a longer one is noticed in the page
			t.Errorf("%.40q: the page has %d tags, not %d", name, got, plain)
		}
		for _, form := range []string{"text", "json", "page"} {
			if i := strings.IndexFunc(forms[form], func(r rune) bool {
				return r != '\n' && (r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069)
			}); i >= 0 {
				t.Errorf("%.40q: the %s steers: %q", name, form, forms[form][max(0, i-40):i+20])
			}
		}
		for line := range strings.SplitSeq(forms["text"], "\n") {
			if columns(line) > Width {
				t.Errorf("%.40q: %d columns: %s", name, columns(line), line)
			}
		}
	}
}

// own are the texts of a record that the program itself writes: no client has a say in them.
var own = []string{"Supersedes", "SessionID", "HandleID", "SourceTopic"}

func TestEachTextOfARecordThatOthersChooseIsCleaned(t *testing.T) {
	var r cdr.Record
	fill(reflect.ValueOf(&r).Elem(), "\x1b[2J")
	shown := safe(&r)
	left := texts("", reflect.ValueOf(shown))
	if len(left) < 20 {
		t.Fatalf("%d texts: nothing is tested", len(left))
	}
	for name, text := range left {
		if cleaned := text == clean(text); cleaned == slices.Contains(own, name) {
			t.Errorf("%s: %q is cleaned: %v; see safe, or name it as our own", name, text, cleaned)
		}
	}
	for name, text := range texts("", reflect.ValueOf(r)) {
		if text != "\x1b[2J" {
			t.Errorf("%s of the record itself became %q", name, text)
		}
	}
}

// fill puts a text into each string of a value, and two elements into each list.
func fill(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), text)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i), text)
		}
	}
}

// texts are the strings of a value that others can see, by the fields that they are in.
func texts(name string, v reflect.Value) map[string]string {
	all := map[string]string{}
	switch v.Kind() {
	case reflect.String:
		all[name] = v.String()
	case reflect.Struct:
		for i := range v.NumField() {
			if !v.Type().Field(i).IsExported() {
				continue
			}
			maps.Copy(all, texts(strings.TrimPrefix(name+"."+v.Type().Field(i).Name, "."), v.Field(i)))
		}
	case reflect.Slice:
		for i := range v.Len() {
			maps.Copy(all, texts(fmt.Sprintf("%s[%d]", name, i), v.Index(i)))
		}
	}
	return all
}

func mustPage(t *testing.T, s *Story) []byte {
	t.Helper()
	b, err := Page(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func recordedPage(t *testing.T, recording string, of Query) []byte {
	t.Helper()
	return mustPage(t, tell(t, recording, of))
}

func TestSecretsAreNeverShown(t *testing.T) {
	lines := [][]byte{}
	secrets := []string{"tok-4711", "pin-4711", "geheim", "digest-4711", "ice-pwd", "a=fingerprint", "nonce="}
	for _, b := range recordings.Events("1.1-f_sip") {
		b = bytes.ReplaceAll(b, []byte(`sip:bob@`), []byte(`sip:bob:geheim@`))
		b = bytes.ReplaceAll(b, []byte(`sip:frank@127.0.0.1:5080`),
			[]byte(`sips:frank@127.0.0.1:5080?Authorization=digest-4711`))
		b = bytes.ReplaceAll(b, []byte(`"event":"registered"`),
			[]byte(`"event":"registered","token":"tok-4711","pin":"pin-4711","secret":"geheim"`))
		lines = append(lines, b)
	}
	all := bytes.Join(lines, nil)
	for _, secret := range secrets {
		if !bytes.Contains(all, []byte(secret)) {
			t.Fatalf("the events have no %q: nothing is tested", secret)
		}
	}
	for form, text := range written(t, tellLines(t, "secrets", lines, Query{OpaqueID: "sip-acct-77"})) {
		for _, secret := range secrets {
			if i := strings.Index(text, secret); i >= 0 {
				t.Errorf("%s: %q", form, text[max(0, i-60):min(len(text), i+60)])
			}
		}
	}
}

func TestThePageRefersToNothing(t *testing.T) {
	const attributes = "href|src|srcset|action|data|poster|background|xlink:href"
	reference := regexp.MustCompile(`(?i)(?:\b(?:` + attributes + `)\s*=\s*"([^"]*)"|url\(([^)]*)\)|@import\s+(\S+))`)
	for _, scene := range scenes {
		page := string(recordedPage(t, scene.recording, scene.of))
		ids := map[string]bool{}
		for _, m := range regexp.MustCompile(`\bid="([^"]*)"`).FindAllStringSubmatch(page, -1) {
			if ids[m[1]] {
				t.Errorf("%s: two elements are %q", scene.name, m[1])
			}
			ids[m[1]] = true
		}
		n := 0
		for _, m := range reference.FindAllStringSubmatch(page, -1) {
			n++
			if to := m[1] + m[2] + m[3]; !strings.HasPrefix(to, "#") || !ids[to[1:]] {
				t.Errorf("%s: %s", scene.name, m[0])
			}
		}
		if n == 0 {
			t.Errorf("%s: no references: nothing is tested", scene.name)
		}
		// The last one is what the template writes for what it refuses.
		for _, never := range []string{"<script", "http://", "https://", "ZgotmplZ"} {
			if strings.Contains(page, never) {
				t.Errorf("%s: %s", scene.name, never)
			}
		}
	}
}

// The page has one first heading, no level is skipped, each figure has words, and all that opens closes.
func TestThePageIsInOrder(t *testing.T) {
	for _, scene := range scenes {
		if err := inOrder(recordedPage(t, scene.recording, scene.of)); err != nil {
			t.Errorf("%s: %v", scene.name, err)
		}
	}
}

// inOrder tells what is wrong with the elements of a page.
func inOrder(page []byte) error {
	d := xml.NewDecoder(bytes.NewReader(page))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	o := outline{}
	for {
		token, err := d.RawToken()
		switch e := token.(type) { // nil at the end
		case xml.StartElement:
			err = o.open(e)
		case xml.EndElement:
			err = o.close(e.Name.Local)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if o.first != 1 || len(o.elements) != 0 {
		return fmt.Errorf("%d first headings, open: %v", o.first, o.elements)
	}
	return nil
}

// outline is where one is in a page.
type outline struct {
	elements []string // that are open
	level    int      // of the last heading
	first    int      // headings
}

func (o *outline) open(e xml.StartElement) error {
	name := e.Name.Local
	switch name {
	case "meta", "br", "input":
		return nil
	case "h1", "h2", "h3":
		n := int(name[1] - '0')
		if n > o.level+1 {
			return fmt.Errorf("%s after level %d", name, o.level)
		}
		o.level = n
		if n == 1 {
			o.first++
		}
	case "svg":
		if !slices.ContainsFunc(e.Attr, func(a xml.Attr) bool {
			return a.Name.Local == "aria-labelledby" || a.Name.Local == "aria-hidden"
		}) {
			return errors.New("a picture without words")
		}
	}
	o.elements = append(o.elements, name)
	return nil
}

func (o *outline) close(name string) error {
	n := len(o.elements) - 1
	if n < 0 || o.elements[n] != name {
		return fmt.Errorf("</%s> closes %v", name, o.elements)
	}
	o.elements = o.elements[:n]
	return nil
}

// Text has a contrast of 4.5 at least on what it stands on, bars and marks 3, by day and by night (WCAG 2, 1.4.3 and
// 1.4.11).
func TestColoursCanBeToldApart(t *testing.T) {
	roots := regexp.MustCompile(`(?s):root \{(.*?)\}`).FindAllStringSubmatch(partsText, -1)
	if len(roots) != 2 {
		t.Fatalf("%d palettes", len(roots))
	}
	for i, root := range roots {
		palette := map[string]string{}
		for _, m := range regexp.MustCompile(`--(\w+): (#\w{6})`).FindAllStringSubmatch(root[1], -1) {
			palette[m[1]] = m[2]
		}
		check := func(least float64, grounds []string, names ...string) {
			for _, name := range names {
				for _, ground := range grounds {
					if c := contrast(t, palette[name], palette[ground]); c < least {
						t.Errorf("palette %d: %s on %s has a contrast of %.2f, want %.1f", i, name, ground, c, least)
					}
				}
			}
		}
		check(4.5, []string{"paper", "panel"}, "ink", "soft", "link", "exact", "bounded", "estimated")
		check(4.5, []string{"glow"}, "ink", "soft")
		check(3, []string{"paper", "panel"}, "signal", "plugin", "connect", "media", "elsewhere", "time", "hatch",
			"answered", "free")
	}
}

func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	light := func(colour string) float64 {
		var r, g, b uint8
		if _, err := fmt.Sscanf(colour, "#%02x%02x%02x", &r, &g, &b); err != nil {
			t.Fatalf("%q: %v", colour, err)
		}
		part := func(v uint8) float64 {
			x := float64(v) / 255
			if x <= 0.04045 {
				return x / 12.92
			}
			return math.Pow((x+0.055)/1.055, 2.4)
		}
		return 0.2126*part(r) + 0.7152*part(g) + 0.0722*part(b)
	}
	x, y := light(a), light(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}
