package consume_test

import (
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"januscdr/consume"
	"januscdr/janus"
)

// postgresVariable names a database of PostgreSQL in which the tests may make schemas.
const postgresVariable = "JANUSCDR_TEST_POSTGRES"

// place is a database for one test.
type place struct {
	kind   string
	where  string // for the sink
	db     *sql.DB
	strike func() // kills the server and starts it again; nil where there is none
}

var striking sync.Mutex

// databases runs a test on each kind of database that is there.
func databases(t *testing.T, f func(t *testing.T, c *cluster, d *place)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "records #1?.sqlite")
		db, err := sql.Open("sqlite",
			"file:"+strings.NewReplacer("#", "%23", "?", "%3f").Replace(file)+"?_pragma=busy_timeout(10000)")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		f(t, newCluster(t), &place{kind: "sqlite", where: file, db: db})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		url := os.Getenv(postgresVariable)
		if url == "" {
			t.Skip("no PostgreSQL: " + postgresVariable + " names none")
		}
		admin, err := sql.Open("pgx", url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { admin.Close() })
		schema := fmt.Sprintf("test_%d_%d", os.Getpid(), time.Now().UnixNano())
		if _, err := admin.Exec("CREATE SCHEMA " + schema); err != nil {
			t.Fatal(err)
		}
		own := url + "&search_path=" + schema
		if !strings.Contains(url, "?") {
			own = url + "?search_path=" + schema
		}
		db, err := sql.Open("pgx", own)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			db.Close()
			_, _ = admin.Exec("DROP SCHEMA " + schema + " CASCADE")
		})
		d := &place{kind: "postgres", where: own, db: db}
		if command := os.Getenv(postgresVariable + "_STRIKE"); command != "" {
			d.strike = func() {
				striking.Lock() // there is one server for all
				defer striking.Unlock()
				if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
					t.Errorf("strike PostgreSQL: %v\n%s", err, out)
				}
			}
		}
		f(t, newCluster(t), d)
	})
}

func (c *cluster) task(d *place) task {
	return task{Brokers: c.opts.Brokers, Topic: c.topic, Kind: d.kind, Place: d.where, Records: 50}
}

func (d *place) once(c *cluster) error {
	k := c.task(d)
	k.Once = true
	return k.run(c.t)
}

// fill brings all that is there into the database.
func (d *place) fill(c *cluster) {
	c.t.Helper()
	if err := d.once(c); err != nil {
		c.t.Fatal(err)
	}
}

// rows are what a query answers, each row as text.
func (d *place) rows(t *testing.T, query string) (all []string) {
	t.Helper()
	rows, err := d.db.Query(query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, v := range values {
			v := *v.(*any)
			if b, ok := v.([]byte); ok {
				v = string(b)
			}
			texts = append(texts, fmt.Sprint(v))
		}
		all = append(all, strings.Join(texts, " "))
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return all
}

func (d *place) ids(t *testing.T) map[string]int {
	t.Helper()
	all := map[string]int{}
	for _, id := range d.rows(t, "SELECT record_id FROM cdr") {
		all[id]++
	}
	return all
}

func TestADatabaseHoldsEachRecordOnceThoughSinkAndDatabaseAreKilled(t *testing.T) {
	kills := kills(t, 20)
	databases(t, func(t *testing.T, c *cluster, d *place) {
		c.storm(c.task(d), kills, d.strike)
		same(t, d.ids(t), c.ids())
		if streams := d.rows(t,
			"SELECT COUNT(*) FROM cdr_stream s JOIN cdr USING (record_id)"); streams[0] != fmt.Sprint(c.streams()) {
			t.Errorf("%s streams, want %d", streams[0], c.streams())
		}
		if holes := d.rows(t, "SELECT * FROM cdr_hole"); holes != nil {
			t.Errorf("holes: %v", holes)
		}
	})
}

// An operator may make the table before the first start, partitioned by month.
func TestTheTableMayBePartitioned(t *testing.T) {
	databases(t, func(t *testing.T, c *cluster, d *place) {
		if d.kind != "postgres" {
			return // SQLite has no partitions
		}
		for _, statement := range []string{
			`CREATE TABLE cdr (record_id text NOT NULL, record_closure_time timestamptz NOT NULL,
				PRIMARY KEY (record_id, record_closure_time)) PARTITION BY RANGE (record_closure_time)`,
			`CREATE TABLE cdr_2026_11 PARTITION OF cdr FOR VALUES FROM ('2026-11-01') TO ('2026-12-01')`,
			`CREATE TABLE cdr_others PARTITION OF cdr DEFAULT`,
		} {
			if _, err := d.db.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			c.produce(700)
			d.fill(c)
		}
		same(t, d.ids(t), c.ids())
		for _, partition := range []string{"cdr_2026_11", "cdr_others"} {
			if rows := d.rows(t, "SELECT record_id FROM "+partition); len(rows) == 0 {
				t.Errorf("%s is empty", partition)
			}
		}
	})
}

// A sink that nobody kills goes on by itself after each death of its database.
func TestASinkOutlivesItsDatabase(t *testing.T) {
	databases(t, func(t *testing.T, c *cluster, d *place) {
		if d.strike == nil {
			t.Skip("nobody can kill this database: " + postgresVariable + "_STRIKE names no command")
		}
		const atOnce = 10 // strikes in the life of a sink, which has a limit
		k := c.task(d)
		for left := number(t, strikesVariable, 3); left > 0; left -= atOnce {
			stop := c.coming()
			p := k.start(t)
			for range min(left, atOnce) {
				d.strike()
			}
			stop()
			if len(p.ended) > 0 {
				t.Fatalf("it ended by itself: %s\n%s", p.last(), p.log)
			}
			c.waitFor(d)
			p.killed(t)
		}
		same(t, d.ids(t), c.ids())
		t.Logf("%d records, %d kills of the target", len(c.records), number(t, strikesVariable, 3))
	})
}

// waitFor waits until a sink that is at work has brought all records.
func (c *cluster) waitFor(d *place) {
	c.t.Helper()
	for limit := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		var n int
		err := d.db.QueryRow("SELECT COUNT(*) FROM cdr").Scan(&n) // its own connection was cut, too
		if err == nil && n >= len(c.records) {
			return
		}
		if time.Now().After(limit) {
			c.t.Fatalf("it has brought %d of %d records: %v", n, len(c.records), err)
		}
	}
}

