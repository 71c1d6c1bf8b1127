package avro

import "testing"

// TestARecordIsWrittenInFewPiecesOfMemory counts, so it says the same on each machine.
func TestARecordIsWrittenInFewPiecesOfMemory(t *testing.T) {
	const most = 2
	r := aLeg()
	n := testing.AllocsPerRun(100, func() {
		if _, err := Encode(&r); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("%v allocations", n)
	if n > most {
		t.Errorf("a record takes %v allocations, want %d at most", n, most)
	}
}
