package config

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// What the compose file and the image say by environment variables must be what we understand.
func TestTheComposeFileAndTheImageSpeakOurLanguage(t *testing.T) {
	content, err := os.ReadFile("../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct {
			Command     []string
			Environment map[string]string
		}
	}
	if err := yaml.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ingest", "cdr", "sink"} {
		environ := environOf(file.Services[name].Environment)
		if len(environ) == 0 {
			t.Errorf("%s has no variable of ours", name)
		}
		c, err := Load(Sources{Environ: environ})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c.Origin("kafka.brokers").Kind != Environment || !strings.HasPrefix(c.Admin.Listen, ":") {
			t.Errorf("%s: brokers %v, admin %s: nobody outside of its container is reached, or reaches it", name,
				c.Kafka.Brokers, c.Admin.Listen)
		}
	}

	image, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	var environ []string
	for _, match := range regexp.MustCompile(`(?m)^ENV (JANUSCDR_\S+=\S+)$`).FindAllStringSubmatch(string(image), -1) {
		environ = append(environ, match[1])
	}
	if got, want := len(environ), strings.Count(string(image), Prefix); got != want {
		t.Errorf("%d of %d variables of the image were found", got, want)
	}
	load(t, Sources{Environ: environ})
}

// unset is a variable of Compose's with what stands for it when nobody sets it.
var unset = regexp.MustCompile(`\$\{[A-Z_]+:-([^}]*)\}`)

func environOf(variables map[string]string) (environ []string) {
	for name, value := range variables {
		if strings.HasPrefix(name, Prefix) {
			environ = append(environ, name+"="+unset.ReplaceAllString(value, "$1"))
		}
	}
	return environ
}
