package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// A composed service is what docker-compose.yml says of one.
type composed struct {
	Command     []string
	Environment map[string]string
	HealthCheck struct{ Test []string } `yaml:"healthcheck"`
}

// A composition runs services of docker-compose.yml as processes on the loopback: with their commands and variables,
// and those of the image, and with nothing else.
type composition struct {
	services map[string]composed
	image    []string          // its variables
	of       map[string]string // what stands for an address or a folder, by service and what the file says
}

var unset = regexp.MustCompile(`\$\{[A-Z_]+:-([^}]*)\}`)

func compose(t *testing.T) *composition {
	t.Helper()
	read := func(name string) []byte {
		b, err := os.ReadFile(repository(name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var file struct{ Services map[string]composed }
	if err := yaml.Unmarshal(read("docker-compose.yml"), &file); err != nil {
		t.Fatal(err)
	}
	c := &composition{services: file.Services, of: map[string]string{}}
	for _, m := range regexp.MustCompile(`(?m)^ENV (\S+=\S+)$`).FindAllSubmatch(read("Dockerfile"), -1) {
		c.image = append(c.image, string(m[1]))
	}
	return c
}

// here is a word of the file as it is on the loopback.
func (c *composition) here(t *testing.T, service, word string) string {
	t.Helper()
	word = unset.ReplaceAllString(word, "$1")
	var made string
	key := service + " " + word
	switch {
	case word == "kafka:19092" || strings.Contains(word, "//ingest:8090"):
		return strings.NewReplacer("kafka:19092", c.of["kafka"], "ingest:8090", c.of["ingest :8090"]).Replace(word)
	case strings.HasPrefix(word, ":"):
		made = freeAddress(t)
	case word == "/data":
		made = t.TempDir()
	default:
		return word
	}
	if c.of[key] == "" {
		c.of[key] = made
	}
	return c.of[key]
}

// command is a command of a service, in a folder in which nothing may be written.
func (c *composition) command(t *testing.T, service string, words ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(our(strings.TrimPrefix(words[0], "/")))
	for _, word := range words[1:] {
		cmd.Args = append(cmd.Args, c.here(t, service, word))
	}
	cmd.Env = []string{"HOME=/"}
	for _, variable := range c.image {
		name, value, _ := strings.Cut(variable, "=")
		cmd.Env = append(cmd.Env, name+"="+c.here(t, service, value))
	}
	for name, value := range c.services[service].Environment { // the later of two wins
		cmd.Env = append(cmd.Env, name+"="+c.here(t, service, value))
	}
	cmd.Dir = t.TempDir()
	t.Cleanup(func() {
		if left, err := os.ReadDir(cmd.Dir); err != nil || len(left) > 0 {
			t.Errorf("%s writes %v beside its volume, %v", service, left, err)
		}
	})
	return cmd
}

// ends runs what ends by itself.
func (c *composition) ends(t *testing.T, service string, words ...string) string {
	t.Helper()
	out, err := c.command(t, service, words...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", service, words, err, out)
	}
	return string(out)
}

// healthy starts a service and waits until its health check says that it is well.
func (c *composition) healthy(t *testing.T, service string) *process {
	t.Helper()
	s := c.services[service]
	p := startCommand(t, service, c.command(t, service, s.Command...))
	check := s.HealthCheck.Test
	if len(check) < 2 || check[0] != "CMD" {
		t.Fatalf("%s has the health check %q", service, check)
	}
	words := check[1:]
	if service == "ingest" {
		words = append(words, "--ready")
	}
	until(t, service+" is well", func(context.Context) (bool, error) {
		p.mustRun(t)
		out, err := c.command(t, service, words...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err == nil, err
	})
	return p
}

// What docker-compose.yml says starts, one after the other as they depend on each other, and makes records.
func TestWhatTheComposeFileSaysWorks(t *testing.T) {
	t.Parallel()
	k := startOneBroker(t)
	c := compose(t)
	c.of["kafka"] = k.address

	if said := c.ends(t, "topics", c.services["topics"].Command...); !strings.Contains(said, "are as they must be") {
		t.Errorf("topics says %s", said)
	}
	ingest, processor := c.healthy(t, "ingest"), c.healthy(t, "cdr")
	player := append(c.services["player"].Command, "--speed", "0", "--recording", "1.1-a_echotest")
	if said := c.ends(t, "player", player...); !strings.Contains(said, "all answered") {
		t.Errorf("player says %s", said)
	}
	const calls = 3
	shown := c.ends(t, "cdr", "/cdr", "tail", "--from", "earliest", "--outcome", "answered", "--count", fmt.Sprint(calls))
	if n := strings.Count(shown, " answered "); n != calls {
		t.Errorf("%d calls, want %d:\n%s", n, calls, shown)
	}
	processor.stop(t)
	ingest.stop(t)
	if said := processor.said(); !strings.Contains(said, "stopping: by=SIGTERM") ||
		strings.Contains(said, "[ERROR]") {
		t.Errorf("the processor says\n%s", said)
	}
}
