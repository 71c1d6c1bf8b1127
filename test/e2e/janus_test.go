package e2e

import (
	"testing"
	"time"

	"januscdr/internal/fixtures/player"
	"januscdr/internal/fixtures/recordings"
)

// play sends a recording as Janus did, at the speed of the environment, and calls after(done) after each request. Each
// request must be answered at once: a second try would be a duplicate, which the records count.
func play(t *testing.T, url, name string, after func(done, total int)) {
	t.Helper()
	err := player.Play(t.Context(), url, recordings.Requests(name), player.Options{
		Speed: speed,
		Progress: func(done, total int, _ time.Duration) {
			if after != nil {
				after(done, total)
			}
		},
		Failed: func(request, try int, err error) {
			t.Errorf("send request %d, try %d: %v", request, try, err)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}
