package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// disk is one directory. What was written to a file survives a loss of power after the file's Sync, what was created,
// renamed or removed after syncDir; before that, it may or may not, in part, and in any order.
type disk interface {
	list() ([]stored, error)                   // regular files
	create(name string) (file, error)          // fails if it exists
	open(name string) (readable, error)        //
	sync(name string) error                    // of a file that somebody else has written
	rename(from, to string) error              // replaces to
	remove(name string) error                  //
	syncDir() error                            //
	lock() (unlock func() error, failed error) // against other processes; ends with this one, however it ends
}

type file interface {
	io.Writer // appends
	Sync() error
	Truncate(size int64) error
	Close() error
}

type readable interface {
	io.ReaderAt
	io.Closer
}

type stored struct {
	name string
	size int64
}

// osDisk is a directory of the operating system.
type osDisk string

const (
	dirMode  = 0o750
	fileMode = 0o640
)

func (d osDisk) path(name string) string { return filepath.Join(string(d), name) }

func (d osDisk) list() ([]stored, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, err
	}
	var files []stored
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		files = append(files, stored{e.Name(), info.Size()})
	}
	return files, nil
}

func (d osDisk) create(name string) (file, error) {
	return os.OpenFile(d.path(name), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, fileMode)
}

func (d osDisk) open(name string) (readable, error) { return os.Open(d.path(name)) }

func (d osDisk) sync(name string) error {
	f, err := os.OpenFile(d.path(name), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (d osDisk) rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }
func (d osDisk) remove(name string) error     { return os.Remove(d.path(name)) }

func (d osDisk) syncDir() error {
	dir, err := os.Open(string(d))
	if err != nil {
		return err
	}
	return errors.Join(syncDirectory(dir), dir.Close())
}

func (d osDisk) lock() (func() error, error) { return lockDir(string(d)) }

// disking wraps what a disk did not do. One that is full is refused like a spool that is full.
func disking(doing string, err error) error {
	if noSpace(err) {
		return fmt.Errorf("%w: %s: %w", ErrFull, doing, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
