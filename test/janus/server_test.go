package janustest

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"januscdr/ingest"
)

const (
	emitter        = "emitter-1"
	sessionTimeout = 6 * time.Second // of a session whose client is silent; Janus looks every 2 s
	statsPeriod    = time.Second
	janusAPI       = "http://127.0.0.1:8088/janus"
	adminAPI       = "http://127.0.0.1:7088/admin"
	adminSecret    = "only here"
	patience       = 30 * time.Second // with anything that we wait for
)

// A server is a running Janus.
type server struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when it has
}

// startJanus starts a Janus whose event handlers have these files, and waits until it answers.
func startJanus(t *testing.T, handlers []ingest.JanusFile) *server {
	t.Helper()
	var loaded []string
	written := map[string]string{}
	for _, file := range handlers {
		if name, ok := strings.CutPrefix(file.Name, "janus.eventhandler."); ok { // janus.jcfg is the test's own
			loaded = append(loaded, "libjanus_"+strings.TrimSuffix(name, ".jcfg")+".so")
			written[file.Name] = file.Text
		}
	}
	plugins, err := filepath.Glob("/usr/lib/*/janus/plugins")
	if err != nil || len(plugins) != 1 {
		t.Fatalf("find the plugins of janus in /usr/lib/*/janus: found %q, %v", plugins, err)
	}
	dir, lib := t.TempDir(), filepath.Dir(plugins[0])
	for name, text := range map[string]string{
		"janus.jcfg": fmt.Sprintf(`general: {
  configs_folder = %q
  plugins_folder = "%[2]s/plugins"
  transports_folder = "%[2]s/transports"
  events_folder = "%[2]s/events"
  loggers_folder = "%[2]s/loggers"
  debug_level = 4
  debug_colors = false
  server_name = %[3]q
  session_timeout = %[4]d
  admin_secret = %[10]q
}
nat: { ice_enforce_list = %[5]q }
plugins: { disable = %[6]q }
transports: { disable = %[7]q }
events: {
  broadcast = true
  stats_period = %[8]d
  disable = %[9]q
}
`, dir, lib, emitter, int(sessionTimeout.Seconds()), janusAddress,
			allBut(t, lib, "plugins", "libjanus_echotest.so", "libjanus_videoroom.so"),
			allBut(t, lib, "transports", "libjanus_http.so"),
			int(statsPeriod.Seconds()),
			allBut(t, lib, "events", loaded...), adminSecret),
		"janus.transport.http.jcfg": `general: {
  base_path = "/janus"
  http = true
  ip = "127.0.0.1"
  port = 8088
  json = "compact"
}
admin: {
  admin_base_path = "/admin"
  admin_http = true
  admin_ip = "127.0.0.1"
  admin_port = 7088
}
`,
	} {
		written[name] = text
	}
	for name, text := range written {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log, err := os.Create(filepath.Join(dir, "janus.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("janus", "-C", filepath.Join(dir, "janus.jcfg"), "-F", dir)
	cmd.Stdout, cmd.Stderr = log, log
	// Not to outlive us, however we end. That is bound to the thread: ours never ends, as no goroutine keeps one for
	// itself.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &server{cmd: cmd, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(s.exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-s.exited
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("the log of janus:\n%s", text)
		}
	})
	s.ready(t)
	return s
}

// ready waits until the API answers.
func (s *server) ready(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, janusAPI+"/info", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err == nil {
			answer.Body.Close()
			return
		}
		select {
		case <-retry.C:
		case <-s.exited:
			t.Fatalf("start janus: it ended at once: %v", s.cmd.ProcessState)
		case <-ctx.Done():
			t.Fatalf("wait for janus: %v", err)
		}
	}
}

// stop ends Janus as an operator does, and returns when that was.
func (s *server) stop(t *testing.T) span {
	t.Helper()
	at := time.Now()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatalf("stop janus: %v", err)
	}
	select {
	case <-s.exited:
	case <-time.After(patience):
		t.Fatal("stop janus: it does not end")
	}
	return span{at, time.Now()}
}

// allBut are the modules of a kind, less those to keep, as Janus wants to have them disabled.
func allBut(t *testing.T, lib, kind string, keep ...string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(lib, kind, "*.so"))
	if err != nil {
		t.Fatal(err)
	}
	var rest []string
	found := 0
next:
	for _, file := range files {
		for _, name := range keep {
			if filepath.Base(file) == name {
				found++
				continue next
			}
		}
		rest = append(rest, filepath.Base(file))
	}
	if found != len(keep) {
		t.Fatalf("find %v in %s/%s: not all there", keep, lib, kind)
	}
	return strings.Join(rest, ",")
}
