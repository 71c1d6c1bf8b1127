package pipeline

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/cdr"
	"januscdr/kafka"
)

// constants are the constants of a file whose names begin so: their values as they stand there.
func constants(t *testing.T, file, prefix string) map[string]string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, d := range parsed.Decls {
		d, ok := d.(*ast.GenDecl)
		if !ok || d.Tok != token.CONST {
			continue
		}
		for _, s := range d.Specs {
			s := s.(*ast.ValueSpec)
			if !strings.HasPrefix(s.Names[0].Name, prefix) {
				continue
			}
			value := ""
			if len(s.Values) == 1 {
				if literal, ok := s.Values[0].(*ast.BasicLit); ok {
					value, _ = strconv.Unquote(literal.Value)
				}
			}
			found[s.Names[0].Name] = value
		}
	}
	return found
}

// A kind that one room has and another does not would be read as an event.
func TestEachKindOfRecordIsTheSameInTheHeaderAndInTheFold(t *testing.T) {
	header, fold := constants(t, "../kafka/header.go", "Kind"), constants(t, "../cdr/partition.go", "Kind")
	same := map[string]cdr.Kind{
		"KindEvent": cdr.KindEvent, "KindCopy": cdr.KindCopy, "KindTick": cdr.KindTick, "KindAlive": cdr.KindAlive,
	}
	if len(header) != len(same) || len(fold) != len(same) || len(kinds) != len(same) {
		t.Errorf("the header has the kinds %v, the fold %v, and the pipeline %v", header, fold, kinds)
	}
	for name, kind := range same {
		word, ofHeader := header[name]
		if _, ofFold := fold[name]; !ofHeader || !ofFold {
			t.Errorf("%s is not a kind of both", name)
		}
		in := Input(&kgo.Record{Headers: []kgo.RecordHeader{{Key: kafka.HeaderKind, Value: []byte(word)}}})
		if in.Kind != kind || kinds[kind] != word {
			t.Errorf("kafka.%s is read as kind %d, and that is written as %q", name, in.Kind, kinds[kind])
		}
	}
	for _, headers := range [][]kgo.RecordHeader{nil, {{Key: kafka.HeaderKind, Value: []byte("of next year")}}} {
		if in := Input(&kgo.Record{Headers: headers}); in.Kind != cdr.KindEvent {
			t.Errorf("%v is read as kind %d, want an event", headers, in.Kind)
		}
	}
}
