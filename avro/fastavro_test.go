package avro

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"januscdr/cdr"
)

const avrocheck = "../scripts/avrocheck.py"

// fastavro runs scripts/avrocheck.py, whose Avro library shares nothing with ours.
func fastavro(t *testing.T, stdin []byte, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	python := cmp.Or(os.Getenv("JANUSCDR_PYTHON"), "python3")
	if err := exec.Command(python, "-c", "import fastavro").Run(); err != nil {
		if os.Getenv("JANUSCDR_PYTHON") != "" {
			t.Fatalf("JANUSCDR_PYTHON is %s, which cannot import fastavro: %v", python, err)
		}
		t.Skip("needs python3 with fastavro; the continuous-integration script installs it")
	}
	var out, complaints strings.Builder
	cmd := exec.Command(python, append([]string{avrocheck}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &complaints
	err = cmd.Run()
	return out.String(), complaints.String(), err
}

func TestFastavroReadsWhatWeWrite(t *testing.T) {
	records := []cdr.Record{aLeg(), aSession(), {}, {RecordType: cdr.Leg, DisplayName: "not \xff UTF-8"}}
	for seed := range 100 {
		records = append(records, anyRecord(calendarTimes).Example(seed))
	}
	var inHex, inBase64, framed bytes.Buffer
	for i := range records {
		message, err := Encode(&records[i])
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&inHex, hex.EncodeToString(message))
		fmt.Fprintln(&inBase64, base64.StdEncoding.EncodeToString(message))
		framed.Write(binary.BigEndian.AppendUint32(nil, uint32(len(message))))
		framed.Write(message)
	}
	file := filepath.Join(t.TempDir(), "messages")
	if err := os.WriteFile(file, framed.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}

	stdout, stderr, err := fastavro(t, inHex.Bytes(), "--hex")
	if err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	if len(lines) != len(records) {
		t.Fatalf("%d records became %d lines", len(records), len(lines))
	}
	for i := range records {
		want := JSON(nil, &records[i])
		if !reflect.DeepEqual(values(t, []byte(lines[i])), values(t, want)) {
			t.Errorf("record %d: fastavro read\n%s\nour JSON is\n%s", i, lines[i], want)
		}
	}

	for name, args := range map[string][]string{
		"in base64":                        {"--base64"},
		"from a file":                      {"--framed", file},
		"by a reader of the first release": {"--hex", "--reader-schema", "testdata/released/1.avsc"},
	} {
		stdin := inHex.Bytes()
		if args[0] == "--base64" {
			stdin = inBase64.Bytes()
		}
		again, stderr, err := fastavro(t, stdin, args...)
		if err != nil {
			t.Errorf("%s: %v: %s", name, err, stderr)
		}
		if strings.Count(again, "\n") != len(records) || !strings.Contains(args[len(args)-1], "released") && again != stdout {
			t.Errorf("%s: the records read differently", name)
		}
		for i, line := range strings.Split(strings.TrimSuffix(again, "\n"), "\n") {
			all, _ := values(t, []byte(lines[i])).(map[string]any)
			for field, value := range values(t, []byte(line)).(map[string]any) {
				if !reflect.DeepEqual(all[field], value) {
					t.Errorf("%s: %s of record %d is %v, not %v", name, field, i, value, all[field])
				}
			}
		}
	}
}

// values is what a line of JSON says, with numbers as they stand there.
func values(t *testing.T, line []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	return v
}

func TestFastavroComputesTheSameFingerprint(t *testing.T) {
	stdout, stderr, err := fastavro(t, nil, "--fingerprint")
	if err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	if got := strings.TrimSpace(stdout); got != Fingerprint() {
		t.Errorf("fastavro's fingerprint of the schema is %s, ours is %s", got, Fingerprint())
	}
}

func TestTheCheckWithFastavroCanFail(t *testing.T) {
	r := aLeg()
	message, err := Encode(&r)
	if err != nil {
		t.Fatal(err)
	}
	other := bytes.Clone(message)
	other[2] ^= 1
	for _, scene := range []struct {
		name, says string
		bytes      []byte
	}{
		{"no marker", "it begins with 01", message[1:]},
		{"another schema", "that of the schema is " + Fingerprint(), other},
		{"something behind it", "1 bytes follow the record", append(bytes.Clone(message), 0)},
		{"cut off", "message 0: ", message[:len(message)-1]},
	} {
		_, stderr, err := fastavro(t, []byte(hex.EncodeToString(scene.bytes)), "--hex")
		if err == nil || !strings.Contains(stderr, scene.says) {
			t.Errorf("%s: got %v, %q, want %q", scene.name, err, stderr, scene.says)
		}
	}
}
