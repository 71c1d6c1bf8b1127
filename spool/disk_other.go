//go:build !unix

package spool

import "os"

// lockDir cannot lock here: take care that one process uses a directory.
func lockDir(string) (unlock func() error, err error) { return func() error { return nil }, nil }

// syncDirectory cannot be told here; names are as safe as the system makes them.
func syncDirectory(*os.File) error { return nil }
