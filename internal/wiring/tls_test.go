package wiring

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"januscdr/internal/fixtures/certificates"
)

// issue writes a certificate of a name, in FILE.pem and FILE.key of the folder.
func issue(by *certificates.Authority, dir, file, name string) (certFile, keyFile string) {
	certFile, keyFile = filepath.Join(dir, file+".pem"), filepath.Join(dir, file+".key")
	by.Sign(name, certFile, keyFile)
	return certFile, keyFile
}

// meet lets a client and a server shake hands, and says what each saw of the other.
func meet(t testing.TB, server, client *tls.Config) (serverName, clientName string, err error) {
	t.Helper()
	a, b := net.Pipe()
	limit := time.Now().Add(20 * time.Second)
	a.SetDeadline(limit)
	b.SetDeadline(limit)
	defer a.Close()
	done := make(chan error, 1)
	s := tls.Server(a, server)
	go func() {
		err := s.Handshake()
		if err != nil {
			a.Close()
		}
		done <- err
	}()
	c := tls.Client(b, client)
	defer b.Close()
	err = c.Handshake()
	go io.Copy(io.Discard, b) // a server that refuses says so, and waits until it is read
	if serverErr := <-done; err == nil {
		err = serverErr
	}
	if err != nil {
		return "", "", err
	}
	serverName = c.ConnectionState().PeerCertificates[0].Subject.CommonName
	if peers := s.ConnectionState().PeerCertificates; len(peers) > 0 {
		clientName = peers[0].Subject.CommonName
	}
	return serverName, clientName, nil
}

func TestCertificatesThatAreRenewedAreShownWithoutARestart(t *testing.T) {
	dir, ca := t.TempDir(), certificates.New(t)
	cert, key := issue(ca, dir, "server", "first")
	ownCert, ownKey := issue(ca, dir, "client", "janus-1")
	var said strings.Builder
	log := hclog.New(&hclog.LoggerOptions{Output: &said})
	server, err := ServerTLS(cert, key, ca.File, log)
	if err != nil {
		t.Fatal(err)
	}
	client, err := ClientTLS(ca.File, ownCert, ownKey, log)
	if err != nil {
		t.Fatal(err)
	}
	client.ServerName = "127.0.0.1"
	if s, c, err := meet(t, server, client); s != "first" || c != "janus-1" || err != nil {
		t.Fatalf("%q and %q met, %v", s, c, err)
	}
	if _, _, err := meet(t, server, &tls.Config{RootCAs: client.RootCAs, ServerName: "127.0.0.1"}); err == nil {
		t.Error("a client without a certificate is let in")
	}
	stranger := certificates.New(t)
	strangeCert, strangeKey := issue(stranger, dir, "stranger", "janus-1")
	strange, err := ClientTLS(ca.File, strangeCert, strangeKey, log)
	if err != nil {
		t.Fatal(err)
	}
	strange.ServerName = "127.0.0.1"
	if _, _, err := meet(t, server, strange); err == nil {
		t.Error("a client of another authority is let in")
	}

	issue(ca, dir, "server", "second")
	issue(ca, dir, "client", "janus-2")
	until(t, func() bool {
		s, c, err := meet(t, server, client)
		return s == "second" && c == "janus-2" && err == nil
	})
	if err := os.WriteFile(cert, []byte("half a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool {
		if s, _, err := meet(t, server, client); s != "second" || err != nil {
			t.Fatalf("with a broken file, %q is shown, %v", s, err)
		}
		return strings.Contains(said.String(), "will not do")
	})
	issue(ca, dir, "server", "third")
	until(t, func() bool {
		s, _, err := meet(t, server, client)
		return s == "third" && err == nil
	})
}

func TestUsersOfAFileAreThoseOfNow(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, wrong := range []string{"", "# nobody\n", "janus-1", "janus-1:", ":secret", "a:1\na:2"} {
		write(wrong)
		if _, err := Users(file, hclog.NewNullLogger()); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	write("# of fra\njanus-1:one:two\r\n\njanus-2:three\n")
	users, err := Users(file, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	if got := users(); len(got) != 2 || got["janus-1"] != "one:two" || got["janus-2"] != "three" {
		t.Errorf("got %q", got)
	}
	write("janus-3:four\n")
	until(t, func() bool { return users()["janus-3"] == "four" && len(users()) == 1 })
	write("broken\n")
	until(t, func() bool { return users()["janus-3"] == "four" })
}

func TestThePasswordOfAFileIsThatOfNow(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("\n")
	if _, err := User("janus", file, hclog.NewNullLogger()); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("an empty file: %v", err)
	}
	write("one:1 \r\n")
	users, err := User("janus", file, hclog.NewNullLogger())
	if err != nil || len(users()) != 1 || users()["janus"] != "one:1 " {
		t.Fatalf("there is no such user, %v", err)
	}
	write("two")
	until(t, func() bool { return users()["janus"] == "two" })
	write("")
	until(t, func() bool { return users()["janus"] == "two" })
}

func until(t *testing.T, is func() bool) {
	t.Helper()
	limit := time.Now().Add(20 * time.Second)
	for !is() {
		if time.Now().After(limit) {
			t.Fatal("it never came")
		}
		<-time.After(10 * time.Millisecond)
	}
}

func TestFilesOfTLSThatWillNotDoAreNamed(t *testing.T) {
	dir, ca := t.TempDir(), certificates.New(t)
	cert, key := issue(ca, dir, "server", "one")
	other, _ := issue(ca, dir, "other", "two")
	nothing := filepath.Join(dir, "nothing")
	if err := os.WriteFile(nothing, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	log := hclog.NewNullLogger()
	for name, try := range map[string]func() error{
		"the key of another": func() error { _, err := ServerTLS(other, key, "", log); return err },
		"no authority":       func() error { _, err := ServerTLS(cert, key, nothing, log); return err },
		"no file":            func() error { _, err := ServerTLS(cert, key, nothing+"s", log); return err },
		"no authority of a server": func() error {
			_, err := ClientTLS(nothing, "", "", log)
			return err
		},
		"no certificate": func() error { _, err := ClientTLS("", nothing, key, log); return err },
	} {
		if err := try(); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