// monthOf is the query of the page about a consumer that sums up November 2026.
func monthOf(t *testing.T, consumer string) string {
	t.Helper()
	for _, page := range []string{"postgresql", "sqlite"} {
		b, err := os.ReadFile("../docs/consumers/" + page + ".md")
		if err != nil {
			t.Fatal(err)
		}
		if _, after, ok := strings.Cut(string(b), "<!-- month: "+consumer+" -->\n```sql\n"); ok {
			query, _, _ := strings.Cut(after, "```")
			return query
		}
	}
	t.Fatalf("no page sums up a month in %s", consumer)
	return ""
}

// november is that of 2026, in a zone.
func november(t *testing.T, zone string) (since, until janus.Micros) {
	t.Helper()
	place, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	at := func(month time.Month) janus.Micros {
		return janus.Micros(time.Date(2026, month, 1, 0, 0, 0, 0, place).UnixMicro())
	}
	return at(time.November), at(time.December)
}

func (c *cluster) streams() (n int) {
	for i := range c.records {
		n += len(c.records[i].Streams)
	}
	return n
}

func TestTheSumOfAMonthPerReferenceIsThatOfTheRecords(t *testing.T) {
	databases(t, func(t *testing.T, c *cluster, d *place) {
		c.produce(700)
		d.fill(c)
		got := sumsOf(t, strings.Join(d.rows(t, monthOf(t, d.kind)), "\n"))
		since, until := november(t, map[string]string{"sqlite": "UTC", "postgres": "Europe/Vienna"}[d.kind])
		if want := c.charged(since, until); !maps.Equal(got, want) || len(want) != 5 ||
			maps.Equal(want, c.charged(0, 1<<62)) {
			t.Errorf("got %v, want %v", got, want)
		}
		for query, want := range map[string]string{
			"SELECT COUNT(*) FROM cdr_leg WHERE NOT complete":                                             "0",
			"SELECT COUNT(*) FROM cdr_leg WHERE part_count = 2":                                           "25",
			"SELECT COUNT(*), SUM(duration_change) FROM cdr_revision":                                     "30 -30000000",
			"SELECT COUNT(*) FROM cdr_session":                                                            "175",
			"SELECT legs_found, chargeable_duration FROM cdr_session WHERE session_id = '1000001'":        "3 89500001",
			"SELECT COUNT(*) FROM cdr_part WHERE revision = 1":                                            "30",
			"SELECT DISTINCT codec, rtt_mean_milli FROM cdr_stream WHERE media = 'AUDIO'":                 "opus 4200",
			"SELECT COUNT(DISTINCT policy_fingerprint) FROM cdr WHERE topic_partition = source_partition": "1",
		} {
			if got := d.rows(t, query); len(got) != 1 || got[0] != want {
				t.Errorf("%s: %v, want %s", query, got, want)
			}
		}
	})
}

