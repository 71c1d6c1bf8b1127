//go:build unix

package spool

import (
	"errors"
	"os"
	"syscall"
)

// lockDir locks the directory itself, so that it needs no file and works on a disk that is read-only.
func lockDir(path string) (unlock func() error, err error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		dir.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrInUse
		}
		return nil, err
	}
	return dir.Close, nil
}

func syncDirectory(dir *os.File) error { return dir.Sync() }
