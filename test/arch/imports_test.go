package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "januscdr"

// A room is a folder with all below it that is no room of its own.
type room struct {
	name  string
	rooms []string // rooms it may import
	tests []string // rooms that its tests may import besides
	libs  []string // libraries it may import; nil for any
	pure  bool     // it may not touch disk, network, clock or chance
}

// rooms is the order of the house, from the ground up. A new package needs a line here before it may exist.
var rooms = []room{
	{name: "janus", libs: []string{}, pure: true},
	{name: "cdr", rooms: []string{"janus"}, tests: []string{"internal/fixtures/script"}, libs: []string{}, pure: true},
	{name: "avro", rooms: []string{"janus", "cdr"},
		libs: []string{"github.com/linkedin/goavro/v2", "github.com/go-faster/jx"}, pure: true},
	{name: "internal/spelling", libs: []string{}, pure: true},
	{name: "explain", rooms: []string{"janus", "cdr", "avro", "internal/spelling"},
		tests: []string{"internal/fixtures/script"}, libs: []string{}, pure: true},
	{name: "statestore", tests: []string{"internal/fixtures/smalldisk"}},
	{name: "spool", tests: []string{"internal/fixtures/smalldisk"}},
	{name: "kafka/embedded", tests: []string{"kafka"}},
	{name: "kafka/inspect", rooms: []string{"kafka"}, tests: []string{"kafka/embedded", "internal/fixtures/broker"}},
	{name: "kafka", tests: []string{"kafka/embedded", "internal/fixtures/broker", "internal/fixtures/certificates"}},
	{name: "pipeline", rooms: []string{"janus", "cdr", "avro", "statestore", "kafka", "kafka/inspect"},
		tests: []string{"kafka/embedded", "internal/fixtures/broker"}},
	{name: "replay", rooms: []string{"janus", "cdr", "avro", "kafka", "pipeline"},
		tests: []string{"statestore", "kafka/embedded", "internal/fixtures/broker"}},
	{name: "consume", rooms: []string{"janus", "cdr", "avro", "kafka"},
		tests: []string{"kafka/embedded", "internal/fixtures/broker"}},
	{name: "registry", rooms: []string{"avro"}, tests: []string{"cdr"}},
	{name: "ingest", rooms: []string{"janus", "kafka", "spool"},
		tests: []string{"kafka/embedded", "internal/fixtures/broker", "internal/fixtures/queues"}},
	{name: "admin"},
	{name: "config", rooms: []string{"internal/spelling"}},

	{name: "internal/cli"},
	{name: "internal/wiring", rooms: []string{"config", "admin", "kafka", "kafka/inspect", "internal/cli"},
		tests: []string{"internal/fixtures/broker", "internal/fixtures/certificates"}},

	{name: "internal/fixtures/recordings"},
	{name: "internal/fixtures/script", rooms: []string{"janus", "cdr"}, libs: []string{}},
	{name: "internal/fixtures/player", rooms: []string{"internal/fixtures/recordings"}},
	{name: "internal/fixtures/traffic", rooms: []string{"internal/fixtures/recordings"}, tests: []string{"janus"}},
	{name: "internal/fixtures/broker", rooms: []string{"kafka", "kafka/embedded"}},
	{name: "internal/fixtures/mutants", libs: []string{}},
	{name: "internal/fixtures/smalldisk", libs: []string{}},
	{name: "internal/fixtures/certificates", libs: []string{}},
	{name: "internal/fixtures/queues", libs: []string{}},
	{name: "internal/fixtures/twice", libs: []string{}},
	{name: "internal/fixtures/procs", rooms: []string{"kafka", "pipeline", "internal/fixtures/broker"}},

	{name: "test/arch"},
	{name: "test/docs", tests: []string{"janus", "cdr", "avro", "consume", "ingest", "kafka", "pipeline", "spool",
		"internal/wiring"}},
	{name: "test/e2e", tests: []string{"*"}},
	{name: "test/simulation", tests: []string{"*"}},
	{name: "test/interleavings", tests: []string{"*"}},

	{name: "tools", rooms: []string{"*"}}, // commands, but no part of the product
	{name: "cmd", rooms: []string{"*"}},
}

// everyTest are the rooms that all tests may import, and the libraries of tests.
var (
	everyTest     = []string{"internal/fixtures/recordings"}
	everyTestLibs = []string{"pgregory.net/rapid", "github.com/cockroachdb/datadriven", "github.com/go-faster/jx",
		"github.com/linkedin/goavro/v2"}
)

