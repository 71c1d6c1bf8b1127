package cli

import (
	"io"
	"os"
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
	return hclog.New(&hclog.LoggerOptions{
		Name:       name,
		Level:      l,
		Output:     w,
		JSONFormat: format == "json",
		Color:      color,
		TimeFormat: "2006-01-02T15:04:05.000Z07:00",
		TimeFn:     func() time.Time { return time.Now().UTC() },
	})
}
