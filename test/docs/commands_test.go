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

func TestCommandsFlagsAndSettingsOnThePagesExist(t *testing.T) {
	program := filepath.Join(t.TempDir(), "cdr")
	if out, err := exec.Command("go", "build", "-o", program, "januscdr/cmd/cdr").CombinedOutput(); err != nil {
		t.Fatalf("build cdr: %v\n%s", err, out)
	}
	known := map[string]string{}
	help := func(words ...string) string {
		name := strings.Join(words, " ")
		if text, asked := known[name]; asked {
			return text
		}
		out, err := bare(exec.Command(program, append(slices.Clone(words), "--help")...)).CombinedOutput()
		if err != nil {
			t.Errorf("cdr %s --help: %v\n%s", name, err, out)
		}
		known[name] = string(out)
		return known[name]
	}
	keys, err := bare(exec.Command(program, "config", "keys")).Output()
	if err != nil {
		t.Fatalf("cdr config keys: %v", err)
	}
	commands := regexp.MustCompile(`(?m)^  ([a-z]+)  `)
	within := func(text string) string {
		var names []string
		for _, m := range commands.FindAllStringSubmatch(text, -1) {
			names = append(names, m[1])
		}
		return " " + strings.Join(names, " ") + " "
	}
	for i, m := range regexp.MustCompile("(?ms)^```yaml\n(.*?)^```").FindAllStringSubmatch(read(t, "records.md"), -1) {
		file := filepath.Join(t.TempDir(), "januscdr.yaml")
		if err := os.WriteFile(file, []byte(m[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := bare(exec.Command(program, "config", "print", "--config", file)).CombinedOutput(); err != nil {
			t.Errorf("configuration %d of records.md: %v\n%s", i+1, err, out)
		}
	}
	seen := 0
	for _, page := range pages(t) {
		text := read(t, page)
		for _, line := range strings.Split(text, "\n") {
			for _, m := range typed.FindAllStringSubmatch(line, -1) {
				words := strings.Fields(m[1])
				seen++
				if !strings.Contains(within(help()), " "+words[0]+" ") {
					t.Errorf("docs/%s names cdr %s, which does not exist: %s", page, words[0], line)
					continue
				}
				path := words[:1]
				if len(words) > 1 && strings.Contains(within(help(path...)), " "+words[1]+" ") {
					path = words[:2]
				}
				for _, f := range flagged.FindAllStringSubmatch(m[2], -1) {
					if !regexp.MustCompile(`(?m)^ +--` + f[1] + `\b`).MatchString(help(path...)) {
						t.Errorf("docs/%s gives cdr %s the flag --%s, which it does not have", page, strings.Join(path, " "), f[1])
					}
				}
			}
		}
		for _, m := range setting.FindAllStringSubmatch(text, -1) {
			seen++
			if !strings.Contains(string(keys), "| `"+m[1]+"` |") {
				t.Errorf("docs/%s names the setting %s, which does not exist", page, m[1])
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d commands and settings were found: the patterns of this test are broken", seen)
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
