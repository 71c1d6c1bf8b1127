// Package statestore keeps states on disk: bytes under bytes, one small Badger database per partition.
//
// It promises to be a cache that never runs ahead: what it was told to remember is visible at once and written behind,
// the states first, the checkpoint that covers them last. So whatever it holds after a crash is healed by telling it
// again everything from its checkpoint on. It knows neither what a state means nor where the truth is kept. It touches
// one directory.
package statestore

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/hashicorp/go-hclog"
)

// Options say where a store lives, whose it is, and how far writing may lie behind.
type Options struct {
	Dir      string // the directory of this store alone; made if needed
	Identity Identity

	FlushBytes int           // write behind when so much waits; 0: 16 MiB
	FlushEvery time.Duration // and at least so often; 0: 60 s

	// MinFree is how many bytes of the disk must stay free; 0: 64 MiB. Below it nothing is written: Badger writes into
	// mapped files, where a full disk is no error but a fault that ends the process.
	MinFree uint64

	Log hclog.Logger // nil: silent

	crashHook func(CrashPoint) error // of tests, else nil: see OnCrashPoint
}

const (
	defaultFlushBytes = 16 << 20 // a state that changes again before is written once
	defaultFlushEvery = time.Minute
	defaultMinFree    = 64 << 20

	// waitFactor times FlushBytes may wait to be written before Remember waits for the disk.
	waitFactor = 2

	gcEvery = 5 * time.Minute
	gcRatio = 0.5 // rewrite a value log file when half of it is dead
)

// The keys in the database: a letter before each state, and one for the checkpoint.
const statePrefix = 's'

var checkpointKey = []byte{'m'}

// Errors that a caller may choose by. ErrForeign, ErrFull and ErrNoWrites are permanent, and say so with a method
// Permanent: to try again helps only when a person has done something.
var (
	ErrInUse          = errors.New("in use by another process") // of Open: the directory is locked, try later
	ErrForeign  error = permanent("belongs to another topic")   // of Open: another Identity made the directory
	ErrFull     error = permanent("disk is full")               // less than MinFree would stay free
	ErrNoWrites error = permanent("its disk takes no writes")   // it is read-only, fails, or files have a bound
	ErrTorn           = errors.New("a value is torn, or gone from its log")
	ErrClosed         = errors.New("store is closed") // a mistake of the caller
)

// permanent is an error that would come again.
type permanent string

func (e permanent) Error() string { return string(e) }

// Permanent is true.
func (permanent) Permanent() bool { return true }

func isPermanent(err error) bool {
	var says permanent
	return errors.As(err, &says)
}

// Store is the states of one partition.
//
// Durability. When Remember returns, its changes are visible and not durable: they are written behind, when FlushBytes
// wait or FlushEvery has passed, and on disk at the latest when Flush or Close has returned nil. What a process that
// dies leaves on disk is all changes up to some call of Remember, and perhaps some of those after, with the checkpoint
// of the former: whoever tells the store again all that came after its checkpoint, in order, heals it. Checkpoint is
// that of the last Remember, not that on disk; only that of a store just opened is.
//
// Concurrency. Get, Scan, Checkpoint, Flush and MovedAside may be called from several goroutines at any time, beside
// Remember too. Remember, Reset, Quarantine and Close are for one goroutine at a time, and the latter three not during
// a Scan. A Scan sees the states as they all were when it was called.
//
// Bytes. Keys are at most 64 999 bytes, and sort bytewise. A value that is nil deletes, one that is empty is a state.
// The store copies keys and checkpoints, so the caller may use these buffers again. It takes values over as they are:
// nobody may change them any more, and memory that they are a part of stays for as long as they wait. What
// Get and Checkpoint return belongs to the store: it stays as it is, and the caller must not change it. What Scan
// hands out is valid until f returns.
//
// Errors. The first error of writing stays: all later calls of Remember, Flush and Close return it, and nothing more
// is written, but Get and Scan go on with what was remembered before. After Close or Quarantine, methods that need the
// database return ErrClosed.
type Store struct {
	opts  Options
	log   hclog.Logger
	aside string

	mu         sync.RWMutex
	db         *badger.DB
	closed     bool
	fresh      batch       // remembered, not yet being written
	flushing   batch       // being written
	snapshot   *badger.Txn // what the database was before that; nil: nothing is being written
	checkpoint []byte
	failed     error // of writing; it stays

	wake    chan struct{} // the flusher has something to do now
	written chan struct{} // closed and renewed when a flush ends
	stop    chan struct{}
	done    sync.WaitGroup
}

