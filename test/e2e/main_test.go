package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"januscdr/kafka/embedded"
)

// What TestMain prepares for all stories.
var (
	binaries string   // folder of ingest and cdr
	brokers  []string // where Kafka is
	speed    float64  // of the traffic; 0: as fast as it goes
	wd       string   // folder of this package
)

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := prepare(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

// repository is the path of a file of the repository; tests run in their package's folder.
func repository(path string) string { return filepath.Join(wd, "..", "..", path) }

func prepare(run func() int) (code int, err error) {
	// A story waits more than it computes, so many can be told at once.
	if err := flag.Set("test.parallel", "8"); err != nil {
		return 0, err
	}
	if text := os.Getenv("JANUSCDR_E2E_SPEED"); text != "" {
		if speed, err = strconv.ParseFloat(text, 64); err != nil || speed <= 0 {
			return 0, fmt.Errorf("read JANUSCDR_E2E_SPEED=%q: not a number above 0", text)
		}
	}
	if wd, err = os.Getwd(); err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "januscdr-e2e-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	binaries = filepath.Join(dir, "bin")
	args := []string{"build"}
	if raceEnabled {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "-o", binaries+string(filepath.Separator), "januscdr/cmd/...")...)
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build the commands: %w\n%s", err, out)
	}
	if list := os.Getenv("JANUSCDR_E2E_BROKERS"); list != "" {
		brokers = strings.Split(list, ",")
		return run(), nil
	}
	broker, err := embedded.Start(embedded.Options{Dir: filepath.Join(dir, "kafka")})
	if err != nil {
		return 0, err
	}
	defer broker.Close()
	brokers = broker.Addrs()
	return run(), nil
}
