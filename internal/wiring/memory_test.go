package wiring

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	"github.com/hashicorp/go-hclog"
)

func TestMemoryIsBoundedByWhatTheContainerHas(t *testing.T) {
	percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(-1)
	defer func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}()
	file := func(text string) []string {
		name := filepath.Join(t.TempDir(), "memory.max")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{filepath.Join(t.TempDir(), "absent"), name}
	}
	for name, in := range map[string]struct {
		environ []string
		file    string
		most    int64
		limit   int64
		percent int
	}{
		"a container":          {nil, "1073741824\n", 0, 1 << 30 / 100 * heapPercent, collectAt},
		"no limit":             {nil, "max\n", 0, limit, collectAt},
		"no limit, version 1":  {nil, "9223372036854771712\n", 0, limit, collectAt},
		"a bound of our own":   {nil, "max\n", 1 << 29, 1 << 29, collectAt},
		"the lower one":        {nil, "1073741824\n", 1 << 29, 1 << 29, collectAt},
		"somebody said a size": {[]string{"GOMEMLIMIT=1GiB"}, "1048576\n", 0, limit, collectAt},
		"somebody said a pace": {[]string{"GOGC=100"}, "max", 0, limit, 100},
	} {
		debug.SetGCPercent(100)
		debug.SetMemoryLimit(limit)
		boundMemory(in.environ, in.most, file(in.file), hclog.NewNullLogger())
		if got := debug.SetMemoryLimit(-1); got != in.limit {
			t.Errorf("%s: limit %d, want %d", name, got, in.limit)
		}
		if got := debug.SetGCPercent(100); got != in.percent {
			t.Errorf("%s: collects at %d %%, want %d", name, got, in.percent)
		}
	}
}
