package statestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Writable makes a directory for stores, if it is not there, and tells at once what each store in it would tell later:
// that nobody may write there, or no files that are as large as those of a database.
func Writable(dir string) error {
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		err = takes(dir)
	}
	if err == nil {
		return nil
	}
	remedy := "set state_dir to a folder that this user may write to"
	switch {
	case noRoom(err):
		return refused(dir, err)
	case errors.Is(err, syscall.EFBIG):
		remedy = allowFiles
	}
	return fmt.Errorf("nothing can be written to the state directory %s: %w; %s", dir, bare(err), remedy)
}

// bare is an error without the name of the file.
func bare(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// largestFile is the size that Badger gives a file when it makes it, without filling it.
const largestFile = 2 * valueLogFile

var allowFiles = fmt.Sprintf("let this process write files of %d MiB (ulimit -f)", largestFile>>20)

// probe is the file by which takes tries; one that a kill left is used again.
const probe = ".writable"

// takes tries whether a directory takes a file that is as large as one of a database. It leaves nothing.
func takes(dir string) error {
	name := filepath.Join(dir, probe)
	file, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	_, err = file.Write(make([]byte, 4<<10))
	if err == nil {
		err = file.Truncate(largestFile)
	}
	err = errors.Join(err, file.Close())
	if removed := os.Remove(name); !errors.Is(removed, fs.ErrNotExist) { // another process may have been so kind
		err = errors.Join(err, removed)
	}
	return err
}

// checkDisk is an error when the disk has less than the reserve left after writing so many bytes, once into the log and
// once more into tables, or when it takes no files.
func (s *Store) checkDisk(need uint64) error {
	if err := hasRoom(s.opts.Dir, s.opts.MinFree, need); err != nil {
		return err
	}
	if err := takes(s.opts.Dir); err != nil {
		return refused(s.opts.Dir, err)
	}
	return nil
}

func hasRoom(dir string, minFree, need uint64) error {
	free, err := freeBytes(dir)
	if err != nil {
		return fmt.Errorf("look for free space in %s: %w", dir, err)
	}
	if free < minFree+2*need {
		return fmt.Errorf("%w: %d MiB are free in %s, and %d MiB must stay free: "+
			"make room there and start again, nothing is lost", ErrFull, free>>20, dir, minFree>>20)
	}
	return nil
}

// How often WatchDisk looks how much is free, as what is to stay free must not be gone in between, and how often it
// tries whether the disk takes files: stores write once a minute.
const (
	lookEvery = 250 * time.Millisecond
	takeEvery = 10 * time.Second
)

// WatchDisk waits until the disk of a directory has less free than minFree bytes, 0: 64 MiB, or takes no files any
// more, and returns an error that wraps ErrFull or ErrNoWrites; nil when the context ends before. It is for a host of
// stores: Badger writes at times of its own, and what is to stay free is room for that, not for long.
func WatchDisk(ctx context.Context, dir string, minFree uint64) error {
	if minFree == 0 {
		minFree = defaultMinFree
	}
	look, take := time.NewTicker(lookEvery), time.NewTicker(takeEvery)
	defer look.Stop()
	defer take.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-take.C:
			if err := takes(dir); err != nil {
				return refused(dir, err)
			}
		case <-look.C:
			if err := hasRoom(dir, minFree, 0); errors.Is(err, ErrFull) {
				return err
			}
		}
	}
}

func noRoom(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// refused is the error of a directory that did not take a file.
func refused(dir string, err error) error {
	kind, remedy := ErrNoWrites, "mend it, or set another state_dir"
	switch {
	case noRoom(err):
		kind, remedy = ErrFull, "make room there"
	case errors.Is(err, syscall.EFBIG):
		remedy = allowFiles
	}
	return fmt.Errorf("%w: %s says: %w: %s and start again, nothing is lost", kind, dir, bare(err), remedy)
}

// diskPatience is how long the database may be at work before its disk is looked at.
const diskPatience = 5 * time.Second

// unlessTheDiskFails lets the database write. On a disk that takes no writes any more it tries for ever: then the error
// is that of the disk, and the database is left at it.
func (s *Store) unlessTheDiskFails(work func() error) error {
	done := make(chan error, 1)
	go func() { done <- work() }()
	look := time.NewTicker(diskPatience)
	defer look.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-look.C:
			if err := s.checkDisk(0); err != nil {
				return err
			}
		}
	}
}

// oneLine is what Badger says in several.
func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' }), ": ")
}
