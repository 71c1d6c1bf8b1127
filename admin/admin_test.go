package admin

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// serve runs a server until the test ends and returns its base URL.
func serve(t *testing.T, o Options) string {
	t.Helper()
	o.Listen = "127.0.0.1:0"
	s, err := Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("after an orderly stop: %v", err)
		}
	})
	return "http://" + s.Addr().String()
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

func TestAProcessLivesBeforeItIsReady(t *testing.T) {
	var restored atomic.Bool
	url := serve(t, Options{Ready: func() Readiness {
		if restored.Load() {
			return Readiness{Ready: true, Details: map[string]int{"tasks": 4}}
		}
		return Readiness{Reasons: []string{"task 3 is restored to 40 %"}}
	}})
	address := strings.TrimPrefix(url, "http://")

	if status, body := get(t, url+"/healthz"); status != 200 || body != "ok\n" {
		t.Errorf("healthz: %d %q", status, body)
	}
	status, body := get(t, url+"/readyz")
	var r Readiness
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Fatal(err)
	}
	if status != 503 || r.Ready || len(r.Reasons) != 1 || r.Reasons[0] != "task 3 is restored to 40 %" {
		t.Errorf("readyz before: %d %s", status, body)
	}
	if err := Check(t.Context(), address, false); err != nil {
		t.Errorf("check of life: %v", err)
	}
	want := "check health at " + url + "/readyz: not ready: task 3 is restored to 40 %"
	if err := Check(t.Context(), address, true); err == nil || err.Error() != want {
		t.Errorf("check of readiness: %v, want %s", err, want)
	}

	restored.Store(true)
	if status, body := get(t, url+"/readyz"); status != 200 || !strings.Contains(body, `"tasks": 4`) {
		t.Errorf("readyz after: %d %s", status, body)
	}
	if err := Check(t.Context(), address, true); err != nil {
		t.Errorf("check of readiness: %v", err)
	}
}

func TestMetricsAreThoseOfTheGivenRegistry(t *testing.T) {
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "cdr_records_emitted_total", Help: "Records."})
	registry.MustRegister(counter)
	counter.Add(3)
	url := serve(t, Options{Gatherer: registry})
	if status, body := get(t, url+"/metrics"); status != 200 || !strings.Contains(body, "cdr_records_emitted_total 3") {
		t.Errorf("metrics: %d %s", status, body)
	}
	if strings.Contains(mustBody(t, url+"/metrics"), "go_goroutines") {
		t.Error("metrics of a registry that was not given")
	}
}

func mustBody(t *testing.T, url string) string {
	_, body := get(t, url)
	return body
}

func TestNothingIsChangedAndNothingElseIsServed(t *testing.T) {
	url := serve(t, Options{})
	for path, want := range map[string]int{"/readyz": 200, "/metrics": 404, "/": 404, "/debug/pprof/": 404} {
		if status, _ := get(t, url+path); status != want {
			t.Errorf("GET %s: %d, want %d", path, status, want)
		}
	}
	r, err := http.Post(url+"/healthz", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", r.Status)
	}
}

func TestAPortThatIsTakenIsAnErrorInOneLineWithARemedy(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	_, err = Listen(Options{Listen: address})
	want := "serve health and metrics on " + address +
		": the port is in use; stop the other process or choose another admin.listen"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err := Listen(Options{Listen: "127.0.0.1:99999"}); err == nil ||
		!strings.HasSuffix(err.Error(), "; check admin.listen") || strings.Contains(err.Error(), "\n") {
		t.Errorf("an impossible port: %v", err)
	}
}

func TestACheckOfAProcessThatIsAwayFails(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Check(t.Context(), address, false); err == nil || !strings.Contains(err.Error(), "nothing answers there") {
		t.Errorf("got %v", err)
	}
	if err := Check(t.Context(), "nonsense", false); err == nil {
		t.Error("an address without a port was accepted")
	}
}

func TestACheckReachesAProcessOnAllInterfaces(t *testing.T) {
	s, err := Listen(Options{Listen: ":0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	_, port, err := net.SplitHostPort(s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, listen := range []string{":" + port, "0.0.0.0:" + port, "[::]:" + port} {
		if err := Check(t.Context(), listen, false); err != nil {
			t.Errorf("%s: %v", listen, err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestReadinessThatCannotBeWrittenDownIsAnErrorOfOurs(t *testing.T) {
	url := serve(t, Options{Ready: func() Readiness { return Readiness{Ready: true, Details: func() {}} }})
	if status, _ := get(t, url+"/readyz"); status != 500 {
		t.Errorf("got %d", status)
	}
}
