package embedded

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// What a kill leaves of the embedded broker, and what a start makes of it.
//
// kfake writes each batch when it comes, so a kill loses nothing that was acknowledged. But it keeps in memory which
// transactions are open, and when it finds one in a log that it loads, it only takes it off what readers are shown now:
//
//   - it writes no abort marker, so a reader takes what the same producer commits later for a part of what was aborted,
//     and skips it;
//   - it raises the producer's epoch in memory only, so after a second kill the producer may go on with the rest of the
//     transaction and commit that;
//   - it ends a transaction partition by partition, with nothing that says beforehand how: a kill in between leaves
//     some partitions committed, and it aborts the others;
//   - a batch whose entry in the index was not written yet counts as committed, and shifts the entries that follow;
//   - its logs of producers and groups go on behind an entry that was cut off, and are read only up to there;
//   - sequence numbers and transactions of the last stop in order are believed, however old.
//
// So before it loads them, we bring the files to a state that it could have written in order: each open transaction is
// ended by a marker, as a commit if it is committed in any partition, and its producer is fenced.
//
// What stays: offsets of the group that were part of a transaction of which only some markers were written are lost (we
// take the position from the changelog); records that were deleted can come back, up to the beginning of their segment;
// and a partition all of whose records were deleted begins at offset 0 again.

