package cdr_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// plugins are the rows of the table: each plugin of Janus, the videoroom once for each of its two roles, and one that
// nobody knows.
var plugins = []string{
	"echotest", "videoroom publisher", "videoroom subscriber", "audiobridge", "textroom", "streaming", "videocall",
	"sip", "nosip", "recordplay", "voicemail", "unknown plugin",
}

// ends are the columns: every way in which something can end, and what a record of such a story says.
var ends = []struct {
	name string
	says string
}{
	{"HANGUP", `basis=WEBRTC_HANGUP cause=NORMAL_RELEASE by=LOCAL reason="Janus API"`},
	{"DETACHED", `basis=HANDLE_DETACHED cause=NORMAL_RELEASE`},
	{"PLUGIN_END", `basis=PLUGIN_EVENT|basis=SIP_HANGUP|reason="Close PC"|basis=HANDLE_DETACHED`},
	{"SESSION_DESTROYED", `basis=SESSION_DESTROYED cause=NORMAL_RELEASE`},
	{"SESSION_TIMEOUT", `earliest=.* basis=SESSION_TIMEOUT cause=SESSION_TIMEOUT by=TIMER`},
	{"TRANSPORT_GONE, no session event", `basis=HANDLE_DETACHED cause=TRANSPORT_GONE by=NETWORK`},
	{"TRANSPORT_GONE, session destroyed", `basis=SESSION_DESTROYED cause=TRANSPORT_GONE by=NETWORK`},
	{"SESSION_RECLAIMED", `basis=SESSION_DESTROYED cause=NORMAL_RELEASE`},
	{"EMITTER_SHUTDOWN", `cause=EMITTER_SHUTDOWN by=SERVER`},
	{"EMITTER_RESTART", `latest=.* basis=EMITTER_RESTART cause=EMITTER_RESTART by=SERVER`},
	{"EMITTER_SILENT", `latest=.* basis=LAST_EVIDENCE cause=EMITTER_SILENT`},
	{"INACTIVITY", `latest=.* basis=LAST_EVIDENCE cause=INACTIVITY`},
	{"ICE_FAILED", `basis=WEBRTC_HANGUP cause=ABNORMAL_RELEASE by=NETWORK reason="ICE failed" disposition=ANSWERED`},
	{"DTLS_ALERT", `basis=WEBRTC_HANGUP cause=NORMAL_RELEASE by=LOCAL reason="DTLS alert"`},
	{"DTLS_TIMEOUT", `basis=WEBRTC_HANGUP cause=UNSUCCESSFUL_CALL_ATTEMPT .*reason="DTLS timeout" disposition=NEVER_CONNECTED`},
	{"NEVER_CONNECTED", `disposition=NEVER_CONNECTED`},
}

// impossible says why something can't end in a way.
var impossible = map[string]string{
	"echotest x PLUGIN_END": "an echo test lasts until its PeerConnection ends; the plugin has no request that ends it",
}

// TestEveryPluginHasAStoryOfEveryEnd keeps the table of plugins and ends full: each cell has a story, found by its line
// `# covers: PLUGIN x END`, or a reason why it can't happen. `go test ./cdr -run Every.*End -v` prints the table.
func TestEveryPluginHasAStoryOfEveryEnd(t *testing.T) {
	stories := covered(t)
	for _, plugin := range plugins {
		for _, end := range ends {
			cell := plugin + " x " + end.name
			found, why := stories[cell], impossible[cell]
			switch {
			case len(found) == 0 && why == "":
				t.Errorf("%s: no story, and no reason why it can't happen", cell)
			case len(found) > 0 && why != "":
				t.Errorf("%s: a story, and a reason why it can't happen", cell)
			case why != "":
				t.Logf("%-22s %-34s cannot happen: %s", plugin, end.name, why)
			}
			says := regexp.MustCompile(end.says)
			for _, s := range found {
				t.Logf("%-22s %-34s %s: %s", plugin, end.name, s.file, s.title)
				if !says.MatchString(s.records) {
					t.Errorf("%s: %s: %s: no record says %s", cell, s.file, s.title, end.says)
				}
			}
			delete(stories, cell)
		}
	}
	for cell, found := range stories {
		t.Errorf("%s: %s: covers %q, which is no cell of the table", found[0].file, found[0].title, cell)
	}
}

// tale is a story as the table knows it.
type tale struct{ file, title, records string }

// covered reads which cells the stories cover.
func covered(t *testing.T) map[string][]tale {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "stories", "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	stories := map[string][]tale{}
	var titles []string
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var cells []string
		var now tale
		inRecords := false
		end := func() {
			for _, c := range cells {
				stories[c] = append(stories[c], now)
			}
			cells, inRecords = nil, false
		}
		for n, line := range append(strings.Split(string(b), "\n"), "") {
			at := fmt.Sprintf("%s:%d", filepath.Base(file), n+1)
			switch cell, isCell := strings.CutPrefix(line, "# covers: "); {
			case inRecords && line != "":
				now.records += line + "\n"
			case inRecords:
				end()
			case isCell:
				cells = append(cells, cell)
			case strings.HasPrefix(line, "story ") || strings.HasPrefix(line, "then ") && len(cells) > 0:
				now = tale{file: at, title: strings.TrimPrefix(line, "story ")}
				if slices.Contains(titles, line) {
					t.Errorf("%s: another story has the title %q", at, now.title)
				}
				titles = append(titles, line)
			case line == "----" && now.title != "":
				inRecords = true
			}
		}
	}
	return stories
}
