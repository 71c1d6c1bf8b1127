package pipeline

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"januscdr/kafka"
)

// A processor whose partitions all run is ready as long as Kafka answers, however it was left: nobody may have told its
// workers yet that they are alone.
func TestReadinessHangsOnTheLastAnswerOfKafka(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		contact := new(kafka.Contact)
		b := newBoard(contact)
		b.reset(1)
		b.join(0, true)
		b.put(0, 3, func(s *PartitionStatus) { s.State = Running })
		answer := func() {
			contact.OnBrokerRead(kgo.BrokerMetadata{}, int16(kmsg.Fetch), 0, 0, 0, nil)
		}
		if b.ready() {
			t.Error("it is ready before Kafka has answered")
		}
		answer()
		if !b.ready() {
			t.Error("it is not ready though Kafka answers")
		}
		time.Sleep(kafka.AwayAfter)
		if b.ready() {
			t.Error("it is ready though Kafka is silent")
		}
		answer()
		if !b.ready() {
			t.Error("it does not become ready again")
		}
		b.put(0, 3, func(s *PartitionStatus) { s.State = Lost })
		if b.ready() {
			t.Error("it is ready without the partition that it lost")
		}
	})
}