// roomOf is the room that a folder, relative to the module, lies in.
func roomOf(folder string) (room, bool) {
	for _, r := range rooms {
		if folder == r.name || strings.HasPrefix(folder, r.name+"/") {
			return r, true
		}
	}
	return room{}, false
}

// complaint says why a file of r may not import path, or is empty when it may.
func complaint(r room, path string, test bool) string {
	if folder, ours := strings.CutPrefix(path, module+"/"); ours {
		to, known := roomOf(folder)
		may := slices.Concat([]string{r.name}, r.rooms)
		if test {
			may = slices.Concat(may, r.tests, everyTest)
		}
		if !known || slices.Contains(may, to.name) || slices.Contains(may, "*") {
			return ""
		}
		return fmt.Sprintf("%s may not import %s: imports point down, see docs/adr/0001-rooms-and-imports.md", r.name,
			to.name)
	}
	if !strings.Contains(strings.Split(path, "/")[0], ".") {
		if r.pure && !test && touchesTheWorld(path) {
			return fmt.Sprintf("%s may not import %s: it touches no disk, network or chance", r.name, path)
		}
		return ""
	}
	libs := r.libs
	if test {
		libs = slices.Concat(libs, everyTestLibs)
	}
	for _, lib := range libs {
		if path == lib || strings.HasPrefix(path, lib+"/") {
			return ""
		}
	}
	if r.libs == nil {
		return ""
	}
	return fmt.Sprintf("%s may not import the library %s", r.name, path)
}

// touchesTheWorld tells whether a package of the standard library reaches disk, network, processes or chance.
func touchesTheWorld(path string) bool {
	return slices.ContainsFunc([]string{"os", "net", "math/rand", "crypto/rand", "syscall", "log", "plugin", "io/ioutil"},
		func(p string) bool {
			return path == p || strings.HasPrefix(path, p+"/")
		})
}

// clocks are the functions of package time that ask the wall clock or wait for it.
var clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// A source is one Go file of the module.
type source struct {
	folder string // relative to the module, with slashes
	path   string // relative to the module
	test   bool
	syntax *ast.File
}

// sources parses each Go file of the module, whatever its build tags say.
func sources(t *testing.T) []source {
	t.Helper()
	const top = "../.."
	var all []source
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != top:
			_, err := os.Stat(filepath.Join(path, "go.mod"))
			if err == nil || strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" {
				return filepath.SkipDir // another module, or not the module's code
			}
			return nil
		case d.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		folder := "."
		if at := strings.LastIndexByte(rel, '/'); at >= 0 {
			folder = rel[:at]
		}
		all = append(all, source{folder: folder, path: rel, test: strings.HasSuffix(rel, "_test.go"), syntax: syntax})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func imports(s source) []string {
	var paths []string
	for _, spec := range s.syntax.Imports {
		if path, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, path)
		}
	}
	return paths
}

func TestImportsPointDown(t *testing.T) {
	for _, s := range sources(t) {
		r, known := roomOf(s.folder)
		if !known {
			t.Errorf("%s: %s is no room: give it a line in test/arch and a place in CONTRIBUTING.md", s.path, s.folder)
			continue
		}
		for _, path := range imports(s) {
			if why := complaint(r, path, s.test); why != "" {
				t.Errorf("%s: %s", s.path, why)
			}
		}
	}
}

func TestWhatACallMeansDoesNotDependOnWhenOrWhereItIsAsked(t *testing.T) {
	for _, s := range sources(t) {
		r, _ := roomOf(s.folder)
		if !r.pure || s.test {
			continue
		}
		ast.Inspect(s.syntax, func(n ast.Node) bool {
			if call, ok := n.(*ast.SelectorExpr); ok && isClock(s.syntax, call) {
				t.Errorf("%s: time.%s: %s has no clock; time is in the log", s.path, call.Sel.Name, r.name)
			}
			return true
		})
	}
}

// isClock tells whether e names a function of package time that asks the clock, under whichever name the file imports
// it.
func isClock(file *ast.File, e *ast.SelectorExpr) bool {
	x, ok := e.X.(*ast.Ident)
	if !ok || !slices.Contains(clocks, e.Sel.Name) {
		return false
	}
	for _, spec := range file.Imports {
		name := "time"
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if spec.Path.Value == `"time"` && x.Name == name {
			return true
		}
	}
	return false
}

