// Package otlp sends finished calls as traces to what speaks OTLP over HTTP: a session is a trace, its legs are spans.
//
// What takes traces keeps no position for us, so the position is a file beside, moved when the spans of a step were
// taken. After a kill the last step is sent again, with the same ids: span and trace ids follow from those of the
// records, so a repetition is the same span, and what stores spans by their ids keeps one. It touches one file and the
// network.
package otlp

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/consume"
	"januscdr/janus"
)

// Options say where the traces go.
type Options struct {
	URL      string // of the receiver of traces: http://collector:4318/v1/traces
	File     string // of the position
	NewTopic bool   // go on with another topic than that of the position
}

const (
	spansAtOnce    = 500 // in a request
	requestTimeout = 30 * time.Second
	answerLimit    = 64 << 10 // bytes of an answer that are read
)

// Target is a receiver of traces.
type Target struct {
	o        Options
	client   *http.Client
	position position
	values   []avro.Value
}

type position struct {
	Origin consume.Origin  `json:"origin"`
	Next   map[int32]int64 `json:"positions"`
}

// New makes a target.
func New(o Options) *Target {
	return &Target{o: o, client: &http.Client{Timeout: requestTimeout}}
}

// Positions reads the file.
func (t *Target) Positions(context.Context) (consume.Origin, map[int32]int64, error) {
	t.position = position{Next: map[int32]int64{}}
	b, err := os.ReadFile(t.o.File)
	if errors.Is(err, fs.ErrNotExist) {
		return consume.Origin{}, nil, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &t.position)
	}
	if err != nil {
		return consume.Origin{}, nil, fmt.Errorf("%w: read the position in %s: %w", consume.ErrRefused, t.o.File, err)
	}
	next := map[int32]int64{}
	for partition, offset := range t.position.Next {
		next[partition] = offset
	}
	return t.position.Origin, next, nil
}

// Write sends the calls that are over, then moves the position.
func (t *Target) Write(ctx context.Context, b consume.Batch) error {
	if t.position.Origin != b.Origin && len(b.Steps) > 0 {
		if t.position.Origin != (consume.Origin{}) && !t.o.NewTopic {
			return fmt.Errorf("%w: its position is that of another", consume.ErrForeign)
		}
		t.position = position{Origin: b.Origin, Next: map[int32]int64{}}
	}
	var spans []span
	for i := range b.Rows {
		if b.Rows[i].Record.IsFinal { // of a leg in parts the last one has the times of all
			spans = append(spans, t.spanOf(&b.Rows[i].Record))
		}
	}
	for len(spans) > 0 {
		n := min(len(spans), spansAtOnce)
		if err := t.send(ctx, spans[:n]); err != nil {
			return err
		}
		spans = spans[n:]
	}
	for partition, step := range b.Steps {
		t.position.Next[partition] = step.To
	}
	if len(b.Steps) == 0 {
		return nil
	}
	return t.save()
}

func (t *Target) save() error {
	b, err := json.Marshal(t.position)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(t.o.File), 0o750)
	}
	if err == nil {
		err = os.WriteFile(t.o.File+".new", b, 0o640)
	}
	if err == nil {
		err = os.Rename(t.o.File+".new", t.o.File)
	}
	if err != nil {
		return fmt.Errorf("keep the position: %w", err)
	}
	return nil
}

