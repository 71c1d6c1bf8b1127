package docs

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write into the pages what the program makes")

const folder = "../../docs"

// A place is a part of a page that the program fills in. Its comment is a word and pairs:
//
//	<!-- record: capture=1.1-f_sip where=leg_kind:SIP_CALL,leg_index:0 fields=duration,disposition -->
//
// The words are record (one record, as JSON), table (several, as a table), life (what Janus reported and which legs
// lived then), sums (what comes out of adding up), result (of the SQL of the same name), fields (the table of fields),
// fingerprint (that of the schema) and evidence (what events prove).
type place struct {
	page string // file name
	line int
	word string
	args map[string]string
	body string // between the comment and the end
}

var opening = regexp.MustCompile(`^<!-- (record|table|life|sums|result|fields|fingerprint|evidence): (.*) -->$`)

const closing = "<!-- end -->"

func (p place) fatalf(t *testing.T, format string, args ...any) {
	t.Helper()
	t.Fatalf("docs/%s:%d: %s", p.page, p.line, fmt.Sprintf(format, args...))
}

func (p place) list(name string) []string {
	if p.args[name] == "" {
		return nil
	}
	return strings.Split(p.args[name], ",")
}

// pages are the Markdown files in docs, by their paths there.
func pages(t *testing.T) []string {
	t.Helper()
	var paths []string
	for _, pattern := range []string{"/*.md", "/consumers/*.md"} {
		found, err := filepath.Glob(folder + pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("find pages: %v, %d found", err, len(found))
		}
		paths = append(paths, found...)
	}
	for i := range paths {
		paths[i] = strings.TrimPrefix(paths[i], folder+"/")
	}
	return paths
}

func read(t *testing.T, page string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(folder, page))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// each gives every place with one of the words to f, which says what belongs there.
func each(t *testing.T, f func(t *testing.T, p place) string, words ...string) {
	t.Helper()
	found := 0
	for _, page := range pages(t) {
		lines := strings.SplitAfter(read(t, page), "\n")
		var out strings.Builder
		for i := 0; i < len(lines); i++ {
			out.WriteString(lines[i])
			m := opening.FindStringSubmatch(strings.TrimRight(lines[i], "\n"))
			if m == nil {
				continue
			}
			p := place{page: page, line: i + 1, word: m[1], args: map[string]string{}}
			for _, pair := range strings.Fields(m[2]) {
				name, value, _ := strings.Cut(pair, "=")
				p.args[name] = value
			}
			for i++; i < len(lines) && strings.TrimSpace(lines[i]) != closing; i++ {
				p.body += lines[i]
			}
			if i == len(lines) {
				p.fatalf(t, "the place has no %s", closing)
			}
			made := p.body
			for _, w := range words {
				if w == p.word {
					found++
					made = f(t, p)
				}
			}
			if made != p.body && !*update {
				t.Errorf("docs/%s:%d: the page does not say what the program makes; look at it, then write it with: go test "+
					"./test/docs -update\n--- page\n%s--- program\n%s", page, p.line, p.body, made)
			}
			out.WriteString(made + lines[i])
		}
		if *update && out.String() != strings.Join(lines, "") {
			if err := os.WriteFile(filepath.Join(folder, page), []byte(out.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if found == 0 {
		t.Fatalf("no page has a place for %s", strings.Join(words, ", "))
	}
}

func fenced(language, text string) string {
	return "```" + language + "\n" + strings.TrimRight(text, "\n") + "\n```\n"
}
