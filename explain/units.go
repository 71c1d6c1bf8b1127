package explain

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"januscdr/janus"
)

// clockTime is a moment by the emitter's clock, in UTC, to the millisecond.
func clockTime(t janus.Micros) string { return time.UnixMicro(int64(t)).UTC().Format("15:04:05.000") }

// dateTime is a moment with its day.
func dateTime(t janus.Micros) string {
	return time.UnixMicro(int64(t)).UTC().Format("2006-01-02 15:04:05.000 UTC")
}

// exactTime is a moment to the microsecond.
func exactTime(t janus.Micros) string {
	return time.UnixMicro(int64(t)).UTC().Format("2006-01-02T15:04:05.000000Z")
}

// span is a length of time as one says it: 1.5 s, 2 min 3.0 s, 1 h 0 min 4 s. What is shorter than a millisecond is
// given in microseconds, so that nothing looks like zero that is not.
func span(m janus.Micros) string {
	sign := ""
	if m < 0 {
		sign, m = "-", -m
	}
	switch {
	case m == 0:
		return "0 s"
	case m < 1000:
		return fmt.Sprintf("%s%d µs", sign, m)
	case m < 1_000_000:
		return fmt.Sprintf("%s%s ms", sign, short(float64(m)/1000, 1))
	case m < 60_000_000:
		return fmt.Sprintf("%s%s s", sign, short(float64(m)/1e6, 2))
	case m < 3600_000_000:
		text := fmt.Sprintf("%s%d min %s s", sign, m/60_000_000, short(float64(m%60_000_000)/1e6, 1))
		return strings.TrimSuffix(text, " 0 s")
	}
	text := fmt.Sprintf("%s%d h %d min %d s", sign, m/3600_000_000, m%3600_000_000/60_000_000, m%60_000_000/1_000_000)
	return strings.TrimSuffix(strings.TrimSuffix(text, " 0 s"), " 0 min")
}

func short(f float64, digits int) string {
	s := strconv.FormatFloat(f, 'f', digits, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// relative is the distance from the beginning of the story: +0:01.234, +1:02:03.456.
func relative(m janus.Micros) string {
	sign := "+"
	if m < 0 {
		sign, m = "-", -m
	}
	ms := m / 1000
	h, min, s, rest := ms/3600_000, ms/60_000%60, ms/1000%60, ms%1000
	if h > 0 {
		return fmt.Sprintf("%s%d:%02d:%02d.%03d", sign, h, min, s, rest)
	}
	return fmt.Sprintf("%s%d:%02d.%03d", sign, min, s, rest)
}

// size is a number of bytes.
func size(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1000_000:
		return short(float64(n)/1e3, 1) + " kB"
	case n < 1000_000_000:
		return short(float64(n)/1e6, 1) + " MB"
	}
	return short(float64(n)/1e9, 2) + " GB"
}

// many is a number with its noun.
func many[N int | int32 | int64](n N, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// list joins words: a, b and c.
func list(words []string) string {
	switch len(words) {
	case 0:
		return ""
	case 1:
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
