//go:build unix

package embedded

import (
	"os"
	"syscall"
)

// lockDir takes a lock that ends with the process, however it ends.
func lockDir(path string) (unlock func() error, err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, err
	}
	return file.Close, nil
}
