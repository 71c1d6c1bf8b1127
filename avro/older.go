package avro

import (
	"embed"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"januscdr/cdr"
)

// Topics outlive programs: records that an older program wrote are read with the schema of its release.
//
//go:embed testdata/released/*.avsc
var releasedFiles embed.FS

// released are the schemas of releases, by fingerprint as it stands in a message.
var released = sync.OnceValue(func() map[[8]byte]*older {
	all := map[[8]byte]*older{}
	paths, err := fs.Glob(releasedFiles, "testdata/released/*.avsc")
	for _, path := range paths {
		var text []byte
		if text, err = releasedFiles.ReadFile(path); err == nil {
			var o *older
			if o, err = newOlder(string(text)); err == nil {
				all[o.fingerprint] = o
			}
		}
		if err != nil {
			break
		}
	}
	if err != nil {
		panic(fmt.Sprintf("avro: a released schema is broken: %v", err)) // a mistake at build time; every test would fail
	}
	return all
})

// learned are the schemas that are no release of ours, by fingerprint.
var learned struct {
	sync.RWMutex
	all map[[8]byte]*older
}

// maxLearned bounds them.
const maxLearned = 64

// Learn makes Decode read what was written with this schema: that of a program newer than ours. It returns its
// fingerprint, or says what is wrong with a text that is no schema of records.
func Learn(text string) (fingerprint string, err error) {
	var tree any
	if err := json.Unmarshal([]byte(text), &tree); err != nil {
		return "", fmt.Errorf("learn schema: it is not JSON: %w", err)
	}
	o, err := newOlder(text)
	if err != nil {
		return "", fmt.Errorf("learn schema: %w", err)
	}
	if !slices.Contains(o.theirs.names, "record_id") {
		return "", errors.New("learn schema: it is of no call detail record: it has no record_id")
	}
	learned.Lock()
	defer learned.Unlock()
	if learned.all == nil {
		learned.all = map[[8]byte]*older{}
	}
	if len(learned.all) >= maxLearned {
		return "", fmt.Errorf("learn schema: more than %d are not kept", maxLearned)
	}
	learned.all[o.fingerprint] = o
	return hex.EncodeToString(o.fingerprint[:]), nil
}

// other is the schema of a message that is not of ours; nil: it is not known.
func other(fingerprint [8]byte) *older {
	if o := released()[fingerprint]; o != nil {
		return o
	}
	learned.RLock()
	defer learned.RUnlock()
	return learned.all[fingerprint]
}

// As is a record as it would be read if a program had written it whose schema has this fingerprint.
func As(fingerprint string, rec *cdr.Record) (cdr.Record, error) {
	if fingerprint == Fingerprint() {
		return *rec, nil
	}
	theirs, err := EncodeFor(fingerprint, rec)
	if err != nil {
		return cdr.Record{}, err
	}
	return Decode(theirs)
}

// EncodeFor writes a record as a program writes it whose schema has this fingerprint: a release, or one that was
// learned.
func EncodeFor(fingerprint string, rec *cdr.Record) ([]byte, error) {
	ours, err := Encode(rec)
	if err != nil || fingerprint == Fingerprint() {
		return ours, err
	}
	head, err := hex.DecodeString(fingerprint)
	if err != nil || len(head) != headerSize-len(marker) {
		return nil, fmt.Errorf("write record: %q is no fingerprint of a schema", fingerprint)
	}
	o := other([8]byte(head))
	if o == nil {
		return nil, fmt.Errorf("write record: %w", ErrOtherSchema)
	}
	r := reader{b: ours[headerSize:]}
	theirs := resolve(nil, &r, o.ours, o.theirs)
	if r.err != nil {
		return nil, fmt.Errorf("write record with another schema: %w", r.err)
	}
	return append(append(marker[:len(marker):len(marker)], head...), theirs...), nil
}

// older turns what was written with another schema into what ours would have written: fields that it lacks get their
// default, symbols that ours lacks become UNKNOWN.
type older struct {
	fingerprint  [8]byte
	theirs, ours *shape
}

func newOlder(text string) (*older, error) {
	var err error
	o := &older{}
	if o.fingerprint, err = fingerprintOf(text); err != nil {
		return nil, err
	}
	if o.theirs, err = parseShape(text); err != nil {
		return nil, err
	}
	o.ours, err = parseShape(schema)
	return o, err
}

// read returns the record without its header, as ours.
func (o *older) read(b []byte) ([]byte, error) {
	r := reader{b: b}
	out := resolve(nil, &r, o.theirs, o.ours)
	if r.err == nil && len(r.b) > 0 {
		r.err = fmt.Errorf("%d bytes follow the record", len(r.b))
	}
	return out, r.err
}

