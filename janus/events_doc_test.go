package janus

import (
	"os"
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
			for member, set := range map[string]bool{
				"room": body.Room.Known(), "id": body.ID.Known(), "feed": body.Feed.Known(), "private_id": body.PrivateID != 0,
				"streams": body.Streams != 0, "username": body.Username != "", "display": body.Display != "",
				"displayname": body.DisplayName != "", "identity": body.Identity != "", "caller": body.Caller != "",
				"callee": body.Callee != "", "call-id": body.CallID != "", "referred_by": body.ReferredBy != "",
				"code": body.Code != 0, "reason": body.Reason != "", "reason_header": body.ReasonText != "", "reason_header_protocol": body.ReasonProtocol != "", "reason_header_cause": body.ReasonCause != "",
				"sip":  body.SIP != "",
				"type": body.SDPType != "", "master_id": body.MasterID != 0, "helper": body.Helper, "setup": body.Setup,
			} {
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
