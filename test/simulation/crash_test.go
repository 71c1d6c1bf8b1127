//go:build synctests

package simulation

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"januscdr/statestore"
)

var cuts = flag.Int("simulation.cuts", 3, "how many power cuts are tried between two steps of a store")

// A power cut leaves of each page that was written since the last sync the old or the new one. The store is looked at
// before each step of its writes; of two looks that follow each other, any mixture of pages is what a cut in between may
// leave. Whatever it leaves: the store opens, its checkpoint is one that was written, and when it is told again all from
// there on, it has what it should have.

const page = 4096

// image is what the files of a directory have, page by page; pages of zeros are left out.
type image map[string]*file

type file struct {
	size  int64
	pages map[int64][]byte
}

// batchOf is the nth batch of a run: changes of states, small ones and such as go to the value log, and deletions.
func batchOf(rng *rand.Rand) map[string][]byte {
	b := map[string][]byte{}
	for range 1 + rng.IntN(20) {
		key := fmt.Sprintf("s%d", rng.IntN(40))
		switch rng.IntN(5) {
		case 0:
			b[key] = nil
		case 1:
			b[key] = bytes.Repeat([]byte{byte(rng.IntN(256))}, 600+rng.IntN(3000))
		default:
			b[key] = bytes.Repeat([]byte{byte(rng.IntN(256))}, 1+rng.IntN(300))
		}
	}
	return b
}

