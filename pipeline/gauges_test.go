package pipeline

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"januscdr/kafka"
)

// What is known of a partition that is lost stays, with its age.
func TestWhatIsKnownOfAPartitionStaysWithItsAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(new(kafka.Contact))
		b.reset(1)
		b.put(0, 3, func(s *PartitionStatus) {
			s.State, s.known = Running, known{at: time.Now(), lag: 17, position: 4, open: 5}
		})
		time.Sleep(90 * time.Second)
		b.put(0, 3, func(s *PartitionStatus) { s.State = Lost })
		const about = "Partitions of the event log that the group has given to this process, as far as it answers."
		want := `
# HELP januscdr_assigned_partitions ` + about + `
# TYPE januscdr_assigned_partitions gauge
januscdr_assigned_partitions 0
# HELP januscdr_lag_age_seconds Age of what is known of the lag, the position and the open sessions.
# TYPE januscdr_lag_age_seconds gauge
januscdr_lag_age_seconds{partition="3"} 90
`
		err := testutil.CollectAndCompare(newGauges(b), strings.NewReader(want), "januscdr_assigned_partitions",
			"januscdr_lag_age_seconds")
		if err != nil {
			t.Error(err)
		}
		if n := testutil.CollectAndCount(newGauges(b), "januscdr_lag_records", "januscdr_open_sessions"); n != 2 {
			t.Errorf("%d series are left of two", n)
		}
	})
}
