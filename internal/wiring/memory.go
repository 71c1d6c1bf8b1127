package wiring

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// Where Linux says how much memory the processes of a container may use, in its second and its first version.
var memoryLimits = []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}

const (
	collectAt   = 50 // percent of what is alive: a third less memory than with Go's 100, for a few percent more time
	heapPercent = 80 // of what the process may use; files that are mapped, stacks and buffers need the rest
)

// BoundMemory makes the collector of garbage keep to what the process may use, unless GOGC or GOMEMLIMIT say how: to
// what its container has, and to most bytes if that is not 0.
func BoundMemory(environ []string, most int64, log hclog.Logger) {
	boundMemory(environ, most, memoryLimits, log)
}

func boundMemory(environ []string, most int64, files []string, log hclog.Logger) {
	said := func(name string) bool {
		for _, v := range environ {
			if value, ok := strings.CutPrefix(v, name+"="); ok && value != "" {
				return true
			}
		}
		return false
	}
	if !said("GOGC") {
		debug.SetGCPercent(collectAt)
	}
	if said("GOMEMLIMIT") {
		return
	}
	limit, ok := memoryLimit(files)
	limit = limit / 100 * heapPercent
	if most > 0 && (!ok || most < limit) {
		limit, ok = most, true
	}
	if ok {
		debug.SetMemoryLimit(limit)
		log.Debug("memory is bounded", "limit_mib", limit>>20)
	}
}

// memoryLimit is how many bytes the process may use; not ok where nothing bounds it but the machine.
func memoryLimit(files []string) (bytes int64, ok bool) {
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		// Without a limit there stands "max", or a number beyond any machine.
		limit, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
		return limit, err == nil && limit > 0 && limit < 1<<50
	}
	return 0, false
}
