package spool

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// memDisk is a directory in memory that notes all that is done to it, so that a test can ask what is left if the power
// goes after any step. A file that fails to sync behaves as Linux has it: what was written stays readable, counts
// as written, and is gone after a crash.
type memDisk struct {
	mu    sync.Mutex
	files map[string]*memFile
	found map[string]*memFile // what was there, and safe, before the first step
	steps []step
	fail  func(s step) (written int, err error) // asked before each step that changes something; nil: all goes well
	held  bool
}

type memFile struct {
	data  []byte
	found []byte // of it, before the first step
}

type stepKind string

const (
	stepCreate     stepKind = "create"
	stepWrite      stepKind = "write"
	stepTruncate   stepKind = "truncate"
	stepSync       stepKind = "sync"
	stepSyncFailed stepKind = "sync failed"
	stepRename     stepKind = "rename"
	stepRemove     stepKind = "remove"
	stepSyncDir    stepKind = "sync directory"
)

type step struct {
	kind stepKind
	name string
	to   string // of a rename
	file *memFile
	at   int64
	data []byte

	doubtful bool // an fsync of it failed: no later one makes it safe
}

func newMemDisk() *memDisk { return &memDisk{files: map[string]*memFile{}} }

func (d *memDisk) note(s step) error {
	if d.fail != nil {
		if _, err := d.fail(s); err != nil {
			return err
		}
	}
	d.steps = append(d.steps, s)
	return nil
}

func (d *memDisk) list() ([]stored, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []stored
	for name, f := range d.files {
		all = append(all, stored{name, int64(len(f.data))})
	}
	slices.SortFunc(all, func(a, b stored) int { return bytes.Compare([]byte(a.name), []byte(b.name)) })
	return all, nil
}

func (d *memDisk) create(name string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files[name] != nil {
		return nil, fs.ErrExist
	}
	f := &memFile{}
	if err := d.note(step{kind: stepCreate, name: name, file: f}); err != nil {
		return nil, err
	}
	d.files[name] = f
	return &memHandle{d, name, f}, nil
}

func (d *memDisk) open(name string) (readable, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files[name] == nil {
		return nil, fs.ErrNotExist
	}
	return &memHandle{d, name, d.files[name]}, nil
}

func (d *memDisk) sync(name string) error {
	r, err := d.open(name)
	if err != nil {
		return err
	}
	return r.(*memHandle).Sync()
}

func (d *memDisk) rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files[from] == nil {
		return fs.ErrNotExist
	}
	if err := d.note(step{kind: stepRename, name: from, to: to, file: d.files[from]}); err != nil {
		return err
	}
	d.files[to] = d.files[from]
	delete(d.files, from)
	return nil
}

func (d *memDisk) remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files[name] == nil {
		return fs.ErrNotExist
	}
	if err := d.note(step{kind: stepRemove, name: name, file: d.files[name]}); err != nil {
		return err
	}
	delete(d.files, name)
	return nil
}

func (d *memDisk) syncDir() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.note(step{kind: stepSyncDir})
}

func (d *memDisk) lock() (func() error, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.held {
		return nil, ErrInUse
	}
	d.held = true
	return func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.held = false
		return nil
	}, nil
}

// done is how many steps were done.
func (d *memDisk) done() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.steps)
}

type memHandle struct {
	disk *memDisk
	name string
	file *memFile
}

func (h *memHandle) Write(b []byte) (int, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	s := step{kind: stepWrite, name: h.name, file: h.file, at: int64(len(h.file.data)), data: bytes.Clone(b)}
	var n int
	var err error
	if h.disk.fail != nil {
		n, err = h.disk.fail(s)
	}
	if err != nil {
		s.data = s.data[:n]
	}
	h.disk.steps = append(h.disk.steps, s)
	h.file.data = append(h.file.data, s.data...)
	return len(s.data), err
}

func (h *memHandle) Sync() error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	err := h.disk.note(step{kind: stepSync, name: h.name, file: h.file})
	if err != nil {
		h.disk.steps = append(h.disk.steps, step{kind: stepSyncFailed, name: h.name, file: h.file})
	}
	return err
}

func (h *memHandle) Truncate(size int64) error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if err := h.disk.note(step{kind: stepTruncate, name: h.name, file: h.file, at: size}); err != nil {
		return err
	}
	h.file.data = bytes.Clone(h.file.data[:size])
	return nil
}