// send makes a request and waits until its spans were taken.
func (t *Target) send(ctx context.Context, spans []span) error {
	body, err := json.Marshal(request(spans))
	if err != nil {
		return fmt.Errorf("write spans: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.o.URL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: %w", consume.ErrRefused, err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := t.client.Do(r)
	if err != nil {
		return fmt.Errorf("send spans: %w", err)
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(io.LimitReader(answer.Body, answerLimit))
	switch code := answer.StatusCode; {
	case err != nil:
		return fmt.Errorf("send spans: %w", err)
	case code == http.StatusTooManyRequests || code >= 500:
		return fmt.Errorf("send spans: %s answers %s", t.o.URL, answer.Status)
	case code >= 300:
		return fmt.Errorf("%w: %s answers %s: %.200s", consume.ErrRefused, t.o.URL, answer.Status, said)
	}
	var partly struct {
		PartialSuccess struct {
			RejectedSpans json.Number `json:"rejectedSpans"`
			ErrorMessage  string      `json:"errorMessage"`
		} `json:"partialSuccess"`
	}
	if json.Unmarshal(said, &partly) == nil {
		if n, err := partly.PartialSuccess.RejectedSpans.Int64(); err == nil && n > 0 {
			return fmt.Errorf("%w: %d spans are rejected: %s", consume.ErrRefused, n, partly.PartialSuccess.ErrorMessage)
		}
	}
	return nil
}

// Flush has nothing to do: what was taken is there.
func (t *Target) Flush(context.Context) error { return nil }

// Close has nothing to do.
func (t *Target) Close() error {
	t.client.CloseIdleConnections()
	return nil
}

// The words of OTLP's JSON.
type (
	span struct {
		emitter    string
		TraceID    string      `json:"traceId"`
		SpanID     string      `json:"spanId"`
		ParentID   string      `json:"parentSpanId,omitempty"`
		Name       string      `json:"name"`
		Kind       int         `json:"kind"`
		Start      string      `json:"startTimeUnixNano"`
		End        string      `json:"endTimeUnixNano"`
		Attributes []attribute `json:"attributes"`
		Events     []event     `json:"events,omitempty"`
		Status     status      `json:"status"`
	}
	attribute struct {
		Key   string         `json:"key"`
		Value map[string]any `json:"value"`
	}
	event struct {
		Time string `json:"timeUnixNano"`
		Name string `json:"name"`
	}
	status struct {
		Code    int    `json:"code,omitempty"`
		Message string `json:"message,omitempty"`
	}
)

const (
	kindInternal = 1
	statusError  = 2
)

// request is what is sent: spans by the Janus that they came from.
func request(spans []span) map[string]any {
	byEmitter := map[string][]span{}
	var order []string
	for _, s := range spans {
		if byEmitter[s.emitter] == nil {
			order = append(order, s.emitter)
		}
		byEmitter[s.emitter] = append(byEmitter[s.emitter], s)
	}
	var resources []any
	for _, emitter := range order {
		resources = append(resources, map[string]any{
			"resource": map[string]any{"attributes": []attribute{
				{"service.name", map[string]any{"stringValue": "janus"}},
				{"service.instance.id", map[string]any{"stringValue": emitter}},
			}},
			"scopeSpans": []any{map[string]any{"scope": map[string]any{"name": "januscdr"}, "spans": byEmitter[emitter]}},
		})
	}
	return map[string]any{"resourceSpans": resources}
}

// spanOf is a record as a span: a session is the root of its trace, whose id is that of the session.
func (t *Target) spanOf(r *cdr.Record) span {
	root := hex.EncodeToString(r.SessionUID[:8])
	s := span{
		emitter: r.Emitter, TraceID: r.SessionUID.String(), SpanID: hex.EncodeToString(r.CDRID[:8]), ParentID: root,
		Name: r.LegKind.String(), Kind: kindInternal, Start: nanos(r.StartTime), End: nanos(max(r.StartTime, r.EndTime)),
	}
	if r.RecordType == cdr.SessionSummary {
		s.SpanID, s.ParentID, s.Name = root, "", "SESSION"
	} else if r.Disposition != cdr.Answered {
		s.Status = status{statusError, r.Disposition.String()}
	}
	if r.AnswerTime != 0 {
		s.Events = []event{{nanos(r.AnswerTime), "answered"}}
	}
	t.values = avro.Values(t.values, r)
	for i, f := range avro.Fields() {
		v := &t.values[i]
		if v.Null {
			continue
		}
		var value map[string]any
		switch f.Type {
		case avro.Boolean:
			value = map[string]any{"boolValue": v.Int != 0}
		case avro.Int, avro.Long, avro.Moment:
			value = map[string]any{"intValue": strconv.FormatInt(v.Int, 10)}
		case avro.List, avro.Group:
			value = map[string]any{"stringValue": string(avro.AppendJSON(nil, &f, v))}
		default:
			value = map[string]any{"stringValue": v.Text}
		}
		s.Attributes = append(s.Attributes, attribute{"cdr." + f.Name, value})
	}
	return s
}

func nanos(t janus.Micros) string { return strconv.FormatInt(int64(t)*1000, 10) }
