package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"januscdr/internal/fixtures/procs"
)

// What a disk can do to the state of a processor that was killed. Each comes as often as the others.
var spoils = []string{"deleted", "old", "torn", "swapped"}

// spoiled counts them.
type spoiled struct {
	next   atomic.Int64
	counts [4]atomic.Int64
}

func (s *spoiled) all() (n int64) {
	for i := range s.counts {
		n += s.counts[i].Load()
	}
	return n
}

func (s *spoiled) String() string {
	var parts []string
	for i, what := range spoils {
		parts = append(parts, fmt.Sprintf("%d %s", s.counts[i].Load(), what))
	}
	return strings.Join(parts, ", ")
}

// spoil kills a processor, does something to its state, and starts it again.
func (f *faults) spoil(ctx context.Context, chance *rand.Rand, healing *sync.WaitGroup) error {
	kind := int(f.spoiled.next.Add(1)-1) % len(spoils)
	victim, err := seize(ctx, chance, f.s.ordinary(), nil)
	if err != nil {
		return err
	}
	if !victim.Kill() {
		victim.Struck.Store(false)
		return nil
	}
	f.note("%s killed, its state is %s", victim.Name, spoils[kind])
	kept := victim.State + ".old"
	switch spoils[kind] {
	case "deleted":
		err = os.RemoveAll(victim.State)
	case "old":
		err = putBack(ctx, victim.State, kept)
	case "torn":
		err = tear(victim.State, chance)
	case "swapped":
		err = f.swap(ctx, chance, victim, healing)
	}
	if err != nil {
		return fmt.Errorf("spoil the state of %s: %w", victim.Name, err)
	}
	f.spoiled.counts[kind].Add(1)
	f.heal(ctx, victim, time.Duration(chance.Float64()*float64(500*time.Millisecond)), healing)
	return nil
}

// putBack puts a copy in the place of a state, and keeps the state as the next copy. The first time there is none.
func putBack(ctx context.Context, state, kept string) error {
	newer := state + ".newer"
	if err := copyTree(ctx, state, newer); err != nil {
		return err
	}
	if _, err := os.Stat(kept); err == nil {
		if err := os.RemoveAll(state); err != nil {
			return err
		}
		if err := os.Rename(kept, state); err != nil {
			return err
		}
	}
	return os.Rename(newer, kept)
}

func copyTree(ctx context.Context, from, to string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
		return os.MkdirAll(to, 0o755)
	}
	// Its files are sparse.
	if out, err := exec.CommandContext(ctx, "cp", "-a", "--sparse=always", from, to).CombinedOutput(); err != nil {
		return fmt.Errorf("copy %s: %w: %s", from, err, out)
	}
	return nil
}

// tear cuts the file of each store that was written last, as a write that was under way.
func tear(state string, chance *rand.Rand) error {
	last := map[string]string{} // by folder of the store
	when := map[string]time.Time{}
	err := filepath.WalkDir(state, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Base(filepath.Dir(path)) != "db" {
			return err
		}
		if ext := filepath.Ext(path); ext != ".mem" && ext != ".vlog" && d.Name() != "MANIFEST" {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if dir := filepath.Dir(path); info.ModTime().After(when[dir]) {
			last[dir], when[dir] = path, info.ModTime()
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, path := range last {
		info, failed := os.Stat(path)
		if failed == nil {
			failed = os.Truncate(path, int64(chance.Float64()*float64(info.Size())))
		}
		err = errors.Join(err, failed)
	}
	return err
}

// swap exchanges the state of a victim with that of another processor, which is killed for it.
func (f *faults) swap(ctx context.Context, chance *rand.Rand, victim *procs.Service, healing *sync.WaitGroup) error {
	for _, i := range chance.Perm(len(f.s.ordinary())) {
		other := f.s.ordinary()[i]
		if other == victim || !other.Struck.CompareAndSwap(false, true) {
			continue
		}
		other.Kill()
		aside := victim.State + ".aside"
		err := errors.Join(os.MkdirAll(victim.State, 0o755), os.MkdirAll(other.State, 0o755),
			os.Rename(victim.State, aside), os.Rename(other.State, victim.State), os.Rename(aside, other.State))
		f.note("%s killed, its state was swapped with that of %s", other.Name, victim.Name)
		f.heal(ctx, other, 0, healing)
		return err
	}
	return nil
}

// smallDisk is the disk of one processor, which is filled.
const smallDisk = 192 << 20

// mount gives the last processor a disk of its own.
func (s *scenario) mount() error {
	p := s.Processors[len(s.Processors)-1]
	disk := filepath.Join(filepath.Dir(p.Log), "disk")
	if err := os.MkdirAll(disk, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount("chaos", disk, "tmpfs", 0, fmt.Sprintf("size=%d", smallDisk)); err != nil {
		return fmt.Errorf("mount a small disk at %s: %w: leave -fills out, or be root", disk, err)
	}
	s.disk = disk
	p.State = filepath.Join(disk, "state")
	p.Set("STATE_DIR", p.State)
	return nil
}

func (s *scenario) unmount() {
	if s.disk != "" {
		_ = syscall.Unmount(s.disk, syscall.MNT_DETACH)
	}
}

// ordinary are the processors whose disk is not filled.
func (s *scenario) ordinary() []*procs.Service {
	if s.disk == "" {
		return s.Processors
	}
	return s.Processors[:len(s.Processors)-1]
}

// diskFull is what a processor says in the end whose disk is full.
const diskFull = "disk is full"

// fullFor is how long a disk stays full at most: a processor that writes notices within seconds.
const fullFor = 15 * time.Second

// fill fills the small disk. Its processor must end in order, which is the one case in which somebody has to start it
// again, or go on.
func (f *faults) fill(ctx context.Context, chance *rand.Rand) error {
	victim, err := seize(ctx, chance, f.s.Processors[len(f.s.Processors)-1:], nil)
	if err != nil {
		return err
	}
	defer victim.Struck.Store(false)
	f.note("the disk of %s is filled", victim.Name)
	type outcome struct {
		ended bool
		err   error
	}
	watched := make(chan outcome, 1) // from before: it may end before the disk is full
	go func() {
		ended, err := victim.AwaitEnd(ctx, fullFor)
		watched <- outcome{ended, err}
	}()
	name := filepath.Join(f.s.disk, "filler")
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	// At some pace, so that it is full in the midst of something.
	for block := make([]byte, 1<<20); err == nil; {
		_, err = file.Write(block)
		procs.Sleep(ctx, time.Duration(chance.Float64()*float64(10*time.Millisecond)))
	}
	_ = file.Close()
	if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, io.ErrShortWrite) {
		return err
	}
	end := <-watched
	var exit *exec.ExitError
	switch words := victim.LastWords(); {
	case !end.ended:
		f.note("%s went on for %v", victim.Name, fullFor)
	case !errors.As(end.err, &exit) || exit.ExitCode() != 1 || !strings.Contains(words, diskFull):
		f.s.Complaints.Add("%s met a full disk and ended with %v: %.300s", victim.Name, end.err, words)
	default:
		f.inOrder.Add(1)
	}
	f.fills.Add(1)
	if err := os.Remove(name); err != nil {
		return err
	}
	f.note("the disk of %s has room again", victim.Name)
	return victim.Start()
}
