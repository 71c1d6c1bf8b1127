package explain

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A page as a browser lays it out: on a phone nothing sticks out but the drawing, which scrolls in its own box. On
// paper it does not scroll, and stands on the first sheet with the first of what came of it.
func TestThePageFitsPhonesAndScreens(t *testing.T) {
	browser, err := exec.LookPath("chromium")
	if err != nil || testing.Short() {
		t.Skip("chromium is not installed, or there is no time for it: nobody lays the page out")
	}
	long := strings.Repeat("x", 100) // a name without a place to break it
	number := func(text string) int {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, scene := range scenes[2:3] {
		s := tell(t, scene.recording, scene.of)
		s.Headline, s.Handles[0].OpaqueID = s.Headline+" "+long, long
		page, err := Page(s)
		if err != nil {
			t.Fatal(err)
		}
		page = []byte(strings.ReplaceAll(string(page), "<details>", "<details open>"))
		mux := http.NewServeMux()
		mux.HandleFunc("/page", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Write(page)
		})
		mux.HandleFunc("/paper", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Write(bytes.ReplaceAll(page, []byte("@media print"), []byte("@media screen")))
		})
		mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, measure) })
		server := httptest.NewServer(mux)
		t.Cleanup(server.Close)
		out, err := exec.CommandContext(t.Context(), browser, "--headless", "--no-sandbox", "--disable-gpu",
			"--hide-scrollbars", "--user-data-dir="+t.TempDir(), "--virtual-time-budget=5000", "--dump-dom",
			server.URL+"/").Output()
		if err != nil {
			t.Fatalf("chromium: %v", err)
		}
		line := regexp.MustCompile(`width (\d+): page (\d+), drawing (\d+) in (\d+)`)
		paper := regexp.MustCompile(`paper: drawing (\d+) in (\d+), it ends at (\d+), what came of it at (\d+), box (\d+)`).
			FindStringSubmatch(string(out))
		const sheet = 1000 // of A4, in pixels, without its margins
		if paper == nil || number(paper[1]) > number(paper[2]) || number(paper[3]) > number(paper[4]) ||
			number(paper[4]) > sheet || paper[5] != "0" {
			t.Errorf("%s: on paper: %v of %q", scene.name, paper, out)
		}
		results := line.FindAllStringSubmatch(string(out), -1)
		if len(results) != 3 {
			t.Fatalf("%s: chromium measured %q", scene.name, out)
		}
		for _, m := range results {
			if m[2] != m[1] {
				t.Errorf("%s: at a width of %s the page takes %s", scene.name, m[1], m[2])
			}
			if m[1] == "390" && number(m[3]) <= number(m[4]) {
				t.Errorf("%s: at a width of %s the drawing (%s) does not scroll in its box (%s)", scene.name, m[1], m[3], m[4])
			}
		}
	}
}

// measure lays the page out at three widths.
const measure = `<!doctype html><body><script>
for (const width of [320, 390, 1200]) {
  const frame = document.createElement("iframe");
  frame.style = "border:0;height:2000px;width:" + width + "px";
  frame.onload = () => {
    const page = frame.contentDocument.documentElement, box = frame.contentDocument.querySelector(".picture");
    const p = document.createElement("p");
    p.textContent = "width " + width + ": page " + page.scrollWidth +
      ", drawing " + box.scrollWidth + " in " + box.clientWidth;
    document.body.append(p);
  };
  frame.src = "/page";
  document.body.append(frame);
}
const frame = document.createElement("iframe");
frame.style = "border:0;height:1000px;width:704px";
frame.onload = () => {
  const d = frame.contentDocument, box = d.querySelector(".picture");
  const at = e => Math.round(e.getBoundingClientRect().bottom);
  const p = document.createElement("p");
  p.textContent = "paper: drawing " + box.scrollWidth + " in " + box.clientWidth + ", it ends at " + at(box) +
    ", what came of it at " + at(d.querySelector(".outcome")) + ", box " + d.querySelector(".choice").offsetHeight;
  document.body.append(p);
};
frame.src = "/paper";
document.body.append(frame);
</script>`
