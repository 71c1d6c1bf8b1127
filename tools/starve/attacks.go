package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"januscdr/internal/fixtures/procs"
)

// target is whom an attack is aimed at, and as whom.
type target struct {
	addr string
	user string // whose password it has; empty: none
	from net.IP
}

// attack is a number of connections, each of which is opened again when it has ended.
type attack struct {
	name   string
	number int
	strike func(ctx context.Context, t *target, conn net.Conn) // until it ends, or the context does
}

const bodyLimit = 32 << 20

var attacks = []attack{
	{"slow-8", 8, slowBody},
	{"slow-40", 40, slowBody},
	{"idle-2500", 2500, idle},
	{"slow-headers", 1000, slowHeader},
	{"endless-chunks", 8, endlessChunks},
	{"large-bodies", 40, largeBody},
	{"full-bodies", 8, fullBody},
	{"zip-bomb", 8, zipBomb},
	{"huge-headers", 16, hugeHeader},
	{"half-open", 500, halfOpen},
	{"requests", 16, emptyRequest},
}

func attackNamed(name string) (attack, bool) {
	for _, a := range attacks {
		if a.name == name {
			return a, true
		}
	}
	return attack{}, false
}

func attackerAddress(o *options) net.IP {
	if o.sameAddress {
		return goodAddress(0)
	}
	return net.IPv4(127, 0, 2, 1)
}

const again = 100 * time.Millisecond // before a connection that has ended is opened again

// run attacks until the context ends. Opened is called for each connection, if it is not nil.
func (a *attack) run(ctx context.Context, t target, opened func()) {
	var working sync.WaitGroup
	for range a.number {
		working.Go(func() {
			dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: t.from}, Timeout: answerTime}
			for ctx.Err() == nil {
				if conn, err := dialer.DialContext(ctx, "tcp", t.addr); err == nil {
					if opened != nil {
						opened()
					}
					end := context.AfterFunc(ctx, func() { conn.Close() })
					a.strike(ctx, &t, conn)
					end()
					conn.Close()
				}
				procs.Sleep(ctx, again)
			}
		})
	}
	working.Wait()
}

// head is the beginning of a request, without the empty line.
func (t *target) head(lines ...string) string {
	head := "POST /events HTTP/1.1\r\nHost: ingest\r\nContent-Type: application/json\r\n"
	if t.user != "" {
		head += "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(t.user+":"+password+t.user)) + "\r\n"
	}
	return head + strings.Join(lines, "\r\n") + "\r\n"
}

// drip writes a piece each second until somebody has enough.
func drip(ctx context.Context, to io.Writer, piece string) {
	for {
		if _, err := io.WriteString(to, piece); err != nil || !procs.Sleep(ctx, time.Second) {
			return
		}
	}
}

// await reads until the other side has enough.
func await(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

func slowBody(ctx context.Context, t *target, conn net.Conn) {
	_, _ = io.WriteString(conn, t.head(fmt.Sprint("Content-Length: ", bodyLimit))+"\r\n[")
	drip(ctx, conn, strings.Repeat(" ", 107))
}

// idle sends nothing; who has a password sends one event first.
func idle(_ context.Context, t *target, conn net.Conn) {
	if t.user != "" {
		_, _ = io.WriteString(conn, t.head("Content-Length: 2")+"\r\n[]")
	}
	await(conn)
}

func slowHeader(ctx context.Context, t *target, conn net.Conn) {
	_, _ = io.WriteString(conn, t.head())
	drip(ctx, conn, "X")
}

func endlessChunks(_ context.Context, t *target, conn net.Conn) {
	_, err := io.WriteString(conn, t.head("Transfer-Encoding: chunked")+"\r\n")
	chunk := fmt.Sprintf("10000\r\n%s\r\n", strings.Repeat("[", 0x10000))
	for err == nil {
		_, err = io.WriteString(conn, chunk)
	}
}

// largeBody comes fast enough, and is one event short of its end.
func largeBody(ctx context.Context, t *target, conn net.Conn) {
	_, err := io.WriteString(conn, t.head(fmt.Sprint("Content-Length: ", bodyLimit))+"\r\n[")
	piece := strings.Repeat(" ", 400<<10)
	for sent := 0; err == nil && sent+len(piece) < bodyLimit; sent += len(piece) {
		if _, err = io.WriteString(conn, piece); !procs.Sleep(ctx, 100*time.Millisecond) {
			return
		}
	}
	await(conn)
}

// events is the inside of a body of 30 MiB: 9000 events, as large as their reports get.
var events = sync.OnceValue(func() string {
	long := strings.Repeat("x", 3<<10)
	var b strings.Builder
	for n := range int64(9000) {
		b.WriteString(strings.Replace(event(n+1, n), "echotest", long, 1))
		b.WriteByte(',')
	}
	return b.String()
})

// fullBody sends one after the other, as fast as they are taken, each another one.
func fullBody(_ context.Context, t *target, conn net.Conn) {
	last := event(1, posted.Add(1)) + "]"
	length := fmt.Sprint("Content-Length: ", 1+len(events())+len(last))
	_, _ = io.WriteString(conn, t.head("Connection: close", length)+"\r\n[")
	_, _ = io.WriteString(conn, events())
	_, _ = io.WriteString(conn, last)
	await(conn)
}

// bomb is 32 KiB that are 32 MiB and a byte.
var bomb = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(make([]byte, bodyLimit+1))
	_ = z.Close()
	return b.Bytes()
})

// zipBomb sends one after the other, each another one.
func zipBomb(_ context.Context, t *target, conn net.Conn) {
	var another bytes.Buffer
	z := gzip.NewWriter(&another)
	_, _ = fmt.Fprint(z, posted.Add(1))
	_ = z.Close()
	body := append(another.Bytes(), bomb()...)
	_, _ = io.WriteString(conn, t.head("Content-Encoding: gzip", "Connection: close",
		fmt.Sprint("Content-Length: ", len(body)))+"\r\n"+string(body))
	await(conn)
}

func hugeHeader(_ context.Context, t *target, conn net.Conn) {
	_, _ = io.WriteString(conn, t.head()+"X-Huge: "+strings.Repeat("x", 1<<20))
	await(conn)
}

// halfOpen closes its half in the middle of a body.
func halfOpen(_ context.Context, t *target, conn net.Conn) {
	_, _ = io.WriteString(conn, t.head("Content-Length: 100")+"\r\n[{")
	_ = conn.(*net.TCPConn).CloseWrite()
	await(conn)
}

// emptyRequest asks for something else, over and over.
func emptyRequest(_ context.Context, t *target, conn net.Conn) {
	_, _ = io.WriteString(conn, strings.Replace(t.head(), "POST", "GET", 1)+"\r\n")
	await(conn)
}
