// Package files keeps records in files: CSV, JSON lines, Avro or Parquet.
//
// It promises what consume.Target does: a manifest names files that are complete and safe, with the position behind
// them, and appears in one act. What no manifest names is not part of the export. It touches one folder, or one prefix
// of a bucket:
//
//	date=2026-11-27/cdr-….parquet   records by the day on which they were written to the topic; a file never changes
//	manifests/0000000042.json       the chain of manifests
//	staged/                         what is not committed yet
package files

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"

	"januscdr/avro"
	"januscdr/consume"
)

// Options say where the files are, and when one is closed.
type Options struct {
	Dir     string // made if needed; s3://bucket/prefix: in an object store
	S3      S3
	Form    Form
	Program string // our version, for the manifests

	Every   time.Duration  // a file is open for at most so long; 0: 1h
	Bytes   int64          // and has about so many bytes; 0: 256 MiB
	Records int64          // and about so many records; 0: 1,000,000
	Zone    *time.Location // of the days; nil: UTC

	NewTopic bool         // a batch of another topic than that of the folder is taken
	Log      hclog.Logger // nil: silent
}

// Folders below that of the target.
const (
	manifestsDir = "manifests"
	stagedDir    = "staged"
)

// Target is a folder of files.
type Target struct {
	o      Options
	store  store // nil: not there yet
	now    func() time.Time
	last   *Manifest // nil: none
	sum    string    // its hash
	open   map[string]*openFile
	next   *Manifest // what becomes of the open files; nil: nothing is open
	since  time.Time
	values []avro.Value
}

// openFile is a file that is being written.
type openFile struct {
	File
	day     string
	file    *os.File
	buffer  *bufio.Writer
	counted *counter
	encoder Encoder
}

// counter counts and hashes what is written.
type counter struct {
	w io.Writer
	h hash.Hash
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.h.Write(p[:n])
	c.n += int64(n)
	return n, err
}

// New makes a target; Positions makes the folder.
func New(o Options) *Target {
	if o.Every <= 0 {
		o.Every = time.Hour
	}
	if o.Bytes <= 0 {
		o.Bytes = 256 << 20
	}
	if o.Records <= 0 {
		o.Records = 1_000_000
	}
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	return &Target{o: o, now: time.Now}
}

// at returns the store that a path names.
func at(dir string, o S3) (store, error) {
	if IsS3(dir) {
		return newBucket(dir, o)
	}
	return disk{dir}, nil
}

// Positions makes the folder, finishes what a manifest has committed, and tells what the newest one says.
func (t *Target) Positions(ctx context.Context) (consume.Origin, map[int32]int64, error) {
	t.discard()
	if _, err := t.o.Form.columns(); err != nil {
		return consume.Origin{}, nil, fmt.Errorf("%w: %w", consume.ErrRefused, err)
	}
	if t.store == nil {
		p, err := at(t.o.Dir, t.o.S3)
		if err != nil {
			return consume.Origin{}, nil, err
		}
		t.store = p
	}
	if err := t.store.prepare(ctx); err != nil {
		return consume.Origin{}, nil, err
	}
	m, sum, err := newest(ctx, t.store)
	if err != nil {
		return consume.Origin{}, nil, err
	}
	t.last, t.sum = m, sum
	if m == nil {
		return consume.Origin{}, nil, nil
	}
	if err := t.settle(ctx, m); err != nil {
		return consume.Origin{}, nil, err
	}
	return m.Origin, maps.Clone(m.Positions), nil
}

// newest is the last manifest of a place and its hash; nil when there is none.
func newest(ctx context.Context, p store) (*Manifest, string, error) {
	names, err := manifestNames(ctx, p)
	if err != nil || len(names) == 0 {
		return nil, "", err
	}
	b, err := read(ctx, p, manifestsDir+"/"+names[len(names)-1])
	if err != nil {
		return nil, "", err
	}
	m, err := readManifest(b)
	return m, sumOf(b), err
}

// Write appends records to files that are open, and commits them when it is time.
func (t *Target) Write(ctx context.Context, b consume.Batch) error {
	if len(b.Rows) > 0 && t.next == nil {
		if t.last != nil && t.last.Origin != b.Origin {
			if !t.o.NewTopic {
				return fmt.Errorf("%w: somebody else began to fill it", consume.ErrForeign)
			}
			// The chain goes on, positions and numbers begin anew.
			t.last = &Manifest{SequenceNumber: t.last.SequenceNumber, Positions: map[int32]int64{}, Numbers: map[int32]int64{}}
		}
		t.next, t.since, t.open = t.last.next(t.sum), t.now(), map[string]*openFile{}
		t.next.Origin, t.next.Opened, t.next.Program, t.next.Schema = b.Origin, t.since.UTC(), t.o.Program, avro.Fingerprint()
	}
	for i := range b.Rows {
		if err := t.add(&b.Rows[i]); err != nil {
			return err
		}
	}
	if t.next == nil {
		return nil
	}
	for partition, step := range b.Steps {
		t.next.Positions[partition] = step.To
	}
	if reason := t.due(); reason != "" {
		return t.commit(ctx, reason)
	}
	return nil
}

