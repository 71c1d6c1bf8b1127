package config

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// Size is a number of bytes.
type Size int64

// String is the size in the notation of the configuration: 32MiB.
func (s Size) String() string {
	for _, u := range sizeUnits[:len(sizeUnits)-1] {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

var sizeUnits = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// ParseSize reads 32MiB, 512KiB, 1GiB or a plain number of bytes. Decimal units are refused: MB means different
// things to different people.
func ParseSize(text string) (Size, error) {
	number, factor := strings.TrimSpace(text), int64(1)
	for _, u := range sizeUnits {
		if n, ok := strings.CutSuffix(number, u.name); ok {
			number, factor = strings.TrimSpace(n), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/factor {
		return 0, fmt.Errorf("%q is not a size; write 512KiB, 32MiB or 1GiB", text)
	}
	return Size(n * factor), nil
}

// ParseDuration reads what time.ParseDuration reads, and days before it: 7d, 1d12h. It refuses negative durations.
func ParseDuration(text string) (time.Duration, error) {
	wrong := fmt.Errorf("%q is not a duration; write 200ms, 10s, 5m, 1h or 7d", text)
	rest := strings.TrimSpace(text)
	var total time.Duration
	if days, after, ok := strings.Cut(rest, "d"); ok {
		n, err := strconv.ParseInt(days, 10, 64)
		if err != nil || n < 0 || n > int64(math.MaxInt64/(24*time.Hour)) {
			return 0, wrong
		}
		total, rest = time.Duration(n)*24*time.Hour, after
		if rest == "" {
			return total, nil
		}
	}
	if _, err := strconv.ParseFloat(rest, 64); err == nil && rest != "0" {
		return 0, fmt.Errorf("%q has no unit; write 200ms, 10s, 5m, 1h or 7d", text)
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || total > math.MaxInt64-d {
		return 0, wrong
	}
	return total + d, nil
}

// FormatDuration is the duration as ParseDuration reads it, without units that are zero: 7d, 24h, 10m, 200ms.
func FormatDuration(d time.Duration) string {
	if d >= 48*time.Hour && d%(24*time.Hour) == 0 {
		return strconv.FormatInt(int64(d/(24*time.Hour)), 10) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// said is a value as somebody said it: a text, or a node of the file.
type said struct {
	text string
	node ast.Node // nil outside of files
}

// switches are the notations of true and false.
var switches = map[string]bool{
	"true": true, "yes": true, "on": true, "1": true,
	"false": false, "no": false, "off": false, "0": false,
}

// set reads what was said into the field that dst points to.
func (k *key) set(dst any, v said) error {
	switch dst := dst.(type) {
	case *[]Sender:
		return setList(dst, v, "sender", senderMembers, "[{address: 192.0.2.1, emitter: name}]")
	case *[]Rule:
		return setList(dst, v, "rule", ruleMembers, "[{plugin: janus.plugin.sip, partial_every: 15m}]")
	case *[]string:
		items, err := v.items()
		if err != nil {
			return err
		}
		for _, item := range items {
			if len(k.words) > 0 && !slices.Contains(k.words, item) {
				return notOneOf(item, k.words)
			}
		}
		*dst = items
		return nil
	case **time.Duration: // of a rule: nil is not said
		*dst = new(time.Duration)
		return k.set(*dst, v)
	case **Size:
		*dst = new(Size)
		return k.set(*dst, v)
	}
	text, err := v.scalar()
	if err != nil {
		return err
	}
	switch dst := dst.(type) {
	case *string:
		if len(k.words) > 0 && !slices.Contains(k.words, text) {
			return notOneOf(text, k.words)
		}
		if _, err := time.LoadLocation(text); k.zone && err != nil {
			return fmt.Errorf("%q is no place of the time zone database; write Europe/Vienna, America/New_York or UTC", text)
		}
		*dst = text
	case *bool:
		b, ok := switches[strings.ToLower(text)]
		if !ok {
			return fmt.Errorf("%q is neither true nor false; write one of them", text)
		}
		*dst = b
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is not a whole number; write digits only", text)
		}
		if err := k.within(int64(n), func(n int64) string { return strconv.FormatInt(n, 10) }); err != nil {
			return err
		}
		*dst = n
	case *time.Duration:
		d, err := ParseDuration(text)
		if err != nil {
			return err
		}
		if err := k.within(int64(d), func(n int64) string { return FormatDuration(time.Duration(n)) }); err != nil {
			return err
		}
		*dst = d
	case *Size:
		s, err := ParseSize(text)
		if err != nil {
			return err
		}
		if err := k.within(int64(s), func(n int64) string { return Size(n).String() }); err != nil {
			return err
		}
		*dst = s
	default:
		panic(fmt.Sprintf("config: key %s has a field of type %T", k.name, dst))
	}
	return nil
}

// within checks the range of a number of any unit, which format writes.
func (k *key) within(n int64, format func(int64) string) error {
	switch {
	case k.max == 0 || n == 0 && k.zero:
		return nil
	case n < k.min:
		return fmt.Errorf("%s is too small; write %s to %s", format(n), format(k.min), format(k.max))
	case n > k.max:
		return fmt.Errorf("%s is too large; write %s to %s", format(n), format(k.min), format(k.max))
	}
	return nil
}

// scalar is the value as one text.
func (v said) scalar() (string, error) {
	if v.node == nil {
		return v.text, nil
	}
	return scalarText(v.node)
}

// items is the value as a list: a sequence in the file, or a text with commas.
func (v said) items() ([]string, error) {
	text := v.text
	if v.node != nil {
		if seq, ok := v.node.(*ast.SequenceNode); ok {
			var items []string
			for _, n := range seq.Values {
				item, err := scalarText(n)
				if err != nil {
					return nil, err
				}
				items = append(items, item)
			}
			return items, nil
		}
		var err error
		if text, err = scalarText(v.node); err != nil {
			return nil, err
		}
	}
	var items []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items, nil
}

// scalarText is the text of a scalar as it stands in the file: 010 stays 010.
func scalarText(n ast.Node) (string, error) {
	switch n := n.(type) {
	case *ast.StringNode:
		return withoutVariables(n.Value)
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case *ast.NullNode:
		return "", nil
	case *ast.AliasNode, *ast.AnchorNode, *ast.TagNode, *ast.MergeKeyNode:
		return "", errors.New("anchors, aliases and tags are not understood here; write the value itself")
	case *ast.MappingNode, *ast.MappingValueNode:
		if text, ok := address(n); ok {
			return text, nil
		}
		return "", errors.New("keys stand where a value was expected; write the value on the line of the key")
	case *ast.SequenceNode:
		return "", errors.New("a list stands where a single value was expected; write the value alone")
	case ast.ScalarNode:
		return n.GetToken().Value, nil
	}
	return "", fmt.Errorf("a value was expected, not %s; write it on the line of the key",
		strings.ToLower(n.Type().String()))
}

// address is host:port in a flow sequence. YAML has it for a text, and the library for a key with a value.
func address(n ast.Node) (string, bool) {
	pairs, ok := mapping(n)
	if !ok || len(pairs) != 1 {
		return "", false
	}
	key, value := pairs[0].Key.GetToken(), pairs[0].Value.GetToken()
	_, scalar := pairs[0].Value.(ast.ScalarNode)
	colon := pairs[0].Start
	if !scalar || colon == nil || value.Position.Line != key.Position.Line ||
		value.Position.Column != key.Position.Column+len(key.Value)+1 {
		return "", false
	}
	return key.Value + ":" + value.Value, true
}

// variable is how shells and other programs write one.
var variable = regexp.MustCompile(`\$\{\w+\}`)

// notReplaced is what to do then.
const notReplaced = "write the value, or leave the key out and set it in the environment"

// withoutVariables is a text of the file; one with a variable is not taken for what it says.
func withoutVariables(text string) (string, error) {
	if name := variable.FindString(text); name != "" {
		return "", fmt.Errorf("%s is not replaced in a file; %s", name, notReplaced)
	}
	return text, nil
}

// setList reads a list of sets of keys: from the file, or from a text in the same notation. What is one of them, and
// example shows how to write them.
func setList[T any](dst *[]T, v said, what string, members []member[T], example string) error {
	node := v.node
	if node == nil {
		if strings.TrimSpace(v.text) == "" {
			*dst = nil
			return nil
		}
		var err error
		if node, err = parseYAML([]byte(v.text)); err != nil {
			return fmt.Errorf("not a list of %ss: %w; write %s", what, err, example)
		}
	}
	if _, ok := node.(*ast.NullNode); ok {
		*dst = nil
		return nil
	}
	seq, ok := node.(*ast.SequenceNode)
	if !ok {
		return fmt.Errorf("%ss are a list; write %s", what, example)
	}
	var list []T
	for i, item := range seq.Values {
		var t T
		pairs, ok := mapping(item)
		if !ok {
			return fmt.Errorf("%s %d is not a set of keys; write %s", what, i+1, example)
		}
		for _, pair := range pairs {
			name := pair.Key.GetToken().Value
			at := slices.IndexFunc(members, func(m member[T]) bool { return m.name == name })
			if at < 0 {
				var names []string
				for _, m := range members {
					names = append(names, m.name)
				}
				return fmt.Errorf("%s %d: %s is not a known key; %s", what, i+1, name, orOneOf(name, names))
			}
			k := byName[members[at].key]
			if k == nil {
				k = &key{}
			}
			if err := k.set(members[at].at(&t), said{node: pair.Value}); err != nil {
				return fmt.Errorf("%s %d: %s: %w", what, i+1, name, err)
			}
		}
		list = append(list, t)
	}
	*dst = list
	return nil
}

// text is the value of a field in the notation of the environment.
func text(field any) string {
	switch v := field.(type) {
	case *string:
		return *v
	case *bool:
		return strconv.FormatBool(*v)
	case *int:
		return strconv.Itoa(*v)
	case *time.Duration:
		return FormatDuration(*v)
	case *Size:
		return v.String()
	case *[]string:
		return strings.Join(*v, ",")
	case **time.Duration:
		if *v == nil {
			return ""
		}
		return FormatDuration(**v)
	case **Size:
		if *v == nil {
			return ""
		}
		return (*v).String()
	case *[]Sender:
		return listText(*v, senderMembers)
	case *[]Rule:
		return listText(*v, ruleMembers)
	}
	panic(fmt.Sprintf("config: no notation for a field of type %T", field))
}

// listText is a list of sets of keys in YAML, in one line; what is empty is left out.
func listText[T any](list []T, members []member[T]) string {
	sets := make([]string, len(list))
	for i := range list {
		var pairs []string
		for _, m := range members {
			if field := m.at(&list[i]); text(field) != "" {
				pairs = append(pairs, m.name+": "+notation(field))
			}
		}
		sets[i] = "{" + strings.Join(pairs, ", ") + "}"
	}
	return "[" + strings.Join(sets, ", ") + "]"
}
