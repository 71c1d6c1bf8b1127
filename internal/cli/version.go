package cli

import (
	"cmp"
	"runtime/debug"
)

// version is set by the linker where the build sees no repository, as in a container image:
// -ldflags "-X januscdr/internal/cli.version=v1.2.3".
var version string

// Version is the version of this program: the release, else the revision it was built from, "-dirty" if files had been
// changed, else "unknown".
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return cmp.Or(version, "unknown")
	}
	return cmp.Or(version, versionOf(info))
}

// GoVersion is the version of Go that the program was built with.
func GoVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.GoVersion
	}
	return "unknown"
}

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
		return "unknown"
	}
	return revision + dirty
}
