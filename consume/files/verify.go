package files

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"
)

// Report is what Verify found.
type Report struct {
	Manifests, Files, Records, Bytes int64
	ChargeableRecords                int64
	ChargeableDuration               int64 // microseconds
	Lost                             int64 // records, by their numbers
	Findings                         []string
}

// Verify looks whether a folder holds what its manifests say: the chain of manifests without a gap, each file as it was
// written, no file besides. The error is that the folder cannot be read; what is wrong with it is among the findings,
// one sentence each.
func Verify(ctx context.Context, dir string, o S3) (Report, error) {
	var r Report
	p, names, err := exported(ctx, dir, o)
	if err != nil {
		return r, err
	}
	find := func(format string, args ...any) { r.Findings = append(r.Findings, fmt.Sprintf(format, args...)) }
	known := map[string]int64{} // manifest by file
	positions := map[int32]int64{}
	previous, origin := "", ""
	var number int64 // of the last one
	for _, name := range names {
		b, err := read(ctx, p, manifestsDir+"/"+name)
		if err != nil {
			return r, err
		}
		m, err := readManifest(b)
		if err != nil {
			find("manifest %s cannot be read: %v", name, err)
			previous = sumOf(b)
			continue
		}
		want := number + 1
		switch {
		case m.SequenceNumber != want || name != manifestName(want):
			find("manifest %s has the number %d, and %d would be next: one is missing or was renamed", name, m.SequenceNumber,
				want)
		case m.Previous != previous:
			find("manifest %s does not follow the one before: one of them was changed", name)
		}
		number = m.SequenceNumber
		r.Manifests++
		previous = sumOf(b)
		if now := fmt.Sprint(m.Origin); now != origin {
			origin, positions = now, map[int32]int64{}
		}
		for partition, e := range m.Partitions {
			if before, ok := positions[partition]; ok && e.FirstOffset < before {
				find("manifest %s has offset %d of partition %d, which an earlier one has, too", name, e.FirstOffset, partition)
			}
			r.Lost += e.Lost
		}
		positions = m.Positions
		for _, f := range m.Files {
			if other, doubled := known[f.Name]; doubled {
				find("%s is named by manifests %d and %d", f.Name, other, m.SequenceNumber)
			}
			known[f.Name] = m.SequenceNumber
			if wrong := f.verify(ctx, p); wrong != "" {
				find("%s of manifest %s %s", f.Name, name, wrong)
			}
			r.Files++
			r.Records += f.Records
			r.Bytes += f.Bytes
			r.ChargeableRecords += f.ChargeableRecords
			r.ChargeableDuration += f.ChargeableDuration
		}
	}
	data, err := p.list(ctx, dataPrefix)
	if err != nil {
		return r, err
	}
	for _, e := range data {
		if _, ok := known[e.name]; !ok {
			find("%s is named by no manifest", e.name)
		}
	}
	return r, nil
}

// verify says what is wrong with a file; empty when nothing.
func (f *File) verify(ctx context.Context, p store) string {
	file, err := p.open(ctx, f.Name)
	if errors.Is(err, fs.ErrNotExist) {
		file, err = p.open(ctx, stagedDir+"/"+f.Staged) // committed, and not named yet
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "is missing"
	}
	if err != nil {
		return "cannot be read: " + err.Error()
	}
	defer file.Close()
	h := sha256.New()
	n, err := io.Copy(h, file)
	switch {
	case err != nil:
		return "cannot be read: " + err.Error()
	case n != f.Bytes:
		return fmt.Sprintf("has %d bytes and had %d when it was written", n, f.Bytes)
	case hex.EncodeToString(h.Sum(nil)) != f.SHA256:
		return "was changed: it has another hash"
	}
	return ""
}

// GC returns the files that no manifest names and that are older than an age, and removes them if remove is set. A
// younger one may be that of an exporter that is about to commit it.
func GC(ctx context.Context, dir string, o S3, age time.Duration, remove bool) ([]string, error) {
	p, names, err := exported(ctx, dir, o)
	if err != nil {
		return nil, err
	}
	named := map[string]bool{}
	for _, name := range names {
		b, err := read(ctx, p, manifestsDir+"/"+name)
		if err != nil {
			return nil, err
		}
		m, err := readManifest(b)
		if err != nil {
			return nil, fmt.Errorf("manifest %s: %w: nothing is removed", name, err)
		}
		for _, f := range m.Files {
			named[f.Name], named[stagedDir+"/"+f.Staged] = true, true
		}
	}
	var found []string
	for _, prefix := range []string{dataPrefix, stagedDir + "/"} {
		entries, err := p.list(ctx, prefix)
		if err != nil {
			return found, err
		}
		for _, e := range entries {
			if named[e.name] || time.Since(e.modified) < age {
				continue
			}
			found = append(found, e.name)
			if remove {
				if err := p.remove(ctx, e.name); err != nil {
					return found, err
				}
			}
		}
	}
	return found, nil
}

// dataPrefix is what the names of files of records begin with.
const dataPrefix = "date="

// manifestNames are the manifests of a place, the oldest first.
func manifestNames(ctx context.Context, p store) (names []string, err error) {
	entries, err := p.list(ctx, manifestsDir+"/")
	for _, e := range entries {
		if name := strings.TrimPrefix(e.name, manifestsDir+"/"); strings.HasSuffix(name, ".json") {
			names = append(names, name)
		}
	}
	return names, err
}

// exported opens what was exported, and names its manifests.
func exported(ctx context.Context, dir string, o S3) (store, []string, error) {
	p, err := at(dir, o)
	if err != nil {
		return nil, nil, err
	}
	names, err := manifestNames(ctx, p)
	if err == nil && len(names) == 0 {
		err = errors.New("there are no manifests")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s is no folder of an export: %w", dir, err)
	}
	return p, names, nil
}
