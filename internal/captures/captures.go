// Package captures holds recorded traffic: what the event handlers of real Janus servers (1.1.2 and 1.4.1) sent while a
// client program played one scenario each, and what that program knows to be true about it.
//
// It promises that the bytes are those that Janus wrote, duplicates, losses and wrong order included; nothing has been
// corrected. It touches nothing: the recordings are embedded and unpacked in memory. It is meant for tests and for the
// demo; asking for a recording that does not exist is a mistake of the program and panics.
package captures

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"
)

//go:embed data/*.gz
var data embed.FS

// Request is one HTTP request or one WebSocket message as a receiver of Janus' events saw it.
type Request struct {
	At       int64             // arrival in nanoseconds since the Unix epoch, by the receiver's clock
	N        int               // running number, from 1 in order of arrival
	Via      string            // "http" or "ws"
	Headers  map[string]string // headers of the request or of the WebSocket handshake; nil where they were not recorded
	Body     []byte            // one event object or an array of 1 to 100, decompressed, exactly as Janus wrote it
	Encoding string            // Content-Encoding, "gzip" or ""
	Raw      []byte            // the body as it was on the wire, when Encoding is set; else nil

	// Accepted is false when the receiver refused or lost the request on purpose; its events are then not among
	// Events. A request with a true Accepted may still come again, since its sender can have seen a failure.
	Accepted bool
	Mode     string // what an outage run did on purpose: "500", "drop-stored", "stall-stored", "stall-lost"; "" elsewhere

	// Status is the HTTP status answered: 0 when the answer came after the sender gave up (12 s), -1 when the
	// connection was closed without an answer. Only outage runs record it; elsewhere it is 200.
	Status int
}

// Time is At as a time.
func (r Request) Time() time.Time { return time.Unix(0, r.At) }

// Names lists the recordings in alphabetical order. The part before the first dash is the release of Janus:
// "1.1-a_echotest".
func Names() []string {
	files, err := fs.Glob(data, "data/*.events.jsonl.gz")
	if err != nil {
		panic(fmt.Sprintf("list recordings: %v", err)) // the pattern is constant
	}
	names := make([]string, 0, len(files))
	for _, file := range files {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(file, "data/"), ".events.jsonl.gz"))
	}
	slices.Sort(names)
	return names
}

// Events returns the events of a recording in order of arrival, each with the bytes that Janus wrote.
func Events(name string) [][]byte { return lines(unpack(name, "events.jsonl")) }

// Requests returns the requests of a recording in order of arrival, the refused ones included.
func Requests(name string) []Request {
	raw := lines(unpack(name, "requests.jsonl"))
	requests := make([]Request, 0, len(raw))
	for i, line := range raw {
		var r struct {
			At       int64             `json:"t_ns"`
			N        int               `json:"n"`
			Via      string            `json:"via"`
			Headers  map[string]string `json:"headers"`
			Body     json.RawMessage   `json:"body"` // keeps the white space inside
			Encoding string            `json:"encoding"`
			RawB64   string            `json:"raw_b64"`
			Accepted *bool             `json:"accepted"`
			Mode     string            `json:"mode"`
			Status   *int              `json:"status"`
		}
		if err := json.Unmarshal(line, &r); err != nil {
			panic(fmt.Sprintf("read recording %s: line %d of its requests: %v", name, i+1, err))
		}
		request := Request{At: r.At, N: r.N, Via: r.Via, Headers: r.Headers, Body: r.Body,
			Encoding: r.Encoding, Mode: r.Mode, Accepted: true, Status: 200}
		if r.Accepted != nil {
			request.Accepted = *r.Accepted
		}
		if r.Status != nil {
			request.Status = *r.Status
		}
		if r.RawB64 != "" {
			wire, err := base64.StdEncoding.DecodeString(r.RawB64)
			if err != nil {
				panic(fmt.Sprintf("read recording %s: raw body on line %d of its requests: %v", name, i+1, err))
			}
			request.Raw = wire
		}
		requests = append(requests, request)
	}
	return requests
}

// Truth returns what the client program of a recording did and saw, by its own clock, as one JSON object.
func Truth(name string) []byte { return unpack(name, "truth.json") }

// unpack returns a fresh copy of one file of a recording, so that callers may change it.
func unpack(name, file string) []byte {
	packed, err := data.ReadFile("data/" + name + "." + file + ".gz")
	if err != nil {
		panic(fmt.Sprintf("read recording %q: %v; there are %s", name, err, strings.Join(Names(), ", ")))
	}
	reader, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		panic(fmt.Sprintf("unpack %s of recording %s: %v", file, name, err))
	}
	plain, err := io.ReadAll(reader)
	if err != nil {
		panic(fmt.Sprintf("unpack %s of recording %s: %v", file, name, err))
	}
	return plain
}

// lines cuts at line feeds and drops what is empty. The capacity of a line ends with it, so that appending to one does
// not write into the next.
func lines(b []byte) [][]byte {
	out := make([][]byte, 0, bytes.Count(b, []byte{'\n'})+1)
	for line := range bytes.SplitSeq(b, []byte{'\n'}) {
		if len(line) > 0 {
			out = append(out, line[:len(line):len(line)])
		}
	}
	return out
}
