package docs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/internal/fixtures/recordings"
	"januscdr/janus"
)

// A call is what a place is about: events, and the records that come of them, as a reader of JSON has them.
type call struct {
	events  [][]byte
	records []record
}

// A record is one line of JSON and what is in it.
type record struct {
	line   []byte
	fields map[string]any             // numbers are json.Number
	raw    map[string]json.RawMessage // as it stands in the line
}

// call folds the events that a place names, as cdr assemble does: capture= a recording, or script= a file of testdata
// where no recording has it; lines=from-to of it only; rename=old:new in every event; every= and midnight= are the
// settings policy.partial_every and policy.partial_midnight.
func (p place) call(t *testing.T) call {
	t.Helper()
	var c call
	switch {
	case p.args["capture"] != "":
		c.events = recordings.Events(p.args["capture"])
	case p.args["script"] != "":
		b, err := os.ReadFile("testdata/" + p.args["script"])
		if err != nil {
			p.fatalf(t, "%v", err)
		}
		c.events = bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	default:
		p.fatalf(t, "the place names no capture= and no script=")
	}
	if span, cut := p.args["lines"]; cut {
		from, to, _ := strings.Cut(span, "-")
		first, err1 := strconv.Atoi(from)
		end, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil || end > len(c.events) {
			p.fatalf(t, "lines=%s: write from-to, at most %d", span, len(c.events))
		}
		c.events = c.events[first:end]
	}
	if names, renamed := p.args["rename"]; renamed {
		old, name, _ := strings.Cut(names, ":")
		for i := range c.events {
			c.events[i] = bytes.ReplaceAll(c.events[i], []byte(old), []byte(name))
		}
	}
	policy := cdr.DefaultPolicy()
	if every := p.args["every"]; every != "" {
		d, err := time.ParseDuration(every)
		if err != nil {
			p.fatalf(t, "%v", err)
		}
		policy.Partial.Every = janus.Micros(d.Microseconds())
	}
	if zone := p.args["midnight"]; zone != "" {
		place, err := time.LoadLocation(zone)
		if err != nil {
			p.fatalf(t, "%v", err)
		}
		policy.Partial.Midnight = place
	}
	c.records = fold(t, policy, c.events)
	return c
}

// fold makes records of events as cdr assemble does.
func fold(t *testing.T, policy cdr.Policy, events [][]byte) []record {
	t.Helper()
	f, err := cdr.NewFold(policy, cdr.Source{Topic: "janus.events"})
	if err != nil {
		t.Fatal(err)
	}
	var records []record
	take := func(step cdr.Step, err error) {
		if err != nil {
			t.Fatal(err)
		}
		for i := range step.Records {
			line := avro.JSON(nil, &step.Records[i])
			records = append(records, parse(t, line))
		}
	}
	var parser janus.Parser
	var latest janus.Micros
	for i, value := range events {
		e, err := parser.Parse(value)
		if err != nil {
			t.Fatal(err)
		}
		latest = max(latest, e.Time)
		take(f.Apply(cdr.Input{Offset: int64(i), Append: latest, Value: value}))
	}
	take(f.Step(), nil)
	take(f.Flush())
	return records
}

// parse reads an object of JSON: a record, or a stream of one.
func parse(t *testing.T, b []byte) record {
	t.Helper()
	r := record{line: b}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := errors.Join(d.Decode(&r.fields), json.Unmarshal(b, &r.raw)); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return r
}

// streams are the media of a record.
func (r record) streams(t *testing.T) (all []record) {
	t.Helper()
	var raw []json.RawMessage
	if err := json.Unmarshal(r.raw["streams"], &raw); err != nil {
		t.Fatal(err)
	}
	for _, s := range raw {
		all = append(all, parse(t, s))
	}
	return all
}

// text is the value of a field as one writes it: without quotes.
func (r record) text(name string) string {
	if r.fields[name] == nil {
		return "null"
	}
	return fmt.Sprint(r.fields[name])
}

func (r record) number(name string) int64 {
	n, _ := r.fields[name].(json.Number)
	v, _ := n.Int64()
	return v
}

// pick are the records for which all conditions hold: where=field:value,field:value|other.
func (p place) pick(t *testing.T, records []record) []record {
	t.Helper()
	var picked []record
	for _, r := range records {
		all := true
		for _, condition := range p.list("where") {
			name, values, _ := strings.Cut(condition, ":")
			if _, known := r.fields[name]; !known {
				p.fatalf(t, "where: there is no field %s", name)
			}
			one := false
			for v := range strings.SplitSeq(values, "|") {
				one = one || r.text(name) == v
			}
			all = all && one
		}
		if all {
			picked = append(picked, r)
		}
	}
	if len(picked) == 0 {
		p.fatalf(t, "no record fits %q", p.args["where"])
	}
	return picked
}
