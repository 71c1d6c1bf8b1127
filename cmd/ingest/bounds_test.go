package main

import (
	"fmt"
	"strings"
	"testing"

	"januscdr/config"
	"januscdr/janus"
)

// What an operator may call an emitter is what everybody can keep of its name.
func TestAnEmitterIsAssignedAnyNameThatIsKept(t *testing.T) {
	for _, length := range []int{janus.MaxEmitter, janus.MaxEmitter + 1} {
		sender := fmt.Sprintf("[{address: 192.0.2.1, emitter: %s}]", strings.Repeat("n", length))
		_, err := config.Load(config.Sources{Flags: map[string]string{"ingest.senders": sender}})
		if fits := length <= janus.MaxEmitter; fits != (err == nil) {
			t.Errorf("a name of %d bytes: %v", length, err)
		}
	}
}