func TestWhatCallersCallThemselvesComesThroughOrIsReplaced(t *testing.T) {
	databases(t, func(t *testing.T, c *cluster, d *place) {
		c.produce(100)
		d.fill(c)
		want := map[string]bool{
			"Zoë":                  true,
			"<nil>":                true,
			"=cmd|'/c calc'!A1":    true,
			`back\u0000slash`:      true,
			"quo\"te, comma\nline": true,
			"not utf-8: \uFFFD":    true,
			"🎥":                    true,
		}
		if d.kind == "postgres" {
			want["nul\uFFFDbyte"] = true
		} else {
			want["nul\x00byte"] = true
		}
		for _, name := range d.rows(t, "SELECT DISTINCT display_name FROM cdr") {
			if !want[name] {
				t.Errorf("somebody is called %q", name)
			}
			delete(want, name)
		}
		if len(want) > 0 {
			t.Errorf("nobody is called %v", want)
		}
	})
}

func TestAHoleIsSeen(t *testing.T) {
	databases(t, func(t *testing.T, c *cluster, d *place) {
		c.produce(100)
		d.fill(c)
		if _, err := d.db.Exec(
			"DELETE FROM cdr WHERE topic_partition = 1 AND local_record_sequence_number IN (3, 4, 9)"); err != nil {
			t.Fatal(err)
		}
		got := d.rows(t, "SELECT topic_partition, first_missing, last_missing, missing FROM cdr_hole ORDER BY first_missing")
		if fmt.Sprint(got) != "[1 3 4 2 1 9 9 1]" {
			t.Errorf("holes: %v", got)
		}
	})
}

func TestATopicThatWasMadeAnewStopsTheSinkUntilSomebodySaysThatItIsMeant(t *testing.T) {
	databases(t, func(t *testing.T, c *cluster, d *place) {
		c.produce(50)
		d.fill(c)
		before := len(d.ids(t))
		c.again()
		c.produce(100)
		if err := d.once(c); !errors.Is(err, consume.ErrForeign) || !strings.Contains(err.Error(), "made again") {
			t.Fatalf("got %v", err)
		}
		if n := len(d.ids(t)); n != before {
			t.Fatalf("%d records were written", n-before)
		}
		k := c.task(d)
		k.Once, k.NewTopic = true, true
		if err := k.run(t); err != nil {
			t.Fatal(err)
		}
		if n := len(d.ids(t)); n != before+100 {
			t.Errorf("%d records, want %d", n, before+100)
		}
		if holes := d.rows(t, "SELECT * FROM cdr_hole"); holes != nil {
			t.Errorf("holes: %v", holes)
		}
		d.fill(c) // from now on it belongs to the new one
	})
}

func TestAPositionBeyondTheTopicStopsTheSink(t *testing.T) {
	databases(t, func(t *testing.T, c *cluster, d *place) {
		c.produce(50)
		d.fill(c)
		if _, err := d.db.Exec("UPDATE cdr_position SET next_offset = 1000000 WHERE topic_partition = 2"); err != nil {
			t.Fatal(err)
		}
		if err := d.once(c); !errors.Is(err, consume.ErrLost) {
			t.Fatalf("got %v", err)
		}
	})
}

func TestADatabaseOfANewerProgramIsLeftAlone(t *testing.T) {
	databases(t, func(t *testing.T, c *cluster, d *place) {
		c.produce(50)
		d.fill(c)
		for _, change := range []string{`"record_id","from_the_future"`, `"record_id"`} {
			_, err := d.db.Exec(
				fmt.Sprintf(`UPDATE cdr_schema SET known = REPLACE(REPLACE(known, ',"from_the_future"', ''), '"record_id"', '%s')`,
					change),
			)
			if err != nil {
				t.Fatal(err)
			}
			err = d.once(c)
			if newer := strings.Contains(change, "future"); errors.Is(err, consume.ErrNewer) != newer {
				t.Fatalf("with %s: %v", change, err)
			}
		}
	})
}

