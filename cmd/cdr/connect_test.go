package main

import (
	"bytes"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"januscdr/avro"
	"januscdr/internal/cli"
)

// What Kafka Connect needs: the folder that scripts/connect.sh made, the jars of scripts/kafka.sh, a database.
const (
	connectVariable  = "JANUSCDR_TEST_CONNECT"
	kafkaLibVariable = "KAFKA_LIB"
	databaseVariable = "JANUSCDR_TEST_POSTGRES"
)

// Debezium's sink, configured as its page says, makes a table of the topic and one of its flat copy: each record is
// there once though transactions were aborted, and a month comes to what the records say.
func TestConnectMakesTablesOfTheTopicAndOfAFlatCopy(t *testing.T) {
	plugins, lib, database := os.Getenv(connectVariable), os.Getenv(kafkaLibVariable), os.Getenv(databaseVariable)
	registry := os.Getenv("JANUSCDR_TEST_REGISTRY")
	if plugins == "" || lib == "" || database == "" || registry == "" {
		t.Skip("it needs all that scripts/connect.sh, kafka.sh, postgres.sh and registry.sh make")
	}
	s := newSite(t)
	unique := fmt.Sprint(time.Now().UnixNano())
	s.environ = append(s.environ, "JANUSCDR_REGISTRY_URL="+registry, "JANUSCDR_REGISTRY_REGISTER=true",
		"JANUSCDR_POLICY_PARTIAL_VOLUME=20KiB", "JANUSCDR_REGISTRY_SUBJECT=connect-"+unique)
	if got := s.says("topics", "create"); got.code != cli.OK {
		t.Fatalf("%+v", got)
	}
	if aborted := s.happensAborted(); aborted < 3 {
		t.Fatalf("%d transactions were aborted: that is no test", aborted)
	}
	if made := s.amend(); made < 3 {
		t.Fatalf("%d amendments are none", made)
	}
	topic := s.says("tail", "--from", "earliest", "--once", "--json").out
	want := sums(t, topic)
	maps.DeleteFunc(want, func(_ string, n int64) bool { return n == 0 })
	check := func(way string, got map[string]int64) {
		t.Helper()
		maps.DeleteFunc(got, func(_ string, n int64) bool { return n == 0 })
		if !maps.Equal(got, want) || len(want) < 3 {
			t.Errorf("%s comes to %v, want %v", way, got, want)
		}
	}
	s.checkJava(check)
	flat := s.says("copy", "--create-topic", "--copy-to", "janus.cdr.flat", "--copy-format", "flat-avro", "--once",
		"--registry-subject", "flat-"+unique)
	if flat.code != cli.OK {
		t.Fatalf("%+v", flat)
	}

	db := aDatabase(t, database, "connect_"+unique)
	files := blocks(t, "connect.md")
	worker := strings.NewReplacer("kafka:9092", s.address, "http://registry:8080/apis/registry/v2",
		strings.Replace(registry, "ccompat/v7", "registry/v2", 1), "/var/lib/connect/offsets",
		filepath.Join(t.TempDir(), "offsets"), "/usr/share/connect", plugins).Replace(files["worker.properties"])
	u, err := url.Parse(db)
	if err != nil {
		t.Fatal(err)
	}
	sink := strings.NewReplacer("db:5432/billing", u.Host+u.Path, "username=billing", "username="+u.User.Username()).
		Replace(files["records.properties"])
	ofFlat := strings.NewReplacer("name=records", "name=flat", "topics=janus.cdr\n", "topics=janus.cdr.flat\n").
		Replace(regexp.MustCompile(`field\.include\.list=.*\n`).ReplaceAllString(sink, ""))
	startConnect(t, lib, worker+"listeners=http://"+freePort(t)+"\n", sink, ofFlat)

	conn, err := pgx.Connect(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	records := strings.Count(topic, "\n")
	for _, table := range []string{"janus_cdr", "janus_cdr_flat"} {
		query := "SELECT count(*), count(DISTINCT record_id) FROM " + table
		for limit := time.Now().Add(3 * patience); ; time.Sleep(100 * time.Millisecond) {
			var rows, distinct int
			err := conn.QueryRow(t.Context(), query).Scan(&rows, &distinct) // the table may not be there yet
			if err == nil && rows == records && distinct == records {
				break
			}
			if rows > records || time.Now().After(limit) {
				t.Fatalf("%s has %d rows, %d of them distinct, want %d: %v", table, rows, distinct, records, err)
			}
		}
		check(table, queried(t, "pgx", db, strings.ReplaceAll(files["month.sql"], "FROM janus_cdr ", "FROM "+table+" ")))
		t.Logf("%s: %d records, %d references", table, records, len(want))
	}
}

// checkJava runs the program of the page for Java, where its libraries are.
func (s *site) checkJava(check func(way string, sums map[string]int64)) {
	s.t.Helper()
	plugins, lib := os.Getenv(connectVariable), os.Getenv(kafkaLibVariable)
	if plugins == "" || lib == "" {
		return
	}
	dir := s.t.TempDir()
	program, schema := filepath.Join(dir, "Sum.java"), filepath.Join(dir, "call_detail_record.avsc")
	for name, text := range map[string]string{program: blocks(s.t, "java.md")["Sum.java"], schema: avro.Schema()} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	cmd := exec.Command("java", "-cp", filepath.Join(lib, "*")+":"+filepath.Join(plugins, "apicurio", "*"), program,
		s.address, "janus.cdr", schema)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("%v\n%s", err, &said)
	}
	check("Java", printedSums(s.t, out))
}

// aDatabase makes one of this name on a server, and is its URL.
func aDatabase(t *testing.T, server, name string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

// startConnect starts a worker of Kafka Connect with these properties, and one sink for each of the others.
func startConnect(t *testing.T, lib string, properties ...string) {
	t.Helper()
	dir := t.TempDir()
	args := []string{"-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dlog4j2.configurationFile=" + filepath.Join(lib, "log4j2.properties"), "-cp", filepath.Join(lib, "*"),
		"org.apache.kafka.connect.cli.ConnectStandalone"}
	for i, text := range properties {
		name := filepath.Join(dir, fmt.Sprintf("%d.properties", i))
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, name)
	}
	serve(t, "java", args...)
}

// serve runs a program until the test has ended, which shows the end of what it said if it has failed.
func serve(t *testing.T, program string, args ...string) {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			lines := strings.SplitAfter(log.String(), "\n")
			t.Logf("%s", strings.Join(lines[max(0, len(lines)-60):], ""))
		}
	})
}
