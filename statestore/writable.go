package statestore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Writable makes a directory for stores, if it is not there, and tells at once what each store in it would tell later:
// that nobody may write there.
func Writable(dir string) error {
	err := os.MkdirAll(dir, 0o755)
	var file *os.File
	if err == nil {
		file, err = os.CreateTemp(dir, ".writable-")
	}
	if err == nil {
		err = errors.Join(file.Close(), os.Remove(file.Name()))
	}
	if err == nil {
		return nil
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return fmt.Errorf("nothing can be written to the state directory %s: %w; set state_dir to a folder that this user "+
		"may write to", dir, err)
}