const (
	stoppedFile = "stopped" // is there while the broker is not running and has ended in order

	brokerFormat   = 1 // of kfake's files
	indexEntrySize = 15
	frameSize      = 10   // of an entry of a log: length, checksum, version
	attrTxn        = 0x10 // of a batch
	attrControl    = 0x20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// txn is one transaction: each has an epoch of its own with the clients and the broker that we have (KIP-890).
type txn struct {
	producer int64
	epoch    int16
}

// unclean is what a kill has left, as far as transactions go.
type unclean struct {
	dir       string
	open      map[txn][]*openLog // the partitions in which a transaction has no end
	committed map[txn]bool       // in at least one partition
	epochs    map[int64]int16    // of the producers, as the broker wrote them down last
}

// openLog is the last segment of a partition in which transactions are open.
type openLog struct {
	path    string // without its ending
	next    int64  // offset
	epoch   int32  // of the leader
	index   []byte
	latest  int64 // timestamp
	markers []byte
}

// endOpenTransactions mends the files of a broker that was not stopped in order. It can be cut off at any point and be
// done again. It returns how many transactions it ended each way.
func endOpenTransactions(dir string) (committed, aborted int, err error) {
	known, err := brokerVersion(dir)
	if err != nil || !known {
		return 0, 0, err
	}
	u := &unclean{dir: dir, open: map[txn][]*openLog{}, committed: map[txn]bool{}, epochs: map[int64]int16{}}
	for _, stale := range []string{"session_state.json", "seq_windows.json"} {
		if err := os.Remove(filepath.Join(dir, stale)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, 0, err
		}
	}
	if err := mendLog(filepath.Join(dir, "groups.log"), func([]byte) error { return nil }); err != nil {
		return 0, 0, err
	}
	if err := mendLog(filepath.Join(dir, "pids.log"), u.producer); err != nil {
		return 0, 0, err
	}
	partitions, err := os.ReadDir(filepath.Join(dir, "partitions"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, 0, err
	}
	for _, partition := range partitions {
		if err := u.survey(filepath.Join(dir, "partitions", partition.Name())); err != nil {
			return 0, 0, err
		}
	}
	return u.end(time.Now())
}

// brokerVersion tells whether a broker has been here, and that its files are those we know.
func brokerVersion(dir string) (known bool, err error) {
	b, err := os.ReadFile(filepath.Join(dir, "meta.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	var meta struct {
		Version int `json:"version"`
	}
	if err == nil {
		err = json.Unmarshal(b, &meta)
	}
	if err == nil && meta.Version != brokerFormat {
		err = fmt.Errorf("its files have version %d, and only version %d can be mended: start the program that wrote them "+
			"once, stop it in order, or delete them", meta.Version, brokerFormat)
	}
	return err == nil, err
}

// producer notes the epoch of an entry of the log of producers.
func (u *unclean) producer(data []byte) error {
	var entry producerEntry
	if err := json.Unmarshal(data, &entry); err == nil { // the broker passes over what it cannot read, too
		u.epochs[entry.Producer] = entry.Epoch
	}
	return nil
}

// producerEntry is an entry of the log of producers that says how a transaction ended.
type producerEntry struct {
	Type     string `json:"type"`
	Producer int64  `json:"pid"`
	Epoch    int16  `json:"epoch"`
	Commit   bool   `json:"commit"`
}

// mendLog reads the entries of a log, and cuts off what is no whole entry at its end.
func mendLog(path string, each func(data []byte) error) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	at := 0
	for len(b)-at >= frameSize {
		size := int(binary.LittleEndian.Uint32(b[at:]))
		if size < 2 || size > len(b)-at-8 {
			break
		}
		body := b[at+8 : at+8+size]
		if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[at+4:]) {
			break
		}
		if err := each(body[2:]); err != nil {
			return err
		}
		at += 8 + size
	}
	if at == len(b) {
		return nil
	}
	return os.Truncate(path, int64(at))
}

// survey reads the segments of a partition and notes what is open in it.
func (u *unclean) survey(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var bases []int64
	for _, entry := range entries {
		if name, ok := strings.CutSuffix(entry.Name(), ".dat"); ok {
			if base, err := strconv.ParseInt(name, 10, 64); err == nil {
				bases = append(bases, base)
			}
		}
	}
	slices.Sort(bases)
	open := map[int64]int16{}
	var last *openLog
	for _, base := range bases {
		l := &openLog{path: filepath.Join(dir, strconv.FormatInt(base, 10))}
		if last != nil {
			l.latest = last.latest
		}
		if err := u.segment(l, open); err != nil {
			return err
		}
		if len(l.index) > 0 {
			last = l
		}
	}
	for producer, epoch := range open {
		t := txn{producer, epoch}
		u.open[t] = append(u.open[t], last)
	}
	return nil
}

// segment reads a segment, cuts off a batch that is not whole, and makes its index fit.
func (u *unclean) segment(l *openLog, open map[int64]int16) error {
	b, err := os.ReadFile(l.path + ".dat")
	if err != nil {
		return err
	}
	at := 0
	for {
		batch, size, ok := firstBatch(b[at:])
		if !ok {
			break
		}
		at += size
		l.add(batch)
		switch {
		case batch.Attributes&attrTxn == 0:
		case batch.Attributes&attrControl == 0:
			open[batch.ProducerID] = batch.ProducerEpoch
		default:
			delete(open, batch.ProducerID)
			if isCommit(batch) {
				u.committed[txn{batch.ProducerID, batch.ProducerEpoch}] = true
			}
		}
	}
	if at < len(b) {
		if err := os.Truncate(l.path+".dat", int64(at)); err != nil {
			return err
		}
	}
	have, err := os.ReadFile(l.path + ".idx")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if sameIndex(have, l.index) {
		return nil
	}
	return l.writeIndex()
}

// add notes a batch of the segment, and its entry in the index.
func (l *openLog) add(batch *kmsg.RecordBatch) {
	l.next = batch.FirstOffset + int64(batch.LastOffsetDelta) + 1
	l.epoch = batch.PartitionLeaderEpoch
	l.latest = max(l.latest, batch.MaxTimestamp)
	entry := make([]byte, indexEntrySize) // version, checksum, epoch, latest timestamp so far, whether in a transaction
	entry[0] = brokerFormat
	binary.LittleEndian.PutUint32(entry[2:], uint32(l.epoch))
	binary.LittleEndian.PutUint64(entry[6:], uint64(l.latest))
	if batch.Attributes&(attrTxn|attrControl) == attrTxn {
		entry[14] = 1
	}
	entry[1] = byte(crc32.Checksum(entry[2:], castagnoli))
	l.index = append(l.index, entry...)
}

// sameIndex compares what the broker reads of an index: the timestamps are not among it.
func sameIndex(have, want []byte) bool {
	if len(have) != len(want) {
		return false
	}
	for at := 0; at < len(have); at += indexEntrySize {
		h, w := have[at:at+indexEntrySize], want[at:at+indexEntrySize]
		if h[1] != byte(crc32.Checksum(h[2:], castagnoli)) || string(h[2:6]) != string(w[2:6]) || h[14] != w[14] {
			return false
		}
	}
	return true
}

func (l *openLog) writeIndex() error {
	if err := os.WriteFile(l.path+".idx.tmp", l.index, 0o644); err != nil {
		return err
	}
	return os.Rename(l.path+".idx.tmp", l.path+".idx")
}

// firstBatch is the batch at the beginning of these bytes, and how many it takes; false if it is not whole.
func firstBatch(b []byte) (batch *kmsg.RecordBatch, size int, ok bool) {
	const head, checked = 12, 21 // offset and length; what the checksum begins with
	if len(b) < head {
		return nil, 0, false
	}
	size = head + int(int32(binary.BigEndian.Uint32(b[8:])))
	if size <= checked || size > len(b) || crc32.Checksum(b[checked:size], castagnoli) != binary.BigEndian.Uint32(b[17:]) {
		return nil, 0, false
	}
	batch = new(kmsg.RecordBatch)
	if err := batch.ReadFrom(b[:size]); err != nil {
		return nil, 0, false
	}
	return batch, size, true
}

// isCommit tells the two markers apart. What cannot be read is no commit.
func isCommit(batch *kmsg.RecordBatch) bool {
	var record kmsg.Record
	var key kmsg.ControlRecordKey
	return record.ReadFrom(batch.Records) == nil && key.ReadFrom(record.Key) == nil &&
		key.Type == kmsg.ControlRecordKeyTypeCommit
}

// end puts an end to what is open: first the producers are fenced, then the markers are written, so that a producer of
// a transaction that has its end can do nothing more in it.
func (u *unclean) end(now time.Time) (committed, aborted int, err error) {
	if len(u.open) == 0 {
		return 0, 0, nil
	}
	var fences []byte
	touched := map[*openLog]bool{}
	order := slices.SortedFunc(maps.Keys(u.open), func(a, b txn) int {
		if a.producer != b.producer {
			return int(min(max(a.producer-b.producer, -1), 1))
		}
		return int(a.epoch) - int(b.epoch)
	})
	for _, t := range order {
		commit := u.committed[t]
		if commit {
			committed++
		} else {
			aborted++
		}
		// With how it ended, so that the producer is not told the opposite when it asks again. An older word about the
		// same producer may be that a transaction was committed.
		fence, err := json.Marshal(producerEntry{Type: "endtx", Producer: t.producer,
			Epoch: max(t.epoch+1, u.epochs[t.producer]), Commit: commit})
		if err != nil {
			return 0, 0, err
		}
		fences = appendFrame(fences, fence)
		for _, l := range u.open[t] {
			touched[l] = true
			l.mark(t, commit, now)
		}
	}
	if err := appendTo(filepath.Join(u.dir, "pids.log"), fences); err != nil {
		return 0, 0, err
	}
	for l := range touched {
		if err := appendTo(l.path+".dat", l.markers); err != nil {
			return 0, 0, err
		}
		if err := l.writeIndex(); err != nil {
			return 0, 0, err
		}
	}
	return committed, aborted, nil
}

// mark adds the marker that ends a transaction.
func (l *openLog) mark(t txn, commit bool, now time.Time) {
	key := kmsg.ControlRecordKey{Type: kmsg.ControlRecordKeyTypeAbort}
	if commit {
		key.Type = kmsg.ControlRecordKeyTypeCommit
	}
	record := kmsg.Record{Key: key.AppendTo(nil), Value: (&kmsg.EndTxnMarker{}).AppendTo(nil)}
	record.Length = int32(len(record.AppendTo(nil)) - 1) // its own length takes one byte
	batch := kmsg.RecordBatch{
		FirstOffset: l.next, PartitionLeaderEpoch: l.epoch, Magic: 2, Attributes: attrTxn | attrControl,
		FirstTimestamp: now.UnixMilli(), MaxTimestamp: now.UnixMilli(),
		ProducerID: t.producer, ProducerEpoch: t.epoch, FirstSequence: -1, NumRecords: 1, Records: record.AppendTo(nil),
	}
	batch.Length = int32(len(batch.AppendTo(nil)) - 12)
	batch.CRC = int32(crc32.Checksum(batch.AppendTo(nil)[21:], castagnoli))
	l.markers = batch.AppendTo(l.markers)
	l.add(&batch)
}

// appendFrame adds an entry of a log.
func appendFrame(b, data []byte) []byte {
	body := append(binary.LittleEndian.AppendUint16(nil, brokerFormat), data...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(body, castagnoli))
	return append(b, body...)
}

func appendTo(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}
