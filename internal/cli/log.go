package cli

import (
	"io"
	"os"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Log makes a logger that writes to w. Level is trace, debug, info, warn, error or off; format is text or json; both
// were checked by the configuration, and an unknown one is info and text. Colours are for terminals, and only if the
// variable NO_COLOR is unset or empty.
func Log(w io.Writer, name, level, format, noColor string) hclog.Logger {
	color := hclog.ColorOff
	if _, file := w.(*os.File); file && noColor == "" { // the library takes any other writer for a terminal
		color = hclog.AutoColor
	}
	l := hclog.LevelFromString(level)
	if l == hclog.NoLevel {
		l = hclog.Info
	}
	log := hclog.New(&hclog.LoggerOptions{
		Name:       name,
		Level:      l,
		Output:     w,
		JSONFormat: format == "json",
		Color:      color,
		TimeFormat: "2006-01-02T15:04:05.000Z07:00",
		TimeFn:     func() time.Time { return time.Now().UTC() },
	})
	if format == "json" {
		return plainDurations{log}
	}
	return log
}

// plainDurations writes durations into JSON as into text, 1m10s, and not as a number of nanoseconds.
type plainDurations struct{ hclog.Logger }

func plainly(pairs []any) []any {
	for i, v := range pairs {
		if d, ok := v.(time.Duration); ok {
			pairs = slices.Clone(pairs)
			pairs[i] = d.String()
		}
	}
	return pairs
}

func (l plainDurations) Trace(msg string, pairs ...any) { l.Logger.Trace(msg, plainly(pairs)...) }
func (l plainDurations) Debug(msg string, pairs ...any) { l.Logger.Debug(msg, plainly(pairs)...) }
func (l plainDurations) Info(msg string, pairs ...any)  { l.Logger.Info(msg, plainly(pairs)...) }
func (l plainDurations) Warn(msg string, pairs ...any)  { l.Logger.Warn(msg, plainly(pairs)...) }
func (l plainDurations) Error(msg string, pairs ...any) { l.Logger.Error(msg, plainly(pairs)...) }

func (l plainDurations) Log(level hclog.Level, msg string, pairs ...any) {
	l.Logger.Log(level, msg, plainly(pairs)...)
}

func (l plainDurations) With(pairs ...any) hclog.Logger {
	return plainDurations{l.Logger.With(plainly(pairs)...)}
}

func (l plainDurations) Named(name string) hclog.Logger { return plainDurations{l.Logger.Named(name)} }

func (l plainDurations) ResetNamed(name string) hclog.Logger {
	return plainDurations{l.Logger.ResetNamed(name)}
}