func (h *memHandle) ReadAt(b []byte, at int64) (int, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if at >= int64(len(h.file.data)) {
		return 0, io.EOF
	}
	n := copy(b, h.file.data[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (h *memHandle) Close() error { return nil }

// A loss says what a crash does to what was not synced.
type loss string

const (
	lossNothing   loss = "nothing is lost" // as of a killed process
	lossAll       loss = "all is lost"     // that was not synced
	lossHalf      loss = "half a write"    // the last write of a file is there in part
	lossReordered loss = "in any order"    // any sector of any write, any name; the others are zero or of chance
	lossNames     loss = "names only"      // the content is there, the names are not
	lossContent   loss = "contents only"   // the names are there, the content is not
)

var losses = []loss{lossNothing, lossAll, lossHalf, lossReordered, lossNames, lossContent}

// past is what steps have made safe, and what they have not.
type past struct {
	names    map[string]*memFile
	moves    []step // of names, not synced
	contents map[*memFile]*content
}

type content struct {
	safe    []byte
	pending []step
}

func (p *past) move(s step) {
	if s.kind != stepCreate && p.names[s.name] == s.file {
		delete(p.names, s.name)
	}
	switch s.kind {
	case stepCreate:
		p.names[s.name] = s.file
	case stepRename:
		p.names[s.to] = s.file
	}
}

func (c *content) sync() {
	var still []step
	for _, s := range c.pending {
		if s.doubtful {
			still = append(still, s)
		} else {
			c.safe = apply(c.safe, s)
		}
	}
	c.pending = still
}

func (d *memDisk) after(steps int) *past {
	p := &past{names: map[string]*memFile{}, contents: map[*memFile]*content{}}
	for name, f := range d.found {
		p.names[name] = f
		p.contents[f] = &content{safe: bytes.Clone(f.found)}
	}
	for _, s := range d.steps[:steps] {
		switch s.kind {
		case stepCreate, stepRename, stepRemove:
			p.moves = append(p.moves, s)
			if p.contents[s.file] == nil {
				p.contents[s.file] = &content{}
			}
		case stepSyncDir:
			for _, m := range p.moves {
				p.move(m)
			}
			p.moves = nil
		case stepWrite, stepTruncate:
			p.contents[s.file].pending = append(p.contents[s.file].pending, s)
		case stepSync:
			p.contents[s.file].sync()
		case stepSyncFailed:
			for i := range p.contents[s.file].pending {
				p.contents[s.file].pending[i].doubtful = true
			}
		}
	}
	return p
}

// crashed is the disk as it is found when the power went after the given number of steps.
func (d *memDisk) crashed(steps int, l loss, chance *rand.Rand) *memDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	past := d.after(steps)
	for _, m := range past.moves {
		switch l {
		case lossAll, lossNames:
		case lossReordered:
			if chance.IntN(2) == 0 {
				past.move(m)
			}
		default:
			past.move(m)
		}
	}
	left := newMemDisk()
	left.found = map[string]*memFile{}
	for name, f := range past.names {
		c := past.contents[f]
		data := bytes.Clone(c.safe)
		for i, p := range c.pending {
			if p.doubtful && (l == lossHalf || l == lossNames || l == lossReordered && chance.IntN(2) == 0) {
				continue
			}
			switch l {
			case lossAll, lossContent:
			case lossHalf:
				if i == len(c.pending)-1 && p.kind == stepWrite {
					p.data = p.data[:len(p.data)/2]
				}
				data = apply(data, p)
			case lossReordered:
				data = apply(data, scattered(p, chance))
			default:
				data = apply(data, p)
			}
		}
		left.files[name] = &memFile{data: data, found: bytes.Clone(data)}
		left.found[name] = left.files[name]
	}
	if l == lossNothing {
		left.goOn(d, past.names, steps)
	}
	return left
}

// goOn gives a disk the past of another: its power did not go, so what was not synced there still is not.
func (d *memDisk) goOn(past *memDisk, names map[string]*memFile, steps int) {
	twins := map[*memFile]*memFile{}
	twin := func(f *memFile) *memFile {
		if f != nil && twins[f] == nil {
			twins[f] = &memFile{found: bytes.Clone(f.found)}
		}
		return twins[f]
	}
	for name, f := range names {
		data := d.files[name].data
		d.files[name] = twin(f)
		d.files[name].data = data
	}
	clear(d.found)
	for name, f := range past.found {
		d.found[name] = twin(f)
	}
	for _, s := range past.steps[:steps] {
		s.file = twin(s.file)
		d.steps = append(d.steps, s)
	}
}

func apply(data []byte, s step) []byte {
	if s.kind == stepTruncate {
		return data[:min(s.at, int64(len(data)))]
	}
	end := s.at + int64(len(s.data))
	if int64(len(data)) < end {
		data = append(data, make([]byte, end-int64(len(data)))...)
	}
	copy(data[s.at:], s.data)
	return data
}

// scattered is a write of which each sector has arrived, or is zero, or is anything.
func scattered(s step, chance *rand.Rand) step {
	s.data = bytes.Clone(s.data)
	const sector = 64 // small, so that records have several
	for from := 0; from < len(s.data); from += sector {
		part := s.data[from:min(from+sector, len(s.data))]
		switch chance.IntN(4) {
		case 0:
			clear(part)
		case 1:
			for i := range part {
				part[i] = byte(chance.Uint32())
			}
		}
	}
	if chance.IntN(2) == 0 {
		s.data = s.data[:chance.IntN(len(s.data)+1)]
	}
	return s
}

// copied is the same disk, without its past.
func (d *memDisk) copied() *memDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := newMemDisk()
	c.found = map[string]*memFile{}
	for name, f := range d.files {
		c.files[name] = &memFile{data: bytes.Clone(f.data), found: bytes.Clone(f.data)}
		c.found[name] = c.files[name]
	}
	return c
}

// segmentNames are those of the segments, oldest first.
func (d *memDisk) segmentNames(t interface{ Fatal(...any) }) []string {
	all, err := d.list()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range all {
		if len(f.name) == len("0000000000000001.spool") && f.name[0] == '0' {
			names = append(names, f.name)
		}
	}
	return names
}

func TestADiskThatFailedToSyncForgetsWhatItSeemedToHave(t *testing.T) {
	d := newMemDisk()
	f, _ := d.create("a")
	_ = d.syncDir()
	_, _ = f.Write([]byte("safe"))
	_ = f.Sync()
	_, _ = f.Write([]byte(" gone"))
	d.fail = func(step) (int, error) { return 0, errors.New("broken") }
	_ = f.Sync()
	d.fail = nil
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	for l, want := range map[loss]string{lossAll: "safe", lossHalf: "safe", lossNothing: "safe gone"} {
		after := d.crashed(d.done(), l, rand.New(rand.NewPCG(1, 1)))
		if got := string(after.files["a"].data); got != want {
			t.Errorf("%s: %q is left", l, got)
		}
	}
}