// batch is what waits to be written: the last value of each key, nil for a deletion, and the checkpoint that covers it.
type batch struct {
	states     map[string][]byte
	checkpoint []byte
	bytes      int
}

// put takes a value in place of the one before, which is never written.
func (b *batch) put(key string, value []byte) {
	before, known := b.states[key]
	if known {
		b.bytes -= len(before)
	} else {
		b.bytes += len(key)
	}
	b.bytes += len(value)
	b.states[key] = value
}

func (b batch) empty() bool { return len(b.states) == 0 && b.checkpoint == nil }

// Open opens a store as it was left, or makes an empty one. The error wraps ErrInUse when another process has it open,
// ErrForeign when it is of another topic or cluster, ErrFull when the disk has no room to work in, ErrNoWrites when it
// takes nothing. A store that cannot be read is moved aside, and an empty one is made in its place: see MovedAside.
func Open(o Options) (*Store, error) {
	if o.FlushBytes <= 0 {
		o.FlushBytes = defaultFlushBytes
	}
	if o.FlushEvery <= 0 {
		o.FlushEvery = defaultFlushEvery
	}
	if o.MinFree == 0 {
		o.MinFree = defaultMinFree
	}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	s := &Store{opts: o, log: o.Log}
	if err := claim(o.Dir, o.Identity); err != nil {
		return nil, fmt.Errorf("open state store: %w", err)
	}
	if err := s.checkDisk(0); err != nil {
		return nil, fmt.Errorf("open state store: %w", err)
	}
	if err := closeAbandoned(o.Dir); err != nil {
		return nil, fmt.Errorf("open state store: %w", err)
	}
	db, aside, err := openDB(o.Dir, o.Log)
	if err != nil {
		return nil, fmt.Errorf("open state store: %w", err)
	}
	s.aside = aside
	if err := s.start(db); err != nil {
		db.Close() // it was read only
		return nil, fmt.Errorf("open state store: %w", err)
	}
	return s, nil
}

