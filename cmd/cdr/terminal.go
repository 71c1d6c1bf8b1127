package main

import (
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/term"
)

// terminal is what an output is and can.
type terminal struct {
	is      bool
	colours bool
	columns int
}

// wideColumns is how wide text is for who has no terminal, or asks for all.
const wideColumns = 200

// terminalOf asks an output what it is. The environment may know better: COLUMNS, NO_COLOR, CLICOLOR_FORCE, and TERM,
// which is dumb where nobody can paint.
func terminalOf(w io.Writer, environ []string) terminal {
	set := map[string]string{}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		set[name] = value
	}
	t := terminal{columns: wideColumns}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		t.is = true
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			t.columns = columns
		}
	}
	if n, err := strconv.Atoi(set["COLUMNS"]); err == nil && n > 0 {
		t.columns = n
	}
	t.colours = (t.is || set["CLICOLOR_FORCE"] != "" && set["CLICOLOR_FORCE"] != "0") && set["NO_COLOR"] == "" &&
		set["TERM"] != "dumb"
	return t
}

// Colours of the palette that each terminal has, so that they fit a dark and a light one: the terminal says what red
// is.
const (
	plainly = ""
	bold    = "1"
	red     = "31"
	green   = "32"
	yellow  = "33"
)

func (t terminal) paint(colour, text string) string {
	if !t.colours || colour == plainly || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}
