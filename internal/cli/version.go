package cli

import (
	"cmp"
	"runtime"
	"runtime/debug"
)

// version is that of a release, set by the linker: -ldflags "-X januscdr/internal/cli.version=v1.2.3".
var version string

// development is the version of a program that nobody released, and that was built where Git was not asked.
const development = "devel"

// Version is the version of this program: the release, else the revision it was built from, "-dirty" if files had been
// changed, else "devel".
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return cmp.Or(version, versionOf(info))
}

// GoVersion is the version of Go that the program was built with.
func GoVersion() string { return runtime.Version() }

func versionOf(info *debug.BuildInfo) string {
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	var revision, dirty string
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			revision = s.Value[:min(12, len(s.Value))]
		case "vcs.modified":
			if s.Value == "true" {
				dirty = "-dirty"
			}
		}
	}
	if revision == "" {
		return development
	}
	return revision + dirty
}
