// Package player plays recorded requests over HTTP as the sampleevh event handler of Janus sends them.
//
// It promises that the receiver sees what it would see of Janus: the recorded bytes, one request at a time, a new
// connection for each, and again after a connection that was closed without an answer. It touches the network: the URL
// it is given, nothing else. It is meant for the demo and for tests.
package player

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"januscdr/internal/captures"
)

// What sampleevh does by default: a request may take 10 s, and a failed one is sent again 5 times, after 100 ms and then
// twice as long each time. libcurl asks before it sends more than 1 MiB.
const (
	requestTimeout   = 10 * time.Second
	retransmissions  = 5
	firstBackoff     = 100 * time.Millisecond
	expectAbove      = 1 << 20
	continueTimeout  = time.Second
	contentType      = "application/json"
	maxAnswerToDrain = 64 << 10
)

// Options say how to play.
type Options struct {
	Speed    float64                                 // recorded pauses are divided by it; 0: no pauses
	Gzip     bool                                    // compress the bodies; the recorded compressed form is taken where there is one
	User     string                                  // of HTTP Basic authentication; empty: none
	Password string                                  // of User
	Progress func(done, total int, at time.Duration) // called after each request; at is the recorded time since the first
	Failed   func(request int, try int, err error)   // called for each try that brought no answer
}

// Play posts the bodies of the requests in order, each until it is answered. It returns when the last one is, and with
// an error when one was given up after 5 repetitions, when the receiver answers something else than 200 (Janus would
// take that as delivered), or when the context ends.
func Play(ctx context.Context, url string, requests []captures.Request, o Options) error {
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true, ExpectContinueTimeout: continueTimeout}
	client := &http.Client{
		Transport:     transport,
		Timeout:       requestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer transport.CloseIdleConnections()
	for i, r := range requests {
		if i > 0 && o.Speed > 0 {
			if err := pause(ctx, time.Duration(float64(r.At-requests[i-1].At)/o.Speed)); err != nil {
				return fmt.Errorf("play request %d of %d: %w", i+1, len(requests), err)
			}
		}
		body, err := encode(r, o.Gzip)
		if err == nil {
			err = deliver(ctx, client, url, body, i+1, o)
		}
		if err != nil {
			return fmt.Errorf("play request %d of %d: %w", i+1, len(requests), err)
		}
		if o.Progress != nil {
			o.Progress(i+1, len(requests), time.Duration(r.At-requests[0].At))
		}
	}
	return nil
}

// encode is the body as it goes over the wire.
func encode(r captures.Request, compressed bool) ([]byte, error) {
	if !compressed {
		return r.Body, nil
	}
	if r.Encoding == "gzip" {
		return r.Raw, nil
	}
	var wire bytes.Buffer
	z := gzip.NewWriter(&wire)
	if _, err := z.Write(r.Body); err != nil {
		return nil, fmt.Errorf("compress body: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("compress body: %w", err)
	}
	return wire.Bytes(), nil
}

// errStatus is an answer that is none of ours.
var errStatus = errors.New("unexpected answer")

// deliver posts one body until it is answered or given up.
func deliver(ctx context.Context, client *http.Client, url string, body []byte, number int, o Options) error {
	backoff := firstBackoff
	for try := 1; ; try++ {
		err := post(ctx, client, url, body, o)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, errStatus) {
			return err
		}
		if o.Failed != nil {
			o.Failed(number, try, err)
		}
		if try > retransmissions {
			return fmt.Errorf("give up after %d tries: %w", try, err)
		}
		if err := pause(ctx, backoff); err != nil {
			return err
		}
		backoff *= 2
	}
}

func post(ctx context.Context, client *http.Client, url string, body []byte, o Options) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: %w", errStatus, err) // a wrong URL does not mend itself
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Accept", "*/*")
	request.Header.Set("User-Agent", "") // libcurl inside Janus names none
	if o.Gzip {
		request.Header.Set("Content-Encoding", "gzip")
	}
	if len(body) > expectAbove {
		request.Header.Set("Expect", "100-continue")
	}
	if o.User != "" {
		request.SetBasicAuth(o.User, o.Password)
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, maxAnswerToDrain) // Janus ignores what stands in it
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: %s", errStatus, answer.Status)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
