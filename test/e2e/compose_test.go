package e2e

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/avro"
	"januscdr/kafka"
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
	set      map[string]string // variables of who composes
}

var variable = regexp.MustCompile(`\$\{([A-Z_]+):-([^}]*)\}`)

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
	c := &composition{services: file.Services, of: map[string]string{}, set: map[string]string{}}
	for _, m := range regexp.MustCompile(`(?m)^ENV (\S+=\S+)$`).FindAllSubmatch(read("Dockerfile"), -1) {
		c.image = append(c.image, string(m[1]))
	}
	return c
}

// here is a word of the file as it is on the loopback.
func (c *composition) here(t *testing.T, service, word string) string {
	t.Helper()
	word = variable.ReplaceAllStringFunc(word, func(v string) string {
		named := variable.FindStringSubmatch(v)
		return cmp.Or(c.set[named[1]], named[2])
	})
	var made string
	key := service + " " + word
	switch {
	case word == "kafka:19092" || strings.Contains(word, "//ingest:8090"):
		return strings.NewReplacer("kafka:19092", c.of["kafka"], "ingest:8090", c.of["ingest :8090"]).Replace(word)
	case strings.HasPrefix(word, "postgres://"):
		return strings.Replace(word, "postgres://januscdr:januscdr@postgres:5432/januscdr", c.of["postgres"], 1)
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

// playAll plays recordings as the player of the file does.
func (c *composition) playAll(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		player := append(slices.Clone(c.services["player"].Command), "--speed", "0", "--recording", name)
		if said := c.ends(t, "player", player...); !strings.Contains(said, "all answered") {
			t.Errorf("player says %s", said)
		}
	}
}

// emitted waits until all records of recordings are there, which are those of the log folded once more. It returns
// their number.
func (c *composition) emitted(t *testing.T, names ...string) (records int) {
	t.Helper()
	for _, name := range names {
		records += len(recordsOfFile(t, name))
	}
	want := fmt.Sprintf(" %d identical ", records)
	until(t, want+"records", func(context.Context) (bool, error) {
		out, err := c.command(t, "cdr", "/cdr", "replay", "--verify").CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			return false, fmt.Errorf("%w: %s", err, out)
		}
		return true, nil
	})
	return records
}

// scale makes services that are copies of one, as another container of it would be: with a host name of its own, which
// is its instance name, and folders and ports of its own.
func (c *composition) scale(service string, count int) (names []string) {
	for n := range count {
		name := fmt.Sprintf("%s-%d", service, n+1)
		scaled := c.services[service]
		scaled.Environment = maps.Clone(scaled.Environment)
		scaled.Environment["JANUSCDR_INSTANCE"] = name
		c.services[name] = scaled
		names = append(names, name)
	}
	return names
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
	c.playAll(t, "1.1-a_echotest")
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

// docker compose up --scale cdr=2
func TestScaledProcessorsOfTheComposeFileShareThePartitions(t *testing.T) {
	t.Parallel()
	k := startOneBroker(t)
	c := compose(t)
	c.of["kafka"] = k.address
	c.ends(t, "topics", c.services["topics"].Command...)
	ingest := c.healthy(t, "ingest")
	var processors []*process
	names := c.scale("cdr", 2)
	for _, name := range names {
		processors = append(processors, c.healthy(t, name))
	}
	assigned := func(ctx context.Context, name string) string {
		return scrape(ctx, c.of[name+" :8091"])["januscdr_assigned_partitions"]
	}
	until(t, "each has half of the partitions", func(ctx context.Context) (bool, error) {
		a, b := assigned(ctx, names[0]), assigned(ctx, names[1])
		if a != "6" || b != "6" {
			return false, fmt.Errorf("they have %s and %s", a, b)
		}
		return true, nil
	})
	c.playAll(t, "1.1-f_sip", "1.1-c_videoroom")
	records := c.emitted(t, "1.1-f_sip", "1.1-c_videoroom")

	processors[0].stop(t) // it leaves, and the other has all
	until(t, "the other has all partitions", func(ctx context.Context) (bool, error) {
		if has := assigned(ctx, names[1]); has != "12" {
			return false, fmt.Errorf("it has %s", has)
		}
		return true, nil
	})
	c.playAll(t, "1.1-a_echotest")
	if now := c.emitted(t, "1.1-f_sip", "1.1-c_videoroom", "1.1-a_echotest"); now <= records {
		t.Errorf("%d records and no more", now)
	}
	processors[1].stop(t)
	ingest.stop(t)
}

// docker compose --profile billing, with a PostgreSQL and a schema registry that are none of the images.
func TestTheBillingProfileOfTheComposeFileFillsItsDatabase(t *testing.T) {
	t.Parallel()
	database, registry := os.Getenv("JANUSCDR_TEST_POSTGRES"), os.Getenv("JANUSCDR_TEST_REGISTRY")
	if database == "" || registry == "" {
		t.Skip("JANUSCDR_TEST_POSTGRES and JANUSCDR_TEST_REGISTRY name a PostgreSQL and a schema registry, for which the " +
			"file has images: scripts/postgres.sh start, scripts/registry.sh start")
	}
	db, err := sql.Open("pgx", database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	schema := fmt.Sprintf("compose_%d", os.Getpid())
	if _, err := db.ExecContext(t.Context(), "CREATE SCHEMA "+schema); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = db.ExecContext(context.Background(), "DROP SCHEMA "+schema+" CASCADE") })

	k := startOneBroker(t)
	c := compose(t)
	c.of["kafka"], c.of["postgres"] = k.address, database+"?search_path="+schema
	if strings.Contains(database, "?") {
		c.of["postgres"] = database + "&search_path=" + schema
	}
	c.set["REGISTRY_URL"] = registry
	c.ends(t, "topics", c.services["topics"].Command...)
	running := []*process{c.healthy(t, "ingest"), c.healthy(t, "cdr"), c.healthy(t, "sink")}
	c.playAll(t, "1.1-f_sip")
	c.emitted(t, "1.1-f_sip")
	want := map[string]int{}
	for _, r := range recordsOfFile(t, "1.1-f_sip") {
		want[fmt.Sprint(r["record_type"])]++
	}
	count := func(ctx context.Context, query string) (n int, err error) {
		err = db.QueryRowContext(ctx, query).Scan(&n)
		return n, err
	}
	until(t, "all legs are in the database", func(ctx context.Context) (bool, error) {
		n, err := count(ctx, "SELECT count(*) FROM "+schema+".cdr_leg")
		return n == want["LEG"], err
	})
	for i := range running {
		running[len(running)-1-i].stop(t)
	}
	if n, err := count(t.Context(), "SELECT count(DISTINCT cdr_id) FROM "+schema+".cdr_leg"); err != nil || n == 0 {
		t.Errorf("%d calls, %v", n, err)
	}
	// Who reads with the registry finds the schema by the number that each message begins with.
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	o := kafka.Options{Brokers: k.Addresses()}
	client, err := kafka.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	framed := 0
	if err := kafka.ReadCommitted(ctx, client, o, "janus.cdr", func(records []*kgo.Record) error {
		for _, r := range records {
			if avro.FramingOf(r.Value) != avro.Registered {
				t.Errorf("a message begins with % x", r.Value[:min(5, len(r.Value))])
			}
			framed++
		}
		return nil
	}); err != nil || framed != want["LEG"]+want["SESSION"] {
		t.Errorf("%d messages, %v, want those of %v", framed, err, want)
	}
}
