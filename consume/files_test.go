package consume_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/linkedin/goavro/v2"
	"github.com/parquet-go/parquet-go"

	"januscdr/avro"
	"januscdr/consume"
	"januscdr/consume/files"
)

// each runs a test on each form of files.
func eachForm(t *testing.T, f func(t *testing.T, c *cluster, k task)) {
	for _, form := range files.Forms {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			f(
				t,
				c,
				task{
					Brokers: c.opts.Brokers,
					Topic:   c.topic,
					Kind:    form,
					Place:   filepath.Join(t.TempDir(), "records"),
					Records: 50,
				},
			)
		})
	}
}

func (k task) fill(t *testing.T) {
	t.Helper()
	k.Once = true
	if err := k.run(t); err != nil {
		t.Fatal(err)
	}
}

// dataFiles are the files that somebody sees who knows nothing of manifests.
func (k task) dataFiles(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(k.Place, "date=*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// idsIn are the records in the files of a folder, each with how often.
func (k task) ids(t *testing.T) map[string]int {
	t.Helper()
	all := map[string]int{}
	for _, path := range k.dataFiles(t) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range idsIn(t, k.Kind, b) {
			all[id]++
		}
	}
	return all
}

func idsIn(t *testing.T, form string, b []byte) (ids []string) {
	t.Helper()
	var err error
	switch form {
	case "csv":
		var rows [][]string
		rows, err = csv.NewReader(bytes.NewReader(b)).ReadAll()
		if err == nil {
			at := slices.Index(rows[0], "record_id")
			for _, row := range rows[1:] {
				ids = append(ids, row[at])
			}
		}
	case "jsonl":
		var z *zstd.Decoder
		if z, err = zstd.NewReader(bytes.NewReader(b)); err == nil {
			b, err = io.ReadAll(z)
			for line := range bytes.Lines(b) {
				var r struct {
					RecordID string `json:"record_id"`
				}
				if err := json.Unmarshal(line, &r); err != nil {
					t.Fatal(err)
				}
				ids = append(ids, r.RecordID)
			}
		}
	case "avro":
		var r *goavro.OCFReader
		if r, err = goavro.NewOCFReader(bytes.NewReader(b)); err == nil {
			for r.Scan() {
				v, err := r.Read()
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, v.(map[string]any)["record_id"].(string))
			}
			err = r.Err()
		}
	case "parquet":
		type row struct {
			RecordID string `parquet:"record_id"`
		}
		var rows []row
		rows, err = parquet.Read[row](bytes.NewReader(b), int64(len(b)))
		for _, r := range rows {
			ids = append(ids, r.RecordID)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func (k task) verified(t *testing.T) files.Report {
	t.Helper()
	r, err := files.Verify(t.Context(), k.Place, k.S3)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		t.Error(f)
	}
	return r
}

func TestFilesHoldEachRecordOnceThoughTheirWriterIsKilled(t *testing.T) {
	eachForm(t, func(t *testing.T, c *cluster, k task) {
		c.storm(k, kills(t, 8), nil)
		same(t, k.ids(t), c.ids())
		r := k.verified(t)
		if n := len(c.records); r.Records != int64(n) || r.Lost != 0 || r.Manifests < 2 {
			t.Errorf("%+v, of %d records", r, n)
		}
		if _, err := files.GC(t.Context(), k.Place, files.S3{}, 0, true); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(filepath.Join(k.Place, "staged")); err != nil || len(left) > 0 {
			t.Errorf("%v is left, %v", left, err)
		}
		k.verified(t)
	})
}

func TestOfTwoWritersOfOneFolderOneEnds(t *testing.T) {
	c := newCluster(t)
	c.produce(100)
	k := task{Brokers: c.opts.Brokers, Topic: c.topic, Kind: "jsonl", Place: t.TempDir(), Records: 50}
	k.wakesFenced(t, c)
	same(t, k.ids(t), c.ids())
	k.verified(t)
}

// refusesAnother fills a target and makes its topic anew: it is left alone until somebody says that this is meant.
func (k *task) refusesAnother(t *testing.T, c *cluster) {
	t.Helper()
	k.fill(t)
	c.again()
	c.produce(80)
	k.Once = true
	if err := k.run(t); !errors.Is(err, consume.ErrForeign) {
		t.Fatalf("got %v", err)
	}
	k.NewTopic = true
	k.fill(t)
}

func TestAFolderOfAnotherTopicIsLeftAloneUntilSomebodySaysThatItIsMeant(t *testing.T) {
	c := newCluster(t)
	c.produce(60)
	k := task{Brokers: c.opts.Brokers, Topic: c.topic, Kind: "csv", Place: t.TempDir(), Records: 50}
	k.refusesAnother(t, c)
	if r := k.verified(t); r.Records != 140 {
		t.Errorf("%+v", r)
	}
}

func TestAFileThatIsMissingChangedOrBesidesIsNamed(t *testing.T) {
	c := newCluster(t)
	k := task{Brokers: c.opts.Brokers, Topic: c.topic, Kind: "csv", Place: t.TempDir(), Records: 50}
	for range 3 {
		c.produce(30)
		k.fill(t)
	}
	paths := k.dataFiles(t)
	if len(paths) != 3 {
		t.Fatalf("%d files", len(paths))
	}
	first := filepath.Base(paths[0])
	content, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	manifest := func(n int) string { return filepath.Join(k.Place, "manifests", fmt.Sprintf("%010d.json", n)) }
	for name, scene := range map[string]struct {
		harm, mend func() error
		words      []string
	}{
		"removed": {func() error { return os.Rename(paths[0], paths[0]+".away") },
			func() error { return os.Rename(paths[0]+".away", paths[0]) },
			[]string{first + " of manifest 0000000001.json is missing", first + ".away is named by no manifest"}},
		"changed": {func() error {
			return os.WriteFile(paths[0], bytes.Replace(content, []byte("LEG"), []byte("GEL"), 1), 0o600)
		},
			func() error { return os.WriteFile(paths[0], content, 0o600) },
			[]string{first + " of manifest 0000000001.json was changed"}},
		"cut": {func() error { return os.Truncate(paths[0], 100) },
			func() error { return os.WriteFile(paths[0], content, 0o600) },
			[]string{first + " of manifest 0000000001.json has 100 bytes"}},
		"doubled": {func() error { return os.WriteFile(paths[0]+".csv", content, 0o600) },
			func() error { return os.Remove(paths[0] + ".csv") },
			[]string{first + ".csv is named by no manifest"}},
		"a manifest less": {func() error { return os.Rename(manifest(2), manifest(2)+".away") },
			func() error { return os.Rename(manifest(2)+".away", manifest(2)) },
			[]string{"0000000003.json has the number 3, and 2 would be next",
				filepath.Base(paths[1]) + " is named by no manifest"}},
		"a manifest that was mended": {func() error { return edit(manifest(1), `"records": 30`, `"records": 31`) },
			func() error { return edit(manifest(1), `"records": 31`, `"records": 30`) },
			[]string{"0000000002.json does not follow the one before"}},
	} {
		k.verified(t)
		if err := scene.harm(); err != nil {
			t.Fatal(err)
		}
		r, err := files.Verify(t.Context(), k.Place, files.S3{})
		if err != nil || len(r.Findings) != len(scene.words) {
			t.Errorf("%s: %v, %v", name, r.Findings, err)
		}
		for _, words := range scene.words {
			if !strings.Contains(strings.Join(r.Findings, "\n"), words) {
				t.Errorf("%s: %q, want %q", name, r.Findings, words)
			}
		}
		if err := scene.mend(); err != nil {
			t.Fatal(err)
		}
	}
}

func edit(path, from, to string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !bytes.Contains(b, []byte(from)) {
		return fmt.Errorf("%s has no %s", path, from)
	}
	return os.WriteFile(path, bytes.Replace(b, []byte(from), []byte(to), 1), 0o600)
}

// What somebody else's libraries read: the sums of a month per reference, in DuckDB's and pyarrow's own words.
func TestOthersReadTheFilesAndSumUpTheSame(t *testing.T) {
	python := os.Getenv("JANUSCDR_PYTHON")
	if python == "" {
		t.Skip("JANUSCDR_PYTHON names no Python with duckdb and pyarrow")
	}
	if err := exec.Command(python, "-c", "import duckdb, pyarrow").Run(); err != nil {
		t.Skip("this Python has no duckdb or no pyarrow")
	}
	since, until := november(t, "UTC")
	readers := map[string][]string{"parquet": {"parquet", "pyarrow", "polars", "chdb"}, "csv": {"csv"}, "jsonl": {"jsonl"},
		"avro": {"avro"}}
	eachForm(t, func(t *testing.T, c *cluster, k task) {
		c.produce(700)
		k.fill(t)
		for _, reader := range readers[k.Kind] {
			if module := map[string]string{"polars": "polars", "chdb": "chdb"}[reader]; module != "" &&
				exec.Command(python, "-c", "import "+module).Run() != nil {
				t.Logf("this Python has no %s", module)
				continue
			}
			cmd := exec.Command(python, "-c", pythonOf(t, reader))
			cmd.Dir = filepath.Dir(k.Place)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v\n%s", reader, err, out)
			}
			if got, want := sumsOf(t, string(out)), c.charged(since, until); !maps.Equal(got, want) || len(want) != 5 {
				t.Errorf("%s: got %v, want %v", reader, got, want)
			}
		}
	})
}

// sumsOf are the microseconds by reference in lines of reference, calls, microseconds.
func sumsOf(t *testing.T, lines string) map[string]int64 {
	t.Helper()
	got := map[string]int64{}
	for line := range strings.Lines(lines) {
		var reference string
		if strings.HasPrefix(line, "None ") || strings.HasPrefix(line, `\N`) {
			continue // calls without a reference
		}
		var calls, sum int64
		if _, err := fmt.Sscan(line, &reference, &calls, &sum); err != nil {
			t.Fatalf("%v\n%s", err, lines)
		}
		got[reference] = sum
	}
	return got
}

// pythonOf is the program of the page about files that sums up a month of a form.
func pythonOf(t *testing.T, form string) string {
	t.Helper()
	page := "files.md"
	if form == "chdb" {
		page = "clickhouse.md"
	}
	b, err := os.ReadFile("../docs/consumers/" + page)
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(b), "<!-- month: "+form+" -->\n```python\n")
	if !ok {
		t.Fatalf("%s sums up no month of %s", page, form)
	}
	script, _, _ := strings.Cut(after, "```")
	return script
}

