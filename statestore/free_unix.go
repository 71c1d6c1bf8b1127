//go:build linux || darwin

package statestore

import "syscall"

// freeBytes is what an ordinary user may still write on the disk of a directory.
func freeBytes(dir string) (uint64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return 0, err
	}
	return fs.Bavail * uint64(fs.Bsize), nil
}
