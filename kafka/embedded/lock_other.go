//go:build !unix

package embedded

import "os"

// lockDir opens the lock file without locking it: where there is no flock, the fixed port of the broker is what keeps a
// second process away.
func lockDir(path string) (unlock func() error, err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, err
	}
	return file.Close, nil
}
