package explain

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/janus"
)

// fieldDoc is what the schema says of a field.
type fieldDoc struct {
	Name string `json:"name"`
	Doc  string `json:"doc"`
}

// fieldDocs are the fields of a record in the order of the schema.
var fieldDocs = sync.OnceValue(func() []fieldDoc {
	var schema struct {
		Fields []fieldDoc `json:"fields"`
	}
	if err := json.Unmarshal([]byte(avro.Schema()), &schema); err != nil {
		panic(fmt.Sprintf("explain: the schema of the record cannot be read: %v", err)) // a mistake at build time
	}
	return schema.Fields
})

// fields are all fields of a record that may be shown, with what they mean.
func fields(r *cdr.Record) []Field {
	values := map[string]json.RawMessage{}
	if err := json.Unmarshal(avro.JSON(nil, r), &values); err != nil {
		panic(fmt.Sprintf("explain: a record is no JSON: %v", err)) // package avro promises that it is
	}
	var all []Field
	for _, doc := range fieldDocs() {
		f := Field{Name: doc.Name, Meaning: doc.Doc}
		raw := values[doc.Name]
		switch {
		case len(raw) == 0 || string(raw) == "null":
		case raw[0] == '"':
			if err := json.Unmarshal(raw, &f.Value); err != nil {
				f.Value = string(raw)
			}
		default:
			f.Value = string(raw)
		}
		if n, err := json.Number(f.Value).Int64(); err == nil && n != 0 && raw[0] != '"' {
			switch {
			case strings.HasSuffix(doc.Name, "_time"):
				f.Reads = exactTime(janus.Micros(n))
			case strings.HasSuffix(doc.Name, "duration"):
				f.Reads = span(janus.Micros(n))
			}
		}
		switch doc.Name {
		case "streams":
			f.Value, f.Reads = streams(r)
		case "leg_ids", "feeds":
			var words []string
			if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&words); err == nil {
				f.Value = strings.Join(words, ", ")
			}
		}
		all = append(all, f)
	}
	return all
}

// streams sums up what a leg carried.
func streams(r *cdr.Record) (value, reads string) {
	if len(r.Streams) == 0 {
		return "", ""
	}
	var parts []string
	for i := range r.Streams {
		s := &r.Streams[i]
		part := strings.ToLower(s.Media.String())
		if s.Mid != "" {
			part += " " + s.Mid
		}
		if s.Layer > 0 {
			part += fmt.Sprintf(" layer %d", s.Layer)
		}
		if s.Codec != "" {
			part += " (" + s.Codec + ")"
		}
		part += fmt.Sprintf(": %s in, %s out, %d lost, %s", size(s.BytesReceived), size(s.BytesSent), s.Lost,
			many(s.Samples, "report", "reports"))
		if s.RTT.Known {
			part += fmt.Sprintf(", round trip %d–%d ms", s.RTT.Min, s.RTT.Max)
		}
		if !s.FinalSample {
			part += ", the last report is not from the end"
		}
		parts = append(parts, part)
	}
	return many(len(r.Streams), "stream", "streams"), strings.Join(parts, "; ")
}
