package janus

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"januscdr/internal/fixtures/recordings"
)

func texts(events [][]byte) []string {
	var out []string
	for _, e := range events {
		out = append(out, string(e))
	}
	return out
}

func TestABodyIsItsEvents(t *testing.T) {
	tests := map[string]struct {
		body string
		want []string
	}{
		"one event":                                  {`{"a":1}`, []string{`{"a":1}`}},
		"a group of one":                             {`[{"a":1}]`, []string{`{"a":1}`}},
		"a group of two":                             {`[{"a":1},{"b":[2,{}]}]`, []string{`{"a":1}`, `{"b":[2,{}]}`}},
		"an indented group":                          {"\n[\n  {\n \"a\": 1\n  },\r\n\t{} \n]\n", []string{"{\n \"a\": 1\n  }", "{}"}},
		"one event with space around":                {" \t{ \"a\" : 1 }\r\n", []string{`{ "a" : 1 }`}},
		"a byte order mark":                          {"\xef\xbb\xbf[{}]", []string{"{}"}},
		"no events":                                  {"[]", nil},
		"no events, indented":                        {"[\n]\n", nil},
		"elements that are no objects":               {`[1, "a,]" ,null,[{"b":1}],-0.5e3, true,{"c":"}"}]`, []string{"1", `"a,]"`, "null", `[{"b":1}]`, "-0.5e3", "true", `{"c":"}"}`}},
		"an element that Parse refuses for its text": {"[{\"a\":\"z\xfcrich\"},{}]", []string{"{\"a\":\"z\xfcrich\"}", "{}"}},
		"brackets and quotes in strings":             {`[{"a":"]},{\"[{"},{"\\":"\\"}]`, []string{`{"a":"]},{\"[{"}`, `{"\\":"\\"}`}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before := test.body
			body := []byte(test.body)
			events, err := Split(body)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(texts(events), test.want) {
				t.Errorf("got  %q\nwant %q", texts(events), test.want)
			}
			for _, e := range events {
				_ = append(e, "spoilt"...)
			}
			if string(body) != before {
				t.Error("appending to an event wrote into the body")
			}
			clear(body)
			for _, e := range events {
				if e[0] != 0 {
					t.Error("the events do not alias the body")
				}
			}
		})
	}
}

func TestABodyThatCannotBeCutIsAnErrorThatNamesThePlace(t *testing.T) {
	tests := map[string]struct{ body, want string }{
		"empty":                    {"", "janus event: the body is empty, want an event or an array of events (at byte 0)"},
		"only white space":         {"\r\n", "janus event: the body is empty, want an event or an array of events (at byte 2)"},
		"only a byte order mark":   {"\xef\xbb\xbf", "janus event: the body is empty, want an event or an array of events (at byte 3)"},
		"a form":                   {"a=1&b=2", `janus event: not JSON: "a" where a value is due (at byte 0)`},
		"a string":                 {`"a"`, "janus event: the body is a string, want an event or an array of events (at byte 0)"},
		"a number":                 {` 5`, "janus event: the body is a number, want an event or an array of events (at byte 1)"},
		"one that was cut off":     {`{"a":"b`, "janus event: not JSON: ends inside a string (at byte 7)"},
		"a group that was cut off": {`[{"a":1},{"a":`, "janus event: [1]: not JSON: ends where a value is due (at byte 14)"},
		"a group without its end":  {`[{"a":1}`, "janus event: not JSON: ends where a comma or the end of the array is due (at byte 8)"},
		"only its beginning":       {`[`, "janus event: [0]: not JSON: ends where a value is due (at byte 1)"},
		"no comma between":         {`[{} {}]`, `janus event: not JSON: "{" where a comma or the end of the array is due (at byte 4)`},
		"commas alone":             {`[,,]`, `janus event: [0]: not JSON: "," where a value is due (at byte 1)`},
		"two events in a row":      {`{}{}`, `janus event: not JSON: "{}" after the end of the body (at byte 2)`},
		"two groups in a row":      {"\xef\xbb\xbf[]\n[]", `janus event: not JSON: "[]" after the end of the body (at byte 6)`},
		"a bad element alone":      {`[{"a":tru}]`, `janus event: [0]: not JSON: "t" where true is due (at byte 6)`},
		"a control character":      {"[{\"a\":\"\x01\"}]", "janus event: [0]: not JSON: control character 0x01 in a string (at byte 7)"},
		"nested without end":       {strings.Repeat("[", 100_000), "janus event: [0]: not JSON: ends where a value is due (at byte 100000)"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			events, err := Split([]byte(test.body))
			if err == nil {
				t.Fatalf("split into %q, want an error", texts(events))
			}
			if events != nil || err.Error() != test.want {
				t.Errorf("got  %s\nwant %s", err, test.want)
			}
			var splitErr *Error
			if !errors.As(err, &splitErr) {
				t.Errorf("error is a %T, want an *Error", err)
			}
		})
	}
}

