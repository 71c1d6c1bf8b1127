package statestore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/hashicorp/go-hclog"
)

// Identity says whose states they are. Topic and id are those of the changelog that the store is a cache of: a topic
// that was deleted and made again has another id, and other offsets.
type Identity struct {
	Cluster   string
	Topic     string
	TopicID   string
	Partition int32
}

// String is the identity as it stands in the directory, in one line.
func (i Identity) String() string {
	return fmt.Sprintf("cluster=%s topic=%s id=%s partition=%d", i.Cluster, i.Topic, i.TopicID, i.Partition)
}

const (
	identityFile = "IDENTITY"
	databaseDir  = "db"
	valueLogFile = 32 << 20
)

// claim makes the directory ours, or finds out that it is not.
func claim(dir string, identity Identity) error {
	if dir == "" {
		return errors.New("the directory is missing")
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return refused(dir, err)
	}
	path := filepath.Join(dir, identityFile)
	have, err := os.ReadFile(path)
	if err == nil && len(have) > 0 {
		if got := strings.TrimSpace(string(have)); got != identity.String() {
			return fmt.Errorf("directory %s %w: it has %s, we are %s: "+
				"give another state directory, or delete this one if that topic is gone",
				dir, ErrForeign, got, identity)
		}
		return nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read identity: %w", err)
	}
	if _, err := os.Stat(filepath.Join(dir, databaseDir)); err == nil {
		return fmt.Errorf("directory %s %w, or to nobody: it has no %s: "+
			"give another state directory, or delete this one", dir, ErrForeign, identityFile)
	}
	// Whole or not at all: a torn identity would lock its owner out.
	fresh := path + ".new"
	if err := os.WriteFile(fresh, []byte(identity.String()+"\n"), 0o640); err != nil {
		return fmt.Errorf("write identity: %w", err)
	}
	if err := os.Rename(fresh, path); err != nil {
		return fmt.Errorf("write identity: %w", err)
	}
	return nil
}

// openDB opens the database of a directory. One that cannot be opened twice is moved aside: after a kill at a certain
// moment the first try fails and, by failing, mends the file (a known fault of Badger).
func openDB(dir string, log hclog.Logger) (db *badger.DB, aside string, err error) {
	for try := range 3 {
		db, err = tryOpen(filepath.Join(dir, databaseDir), log)
		switch {
		case err == nil:
			return db, aside, nil
		case strings.Contains(err.Error(), "directory lock"): // Badger's error has no other mark
			return nil, "", fmt.Errorf("directory %s is %w: "+
				"stop that process, or give this one a state directory of its own", dir, ErrInUse)
		case ofTheMachine(err), try == 2:
			return nil, "", fmt.Errorf("open database %s: %s", dir, oneLine(err))
		case try == 0:
			log.Warn("state store does not open, trying once more", "dir", dir, "error", err)
		default:
			if aside, err = moveAside(dir, err); err != nil {
				return nil, "", err
			}
			log.Error("state store was broken and starts empty", "dir", dir, "moved_to", aside)
		}
	}
	return nil, "", err
}

func tryOpen(dir string, log hclog.Logger) (db *badger.DB, err error) {
	defer func() {
		if p := recover(); p != nil { // Badger panics on some broken files
			err = fmt.Errorf("%v", p)
		}
	}()
	// One small database per partition, values outside of the tree: then it has keys only, and few tables are made, each
	// of which takes some MiB of memory for a moment.
	return badger.Open(badger.DefaultOptions(dir).
		WithMemTableSize(1 << 20).
		WithBaseTableSize(1 << 20). // a writer of tables holds four times as much
		WithNumMemtables(2).
		WithNumCompactors(2).
		WithValueThreshold(64).
		WithValueLogFileSize(valueLogFile).
		WithCompression(options.None). // states are compact already
		WithBlockCacheSize(0).
		WithIndexCacheSize(0).
		WithDetectConflicts(false). // one writer
		WithNumVersionsToKeep(1).
		WithSyncWrites(true).          // so that a checkpoint on disk is the truth about the states on disk
		WithVerifyValueChecksum(true). // a value log that was torn has zeros where values were
		WithMetricsEnabled(false).
		WithLogger(dbLog{log}))
}

// ofTheMachine tells whether an error is of the machine, not of the files: then the files are kept where they are.
// Badger does not wrap the errors of the system, it writes their text.
func ofTheMachine(err error) bool {
	for _, errno := range []syscall.Errno{
		syscall.ENOSPC, syscall.EMFILE, syscall.ENFILE, syscall.EACCES, syscall.EPERM, syscall.EROFS, syscall.ENOMEM,
		syscall.EFBIG, syscall.EDQUOT, syscall.EIO,
	} {
		if strings.Contains(err.Error(), errno.Error()) {
			return true
		}
	}
	return false
}

// moveAside renames the database of a directory, and notes why. What was moved is for a person to look at and delete.
func moveAside(dir string, why ...error) (aside string, err error) {
	aside = filepath.Join(dir, "broken-"+time.Now().UTC().Format("20060102T150405.000000000"))
	if err := os.Rename(filepath.Join(dir, databaseDir), aside); err != nil {
		return "", fmt.Errorf("move broken database aside: %w", err)
	}
	if len(why) > 0 {
		note := errors.Join(why...).Error() + "\n"
		_ = os.WriteFile(filepath.Join(aside, "WHY"), []byte(note), 0o640) // best effort: the log has it too
	}
	return aside, nil
}

func wipe(dir string) error {
	if err := os.RemoveAll(filepath.Join(dir, databaseDir)); err != nil {
		return fmt.Errorf("remove database: %w", err)
	}
	return nil
}

// dbLog writes what Badger has to say into our log. Its information is about each table it opens.
type dbLog struct{ log hclog.Logger }

func (l dbLog) Errorf(format string, args ...any)   { l.say(hclog.Error, format, args) }
func (l dbLog) Warningf(format string, args ...any) { l.say(hclog.Warn, format, args) }
func (l dbLog) Infof(format string, args ...any)    { l.say(hclog.Trace, format, args) }
func (l dbLog) Debugf(format string, args ...any)   { l.say(hclog.Trace, format, args) }

func (l dbLog) say(level hclog.Level, format string, args []any) {
	if level >= l.log.GetLevel() {
		l.log.Log(level, "badger", "says", strings.TrimSpace(fmt.Sprintf(format, args...)))
	}
}