// shape is a type of a schema.
type shape struct {
	kind     string // of Avro; union is one of null and item
	symbols  []string
	item     *shape // of an array or a union
	names    []string
	fields   []*shape
	defaults [][]byte // of fields, as they are written; nil: none
}

func parseShape(text string) (*shape, error) {
	var tree any
	if err := json.Unmarshal([]byte(text), &tree); err != nil {
		return nil, err
	}
	return shapeOf(withoutLogicalTypes(tree), map[string]*shape{})
}

func shapeOf(n any, named map[string]*shape) (*shape, error) {
	switch n := n.(type) {
	case string:
		if s := named[n]; s != nil {
			return s, nil
		}
		return &shape{kind: n}, nil
	case []any:
		if len(n) != 2 || n[0] != "null" {
			return nil, errors.New("a union is one of null and another type")
		}
		item, err := shapeOf(n[1], named)
		return &shape{kind: "union", item: item}, err
	case map[string]any:
		return shapeOfNode(n, named)
	}
	return nil, fmt.Errorf("%v is no type", n)
}

func shapeOfNode(n map[string]any, named map[string]*shape) (s *shape, err error) {
	s = &shape{}
	s.kind, _ = n["type"].(string)
	if name, ok := n["name"].(string); ok {
		named[name] = s
	}
	switch s.kind {
	case "enum":
		symbols, _ := n["symbols"].([]any)
		for _, symbol := range symbols {
			s.symbols = append(s.symbols, fmt.Sprint(symbol))
		}
	case "array":
		s.item, err = shapeOf(n["items"], named)
	case "record":
		fields, _ := n["fields"].([]any)
		for _, field := range fields {
			f, _ := field.(map[string]any)
			is, err := shapeOf(f["type"], named)
			if err != nil {
				return nil, err
			}
			name, _ := f["name"].(string)
			s.names, s.fields = append(s.names, name), append(s.fields, is)
			def, has := f["default"]
			s.defaults = append(s.defaults, is.written(def, has))
		}
	}
	return s, err
}

// written is a default as it stands in a message; nil when there is none.
func (s *shape) written(v any, has bool) []byte {
	if !has {
		return nil
	}
	w := writer{b: []byte{}}
	switch v := v.(type) {
	case nil:
		w.long(0)
	case bool:
		w.bool(v)
	case float64:
		w.long(int64(v))
	case []any: // empty
		w.long(0)
	case string:
		if s.kind == "enum" {
			w.long(int64(slices.Index(s.symbols, v)))
		} else {
			w.string(v)
		}
	}
	return w.b
}

// resolve appends a value of their type as one of ours. What is wrong stays in r.
func resolve(out []byte, r *reader, theirs, ours *shape) []byte {
	if r.err == nil && theirs.kind != ours.kind {
		r.fail(fmt.Errorf("it was %s and is %s", theirs.kind, ours.kind))
	}
	before := r.b
	switch theirs.kind {
	case "record":
		return resolveRecord(out, r, theirs, ours)
	case "union":
		branch := r.index(2, "branch of the union")
		out = binary.AppendVarint(out, int64(branch))
		if branch == 1 && r.err == nil {
			out = resolve(out, r, theirs.item, ours.item)
		}
		return out
	case "array":
		for n := r.block(); n > 0; n = r.block() {
			out = binary.AppendVarint(out, n)
			for ; n > 0 && r.err == nil; n-- {
				out = resolve(out, r, theirs.item, ours.item)
			}
		}
		return append(out, 0)
	case "enum":
		symbol := r.index(len(theirs.symbols), "symbol")
		if r.err != nil {
			return out
		}
		return binary.AppendVarint(out, int64(max(0, slices.Index(ours.symbols, theirs.symbols[symbol]))))
	case "boolean":
		r.bool()
	case "string":
		r.bytes()
	default:
		r.long()
	}
	return append(out, before[:len(before)-len(r.b)]...)
}

func resolveRecord(out []byte, r *reader, theirs, ours *shape) []byte {
	values := make([][]byte, len(ours.fields))
	for i, f := range theirs.fields {
		at := slices.Index(ours.names, theirs.names[i])
		into := f // what we do not have is read over
		if at >= 0 {
			into = ours.fields[at]
		}
		value := resolve([]byte{}, r, f, into)
		if r.err != nil {
			r.err = fmt.Errorf("%s: %w", theirs.names[i], r.err)
			return out
		}
		if at >= 0 {
			values[at] = value
		}
	}
	for i, value := range values {
		if value == nil {
			value = ours.defaults[i]
		}
		if value == nil {
			r.fail(fmt.Errorf("%s has no default", ours.names[i]))
			return out
		}
		out = append(out, value...)
	}
	return out
}
