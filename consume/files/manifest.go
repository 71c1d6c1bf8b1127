package files

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"januscdr/cdr"
	"januscdr/consume"
)

// ManifestFormat rises when a manifest comes to mean something else.
const ManifestFormat = 1

// Reason says why files were closed, in the words of 3GPP TS 32.297.
type Reason string

// The reasons.
const (
	SizeLimit Reason = "FILE_SIZE_LIMIT"
	TimeLimit Reason = "FILE_OPEN_TIME_LIMIT"
	Records   Reason = "MAXIMUM_NUMBER_OF_CDRS"
	Manual    Reason = "MANUAL_INTERVENTION" // an orderly stop
	Midnight  Reason = "MIDNIGHT"            // ours
)

// Manifest is what commits files: those that it names are part of the export, others are not. Each names the one before
// by its hash, so that none can be taken out or put in.
type Manifest struct {
	Format         int              `json:"format"`
	SequenceNumber int64            `json:"file_sequence_number"` // from 1, without a gap
	Previous       string           `json:"previous_sha256"`      // of the manifest before, as it stands in its file
	Program        string           `json:"program"`
	Schema         string           `json:"schema_fingerprint"`
	Origin         consume.Origin   `json:"origin"`
	Opened         time.Time        `json:"file_opening_time"`
	Closed         time.Time        `json:"file_closure_time"`
	ClosureReason  Reason           `json:"closure_reason"`
	Files          []File           `json:"files"`
	Positions      map[int32]int64  `json:"positions"` // the next offset of each partition, after these files
	Numbers        map[int32]int64  `json:"numbers"`   // the last local_record_sequence_number of each, after these files
	Partitions     map[int32]Extent `json:"partitions"`
}

// Extent is what the files of a manifest have of one partition.
type Extent struct {
	FirstOffset int64 `json:"first_offset"`
	LastOffset  int64 `json:"last_offset"`
	FirstNumber int64 `json:"first_local_record_sequence_number"`
	LastNumber  int64 `json:"last_local_record_sequence_number"`
	Lost        int64 `json:"lost_cdr_indicator"` // numbers that are missing since the manifest before
}

// File is a file with its control totals.
type File struct {
	Name     string           `json:"name"`   // below the folder
	Staged   string           `json:"staged"` // its name in the folder staged, until it was committed
	SHA256   string           `json:"sha256"`
	Bytes    int64            `json:"bytes"`
	Records  int64            `json:"records"`
	Types    map[string]int64 `json:"records_by_type"`
	Earliest int64            `json:"first_record_closure_time"` // microseconds since the epoch
	Latest   int64            `json:"last_record_closure_time"`

	// Sums over chargeable legs, amendments among them: see revisions.
	ChargeableRecords  int64    `json:"chargeable_records"`
	ChargeableDuration int64    `json:"chargeable_duration"`
	Amendments         int64    `json:"amendments"`
	BytesReceived      int64    `json:"bytes_received"`
	BytesSent          int64    `json:"bytes_sent"`
	Policies           []string `json:"policy_fingerprints"`
}

func (f *File) count(r *consume.Row) {
	c := &r.Record
	f.Records++
	f.Types[c.RecordType.String()]++
	closure := int64(c.RecordClosureTime)
	if f.Records == 1 || closure < f.Earliest {
		f.Earliest = closure
	}
	if f.Records == 1 || closure > f.Latest {
		f.Latest = closure
	}
	if c.ChangeKind == cdr.Amendment {
		f.Amendments++
	}
	if c.RecordType == cdr.Leg && c.Chargeable {
		f.ChargeableRecords++
		f.ChargeableDuration += c.Duration
	}
	for i := range c.Streams {
		f.BytesReceived += c.Streams[i].BytesReceived
		f.BytesSent += c.Streams[i].BytesSent
	}
	if r.Policy != "" && !slices.Contains(f.Policies, r.Policy) {
		f.Policies = append(f.Policies, r.Policy)
	}
}

// next is the manifest after this one, which may be nil, still without files. sum is the hash of this one.
func (m *Manifest) next(sum string) *Manifest {
	n := &Manifest{
		Format:         ManifestFormat,
		SequenceNumber: 1,
		Previous:       sum,
		Positions:      map[int32]int64{},
		Numbers:        map[int32]int64{},
		Partitions:     map[int32]Extent{},
	}
	if m != nil {
		n.SequenceNumber, n.Positions, n.Numbers = m.SequenceNumber+1, maps.Clone(m.Positions), maps.Clone(m.Numbers)
	}
	return n
}

// count notes where a record stood.
func (m *Manifest) count(r *consume.Row) {
	number := r.Record.LocalRecordSequenceNumber
	e, seen := m.Partitions[r.Partition]
	if !seen {
		e.FirstOffset, e.FirstNumber = r.Offset, number
	}
	if last, known := m.Numbers[r.Partition]; known && number > last+1 {
		e.Lost += number - last - 1
	}
	e.LastOffset, e.LastNumber = r.Offset, number
	m.Partitions[r.Partition], m.Numbers[r.Partition] = e, number
}

func (m *Manifest) bytes() ([]byte, error) {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write manifest %d: %w", m.SequenceNumber, err)
	}
	return append(b, '\n'), nil
}

func readManifest(b []byte) (*Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	if m.Format > ManifestFormat {
		return nil, fmt.Errorf("read manifest: %w: its format is %d, ours %d", consume.ErrNewer, m.Format, ManifestFormat)
	}
	return &m, nil
}

func manifestName(n int64) string { return fmt.Sprintf("%010d.json", n) }

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
