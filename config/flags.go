package config

import (
	"strings"

	"github.com/spf13/pflag"
)

// Section is the annotation of a flag that belongs to a key; its value is the name of the section, for help in groups.
const Section = "januscdr_section"

// Words is the annotation of a flag that has only some values; they are its value.
const Words = "januscdr_words"

// Flags is the command line's share of the configuration.
type Flags struct {
	set    *pflag.FlagSet
	uses   []string
	values map[string]string

	defaults map[string]string // of this program, by key, where another one has another
}

// Bind adds --config and a flag for each key of the sections and keys in uses; without any, for all. What a flag says
// is judged by Load, so that its complaint stands beside the others.
func Bind(set *pflag.FlagSet, sectionsAndKeys ...string) *Flags {
	f := &Flags{set: set, uses: sectionsAndKeys, values: map[string]string{}, defaults: map[string]string{}}
	set.String(FileFlag, "", "YAML `FILE` with the configuration (environment: "+FileVariable+")")
	for _, u := range sectionsAndKeys {
		if byName[u] == nil && !isSection(u) {
			panic("config: no key or section " + u)
		}
	}
	for _, k := range table {
		if !uses(f.uses, k.name) {
			continue
		}
		about := k.about
		if len(k.words) > 0 {
			about += " (" + k.choice() + ")"
		}
		flag := set.VarPF(&flagValue{f, k}, k.flag(), "", about)
		if _, isBool := k.at(new(Config)).(*bool); isBool {
			flag.NoOptDefVal = "true"
		}
		section, _, ok := strings.Cut(k.name, ".")
		if !ok {
			section = "processing"
		}
		flag.Annotations = map[string][]string{Section: {section}}
		if words := k.choice(); words != "" {
			flag.Annotations[Words] = strings.Split(words, "|")
		}
	}
	return f
}

// Default gives a key the default that this program has, in the notation of the environment.
func (f *Flags) Default(key, value string) *Flags {
	if byName[key] == nil {
		panic("config: no key " + key)
	}
	f.defaults[key] = value
	if flag := f.set.Lookup(FlagName(key)); flag != nil {
		flag.DefValue = value // for the help
	}
	return f
}

// Load makes the configuration from what the flags said and from environ; see the function of the same name.
func (f *Flags) Load(environ []string) (*Config, error) {
	file, err := f.set.GetString(FileFlag)
	if err != nil {
		panic("config: " + err.Error())
	}
	return Load(Sources{File: file, Environ: environ, Flags: f.values, Uses: f.uses, Defaults: f.defaults})
}

// flagValue keeps what a flag says as it is.
type flagValue struct {
	flags *Flags
	key   *key
}

func (v *flagValue) String() string {
	if v.flags == nil { // pflag asks a zero value for its default
		return ""
	}
	if said, ok := v.flags.values[v.key.name]; ok {
		return said
	}
	if own, ok := v.flags.defaults[v.key.name]; ok {
		return own
	}
	return v.key.shownDefault()
}

func (v *flagValue) Set(text string) error {
	v.flags.values[v.key.name] = text
	return nil
}

// Type is the kind of value, for help.
func (v *flagValue) Type() string {
	kind := v.key.kind()
	switch {
	case kind == "true|false":
		return "bool" // what pflag shows without a value
	case kind == v.key.choice() && kind != "":
		return "word"
	}
	return kind
}