func (t *Target) add(r *consume.Row) error {
	day := r.Appended.In(t.o.Zone).Format(time.DateOnly)
	f := t.open[day]
	if f == nil {
		var err error
		if f, err = t.begin(day); err != nil {
			return fmt.Errorf("begin a file: %w", err)
		}
		t.open[day] = f
	}
	t.values = avro.Values(t.values, &r.Record)
	if err := f.encoder.Add(r, t.values); err != nil {
		return fmt.Errorf("write to %s: %w", f.Staged, err)
	}
	f.count(r)
	t.next.count(r)
	return nil
}

func (t *Target) begin(day string) (*openFile, error) {
	f := &openFile{File: File{Types: map[string]int64{}, Staged: rand.Text() + ".part"}, day: day}
	var err error
	if f.file, err = t.store.create(f.Staged); err != nil {
		return nil, err
	}
	f.counted = &counter{w: f.file, h: sha256.New()}
	f.buffer = bufio.NewWriterSize(f.counted, 256<<10)
	if f.encoder, err = t.o.Form.NewEncoder(f.buffer, true); err != nil {
		t.store.drop(f.Staged, f.file)
		return nil, err
	}
	return f, nil
}

// due tells whether it is time to close the files, and why.
func (t *Target) due() Reason {
	var bytes, records int64
	for _, f := range t.open {
		bytes += f.counted.n
		records += f.Records
	}
	now := t.now()
	switch {
	case records >= t.o.Records:
		return Records
	case bytes >= t.o.Bytes:
		return SizeLimit
	case now.Sub(t.since) >= t.o.Every:
		return TimeLimit
	case now.In(t.o.Zone).Format(time.DateOnly) != t.since.In(t.o.Zone).Format(time.DateOnly):
		return Midnight
	}
	return ""
}

// commit makes the open files complete and durable, then lets a manifest appear that names them, then gives them their
// names: whoever reads the folder by its names sees what is committed only.
func (t *Target) commit(ctx context.Context, reason Reason) error {
	m := t.next
	m.ClosureReason, m.Closed = reason, t.now().UTC()
	for _, day := range slices.Sorted(maps.Keys(t.open)) {
		f := t.open[day]
		if err := errors.Join(f.encoder.Close(), f.buffer.Flush()); err != nil {
			return fmt.Errorf("finish %s: %w", f.Staged, err)
		}
		f.SHA256, f.Bytes = hex.EncodeToString(f.counted.h.Sum(nil)), f.counted.n
		if err := t.store.stage(ctx, f.Staged, f.file, f.Bytes); err != nil {
			return fmt.Errorf("finish %s: %w", f.Staged, err)
		}
		f.Name = fmt.Sprintf("date=%s/cdr-%010d-%s.%s", day, m.SequenceNumber, f.SHA256[:8], t.o.Form.Extension())
		m.Files = append(m.Files, f.File)
	}
	b, err := m.bytes()
	if err != nil {
		return err
	}
	err = t.store.publish(ctx, manifestName(m.SequenceNumber), b)
	if !errors.Is(err, consume.ErrFenced) {
		t.open = nil // from now on the files may be part of the export
	}
	if err != nil {
		return fmt.Errorf("publish manifest %s: %w", manifestName(m.SequenceNumber), err)
	}
	t.last, t.sum, t.next = m, sumOf(b), nil
	t.o.Log.Info("files are complete", "manifest", m.SequenceNumber, "files", len(m.Files), "reason", reason)
	return t.settle(ctx, m)
}

// settle gives the files of a manifest their names, those that have not got them yet.
func (t *Target) settle(ctx context.Context, m *Manifest) error {
	for i := range m.Files {
		if err := t.store.settle(ctx, m.Files[i].Staged, m.Files[i].Name); err != nil {
			return fmt.Errorf("name %s: %w", m.Files[i].Name, err)
		}
	}
	return nil
}

// Flush commits what is open.
func (t *Target) Flush(ctx context.Context) error {
	if t.next == nil {
		return nil
	}
	return t.commit(ctx, Manual)
}

// Close forgets what is open.
func (t *Target) Close() error {
	t.discard()
	return nil
}

func (t *Target) discard() {
	for _, f := range t.open {
		t.store.drop(f.Staged, f.file)
	}
	t.open, t.next = nil, nil
}