func TestAPowerCutNeverLeavesACheckpointWithoutItsStates(t *testing.T) {
	const batches = 12
	for seed := range uint64(2) {
		rng := rand.New(rand.NewPCG(seed, 4))
		work := scratchDir(t)
		identity := statestore.Identity{Cluster: "c", Topic: "state", TopicID: "t"}
		var looks []image
		var names []string
		options := statestore.Options{Dir: filepath.Join(work, "store"), Identity: identity, MinFree: 1}
		options.OnCrashPoint(func(step statestore.CrashPoint) error {
			i, err := look(options.Dir)
			looks, names = append(looks, i), append(names, string(step))
			return err
		})
		store, err := statestore.Open(options)
		if err != nil {
			t.Fatal(err)
		}
		all := make([]map[string][]byte, 0, batches)
		for n := range batches {
			b := batchOf(rng)
			all = append(all, b)
			if err := store.Remember(changes(b), number(n+1)); err != nil {
				t.Fatal(err)
			}
			if err := store.Flush(); err != nil {
				t.Fatal(err)
			}
			if n == batches/2 { // what is written when it ends in order is written, too
				if err := store.Close(); err != nil {
					t.Fatal(err)
				}
				i, err := look(options.Dir)
				if err != nil {
					t.Fatal(err)
				}
				looks, names = append(looks, i), append(names, "closed")
				if store, err = statestore.Open(options); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		aside, opened := 0, 0
		for i := 1; i < len(looks); i++ {
			// The checkpoints on disk before and after: each batch has three steps, the look before its first one has the
			// checkpoint of the batch before.
			for cut := range *cuts {
				left := torn(rng, looks[i-1], looks[i], cut)
				dir := filepath.Join(work, fmt.Sprintf("cut-%d-%d", i, cut))
				if err := left.write(dir); err != nil {
					t.Fatal(err)
				}
				moved := heals(t, dir, identity, all, fmt.Sprintf("seed %d: cut %d between %q (%d) and %q", seed, cut, names[i-1], i-1, names[i]))
				opened++
				if moved {
					aside++
				}
				os.RemoveAll(dir)
			}
		}
		t.Logf("%d power cuts, after %d of them the store was set aside and built anew", opened, aside)
	}
}

// heals opens what a cut has left and tells it again what it does not have.
func heals(t *testing.T, dir string, identity statestore.Identity, all []map[string][]byte, what string) (aside bool) {
	t.Helper()
	store, err := statestore.Open(statestore.Options{Dir: dir, Identity: identity, MinFree: 1})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer store.Close()
	from := 0
	if c := store.Checkpoint(); c != nil {
		from = int(binary.BigEndian.Uint64(c))
	}
	if from > len(all) {
		t.Fatalf("%s: checkpoint %d of %d", what, from, len(all))
	}
	want := map[string][]byte{}
	for n, b := range all {
		if n >= from {
			if err := store.Remember(changes(b), number(n+1)); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		for key, value := range b {
			if value == nil {
				delete(want, key)
			} else {
				want[key] = value
			}
		}
	}
	have := map[string][]byte{}
	err = store.Scan(nil, func(key, value []byte) error {
		have[string(key)] = bytes.Clone(value)
		return nil
	})
	if err != nil {
		t.Fatalf("%s: checkpoint %d: %v", what, from, err)
	}
	if !maps.EqualFunc(have, want, bytes.Equal) {
		t.Fatalf("%s: told again from checkpoint %d on it has %d states, want %d, or others", what, from, len(have), len(want))
	}
	return store.MovedAside() != ""
}

// changes is a batch as the store takes it.
func changes(b map[string][]byte) iter.Seq2[[]byte, []byte] {
	return func(yield func([]byte, []byte) bool) {
		for key, value := range b {
			if !yield([]byte(key), value) {
				return
			}
		}
	}
}

func number(n int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// look is what a directory has now.
func look(dir string) (image, error) {
	all := image{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		all[name], err = readPages(path)
		return err
	})
	return all, err
}

// readPages reads the pages of a file that are no holes.
func readPages(path string) (*file, error) {
	const seekData, seekHole = 3, 4
	in, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return nil, err
	}
	f := &file{size: info.Size(), pages: map[int64][]byte{}}
	var zero [page]byte
	for at := int64(0); at < f.size; {
		begin, err := in.Seek(at, seekData)
		if err != nil {
			return f, nil // nothing but a hole follows
		}
		end, err := in.Seek(begin, seekHole)
		if err != nil {
			return nil, err
		}
		for begin -= begin % page; begin < end; begin += page {
			b := make([]byte, page)
			n, err := in.ReadAt(b, begin)
			if err != nil && err != io.EOF {
				return nil, err
			}
			if !bytes.Equal(b[:n], zero[:n]) {
				f.pages[begin] = b[:n]
			}
		}
		at = end
	}
	return f, nil
}

func (i image) write(dir string) error {
	for name, f := range i {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		out, err := os.Create(path)
		if err != nil {
			return err
		}
		err = out.Truncate(f.size)
		for at, b := range f.pages {
			if err == nil {
				_, err = out.WriteAt(b, at)
			}
		}
		if closed := out.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// torn is what a power cut between two looks may leave: the first cut leaves all that was there before, the second all
// pages but the last ones of each file, others any of them. What was deleted may be there still.
func torn(rng *rand.Rand, before, after image, cut int) image {
	left := image{}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if after[name] != nil || rng.IntN(2) == 0 {
			left[name] = before[name]
		}
	}
	if cut == 0 {
		return left
	}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		new, old := after[name], before[name]
		if old == nil {
			if rng.IntN(3) == 0 {
				continue // its name was not written yet
			}
			old = &file{size: []int64{0, new.size}[rng.IntN(2)]}
		}
		f := &file{size: max(old.size, []int64{old.size, new.size}[rng.IntN(2)]), pages: map[int64][]byte{}}
		maps.Copy(f.pages, old.pages)
		var changed []int64
		for at, b := range new.pages {
			if !bytes.Equal(old.pages[at], b) && at < f.size {
				changed = append(changed, at)
			}
		}
		slices.Sort(changed)
		for n, at := range changed {
			if cut == 1 && n < len(changed)-1 || cut > 1 && rng.IntN(2) == 0 {
				f.pages[at] = new.pages[at]
			}
		}
		for at, b := range f.pages {
			if at+int64(len(b)) > f.size {
				f.pages[at] = b[:f.size-at]
			}
		}
		left[name] = f
	}
	return left
}

// scratchDir is a directory in memory, if there is such a place, that goes with the test.
func scratchDir(t *testing.T) string {
	place := ""
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		place = "/dev/shm"
	}
	dir, err := os.MkdirTemp(place, "januscdr-cuts-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
