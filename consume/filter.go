package consume

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"januscdr/avro"
)

// Filter says which records are wanted: those for which all terms hold. Without terms all are.
type Filter []term

type term struct {
	at    int // of the fields of a record
	field *avro.Field
	not   bool
	value string
	bare  bool // a name alone: true, or not null
}

// ParseFilter reads terms: chargeable, !is_final, record_type=LEG, disposition!=BUSY. A name alone stands for true or,
// where the field is no truth, for a value that is not null.
func ParseFilter(terms []string) (Filter, error) {
	var f Filter
	fields := avro.Fields()
	for _, text := range terms {
		t := term{}
		name, value, compared := strings.Cut(text, "=")
		t.value, t.bare = value, !compared
		if compared {
			name, t.not = strings.CutSuffix(name, "!")
		} else {
			name, t.not = strings.CutPrefix(name, "!")
		}
		t.at = slices.IndexFunc(fields, func(f avro.Field) bool { return f.Name == name })
		if t.at < 0 {
			return nil, fmt.Errorf("%q: %q is no field of a record", text, name)
		}
		t.field = &fields[t.at]
		if compared && len(t.field.Symbols) > 0 && !slices.Contains(t.field.Symbols, value) {
			return nil, fmt.Errorf("%q: %s is one of %s", text, name, strings.Join(t.field.Symbols, ", "))
		}
		if compared && t.field.Type == avro.Boolean && value != "true" && value != "false" {
			return nil, fmt.Errorf("%q: %s is true or false", text, name)
		}
		f = append(f, t)
	}
	return f, nil
}

// Wants tells whether a record with these values is wanted.
func (f Filter) Wants(values []avro.Value) bool {
	for _, t := range f {
		if t.holds(&values[t.at]) == t.not {
			return false
		}
	}
	return true
}

func (t *term) holds(v *avro.Value) bool {
	switch {
	case v.Null:
		return !t.bare && t.value == ""
	case t.bare && t.field.Type == avro.Boolean:
		return v.Int != 0
	case t.bare:
		return true
	}
	switch t.field.Type {
	case avro.Boolean:
		return strconv.FormatBool(v.Int != 0) == t.value
	case avro.Int, avro.Long, avro.Moment:
		return strconv.FormatInt(v.Int, 10) == t.value
	case avro.List:
		return string(avro.AppendJSON(nil, t.field, v)) == t.value
	}
	return v.Text == t.value
}
