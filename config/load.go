package config

import (
	"errors"
	"slices"
	"strings"
)

// Complaint is one thing that is wrong with the configuration, in one line.
type Complaint struct {
	Where  string // januscdr.yaml:7, JANUSCDR_GROUP, --group
	What   string
	Remedy string
}

// Error is "where: what; remedy".
func (c *Complaint) Error() string {
	s := c.Where + ": " + c.What
	if c.Remedy != "" {
		s += "; " + c.Remedy
	}
	return s
}

// Sources is what was said where.
type Sources struct {
	File    string            // path of a YAML file; empty: the one that the environment names, or none
	Environ []string          // like os.Environ; variables without our prefix do not count
	Flags   map[string]string // by key, not by flag name
	// Uses has the sections and keys that the program uses; nil means all. Secrets are read, and files looked at,
	// for these only, because another program's may well be out of reach here. Everything else is checked for all.
	Uses []string
	// Defaults are those of the program, by key, where they are others than those of the table.
	Defaults map[string]string
}

// Load makes the configuration from its sources, or returns all complaints, each a *Complaint, joined by errors.Join.
func Load(s Sources) (*Config, error) {
	c := &Config{origins: map[string]Origin{}}
	var complaints []error

	machineDefaults(c)
	for _, k := range table {
		def, own := s.Defaults[k.name]
		if !own {
			def = k.def
		}
		if def == "" {
			continue
		}
		if err := k.set(k.at(c), said{text: def}); err != nil {
			panic("config: default of " + k.name + ": " + err.Error())
		}
	}

	environ, unknown := readEnviron(s.Environ)
	file := s.File
	if file == "" {
		file = environ[FileVariable]
	}
	var fromFile map[string]said
	var lines map[string]Origin
	if file != "" {
		fromFile, lines, complaints = readFile(file)
	}
	complaints = append(complaints, unknown...)

	// A value that another one overrides is read all the same: a mistake in the file is a mistake.
	for _, k := range table {
		take := func(v said, from Origin) {
			if err := k.set(k.at(c), v); err != nil {
				what, remedy, _ := strings.Cut(err.Error(), "; ")
				complaints = append(complaints, &Complaint{Where: from.Where, What: k.name + ": " + what, Remedy: remedy})
				return
			}
			c.origins[k.name] = from
		}
		if v, ok := fromFile[k.name]; ok {
			take(v, lines[k.name])
		}
		if v, ok := environ[k.env()]; ok {
			take(said{text: v}, Origin{Environment, k.env()})
		}
		if v, ok := s.Flags[k.name]; ok {
			take(said{text: v}, Origin{Flag, "--" + k.flag()})
		}
	}
	for name := range s.Flags {
		if byName[name] == nil {
			panic("config: no key " + name)
		}
	}

	complaints = append(complaints, c.check(s.Uses)...)
	if len(complaints) > 0 {
		return nil, errors.Join(complaints...)
	}
	return c, nil
}

// readEnviron has our variables by name, and a complaint for each that we do not know.
func readEnviron(environ []string) (map[string]string, []error) {
	ours := map[string]string{}
	var complaints []error
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, Prefix) || fromKubernetes(name, value) {
			continue
		}
		if byEnv[name] == nil && name != FileVariable {
			complaints = append(complaints, &Complaint{Where: name, What: "not a known variable", Remedy: unknownVariable(name)})
			continue
		}
		ours[name] = value
	}
	slices.SortFunc(complaints, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return ours, complaints
}

func unknownVariable(name string) string {
	names := []string{strings.TrimPrefix(FileVariable, Prefix)}
	for _, k := range table {
		names = append(names, strings.TrimPrefix(k.env(), Prefix))
	}
	if near := nearestKey(strings.TrimPrefix(name, Prefix), "_", names); near != "" {
		return "did you mean " + Prefix + near + "?"
	}
	return "unset it; `config print` shows all keys"
}

// fromKubernetes tells whether a variable is one that Kubernetes puts into each container for a service whose name
// begins with januscdr: JANUSCDR_SERVICE_HOST, JANUSCDR_INGEST_PORT_8090_TCP_ADDR. Nobody wrote them, so they are no
// mistake.
func fromKubernetes(name, value string) bool {
	if byEnv[name] != nil {
		return false
	}
	parts := strings.Split(strings.TrimPrefix(name, Prefix), "_")
	for i, part := range parts {
		if part == "SERVICE" && i+1 < len(parts) && (parts[i+1] == "HOST" || parts[i+1] == "PORT") {
			return true
		}
		protocol, _, isURL := strings.Cut(value, "://")
		if part == "PORT" && isURL && slices.Contains([]string{"tcp", "udp", "sctp"}, protocol) {
			return true
		}
		if part == "PORT" && i+2 < len(parts) && slices.Contains([]string{"TCP", "UDP", "SCTP"}, parts[i+2]) {
			return true
		}
	}
	return false
}

// uses tells whether a key is among the sections and keys of list.
func uses(list []string, key string) bool {
	if list == nil {
		return true
	}
	for _, u := range list {
		if key == u || strings.HasPrefix(key, u+".") {
			return true
		}
	}
	return false
}