// start begins to work on an open database.
func (s *Store) start(db *badger.DB) error {
	checkpoint, err := get(db, checkpointKey)
	if err != nil {
		return fmt.Errorf("read checkpoint: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.db, s.checkpoint = db, checkpoint
	s.fresh, s.flushing = batch{}, batch{}
	s.closed, s.failed = false, nil
	s.wake, s.written, s.stop = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	s.done.Go(func() { s.flusher(s.stop) })
	s.done.Go(func() { s.collector(db, s.stop) })
	return nil
}

// MovedAside is where the directory went that could not be read when the store was opened; empty when all was well.
func (s *Store) MovedAside() string { return s.aside }

// Checkpoint returns what was last remembered as checkpoint, nil when there is none.
func (s *Store) Checkpoint() []byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.checkpoint
}

// Get returns the value that was last remembered for a key, nil when there is none. The caller must not change it; the
// store will not.
func (s *Store) Get(key []byte) (found []byte, err error) {
	defer s.catchFault(&err)()
	s.mu.RLock()
	defer s.mu.RUnlock()
	if value, ok := s.fresh.states[string(key)]; ok {
		return value, nil
	}
	if value, ok := s.flushing.states[string(key)]; ok {
		return value, nil
	}
	if s.closed {
		return nil, fmt.Errorf("read state: %w", ErrClosed)
	}
	// While a batch is being written, what it has is known already, and the rest is as it was. A transaction that began
	// now would wait for the disk: Badger lets none read before each commit under way is on it.
	var value []byte
	if s.snapshot != nil {
		value, err = read(s.snapshot, dbKey(key))
	} else {
		value, err = get(s.db, dbKey(key))
	}
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	return value, nil
}

// Scan calls f for each state whose key begins with prefix, in key order, as they all are at the call. The slices are
// valid during the call of f only. An error of f ends the scan and is returned as it is.
func (s *Store) Scan(prefix []byte, f func(key, value []byte) error) (err error) {
	defer s.catchFault(&err)()
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return fmt.Errorf("scan states: %w", ErrClosed)
	}
	waiting := map[string][]byte{}
	for _, b := range []batch{s.flushing, s.fresh} {
		for key, value := range b.states {
			if strings.HasPrefix(key, string(prefix)) {
				waiting[key] = value
			}
		}
	}
	txn := s.db.NewTransaction(false) // under the lock: what is no longer waiting is in what it sees
	s.mu.RUnlock()
	defer txn.Discard()

	type state struct {
		key   string
		value []byte
	}
	ahead := make([]state, 0, len(waiting))
	for key, value := range waiting {
		ahead = append(ahead, state{key, value})
	}
	slices.SortFunc(ahead, func(a, b state) int { return cmp.Compare(a.key, b.key) })
	emit := func(a state) error {
		if a.value == nil {
			return nil
		}
		return f([]byte(a.key), a.value)
	}

	options := badger.DefaultIteratorOptions
	options.Prefix = dbKey(prefix)
	it := txn.NewIterator(options)
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		key := it.Item().Key()[1:]
		for len(ahead) > 0 && ahead[0].key < string(key) {
			if err := emit(ahead[0]); err != nil {
				return err
			}
			ahead = ahead[1:]
		}
		if _, covered := waiting[string(key)]; covered {
			continue // its turn comes among those ahead
		}
		var stopped error
		if err := it.Item().Value(func(value []byte) error {
			if err := whole(it.Item(), value); err != nil {
				return err
			}
			stopped = f(key, value)
			return nil
		}); err != nil {
			return fmt.Errorf("scan states: %w", err)
		}
		if stopped != nil {
			return stopped
		}
	}
	for _, a := range ahead {
		if err := emit(a); err != nil {
			return err
		}
	}
	return nil
}

// Remember takes changes, later ones of a key over earlier ones, a nil value for a deletion, and the checkpoint that
// covers them and all before; a nil checkpoint covers nothing. They are visible when it returns, and on disk some time
// later. It waits for the disk when too much is waiting already, which is twice FlushBytes.
//
// An error is one of writing what was remembered before, and these changes are not taken: it wraps ErrFull when the
// disk is full, and ErrNoWrites when it takes nothing. Close the store, mend the reason, and open it again. What was
// lost is what came after the checkpoint on disk.
func (s *Store) Remember(changes iter.Seq2[[]byte, []byte], checkpoint []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.failed == nil && !s.closed && s.fresh.bytes >= waitFactor*s.opts.FlushBytes {
		s.wakeFlusher()
		written := s.written
		s.mu.Unlock()
		<-written
		s.mu.Lock()
	}
	if s.closed {
		return fmt.Errorf("remember states: %w", ErrClosed)
	}
	if s.failed != nil {
		return fmt.Errorf("remember states: %w", s.failed)
	}
	if s.fresh.states == nil {
		s.fresh.states = map[string][]byte{}
	}
	for key, value := range changes {
		s.fresh.put(string(key), value)
	}
	s.checkpoint = bytes.Clone(checkpoint)
	s.fresh.checkpoint = s.checkpoint
	if s.fresh.bytes >= s.opts.FlushBytes {
		s.wakeFlusher()
	}
	return nil
}

