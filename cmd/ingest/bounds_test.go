package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"januscdr/config"
	"januscdr/ingest"
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

// The configuration knows no room, so a bound stands in its table and in the room. Here they are held to each other.
func TestTheBoundsOfASettingAreThoseOfTheReceiver(t *testing.T) {
	limits := regexp.MustCompile(`(ingest\.\S+): \S+ is too large; write (\S+) to (\S+)`)
	_, err := config.Load(config.Sources{Flags: map[string]string{
		"ingest.event_limit": "9999GiB", "ingest.body_limit": "9999GiB", "ingest.inflight_limit": "9999GiB",
		"ingest.delivery_timeout": "1h",
	}})
	if err == nil {
		t.Fatal("values beyond all bounds are accepted")
	}
	least, most := map[string]string{}, map[string]string{}
	for _, m := range limits.FindAllStringSubmatch(err.Error(), -1) {
		least[m[1]], most[m[1]] = m[2], m[3]
	}
	if len(most) != 4 {
		t.Fatalf("bounds of %v are found in %v", most, err)
	}
	for _, flags := range []map[string]string{least, most} {
		c, err := config.Load(config.Sources{Flags: flags})
		if err != nil {
			t.Fatal(err)
		}
		all, err := sources(c, hclog.NewNullLogger())
		if err != nil {
			t.Fatal(err)
		}
		o, err := options(c, all, hclog.NewNullLogger())
		if err != nil {
			t.Fatal(err)
		}
		server, err := ingest.New(o)
		if err != nil {
			t.Errorf("the receiver refuses what the configuration allows: %v", err)
			continue
		}
		server.Close()
		o.EventLimit++
		o.BodyLimit, o.InflightMax = o.BodyLimit+1, o.InflightMax+2
		server, err = ingest.New(o)
		if err == nil {
			server.Close()
		}
		if tooLarge := flags["ingest.event_limit"] == most["ingest.event_limit"]; tooLarge != (err != nil) {
			t.Errorf("an event of a byte more than %s: %v", flags["ingest.event_limit"], err)
		}
	}
}
