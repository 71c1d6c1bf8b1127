package spool

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestWithAKeyNothingReadableIsOnTheDisk(t *testing.T) {
	d := newMemDisk()
	s := mustOpen(t, Options{disk: d, Keys: []Key{{1}}})
	defer s.Close()
	e := Entry{Key: []byte("plain key"), Value: []byte("plain value"), Arrived: morning,
		Headers: []Header{{Name: "plain name", Value: []byte("plain")}}}
	for range 2 {
		if err := s.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	for name, f := range d.files {
		if bytes.Contains(f.data, []byte("plain")) {
			t.Errorf("%s can be read", name)
		}
	}
	if !s.Stats().Encrypted {
		t.Error("it does not say so")
	}
}

func TestAWrongOrMissingKeyIsAClearError(t *testing.T) {
	d := filled(t, 3, Options{Keys: []Key{{1}}})
	for name, keys := range map[string][]Key{"wrong": {{2}}, "missing": nil} {
		_, err := Open(Options{disk: d, Keys: keys})
		if !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), Key{1}.ID().String()) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := mustOpen(t, Options{disk: d, Keys: []Key{{2}, {1}}}) // rotated
	defer s.Close()
	if err := s.Append(t.Context(), numbered(3)); err != nil {
		t.Fatal(err)
	}
	if got := waitingIn(t, s); len(got) != 4 {
		t.Errorf("%d of 4 came", len(got))
	}
	names := d.segmentNames(t)
	h, err := readHeader(bytes.NewReader(d.files[names[len(names)-1]].data))
	if err != nil || h.key != (Key{2}).ID() {
		t.Errorf("the new segment has key %s, %v", h.key, err)
	}
}

func TestNoNonceIsUsedTwiceWithAKey(t *testing.T) {
	// The same number can come in two segments, after a failure or a crash: with another derived key.
	d := newMemDisk()
	o := Options{disk: d, Keys: []Key{{1}}}
	s := mustOpen(t, o)
	if err := s.Append(t.Context(), numbered(1)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	name := d.segmentNames(t)[0]
	first := d.files[name].data
	d.files[name].data = first[:len(first)-1] // torn: its number is free again
	s = mustOpen(t, o)
	defer s.Close()
	if err := s.Append(t.Context(), numbered(1)); err != nil {
		t.Fatal(err)
	}
	names := d.segmentNames(t)
	if names[len(names)-1] == name {
		t.Fatal("the segment of an earlier process was written again")
	}
	second := d.files[names[len(names)-1]].data
	if !bytes.Equal(first[dataStart+8:dataStart+16], second[dataStart+8:dataStart+16]) {
		t.Fatal("the number is another one: this shows nothing")
	}
	if bytes.Equal(first[dataStart+frameHead:], second[dataStart+frameHead:]) {
		t.Error("the same entry under the same number is sealed to the same bytes")
	}
	expectEntries(t, waitingIn(t, s), []Entry{numbered(1)})
}

func TestARecordThatWasTamperedWithIsDamage(t *testing.T) {
	// Somebody who has the disk puts a sealed record of another segment in, with good checksums.
	o := Options{Keys: []Key{{1}}}
	d := filled(t, 2, o)
	o.disk = d
	name := d.segmentNames(t)[0]
	h, _ := readHeader(bytes.NewReader(d.files[name].data))
	sealer, _ := Key{9}.sealer(h.salt)
	body := numbered(0).append(nil)
	d.files[name].data = append(d.files[name].data[:dataStart], appendFrame(nil, h.seed(), sealer, 1, 1, body)...)
	s := mustOpen(t, o)
	defer s.Close()
	if got := waitingIn(t, s); len(got) != 0 || s.Stats().Counts.Damaged.Records != 1 || !s.Empty() {
		t.Errorf("%d came, %+v", len(got), s.Stats().Counts)
	}
}

func TestAFileOfKeysIsReadByTheLine(t *testing.T) {
	hexKey := strings.Repeat("0a", 32)
	keys, err := ParseKeys([]byte("# new\n" + hexKey + "\n\n  CwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCws=\r\n"))
	if err != nil || len(keys) != 2 || keys[0][31] != 0x0a || keys[1][0] != 0x0b {
		t.Errorf("%v, %v", keys, err)
	}
	for _, text := range []string{"", "# nothing", hexKey + "\nsecret", hexKey[:62]} {
		_, err := ParseKeys([]byte(text))
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
