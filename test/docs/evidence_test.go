package docs

import (
	"fmt"
	"strings"
	"testing"

	"januscdr/cdr"
)

func TestThePagesTellWhatProvesWhat(t *testing.T) {
	kinds := func(kinds []cdr.LegKind) string {
		var names []string
		for _, k := range kinds {
			names = append(names, "`"+k.String()+"`")
		}
		if names == nil {
			return "-"
		}
		return strings.Join(names, ", ")
	}
	each(t, func(*testing.T, place) string {
		var b strings.Builder
		b.WriteString("\n| What Janus says | proves the life of | is the end of |\n|---|---|---|\n")
		for _, e := range cdr.EvidenceTable() {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", e.Events, kinds(e.Life), kinds(e.End))
		}
		b.WriteString("\n")
		return b.String()
	}, "evidence")
}
