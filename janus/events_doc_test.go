package janus

import (
	"cmp"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"januscdr/internal/fixtures/recordings"
)

// row is a line of the table: which members an event of a plugin may have.
type row struct{ members []string }

func table(t *testing.T) map[string][]row {
	t.Helper()
	page, err := os.ReadFile("EVENTS.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][]row{}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) != 7 || strings.HasPrefix(cells[1], "-") || strings.TrimSpace(cells[1]) == "Plugin" {
			continue
		}
		r := row{members: strings.FieldsFunc(cells[3], func(c rune) bool { return strings.ContainsRune(" ,;:?()", c) })}
		plugin, events := "janus.plugin."+strings.TrimSpace(cells[1]), strings.Split(cells[2], "`")
		if len(events) == 1 {
			rows[plugin+" "] = append(rows[plugin+" "], r)
		}
		for i := 1; i < len(events); i += 2 {
			if strings.HasSuffix(events[i-1], "key ") {
				continue
			}
			name := plugin + " " + events[i]
			rows[name] = append(rows[name], r)
		}
	}
	return rows
}

func TestEachRecordedPluginEventStandsInTheTableWithItsMembers(t *testing.T) {
	rows, seen := table(t), map[string]bool{}
	var p Parser
	for _, name := range recordings.Names() {
		for _, b := range recordings.Events(name) {
			e, err := p.Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			body, ok := e.Body.(*PluginEvent)
			if !ok {
				continue
			}
			event := body.Plugin + " " + body.Name
			known, ok := rows[event]
			if !ok {
				if !seen[event] {
					t.Errorf("%s: the table has no %s", name, event)
				}
				seen[event] = true
				continue
			}
			seen[event] = true
			for member, set := range members(body) {
				if set && !slices.ContainsFunc(known, func(r row) bool { return slices.Contains(r.members, member) }) {
					t.Errorf("%s: the table has no %s for %s", name, member, event)
				}
			}
		}
	}
	if len(seen) < 40 {
		t.Errorf("the recordings have %d events of plugins only", len(seen))
	}
}

// keys of members that are not named like their field.
var keys = map[string]string{
	"PrivateID": "private_id", "CallID": "call-id", "ReferredBy": "referred_by", "ReasonText": "reason_header",
	"ReasonProtocol": "reason_header_protocol", "ReasonCause": "reason_header_cause", "SDPType": "type",
	"MasterID": "master_id",
}

// members are the keys of all that the event can have in data, and whether this one has it. Its name, and the feeds of
// its streams, are none.
func members(body *PluginEvent) map[string]bool {
	all := map[string]bool{}
	v := reflect.ValueOf(body).Elem()
	for i := range v.NumField() {
		switch field := v.Type().Field(i).Name; field {
		case "Plugin", "Name", "Key", "Feeds":
		default:
			set := !v.Field(i).IsZero()
			if id, ok := v.Field(i).Interface().(ID); ok {
				set = id.Known()
			}
			all[cmp.Or(keys[field], strings.ToLower(field))] = set
		}
	}
	return all
}

func TestEachMemberOfAPluginEventIsReadAndStandsInTheTable(t *testing.T) {
	rows := table(t)
	var p Parser
	read := func(member string) bool {
		for _, value := range []string{`"a"`, `7`, `true`, `[{}]`} {
			e, err := p.Parse(fmt.Appendf(nil,
				`{"type":64,"timestamp":1700000000000000,"event":{"plugin":"p","data":{%q:%s}}}`, member, value))
			if err != nil {
				t.Fatal(err)
			}
			if members(e.Body.(*PluginEvent))[member] {
				return true
			}
		}
		return false
	}
	for member := range members(&PluginEvent{}) {
		if !read(member) {
			t.Errorf("pluginBody reads no %q", member)
		}
		stands := false
		for _, all := range rows {
			stands = stands || slices.ContainsFunc(all, func(r row) bool { return slices.Contains(r.members, member) })
		}
		if !stands {
			t.Errorf("the table has no event with %q", member)
		}
	}
}
