package avro_test

import (
	"fmt"
	"strings"

	"januscdr/avro"
	"januscdr/cdr"
)

// A message of Kafka becomes a record, and the record a line that any tool reads.
func Example() {
	message, err := avro.Encode(&cdr.Record{RecordType: cdr.Leg, Emitter: "janus-1", Duration: 61_000_000})
	if err != nil {
		fmt.Println(err)
		return
	}
	record, err := avro.Decode(message)
	if err != nil {
		fmt.Println(err)
		return
	}
	line := string(avro.JSON(nil, &record))
	fmt.Println(record.RecordType, record.Emitter, record.Duration)
	fmt.Println(strings.Contains(line, `"duration":61000000`), strings.Contains(line, `"answer_time":null`))
	// Output:
	// LEG janus-1 61000000
	// true true
}
