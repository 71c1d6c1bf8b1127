package files

import (
	"context"
	"io"
	"os"
	"time"
)

// A store is where files lie under names with slashes. Whatever it was told to keep survives a kill.
type store interface {
	// prepare makes the store fit for writing, or says why it is not.
	prepare(ctx context.Context) error
	// create begins a file that nobody else sees.
	create(name string) (*os.File, error)
	// stage keeps a file that is complete, of so many bytes, under staged/, and closes it.
	stage(ctx context.Context, name string, f *os.File, bytes int64) error
	// publish lets a manifest appear under its name, whole, unless there is one already: that is ErrFenced. Of any other
	// error nobody knows whether it appeared.
	publish(ctx context.Context, name string, b []byte) error
	// settle gives a staged file its name. That it is not there is no error: it has its name, or somebody took it away.
	settle(ctx context.Context, staged, name string) error
	// drop forgets a file that create began, wherever it got to.
	drop(name string, f *os.File)

	// list returns what is there below a prefix, sorted by name.
	list(ctx context.Context, prefix string) ([]entry, error)
	// open reads one; fs.ErrNotExist when there is none.
	open(ctx context.Context, name string) (io.ReadCloser, error)
	remove(ctx context.Context, name string) error
}

type entry struct {
	name     string
	modified time.Time
}

// read returns what is in a small file.
func read(ctx context.Context, p store, name string) ([]byte, error) {
	r, err := p.open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
