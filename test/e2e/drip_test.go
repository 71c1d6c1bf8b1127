package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// dripped writes the beginning of a message in frames of one byte, and pongs in between, until the connection ends. It
// tells how long that took.
func dripped(t *testing.T, conn *websocket.Conn) time.Duration {
	t.Helper()
	raw := conn.NetConn()
	began := time.Now()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for b := make([]byte, 1024); ; {
			if _, err := raw.Read(b); err != nil {
				return
			}
		}
	}()
	each := time.NewTicker(200 * time.Millisecond)
	defer each.Stop()
	for first := byte(0x01); ; first = 0 { // a text, and what goes on with it
		_, err := raw.Write([]byte{first, 0x81, 0, 0, 0, 0, '[', 0x8a, 0x80, 0, 0, 0, 0})
		if err != nil {
			return time.Since(began)
		}
		select {
		case <-each.C:
		case <-ended:
			return time.Since(began)
		}
		if time.Since(began) > patience {
			t.Fatalf("a message is dripped for %v, and goes on", patience)
		}
	}
}

func TestAMessageThatIsDrippedEndsItsConnectionAndNoOther(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ingest := s.ingest(t)
	address := freeAddress(t)
	ingest.settings["INGEST_WEBSOCKET_LISTEN"] = address
	ingest.start(t)
	connect := func() *websocket.Conn {
		conn, _, err := websocket.DefaultDialer.Dial("ws://"+address+"/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	idle := connect()
	go func() { // answers pings
		for {
			if _, _, err := idle.ReadMessage(); err != nil {
				return
			}
		}
	}()
	if took := dripped(t, connect()); took < 29*time.Second {
		t.Errorf("a message has %v", took)
	}
	event := `{"emitter":"e2e","type":1,"timestamp":1700000000000000,"session_id":4711,"event":{"name":"created"}}`
	if err := idle.WriteMessage(websocket.TextMessage, []byte(event)); err != nil {
		t.Fatalf("a connection that was silent for as long: %v", err)
	}
	until(t, "its event is in the log", func(context.Context) (bool, error) { return s.sessions(t)[4711], nil })
	ingest.stop(t)
}
