package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	metricName = regexp.MustCompile(`\bjanuscdr_[a-z_]+`)
	testName   = regexp.MustCompile("`(Test[A-Za-z0-9]+)`")
)

// metrics are the names that the rooms register: each room has them as texts in its metrics.go, behind its prefix.
func metrics(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for file, prefix := range map[string]string{"../../pipeline/metrics.go": "januscdr_",
		"../../ingest/metrics.go": "januscdr_ingest_", "../../consume/metrics.go": "januscdr_sink_"} {
		syntax, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(syntax, func(n ast.Node) bool {
			if text, ok := n.(*ast.BasicLit); ok && text.Kind == token.STRING {
				if name, err := strconv.Unquote(text.Value); err == nil {
					all[prefix+strings.TrimPrefix(name, prefix)] = true
				}
			}
			return true
		})
	}
	return all
}

func TestMetricsOnThePagesExist(t *testing.T) {
	known := metrics(t)
	seen := 0
	for _, page := range pages(t) {
		for _, name := range metricName.FindAllString(read(t, page), -1) {
			seen++
			if !known[name] {
				t.Errorf("docs/%s names the metric %s, which does not exist", page, name)
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d metrics were found: the pattern of this test is broken", seen)
	}
}

func TestTestsOnThePagesExist(t *testing.T) {
	known := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9]+)\(`)
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2 {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range function.FindAllSubmatch(b, -1) {
			known[string(m[1])] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, page := range pages(t) {
		for _, m := range testName.FindAllStringSubmatch(read(t, page), -1) {
			seen++
			if !known[m[1]] {
				t.Errorf("docs/%s names the test %s, which does not exist", page, m[1])
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d tests were found: the pattern of this test is broken", seen)
	}
}
