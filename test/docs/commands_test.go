package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What a page says one can type: cdr, a command in lower case, and what follows in the line.
var (
	typed   = regexp.MustCompile("(?:^|[`|(] ?|\\$ |&& )cdr ((?:[a-z]+ ?)+)([^`|\n]*)")
	flagged = regexp.MustCompile(`--([a-z][a-z0-9-]*)`)
	setting = regexp.MustCompile("`((?:kafka|topics|policy|ingest|sink|export|copy|admin|log)\\.[a-z_.]+)`")
)

// manual asks the program itself what it takes.
type manual struct {
	t       *testing.T
	program string
	known   map[string]string // what it says to --help, by command
}

func newManual(t *testing.T) *manual {
	t.Helper()
	m := &manual{t: t, program: filepath.Join(t.TempDir(), "cdr"), known: map[string]string{}}
	if out, err := exec.Command("go", "build", "-o", m.program, "januscdr/cmd/cdr").CombinedOutput(); err != nil {
		t.Fatalf("build cdr: %v\n%s", err, out)
	}
	return m
}

func (m *manual) says(words ...string) ([]byte, error) {
	return bare(exec.Command(m.program, words...)).CombinedOutput()
}

func (m *manual) help(words ...string) string {
	name := strings.Join(words, " ")
	if text, asked := m.known[name]; asked {
		return text
	}
	out, err := m.says(append(slices.Clone(words), "--help")...)
	if err != nil {
		m.t.Errorf("cdr %s --help: %v\n%s", name, err, out)
	}
	m.known[name] = string(out)
	return m.known[name]
}

var listed = regexp.MustCompile(`(?m)^  ([a-z]+)  `)

// has tells whether a command is below another one.
func (m *manual) has(command string, below ...string) bool {
	return slices.ContainsFunc(listed.FindAllStringSubmatch(m.help(below...), -1),
		func(found []string) bool { return found[1] == command })
}

// takes tells whether a command takes a flag.
func (m *manual) takes(flag string, command ...string) bool {
	return regexp.MustCompile(`(?m)^ +--` + flag + `\b`).MatchString(m.help(command...))
}

func TestWhatThePagesLetOneTypeExists(t *testing.T) {
	m := newManual(t)
	t.Run("commands and flags", m.hasCommandsOfThePages)
	t.Run("settings", m.hasSettingsOfThePages)
}

func (m *manual) hasCommandsOfThePages(t *testing.T) {
	seen := 0
	for _, page := range pages(t) {
		for line := range strings.Lines(read(t, page)) {
			for _, said := range typed.FindAllStringSubmatch(line, -1) {
				seen++
				words := strings.Fields(said[1])
				if !m.has(words[0]) {
					t.Errorf("docs/%s names cdr %s, which does not exist: %s", page, words[0], line)
					continue
				}
				command := words[:1]
				if len(words) > 1 && m.has(words[1], command...) {
					command = words[:2]
				}
				for _, f := range flagged.FindAllStringSubmatch(said[2], -1) {
					if !m.takes(f[1], command...) {
						t.Errorf("docs/%s gives cdr %s the flag --%s, which it does not have", page,
							strings.Join(command, " "), f[1])
					}
				}
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d commands were found: the pattern of this test is broken", seen)
	}
}

func (m *manual) hasSettingsOfThePages(t *testing.T) {
	keys, err := m.says("config", "keys")
	if err != nil {
		t.Fatalf("cdr config keys: %v", err)
	}
	seen := 0
	for _, page := range pages(t) {
		for _, said := range setting.FindAllStringSubmatch(read(t, page), -1) {
			seen++
			if !strings.Contains(string(keys), "| `"+said[1]+"` |") {
				t.Errorf("docs/%s names the setting %s, which does not exist", page, said[1])
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d settings were found: the pattern of this test is broken", seen)
	}
	for i, block := range regexp.MustCompile("(?ms)^```yaml\n(.*?)^```").FindAllStringSubmatch(read(t, "records.md"), -1) {
		file := filepath.Join(t.TempDir(), "januscdr.yaml")
		if err := os.WriteFile(file, []byte(block[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := m.says("config", "print", "--config", file); err != nil {
			t.Errorf("configuration %d of records.md: %v\n%s", i+1, err, out)
		}
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	fences  = regexp.MustCompile("(?ms)^```.*?^```$")
)

// anchors are the names by which headings can be reached, as Git hosts make them.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(fences.ReplaceAllString(text, ""), -1) {
		name := strings.ToLower(m[1])
		name = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(name, "")
		all[strings.ReplaceAll(name, " ", "-")] = true
	}
	return all
}

func TestLinksOnThePagesLeadSomewhere(t *testing.T) {
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(fences.ReplaceAllString(read(t, page), ""), -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			path := filepath.Join(folder, filepath.Dir(page), target)
			if target == "" {
				path = filepath.Join(folder, page)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Errorf("docs/%s links to %s: %v", page, m[1], err)
				continue
			}
			if anchor != "" && !anchors(string(b))[anchor] {
				t.Errorf("docs/%s links to %s: there is no such heading", page, m[1])
			}
		}
	}
}

// bare runs a command without settings of ours, which are for the tests or for somebody's own installation.
func bare(cmd *exec.Cmd) *exec.Cmd {
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "JANUSCDR_") })
	return cmd
}
