package spelling

import "testing"

func TestWordsAreAsFarApartAsMistakesWereMade(t *testing.T) {
	for _, scene := range []struct {
		a, b string
		away int
	}{
		{"", "", 0},
		{"listen", "listen", 0},
		{"listen", "", 6},
		{"listen", "lisen", 1},   // one left out
		{"listen", "listren", 1}, // one too many
		{"listen", "lasten", 1},  // another one
		{"listen", "lisetn", 1},  // two swapped
		{"1234567", "2134576", 2},
		{"kitten", "sitting", 3},
		{"ca", "abc", 3}, // not 2: what was swapped is not changed again
	} {
		for _, pair := range [][2]string{{scene.a, scene.b}, {scene.b, scene.a}} {
			if got := Distance(pair[0], pair[1]); got != scene.away {
				t.Errorf("from %q to %q: %d, want %d", pair[0], pair[1], got, scene.away)
			}
		}
	}
}
