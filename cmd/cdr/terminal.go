package main

import (
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/term"
)

// terminal is what an output is and can.
type terminal struct {
	is      bool
	colours bool
	dumb    bool // it has lines, and no way back in one
	columns int
	known   bool // somebody has said how many columns there are
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
	t := terminal{columns: wideColumns, dumb: set["TERM"] == "dumb"}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		t.is = true
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			t.columns, t.known = columns, true
		}
	}
	if n, err := strconv.Atoi(set["COLUMNS"]); err == nil && n > 0 {
		t.columns, t.known = n, true
	}
	t.colours = (t.is || set["CLICOLOR_FORCE"] != "" && set["CLICOLOR_FORCE"] != "0") && set["NO_COLOR"] == "" &&
		!t.dumb
	return t
}

// moves tells whether a line can be written over.
func (t terminal) moves() bool { return t.is && !t.dumb }

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

// quoted is what stands between backquotes, a command for example, or a word.
var quoted = regexp.MustCompile("`[^`]*`[^ ]*|[^ ]+")

// block writes text that begins in a column, broken into lines that fit where their width is known; those after the
// first begin in the same column. A command stays whole, so that it can be pasted: the terminal breaks it if it must.
func (t terminal) block(w *strings.Builder, column int, text string) {
	n := column
	for i, word := range quoted.FindAllString(text, -1) {
		width := narrow.StringWidth(word)
		switch {
		case i == 0:
		case t.known && n+1+width > t.columns:
			w.WriteString("\n" + strings.Repeat(" ", column))
			n = column
		default:
			w.WriteByte(' ')
			n++
		}
		w.WriteString(word)
		n += width
	}
	w.WriteByte('\n')
}
