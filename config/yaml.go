package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxFile bounds a configuration file. Ours have some KiB; a larger one is another file by mistake.
const maxFile = 1 << 20

// readFile collects what the file says, by key, and all complaints about its form.
func readFile(path string) (values map[string]said, origins map[string]Origin, complaints []error) {
	content, err := readBounded(path, maxFile)
	if err != nil {
		return nil, nil, []error{&Complaint{Where: path, What: "cannot read the configuration: " + reason(err),
			Remedy: "name another with --" + FileFlag + " or " + FileVariable}}
	}
	root, err := parseYAML(content)
	if err != nil {
		where := path
		if e := (*syntaxError)(nil); errors.As(err, &e) {
			where = fmt.Sprintf("%s:%d", path, e.line)
		}
		if v := variable.Find(content); v != nil { // its braces are what is no YAML, in [${BROKERS}] for example
			before, _, _ := bytes.Cut(content, v)
			return nil, nil, []error{&Complaint{Where: fmt.Sprintf("%s:%d", path, 1+bytes.Count(before, []byte("\n"))),
				What: string(v) + " is not replaced in a file", Remedy: notReplaced}}
		}
		return nil, nil, []error{&Complaint{Where: where, What: "not YAML: " + err.Error(),
			Remedy: "mend this line or the one before"}}
	}
	w := walk{path: path, values: map[string]said{}, origins: map[string]Origin{}}
	w.section("", root)
	return w.values, w.origins, w.complaints
}

type walk struct {
	path       string
	values     map[string]said
	origins    map[string]Origin
	complaints []error
}

func (w *walk) complain(n ast.Node, what, remedy string) {
	w.complaints = append(w.complaints, &Complaint{Where: w.at(n), What: what, Remedy: remedy})
}

func (w *walk) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", w.path, n.GetToken().Position.Line)
}

// section collects the keys below prefix, which is empty or ends in a dot.
func (w *walk) section(prefix string, n ast.Node) {
	if _, empty := n.(*ast.NullNode); empty || n == nil {
		return
	}
	pairs, ok := mapping(n)
	if !ok {
		name := strings.TrimSuffix(prefix, ".")
		if name == "" {
			name = "the file"
		}
		w.complain(n, name+" has a value where keys were expected", "write a key and a colon, below and further in")
		return
	}
	for _, pair := range pairs {
		part := pair.Key.GetToken().Value
		name := prefix + part
		k := byName[name]
		switch {
		case k != nil && !strings.Contains(part, "."):
			w.values[name] = said{node: pair.Value}
			w.origins[name] = Origin{File, w.at(pair.Key)}
		case isSection(name):
			w.section(name+".", pair.Value)
		default:
			w.complain(pair.Key, name+" is not a known key", unknownKey(name))
		}
	}
}

// unknownKey is the remedy for a key that does not exist.
func unknownKey(name string) string {
	names := make([]string, 0, len(table))
	for _, k := range table {
		names = append(names, k.name)
	}
	if k := byName[name]; k != nil { // a dotted name that the file has in one piece
		return "write it as sections: " + strings.ReplaceAll(name, ".", ": ") + ":"
	}
	if near := nearestKey(name, ".", append(sections(), names...)); near != "" {
		return "did you mean " + near + "?"
	}
	return "take it out; `config print` shows all keys"
}

// sections has the names of all sections: kafka, kafka.tls.
func sections() []string {
	var all []string
	for _, k := range table {
		for i, r := range k.name {
			if r == '.' && !slices.Contains(all, k.name[:i]) {
				all = append(all, k.name[:i])
			}
		}
	}
	return all
}

func isSection(name string) bool { return slices.Contains(sections(), name) }

// mapping has the pairs of a set of keys; a set of one is a node of its own.
func mapping(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

// syntaxError is what the parser says, in one line.
type syntaxError struct {
	line int
	text string
}

func (e *syntaxError) Error() string { return e.text }

// parseYAML reads one document; its root is nil when there is nothing in it.
func parseYAML(content []byte) (ast.Node, error) {
	file, err := parser.ParseBytes(content, 0)
	if err != nil {
		var positioned interface {
			GetMessage() string
			GetToken() *token.Token
		}
		if errors.As(err, &positioned) {
			text, _, _ := strings.Cut(positioned.GetMessage(), "\n")
			return nil, &syntaxError{line: positioned.GetToken().Position.Line, text: text}
		}
		text, _, _ := strings.Cut(err.Error(), "\n")
		return nil, errors.New(text)
	}
	var root ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if root != nil {
			return nil, &syntaxError{line: doc.Body.GetToken().Position.Line, text: "a second document begins here"}
		}
		root = doc.Body
	}
	return root, nil
}

// readBounded reads a file that may have limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("it is larger than %s", Size(limit))
	}
	return content, nil
}

// reason is why something failed, without the path that is named elsewhere.
func reason(err error) string {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}
