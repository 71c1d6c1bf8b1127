package explain

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"

	"januscdr/janus"
)

// The page of a session, that of a room, and what they share.
var (
	//go:embed page.html
	pageText string
	//go:embed room.html
	roomText string
	//go:embed parts.html
	partsText string
)

// pageTemplate is the page. html/template escapes what clients chose, each text as its place asks for.
var pageTemplate = template.Must(template.Must(template.New("page").Funcs(template.FuncMap{
	"relative": relative,
	"clock":    clockTime,
	"plugin":   pluginName,
	"after":    func(a, b janus.Micros) janus.Micros { return a - b },
	"later":    func(e Entry) bool { return e.Until-e.Time >= 100_000 },
	"inc":      func(n int) int { return n + 1 },
	"lower":    func(c string) string { return map[string]string{"EXACT": "exact", "BOUNDED": "bounded"}[c] },
	"where": func(e Entry) string {
		if e.Handle != "" {
			return e.Handle
		}
		return string(e.Kind)
	},
	"legend": func() []legendItem { return legend },
}).Parse(partsText)).Parse(pageText))

// legendItem explains a mark.
type legendItem struct {
	Kind Kind
	Path string
	Text string
}

var legend = []legendItem{
	{KindSignal, markPath(KindSignal, 7, 7), "offer, answer, SIP message; the handle comes or goes"},
	{KindPlugin, markPath(KindPlugin, 7, 7), "the plugin"},
	{KindConnect, markPath(KindConnect, 7, 7), "connection: ICE, DTLS, up, hangup"},
	{KindMedia, markPath(KindMedia, 7, 7), "media and statistics"},
	{KindSession, markPath(KindSession, 7, 7), "the session"},
	{KindElsewhere, markPath(KindElsewhere, 7, 7), "events of others"},
	{KindTime, markPath(KindTime, 7, 7), "time passed"},
}

// Page writes a story as one HTML file that refers to nothing else.
func Page(s *Story) ([]byte, error) {
	var b bytes.Buffer
	err := pageTemplate.Execute(&b, struct {
		*Story
		Drawing *drawing
	}{s, draw(s)})
	if err != nil {
		return nil, fmt.Errorf("write page: %w", err)
	}
	return b.Bytes(), nil
}
