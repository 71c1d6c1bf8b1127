package config

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Print writes the effective configuration as YAML; a comment on each line says where the value comes from. What it
// writes can be used as a file. So a secret is a comment only, and so is a default that depends on the machine: in a
// file they would be wrong elsewhere.
func (c *Config) Print(w io.Writer) error { return c.print(w, false) }

// PrintWithDescriptions is Print with the meaning of each key above it.
func (c *Config) PrintWithDescriptions(w io.Writer) error { return c.print(w, true) }

func (c *Config) print(w io.Writer, describe bool) error {
	out := bufio.NewWriter(w)
	var open []string // the sections we are in
	for _, k := range table {
		parts := strings.Split(k.name, ".")
		same := 0
		for same < len(open) && same < len(parts)-1 && open[same] == parts[same] {
			same++
		}
		if same == 0 && (len(open) > 0 || len(parts) > 1 && k != table[0]) {
			fmt.Fprintln(out)
		}
		open = open[:same]
		for _, section := range parts[same : len(parts)-1] {
			fmt.Fprintf(out, "%s%s:\n", strings.Repeat("  ", len(open)), section)
			open = append(open, section)
		}
		indent, name := strings.Repeat("  ", len(open)), parts[len(parts)-1]
		if describe {
			fmt.Fprintf(out, "%s# %s\n", indent, k.about)
		}
		from := c.origins[k.name]
		where := from.Kind.String()
		if from.Where != "" {
			where += " " + from.Where
		}
		switch {
		case k.secret && text(k.at(c)) != "":
			if from.Kind == Default {
				where = "file named by " + k.name + "_file"
			}
			fmt.Fprintf(out, "%s# %s: ******** # %s\n", indent, name, where)
		case k.machine != "" && from.Kind == Default:
			fmt.Fprintf(out, "%s# %s: %s # default, %s\n", indent, name, text(k.at(c)), k.machine)
		default:
			fmt.Fprintf(out, "%s%s: %s # %s\n", indent, name, notation(k.at(c)), where)
		}
	}
	return out.Flush()
}

// notation is the value of a field in YAML, in one line.
func notation(field any) string {
	switch v := field.(type) {
	case *string:
		return quoted(*v)
	case *[]string:
		items := make([]string, len(*v))
		for i, s := range *v {
			items[i] = quoted(s)
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return text(field)
}

// quoted is s as a YAML scalar that is read as this text by any reader: without quotes only where that is certain.
func quoted(s string) string {
	if plain.MatchString(s) && !slices.Contains(notText, strings.ToLower(s)) {
		return s
	}
	return strconv.Quote(s)
}

// plain are names, paths and addresses. Words that YAML takes for something else are in notText.
var (
	plain   = regexp.MustCompile(`^(?:[A-Za-z/][A-Za-z0-9_./-]*(?::[0-9]+)?|[0-9]+(?:\.[0-9]+){3}(?::[0-9]+|/[0-9]+)?)$`)
	notText = []string{"true", "false", "yes", "no", "on", "off", "y", "n", "null"}
)

// Row is what there is to know of one key, for help and documents.
type Row struct {
	Key, Env, Flag string // Flag with its dashes
	Type           string // text, list, true|false, number, duration, size, file, senders, rules, or the words
	Default        string // empty: nothing
	About          string
	Words          string // all that are possible, with | in between; empty: anything
	Secret         bool
}

// Rows describes all keys, in the order in which they are shown.
func Rows() []Row {
	rows := make([]Row, len(table))
	for i, k := range table {
		rows[i] = Row{
			Key: k.name, Env: k.env(), Flag: "--" + k.flag(), Type: k.kind(), Default: k.shownDefault(),
			About: k.about, Words: k.choice(), Secret: k.secret,
		}
	}
	return rows
}

// shownDefault is the default in words.
func (k *key) shownDefault() string {
	if k.machine != "" {
		return k.machine
	}
	if k.def == "[]" {
		return ""
	}
	return k.def
}

// choice are the words that are possible, without the empty one.
func (k *key) choice() string {
	words := slices.DeleteFunc(slices.Clone(k.words), func(w string) bool { return w == "" })
	return strings.Join(words, "|")
}

// kind is the kind of value, in a word.
func (k *key) kind() string {
	if _, list := k.at(new(Config)).(*[]string); len(k.words) > 0 && !list {
		return k.choice()
	}
	switch k.at(new(Config)).(type) {
	case *bool:
		return "true|false"
	case *int:
		return "number"
	case *time.Duration:
		return "duration"
	case *Size:
		return "size"
	case *[]string:
		return "list"
	case *[]Sender:
		return "senders"
	case *[]Rule:
		return "rules"
	}
	if k.file {
		return "file"
	}
	return "text"
}