// Flush writes what waits, and returns when it is on disk: everything that was remembered before the call. Of a closed
// store it does nothing.
func (s *Store) Flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.failed == nil && !s.closed && !(s.fresh.empty() && s.flushing.empty()) {
		s.wakeFlusher()
		written := s.written
		s.mu.Unlock()
		<-written
		s.mu.Lock()
	}
	if s.failed != nil {
		return fmt.Errorf("write states: %w", s.failed)
	}
	return nil
}

// Close writes what waits and frees the directory for others to open. It waits for that write, for a collection of
// garbage under way, and for the database to close. The error is that of writing, now or before; the directory is free
// all the same, but for one thing: on a disk that is full or fails, the database is left as a kill would leave it, and
// the directory is free for this process only, or when it ends. To close again does nothing.
func (s *Store) Close() error {
	err := s.Flush()
	if closed := s.shutdown(); err == nil {
		err = closed
	}
	return err
}

// Reset forgets everything, an error of writing too: the store is empty after it, on disk as well, and has no
// checkpoint. It is for a store whose checkpoint leads nowhere any more. After an error it is closed.
func (s *Store) Reset() error {
	if err := s.shutdown(); err != nil {
		return fmt.Errorf("reset state store: %w", err)
	}
	if err := wipe(s.opts.Dir); err != nil {
		return fmt.Errorf("reset state store: %w", err)
	}
	db, _, err := openDB(s.opts.Dir, s.log)
	if err != nil {
		return fmt.Errorf("reset state store: %w", err)
	}
	if err := s.start(db); err != nil {
		db.Close() // it is empty
		return fmt.Errorf("reset state store: %w", err)
	}
	return nil
}

// Quarantine closes the store without writing what waits and moves its database aside, under a name in its directory
// that says so and is returned: for a person to look at, and to delete. It is for a store whose states make no sense.
// The next Open makes an empty one.
func (s *Store) Quarantine() (aside string, err error) {
	if err := s.shutdown(); err != nil {
		s.log.Warn("state store that is given up was not closed in order", "dir", s.opts.Dir, "error", err)
	}
	aside, err = moveAside(s.opts.Dir)
	if err != nil {
		return "", fmt.Errorf("give up state store: %w", err)
	}
	return aside, nil
}

// shutdown ends the goroutines and closes the database, once.
func (s *Store) shutdown() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	failed := s.failed
	close(s.stop)
	s.mu.Unlock()
	s.done.Wait()
	if failed == nil {
		failed = s.checkDisk(0)
	}
	if failed == nil {
		failed = s.unlessTheDiskFails(func() error {
			if err := s.db.Close(); err != nil {
				return fmt.Errorf("close database %s: %w", s.opts.Dir, err)
			}
			return nil
		})
		if !isPermanent(failed) {
			return failed
		}
	}
	s.log.Warn("state store is left as it is on a disk that takes nothing more", "dir", s.opts.Dir, "error", failed)
	abandon(s.opts.Dir, s.db)
	return nil
}

// wakeFlusher makes the flusher look.
func (s *Store) wakeFlusher() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func dbKey(key []byte) []byte {
	k := make([]byte, 1, 1+len(key))
	k[0] = statePrefix
	return append(k, key...)
}

// get returns the value of a key, nil when there is none.
func get(db *badger.DB, key []byte) (value []byte, err error) {
	err = db.View(func(txn *badger.Txn) error {
		value, err = read(txn, key)
		return err
	})
	return value, err
}

func read(txn *badger.Txn, key []byte) ([]byte, error) {
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	value, err := item.ValueCopy(nil)
	if err == nil {
		err = whole(item, value)
	}
	if value == nil && err == nil {
		value = []byte{}
	}
	return value, err
}

// whole is an error for a value that is not there: of one that its log does not have, or has torn, Badger says that it
// is empty.
func whole(item *badger.Item, value []byte) error {
	if len(value) == 0 && item.ValueSize() > 0 {
		return ErrTorn
	}
	return nil
}
