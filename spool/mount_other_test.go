//go:build !linux

package spool

import (
	"os"
	"testing"
)

func smallDisk(t *testing.T, _ int) string {
	t.Helper()
	if os.Geteuid() == 0 {
		t.Skip("small disks are made on Linux only")
	}
	return t.TempDir()
}

func remountReadOnly(t *testing.T, _ string) {
	t.Helper()
	t.Skip("disks are made read-only on Linux only")
}