func TestEachPackageSaysWhatItPromises(t *testing.T) {
	says := map[string]string{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		want := "Package " + s.syntax.Name.Name + " "
		if s.syntax.Name.Name == "main" {
			want = "Command "
		}
		doc := s.syntax.Doc.Text()
		if has, seen := says[s.folder]; !seen || has == "" {
			says[s.folder] = ""
			if strings.HasPrefix(doc, want) {
				says[s.folder] = doc
			}
		}
	}
	for folder, doc := range says {
		if doc == "" {
			t.Errorf("%s: no comment says what the package promises and what it may touch", folder)
		}
	}
}

// The rules themselves: without this, a table that allows everything would pass.
func TestTheRulesRefuseWhatPointsUp(t *testing.T) {
	for _, scene := range []struct {
		folder, path string
		test         bool
		refused      bool
	}{
		{folder: "janus", path: "januscdr/cdr", refused: true},
		{folder: "janus", path: "encoding/json"},
		{folder: "janus", path: "net/http", refused: true},
		{folder: "janus", path: "net/http", test: true},
		{folder: "cdr", path: "januscdr/janus"},
		{folder: "cdr", path: "januscdr/avro", refused: true},
		{folder: "cdr", path: "os", refused: true},
		{folder: "cdr", path: "math/rand/v2", refused: true},
		{folder: "cdr", path: "github.com/hashicorp/go-hclog", refused: true},
		{folder: "cdr", path: "pgregory.net/rapid", refused: true},
		{folder: "cdr", path: "pgregory.net/rapid", test: true},
		{folder: "avro", path: "github.com/linkedin/goavro/v2"},
		{folder: "avro", path: "embed"},
		{folder: "avro", path: "januscdr/kafka", refused: true},
		{folder: "statestore", path: "januscdr/cdr", refused: true},
		{folder: "statestore", path: "github.com/dgraph-io/badger/v4"},
		{folder: "kafka", path: "januscdr/janus", refused: true},
		{folder: "kafka", path: "januscdr/kafka/embedded", refused: true},
		{folder: "kafka/embedded", path: "januscdr/kafka", refused: true},
		{folder: "kafka/embedded", path: "januscdr/kafka", test: true},
		{folder: "ingest", path: "januscdr/kafka/embedded", refused: true},
		{folder: "ingest", path: "januscdr/kafka/embedded", test: true},
		{folder: "pipeline", path: "januscdr/statestore"},
		{folder: "pipeline", path: "januscdr/replay", refused: true},
		{folder: "replay", path: "januscdr/pipeline"},
		{folder: "replay", path: "januscdr/statestore", refused: true},
		{folder: "replay", path: "januscdr/statestore", test: true},
		{folder: "ingest", path: "januscdr/cdr", refused: true},
		{folder: "ingest/websocket", path: "januscdr/ingest"},
		{folder: "admin", path: "januscdr/pipeline", refused: true},
		{folder: "config", path: "januscdr/kafka", refused: true},
		{folder: "internal/fixtures/player", path: "januscdr/internal/fixtures/recordings"},
		{folder: "internal/fixtures/player", path: "januscdr/ingest", refused: true},
		{folder: "pipeline", path: "januscdr/internal/fixtures/recordings", refused: true},
		{folder: "pipeline", path: "januscdr/internal/fixtures/recordings", test: true},
		{folder: "test/e2e", path: "januscdr/kafka", refused: true},
		{folder: "test/e2e", path: "januscdr/kafka", test: true},
		{folder: "cmd/cdr", path: "januscdr/pipeline"},
	} {
		r, known := roomOf(scene.folder)
		if !known {
			t.Fatalf("%s is no room", scene.folder)
		}
		if why := complaint(r, scene.path, scene.test); (why != "") != scene.refused {
			t.Errorf("%s importing %s (test %v): complaint %q, want refused %v", scene.folder, scene.path, scene.test, why,
				scene.refused)
		}
	}
}

func TestAClockIsSeenUnderAnyName(t *testing.T) {
	const code = `package x; import clock "time"; import "janus/time2"
		var a = clock.Now(); var b = clock.Duration(1); var c = time2.Now()`
	file, err := parser.ParseFile(token.NewFileSet(), "x.go", code, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	ast.Inspect(file, func(n ast.Node) bool {
		if e, ok := n.(*ast.SelectorExpr); ok && isClock(file, e) {
			seen++
		}
		return true
	})
	if seen != 1 {
		t.Fatalf("saw %d clocks, want 1", seen)
	}
}
