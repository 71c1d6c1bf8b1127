package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"

	"januscdr/internal/fixtures/recordings"
)

// request is a damaged request: all its bytes, and the well-formed events that must be in the log if it is answered.
type request struct {
	kind       string
	bytes      []byte
	neighbours []int64
}

// recorded are events that were recorded.
var recorded = sync.OnceValue(func() (all [][]byte) {
	for _, name := range recordings.Names() {
		for _, e := range recordings.Events(name) {
			if len(e) < 4096 {
				all = append(all, e)
			}
		}
	}
	return all
})

// makeRequest is the request of a number, the same each time.
func makeRequest(seed uint64, number int64) request {
	r := rand.New(rand.NewPCG(seed, uint64(number)))
	one, two := 2*number, 2*number+1
	bad := mutate(r, recorded()[r.IntN(len(recorded()))])
	body := []byte("[" + numbered(one) + "," + string(bad) + "," + numbered(two) + "]")
	kinds := []func(*rand.Rand, []byte) request{element, elementInChunks, elementCompressed, anyByte, wrongLength,
		wrongChunks, wrongEncoding, anyHead}
	made := kinds[r.IntN(len(kinds))](r, body)
	if made.neighbours != nil {
		made.neighbours = []int64{one, two}
	}
	return made
}

// kept says that the neighbours of a damaged event are as they were.
var kept = []int64{}

// pieces are what parsers trip over.
var pieces = []string{"\x00", "\xff", "\"", "\\", "{", "}", "[", "]", ",", ":", "NaN", "01", "-", "1e999", "\\u12",
	"\n", "\r\n", "\xed\xa0\x80", "null", "\"\"", "}}", "]]", "},{", "\x1f\x8b", strings.Repeat("[", 600),
	strings.Repeat(`{"a":`, 600), strings.Repeat("9", 400)}

// mutate damages some bytes at some places.
func mutate(r *rand.Rand, original []byte) []byte {
	b := slices.Clone(original)
	for range 1 + r.IntN(4) {
		from := r.IntN(len(b) + 1)
		to := min(len(b), from+r.IntN(1+r.IntN(40)))
		switch r.IntN(5) {
		case 0:
			if from < len(b) {
				b[from] ^= 1 << r.IntN(8)
			}
		case 1:
			b = slices.Insert(b, from, []byte(pieces[r.IntN(len(pieces))])...)
		case 2:
			b = slices.Delete(b, from, to)
		case 3:
			b = slices.Replace(b, from, to, []byte(pieces[r.IntN(len(pieces))])...)
		case 4:
			b = slices.Insert(b, from, slices.Clone(b[from:to])...)
		}
	}
	return b
}

// authorized is the beginning of the request of somebody who has a password.
func authorized(lines ...string) string {
	return "POST /events HTTP/1.1\r\nHost: ingest\r\nConnection: close\r\nAuthorization: Basic " +
		base64.StdEncoding.EncodeToString([]byte(known+":"+password+known)) + "\r\n" + strings.Join(lines, "\r\n") +
		"\r\n\r\n"
}

func lengthOf(body []byte) string { return fmt.Sprint("Content-Length: ", len(body)) }

func whole(kind string, body []byte, lines ...string) request {
	return request{kind: kind, bytes: append([]byte(authorized(append(lines, lengthOf(body))...)), body...)}
}

// element is a request as it should be, with an array of which one element is damaged.
func element(_ *rand.Rand, body []byte) request {
	made := whole("element", body)
	made.neighbours = kept
	return made
}

func elementInChunks(r *rand.Rand, body []byte) request {
	return request{kind: "element in chunks", neighbours: kept,
		bytes: append([]byte(authorized("Transfer-Encoding: chunked")), chunked(r, body)...)}
}

// chunked is a body in chunks of any size.
func chunked(r *rand.Rand, body []byte) (out []byte) {
	for len(body) > 0 {
		n := 1 + r.IntN(len(body))
		out = fmt.Appendf(out, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return append(out, "0\r\n\r\n"...)
}

func compress(body []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(body)
	_ = z.Close()
	return b.Bytes()
}

func elementCompressed(_ *rand.Rand, body []byte) request {
	made := whole("element compressed", compress(body), "Content-Encoding: gzip")
	made.neighbours = kept
	return made
}

func anyByte(r *rand.Rand, body []byte) request { return whole("any byte", mutate(r, body)) }

func wrongLength(r *rand.Rand, body []byte) request {
	lengths := []string{"-1", "+5", "0x10", "99999999999999999999", "1e3", " ", strconv.Itoa(len(body) + 1 + r.IntN(100)),
		strconv.Itoa(r.IntN(len(body) + 1)), strconv.Itoa(len(body)) + "\r\nContent-Length: 7", "1073741824", "33554433",
		strconv.Itoa(len(body)) + "\r\nTransfer-Encoding: chunked"}
	return request{kind: "length", bytes: append([]byte(authorized("Content-Length: "+lengths[r.IntN(len(lengths))])),
		body...)}
}

func wrongChunks(r *rand.Rand, body []byte) request {
	return request{kind: "chunks", bytes: append([]byte(authorized("Transfer-Encoding: chunked")),
		mutate(r, chunked(r, body))...)}
}

func wrongEncoding(r *rand.Rand, body []byte) request {
	encodings := []string{"gzip", "x-gzip", "br", "deflate", "identity", "gzip, gzip", "\x01", ""}
	switch encoding := "Content-Encoding: " + encodings[r.IntN(len(encodings))]; r.IntN(3) {
	case 0:
		return whole("encoding", mutate(r, compress(body)), encoding)
	case 1:
		return whole("encoding", compress(body), encoding)
	default:
		return whole("encoding", body, encoding)
	}
}

// anyHead damages the head of a request.
func anyHead(r *rand.Rand, body []byte) request {
	head := mutate(r, []byte(authorized(lengthOf(body), "Content-Type: application/json")))
	return request{kind: "head", bytes: append(head, body...)}
}