// An older program knew fewer fields; its database grows while its records stay, and views that others made on ours
// stay, too.
func TestADatabaseOfAnOlderProgramGrows(t *testing.T) {
	databases(t, func(t *testing.T, c *cluster, d *place) {
		c.produce(50)
		d.fill(c)
		for _, statement := range []string{
			"DROP VIEW cdr_session", "DROP VIEW cdr_leg", "DROP VIEW cdr_part",
			"ALTER TABLE cdr DROP COLUMN sip_reason", "ALTER TABLE cdr_stream DROP COLUMN rtt_min",
			`UPDATE cdr_schema SET known = REPLACE(REPLACE(known, ',"sip_reason"', ''), ',"rtt_min"', '')`,
			"CREATE VIEW cdr_part AS SELECT record_id FROM cdr", "CREATE VIEW theirs AS SELECT * FROM cdr_part",
		} {
			if _, err := d.db.Exec(statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
		c.produce(50)
		d.fill(c)
		same(t, d.ids(t), c.ids())
		if got := d.rows(t,
			"SELECT COUNT(*) FROM theirs, (SELECT COUNT(sip_reason) FROM cdr_leg) AS l, "+
				"(SELECT COUNT(rtt_min) FROM cdr_stream) AS s"); len(got) != 1 {
			t.Errorf("got %v", got)
		}
	})
}

// Of two sinks one writes. The other waits, or is refused; that one which slept while its place was taken does no harm.
func TestASinkThatWakesUpAfterAnotherTookItsPlaceDoesNoHarm(t *testing.T) {
	databases(t, func(t *testing.T, c *cluster, d *place) {
		c.produce(200)
		k := c.task(d)
		zombie := k.start(t)
		if said := <-zombie.said; said != "ready" {
			t.Fatalf("it said %q\n%s", said, zombie.log)
		}
		d.asleep(t, zombie)
		if d.kind == "postgres" { // as a server does that has lost sight of it
			d.rows(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'januscdr-sink'"+
				" AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = "+
				"hashtext(current_schema())::bigint::bit(32)::bigint)")
		}
		c.produce(300)
		d.fill(c)
		zombie.signal(t, syscall.SIGCONT)
		c.produce(300)
		if d.kind == "sqlite" { // PostgreSQL lets it wait for its turn
			if said := <-zombie.said; !strings.Contains(said, consume.ErrFenced.Error()) {
				t.Errorf("it said %q", said)
			}
		}
		d.fill(c)
		zombie.killed(t)
		d.fill(c)
		same(t, d.ids(t), c.ids())
	})
}

// asleep stops a process between two of its transactions. One that stops within a transaction of SQLite's keeps the
// file for as long as it sleeps, and nobody takes its place.
func (d *place) asleep(t *testing.T, p *process) {
	t.Helper()
	p.halt(t)
	if d.kind != "sqlite" {
		return
	}
	own, err := d.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	for limit := time.Now().Add(patience); ; {
		_, err := own.ExecContext(t.Context(),
			"PRAGMA busy_timeout = 200; BEGIN IMMEDIATE; ROLLBACK; PRAGMA busy_timeout = 10000")
		if err == nil {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("it always sleeps within a transaction: %v", err)
		}
		p.signal(t, syscall.SIGCONT)
		p.halt(t)
	}
}

func TestNothingIsWrittenTwiceBetweenRuns(t *testing.T) {
	databases(t, func(t *testing.T, c *cluster, d *place) {
		for range 3 {
			c.produce(30)
			d.fill(c)
			before := d.rows(t, "SELECT next_offset FROM cdr_position ORDER BY topic_partition")
			d.fill(c)
			if after := d.rows(t,
				"SELECT next_offset FROM cdr_position ORDER BY topic_partition"); fmt.Sprint(before) != fmt.Sprint(after) {
				t.Errorf("the position moved without records: %v, %v", before, after)
			}
		}
		same(t, d.ids(t), c.ids())
	})
}

// What a target takes a second, from the topic to the database, with all that is in between.
// cpuTime is what this process took of all cores. With a real Kafka (JANUSCDR_E2E_BROKERS) that is the sink, without
// one the embedded broker, too.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkSink(b *testing.B) {
	where := map[string]string{
		"sqlite":   filepath.Join(b.TempDir(), "records.sqlite"),
		"postgres": os.Getenv(postgresVariable),
		"parquet":  filepath.Join(b.TempDir(), "records"),
		"topic":    "copies",
	}
	for _, kind := range []string{"sqlite", "postgres", "parquet", "csv", "jsonl", "avro", "topic", "flat-avro"} {
		b.Run(kind, func(b *testing.B) {
			if kind == "postgres" && where[kind] == "" {
				b.Skip("no PostgreSQL: " + postgresVariable + " names none")
			}
			c := newCluster(b)
			c.bulk(b.N)
			if kind == "topic" || kind == "flat-avro" {
				where[kind] = c.copied().Place
			} else if where[kind] == "" && kind != "postgres" {
				where[kind] = filepath.Join(b.TempDir(), "records")
			}
			k := task{Brokers: c.opts.Brokers, Topic: c.topic, Kind: kind, Place: where[kind], Once: true, NewTopic: true}
			before := cpuTime(b)
			b.ResetTimer()
			if err := k.run(b); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric(float64(b.N)/(cpuTime(b)-before).Seconds(), "records/cpu-s")
			var memory syscall.Rusage
			if err := syscall.Getrusage(syscall.RUSAGE_SELF, &memory); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(memory.Maxrss)/1024, "peak-MiB")
		})
	}
}
