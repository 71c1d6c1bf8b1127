package files

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"januscdr/consume"
)

// disk is a folder.
type disk struct{ dir string }

func (d disk) path(name string) string { return filepath.Join(d.dir, filepath.FromSlash(name)) }

func (d disk) prepare(context.Context) error {
	for _, dir := range []string{manifestsDir, stagedDir} {
		if err := os.MkdirAll(d.path(dir), 0o750); err != nil {
			return fmt.Errorf("%w: %w", consume.ErrRefused, err)
		}
	}
	return nil
}

func (d disk) create(name string) (*os.File, error) {
	return os.OpenFile(d.path(stagedDir+"/"+name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
}

func (d disk) stage(_ context.Context, _ string, f *os.File, _ int64) error {
	return errors.Join(f.Sync(), f.Close(), syncDir(d.path(stagedDir)))
}

func (d disk) publish(_ context.Context, name string, b []byte) error {
	staged := rand.Text() + ".json.part"
	f, err := d.create(staged)
	if err != nil {
		return err
	}
	defer os.Remove(d.path(stagedDir + "/" + staged))
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	err = os.Link(d.path(stagedDir+"/"+staged), d.path(manifestsDir+"/"+name))
	if errors.Is(err, fs.ErrExist) {
		return consume.ErrFenced
	}
	return errors.Join(err, syncDir(d.path(manifestsDir)))
}

func (d disk) settle(_ context.Context, staged, name string) error {
	path := d.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	if err := os.Rename(d.path(stagedDir+"/"+staged), path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return errors.Join(syncDir(filepath.Dir(path)), syncDir(d.dir))
}

func (d disk) drop(name string, f *os.File) {
	_ = f.Close() // it may have been closed, and what it holds is not wanted
	_ = os.Remove(d.path(stagedDir + "/" + name))
}

func (d disk) list(_ context.Context, prefix string) (all []entry, err error) {
	err = filepath.WalkDir(d.dir, func(path string, e fs.DirEntry, err error) error {
		rel, relErr := filepath.Rel(d.dir, path)
		name := filepath.ToSlash(rel)
		switch {
		case err != nil && path != d.dir && errors.Is(err, fs.ErrNotExist): // taken away since
			return nil
		case err != nil || relErr != nil:
			return errors.Join(err, relErr)
		case e.IsDir():
			if name != "." && !strings.HasPrefix(name+"/", prefix) && !strings.HasPrefix(prefix, name+"/") {
				return fs.SkipDir
			}
		case strings.HasPrefix(name, prefix):
			info, err := e.Info()
			if err == nil {
				all = append(all, entry{name, info.ModTime()})
			} else if !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	})
	slices.SortFunc(all, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return all, err
}

func (d disk) open(_ context.Context, name string) (io.ReadCloser, error) {
	return os.Open(d.path(name))
}

func (d disk) remove(_ context.Context, name string) error { return os.Remove(d.path(name)) }

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