func TestAFileIsCompleteAtItsTimeThoughNothingComes(t *testing.T) {
	t.Parallel()
	dir, r := t.TempDir(), aRecord(0)
	synctest.Test(t, func(t *testing.T) {
		target := files.New(files.Options{Dir: dir, Form: files.Form{Name: "csv"}, Every: time.Minute})
		if _, _, err := target.Positions(t.Context()); err != nil {
			t.Fatal(err)
		}
		batch := consume.Batch{
			Origin: consume.Origin{Topic: "x"},
			Rows:   []consume.Row{{Record: r, Appended: time.UnixMicro(int64(month))}},
			Steps:  map[int32]consume.Step{0: {From: consume.Fresh, To: 1}},
		}
		if err := target.Write(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		complete := func() bool {
			t.Helper()
			if err := target.Write(t.Context(), consume.Batch{Origin: batch.Origin}); err != nil {
				t.Fatal(err)
			}
			names, err := filepath.Glob(filepath.Join(dir, "date=*", "*.csv"))
			if err != nil {
				t.Fatal(err)
			}
			return len(names) == 1
		}
		time.Sleep(time.Minute - 1)
		if complete() {
			t.Error("the file was complete before its time")
		}
		time.Sleep(time.Nanosecond)
		if !complete() {
			t.Error("the file was not complete at its time")
		}
		if _, next, err := target.Positions(t.Context()); err != nil || next[0] != 1 {
			t.Errorf("the position is %v (%v), not behind the record", next, err)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	var rows []consume.Row
	for n := range 1000 {
		rows = append(rows,
			consume.Row{Record: aRecord(n), Appended: time.UnixMicro(int64(month) + int64(n)), Policy: "00112233aabbccdd"})
	}
	for _, form := range files.Forms {
		b.Run(form, func(b *testing.B) {
			var n countingWriter
			e, err := files.Form{Name: form}.NewEncoder(&n, true)
			if err != nil {
				b.Fatal(err)
			}
			var values []avro.Value
			for i := range b.N {
				r := &rows[i%len(rows)]
				values = avro.Values(values, &r.Record)
				if err := e.Add(r, values); err != nil {
					b.Fatal(err)
				}
			}
			if err := e.Close(); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric(float64(n)/float64(b.N), "bytes/record")
		})
	}
}

type countingWriter int64

func (n *countingWriter) Write(p []byte) (int, error) {
	*n += countingWriter(len(p))
	return len(p), nil
}

func TestALargeParquetFileHasGroupsOfRows(t *testing.T) {
	t.Parallel()
	const rows = 50_050
	var b bytes.Buffer
	e, err := files.Form{Name: "parquet", Columns: []string{"topic_offset", "streams"}}.NewEncoder(&b, true)
	if err != nil {
		t.Fatal(err)
	}
	r := consume.Row{Record: aRecord(0)}
	values := avro.Values(nil, &r.Record)
	for n := range rows {
		r.Offset = int64(n)
		if err := e.Add(&r, values); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := parquet.OpenFile(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(file.RowGroups()); n != 2 {
		t.Errorf("%d groups of rows, want 2", n)
	}
	type row struct {
		Offset  int64 `parquet:"topic_offset"`
		Streams []struct {
			Codec *string `parquet:"codec"`
		} `parquet:"streams,list"`
	}
	got, err := parquet.Read[row](bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil || len(got) != rows {
		t.Fatalf("%d rows, %v", len(got), err)
	}
	for n, r := range got {
		if r.Offset != int64(n) || len(r.Streams) != 2 || r.Streams[0].Codec == nil || *r.Streams[0].Codec != "opus" ||
			r.Streams[1].Codec != nil {
			t.Fatalf("row %d is %+v", n, r)
		}
	}
}