func TestADamagedElementIsToldApart(t *testing.T) {
	e := func(n string) string { return envelope(n, `{"name":"timeout","list":[{"a":1},{"b":"]},{"}]}`) }
	first, second, third := e("1"), e("2"), e("3")
	with := func(from, to string) string { return strings.Replace(second, from, to, 1) }
	for name, bad := range map[string]string{
		"a control character":               with("timeout", "time\x01out"),
		"a line end in a string":            with("timeout", "time\nout"),
		"NaN":                               with(`"a":1`, `"a":NaN`),
		"a leading zero":                    with(`"a":1`, `"a":01`),
		"an unknown escape":                 with("timeout", `time\out`),
		"a string that is not closed":       with(`timeout"`, `timeout`),
		"a string that is not closed, last": with(`},{"}`, `},{}`),
		"a string too many":                 with(`"a":1`, `"a":1"`),
		"no bracket at its beginning":       second[1:],
		"another byte at its beginning":     "x" + second[1:],
		"no bracket at its end":             second[:len(second)-1],
		"an array that is not closed":       with(`"}]`, `"}`),
		"an array that is not opened":       with(`"list":[`, `"list":`),
		"an object that is closed twice":    with(`"a":1}`, `"a":1}}`),
		"an array that is closed twice":     second + "]",
		"an array that is closed at once":   "]" + second,
		"something behind it":               second + "x",
		"its first half":                    second[:len(second)/2],
		"its second half":                   second[len(second)/2:],
		"a comma too many":                  with(`"a":1`, `"a":1,`),
		"bytes of anything":                 "\x00\xff[{\"",
		"nothing":                           "",
		"a bracket of another kind":         with(`"a":1}`, `"a":1]`),
	} {
		for _, space := range []string{"", "\n\t "} {
			for at, order := range [][]string{{bad, first, third}, {first, bad, third}, {first, third, bad}} {
				body := "[" + space + strings.Join(order, space+","+space) + space + "]" + space
				events, err := Split([]byte(body))
				if err != nil {
					t.Errorf("%s, %d: %v", name, at, err)
					continue
				}
				if got := texts(events); !slices.Contains(got, first) || !slices.Contains(got, third) {
					t.Errorf("%s, %d: a neighbour is lost: %q", name, at, got)
				} else if strings.Join(slices.DeleteFunc(got, func(s string) bool { return s == first || s == third }), ",") != bad {
					t.Errorf("%s, %d: %q, want %q", name, at, got, bad)
				}
			}
		}
	}
}

func TestSeveralDamagedElementsAreToldApart(t *testing.T) {
	var body []string
	for n := range 30 {
		e := envelope(fmt.Sprint(n+1), `{"name":"timeout","list":[{"a":1},{"b":2}]}`)
		switch n % 6 {
		case 2:
			e = strings.Replace(e, `"a":1`, `"a":NaN`, 1)
		case 4:
			e = strings.Replace(e, `timeout"`, `timeout`, 1)
		}
		body = append(body, e)
	}
	events, err := Split([]byte("[" + strings.Join(body, ",") + "]"))
	if err != nil || !slices.Equal(texts(events), body) {
		t.Fatalf("%v, %d elements, want %d", err, len(events), len(body))
	}
}

// What damages an array on purpose must not cost more than some times what it is long.
func TestTheSearchForElementsIsBounded(t *testing.T) {
	begin := `[{},{"a":tru`
	for name, body := range map[string]string{
		"objects without end":        begin + strings.Repeat(`,{"a":[1`, 60_000) + `]`,
		"strings without end":        begin + strings.Repeat(`,{"a`, 60_000) + `]`,
		"objects in objects":         begin + strings.Repeat(`,{"a":[1`, 60_000) + strings.Repeat("]}", 60_000) + `]`,
		"more places than any array": begin + strings.Repeat(`,{`, 200_000) + `]`,
		"brackets that close":        begin + strings.Repeat(`,{}]`, 60_000) + `]`,
		"white space":                begin + strings.Repeat(`,{`, 30_000) + strings.Repeat(" ", 1<<20) + `,{}]`,
		"more white space":           begin + strings.Repeat(`,{`, 30_000) + `,` + strings.Repeat(" ", 1<<20) + `{}]`,
	} {
		t.Run(name, func(t *testing.T) {
			tried := &tolerant{b: []byte(body[:len(body)-1]), effort: maxEffort * len(body)}
			tried.elements(strings.IndexByte(body, ',') + 1)
			if over := -tried.effort; over > 3*len(body) {
				t.Errorf("%d bytes were read more than may be, of %d", over, len(body))
			}
		})
	}
}

func TestRecordedBodiesAreTheRecordedEvents(t *testing.T) {
	for _, name := range recordings.Names() {
		var got [][]byte
		for _, r := range recordings.Requests(name) {
			events, err := Split(r.Body)
			if err != nil {
				t.Fatalf("%s, request %d: %v", name, r.N, err)
			}
			if r.Accepted {
				got = append(got, events...)
			}
		}
		if want := recordings.Events(name); !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("%s: %d events of %d, or other bytes", name, len(got), len(want))
		}
	}
}

func TestABodyCutOffAnywhereIsAnError(t *testing.T) {
	body := recordings.Requests("1.1-a_echotest")[0].Body
	for i := range body {
		if events, err := Split(body[:i]); err == nil {
			t.Fatalf("the first %d of %d bytes are %d events", i, len(body), len(events))
		}
	}
}
