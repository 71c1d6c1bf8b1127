package ingest

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

// due are the names of those that get a sign of life.
func due(a *alive, now time.Time) (names []string) {
	for _, s := range a.due(now) {
		names = append(names, s.emitter)
	}
	return names
}

func TestASignOfLifeCarriesTheNewestHeartbeatOnce(t *testing.T) {
	a := newAlive()
	start := time.Unix(1_790_000_000, 0)
	beats := func(after time.Duration) (all []string) {
		for _, s := range a.due(start.Add(after)) {
			all = append(all, string(s.beat))
		}
		return all
	}
	body := []byte("first")
	a.saw(party{}, "a", body, start)
	copy(body, "XXXXX") // the body it stood in is not kept
	if got := beats(0); !slices.Equal(got, []string{"first"}) {
		t.Errorf("%q", got)
	}
	a.saw(party{}, "a", []byte("second"), start.Add(15*time.Second))
	a.saw(party{}, "a", []byte("third"), start.Add(29*time.Second))
	a.saw(party{}, "a", nil, start.Add(29*time.Second))
	if got := beats(30 * time.Second); !slices.Equal(got, []string{"third"}) {
		t.Errorf("%q", got)
	}
	a.saw(party{}, "a", nil, start.Add(60*time.Second))
	a.saw(party{}, "a", make([]byte, maxBeat+1), start.Add(60*time.Second)) // no heartbeat is so long
	if got := beats(60 * time.Second); !slices.Equal(got, []string{""}) {
		t.Errorf("%q", got)
	}
}

func TestASignOfLifeIsDueEvery30SecondsWhileEventsCome(t *testing.T) {
	a := newAlive()
	start := time.Unix(1_790_000_000, 0)
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	for _, step := range []struct {
		second int
		event  string // that arrived just before
		due    []string
	}{
		{0, "", nil},
		{1, "a", []string{"a"}}, // at once for a new one: whoever just started must know
		{2, "a", nil},
		{20, "b", []string{"b"}},
		{30, "", nil},
		{31, "", []string{"a"}}, // for the event at 2
		{61, "", nil},           // silent since
		{62, "a", []string{"a"}},
		{300, "a", []string{"a"}}, // each event of a slow one
		{619, "", nil},
		{620, "", nil}, // b is forgotten now
		{621, "b", []string{"b"}},
	} {
		if step.event != "" {
			a.saw(party{}, step.event, nil, at(step.second))
		}
		if got := due(a, at(step.second)); !slices.Equal(got, step.due) {
			t.Errorf("at %d s: due %q, want %q", step.second, got, step.due)
		}
	}
}

// of is one of 50 senders.
func of(i int) party { return party{name: fmt.Sprint("sender-", i%50)} }

func TestOneSenderEarnsSignsOfLifeForSoManyNamesHoweverOftenItSendsThem(t *testing.T) {
	a := newAlive()
	start := time.Unix(1_790_000_000, 0)
	now := func(minute int) time.Time { return start.Add(time.Duration(minute) * time.Minute) }
	for minute := range 5 {
		for i := range maxEmitters {
			a.saw(party{name: "who invents"}, fmt.Sprint("invented-", i), nil, now(minute))
		}
		if !a.saw(party{name: "another"}, "janus-1", nil, now(minute)) {
			t.Error("another sender found no room")
		}
		if n := len(due(a, now(minute))); n > maxOfSender+1 {
			t.Errorf("minute %d: %d signs of life are due, at most %d are", minute, n, maxOfSender+1)
		}
	}
	due(a, now(20)) // all are forgotten
	if len(a.emitters) != 0 || len(a.of) != 0 {
		t.Errorf("%d emitters and %d senders are held though all are silent", len(a.emitters), len(a.of))
	}
}

func TestNamesThatOneBodyInventsEarnFewSignsOfLife(t *testing.T) {
	a := newAlive()
	start := time.Unix(1_790_000_000, 0)
	a.saw(party{}, "janus-1", nil, start)
	if got := due(a, start); len(got) != 1 {
		t.Fatalf("%q have a sign at the start, want janus-1", got)
	}
	for i := range 50_000 {
		a.saw(of(i), fmt.Sprint("invented-", i), nil, start.Add(time.Second))
	}
	signs := len(due(a, start.Add(2*time.Second)))
	a.saw(party{}, "janus-1", nil, start.Add(time.Minute))
	a.saw(party{}, "janus-2", nil, start.Add(time.Minute)) // though all places are taken
	for i := range 50_000 {
		a.saw(of(i), fmt.Sprint("invented-again-", i), nil, start.Add(61*time.Second))
	}
	signed := due(a, start.Add(62*time.Second))
	if !slices.Contains(signed, "janus-1") || !slices.Contains(signed, "janus-2") {
		t.Error("a server that lives has no sign of it")
	}
	if signs += len(signed); signs > 2*aliveAtOnce+2 {
		t.Errorf("100 000 names have %d signs of life", signs)
	}
	if len(a.emitters) > maxEmitters {
		t.Errorf("%d emitters are watched", len(a.emitters))
	}
}

func TestAServerEarnsItsSignsByEventsThatLieApart(t *testing.T) {
	a := newAlive()
	start := time.Unix(1_790_000_000, 0)
	for i := range aliveAtOnce {
		a.saw(party{}, fmt.Sprint("fleet-", i), nil, start)
	}
	if got := len(due(a, start)); got != aliveAtOnce {
		t.Fatalf("%d of a fleet have a sign at once", got)
	}
	a.saw(party{}, "late", nil, start)
	a.saw(party{}, "late", nil, start.Add(aliveEvery-time.Second))
	if got := due(a, start.Add(aliveEvery)); slices.Contains(got, "late") {
		t.Error("it lived for less than 30 s")
	}
	a.saw(party{}, "late", nil, start.Add(aliveEvery))
	if got := due(a, start.Add(aliveEvery)); !slices.Contains(got, "late") {
		t.Error("it lives, and there is no sign of it")
	}
}

func TestEmittersThatAreWatchedAreBounded(t *testing.T) {
	a := newAlive()
	now := time.Unix(1_790_000_000, 0)
	for i := range maxEmitters + 10 {
		a.saw(of(i), fmt.Sprint("emitter-", i), nil, now)
	}
	a.saw(party{}, strings.Repeat("x", maxEmitter+1), nil, now)
	if len(a.emitters) != maxEmitters {
		t.Errorf("%d emitters, want %d", len(a.emitters), maxEmitters)
	}
}

func hashOf(n int) [sha256.Size]byte { return sha256.Sum256(fmt.Append(nil, n)) }

func TestABodyIsKnownAgainUntil64OthersCame(t *testing.T) {
	r := newRetransmissions()
	who := requestIdentity{address: netip.MustParseAddr("192.0.2.1")}
	send := func(n int, result Result) (isNew bool) {
		pending, isNew := r.begin(who, hashOf(n))
		if isNew {
			r.end(who, hashOf(n), pending, Outcome{Result: result})
		}
		return isNew
	}
	if !send(0, Delivered) || send(0, Delivered) {
		t.Error("the second is not known")
	}
	if !send(1, TryAgain) || !send(1, Delivered) {
		t.Error("what failed is not forgotten")
	}
	for n := 2; n <= rememberedBodies; n++ {
		send(n, Delivered)
	}
	if !send(0, Delivered) {
		t.Error("the oldest is not forgotten")
	}
	if send(rememberedBodies, Delivered) {
		t.Error("the newest is forgotten")
	}
	h := r.history(who)
	if len(h.bodies) != rememberedBodies || len(h.order) != rememberedBodies {
		t.Errorf("%d and %d remembered, want %d", len(h.bodies), len(h.order), rememberedBodies)
	}
}

func TestTheSenderThatWasSilentForLongestIsForgotten(t *testing.T) {
	r := newRetransmissions()
	who := func(n int) requestIdentity { return requestIdentity{path: fmt.Sprint("/", n)} }
	first, _ := r.begin(who(0), hashOf(0))
	for n := range rememberedSenders {
		r.begin(who(n+1), hashOf(0))
	}
	if len(r.senders) != rememberedSenders || r.recent.Len() != rememberedSenders {
		t.Errorf("%d and %d senders, want %d", len(r.senders), r.recent.Len(), rememberedSenders)
	}
	r.end(who(0), hashOf(0), first, Outcome{Result: Delivered}) // it ends all the same
	<-first.done
	if _, isNew := r.begin(who(0), hashOf(0)); !isNew {
		t.Error("it is not forgotten")
	}
}

func TestTheFirstRuleThatFitsNamesTheSender(t *testing.T) {
	named := newRules([]SenderRule{
		{Path: "/fra", Address: "192.0.2.0/24", Emitter: "fra-office"},
		{Path: "/fra", Emitter: "fra"},
		{Address: "198.51.100.7", Emitter: "seven"},
		{Address: "2001:db8::/32", Emitter: "six"},
		{User: "janus", Path: "/named", Emitter: "named"},
	})
	web := &HTTP{Listen: "127.0.0.1:0", User: "janus", Password: "secret"}
	if _, err := web.Open(&Receiver{rules: named}); err != nil {
		t.Fatal(err)
	}
	defer web.listener.Close()
	for _, scene := range []struct{ remote, path, emitter string }{
		{"192.0.2.77:1000", "/fra", "fra-office"},
		{"203.0.113.1:1000", "/fra", "fra"},
		{"198.51.100.7:1000", "/fra", "fra"},
		{"198.51.100.7:1000", "/events", "seven"},
		{"[::ffff:198.51.100.7]:1000", "/events", "seven"},
		{"[2001:db8::1]:1000", "/events", "six"},
		{"198.51.100.8:1000", "/events", ""},
		{"198.51.100.8:1000", "/named", "named"},
	} {
		r := httptest.NewRequest("POST", scene.path, nil)
		r.RemoteAddr = scene.remote
		if _, refused := web.sender(r); refused != RefusedCredentials {
			t.Errorf("%s: without credentials: %q", scene.remote, refused)
		}
		r.SetBasicAuth("janus", "secret")
		from, refused := web.sender(r)
		if got := named.emitter(from); refused != "" || got != scene.emitter {
			t.Errorf("%s%s: got %q (refused %q), want %q", scene.remote, scene.path, got, refused, scene.emitter)
		}
	}
}

func TestEachSenderMayHaveAPasswordOfItsOwn(t *testing.T) {
	users := map[string]string{"fra": "one", "": "nobody"}
	web := &HTTP{User: "janus", Password: "secret", Users: func() map[string]string { return users }}
	web.credential = credential(web.User, web.Password)
	web.paths = map[string]bool{"/events": true}
	may := func(user, password string) bool {
		r := httptest.NewRequest("POST", "/events", nil)
		r.SetBasicAuth(user, password)
		from, refused := web.sender(r)
		return refused == "" && from.User == user
	}
	for _, scene := range []struct {
		user, password string
		may            bool
	}{
		{"janus", "secret", true}, {"fra", "one", true}, {"fra", "secret", false}, {"janus", "one", false},
		{"vie", "one", false}, {"fra", "", false}, {"", "", false},
	} {
		if got := may(scene.user, scene.password); got != scene.may {
			t.Errorf("%s with %q: %v", scene.user, scene.password, got)
		}
	}
	users = map[string]string{"fra": "two"}
	if may("fra", "one") || !may("fra", "two") {
		t.Error("a password that was changed does not hold at once")
	}
	web.User, web.Password = "", ""
	web.credential = credential("", "")
	if may("", "") || !may("fra", "two") {
		t.Error("without a user of its own, nobody's empty password is taken, or that of a user is not")
	}
}

func TestAVerifiedCertificateTellsWhoSends(t *testing.T) {
	named := newRules([]SenderRule{{Certificate: "janus-1", Emitter: "fra"}})
	web := &HTTP{paths: map[string]bool{"/events": true}}
	r := httptest.NewRequest("POST", "/events", nil)
	leaf := &x509.Certificate{Subject: pkix.Name{CommonName: "janus-1"}}
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}} // shown, and not verified
	if from, _ := web.sender(r); named.emitter(from) != "" {
		t.Error("a certificate that nobody verified is believed")
	}
	r.TLS.VerifiedChains = [][]*x509.Certificate{{leaf}}
	if from, _ := web.sender(r); named.emitter(from) != "fra" {
		t.Errorf("it is %+v", from)
	}
}

func TestDecompressionEndsAtTheLimitWhateverTheStreamSays(t *testing.T) {
	var members bytes.Buffer
	for range 2 { // a gzip stream may have several parts
		z := gzip.NewWriter(&members)
		io.WriteString(z, "12345")
		z.Close()
	}
	for _, scene := range []struct {
		name string
		sent []byte
		room int64
		want string
		err  error
	}{
		{"it fits", zip(t, []byte("12345")), 5, "12345", nil},
		{"with room to spare", zip(t, []byte("12345")), 50, "12345", nil},
		{"one too many", zip(t, []byte("12345")), 4, "", errTooLong},
		{"nothing inside", zip(t, nil), 0, "", nil},
		{"two parts", members.Bytes(), 10, "1234512345", nil},
		{"two parts, one too many", members.Bytes(), 9, "", errTooLong},
		{"cut off at the limit", zip(t, []byte("12345"))[:20], 5, "", io.ErrUnexpectedEOF},
		{"cut off", zip(t, []byte("12345"))[:20], 50, "", io.ErrUnexpectedEOF},
		{"something behind it", append(zip(t, []byte("12345")), "garbage"...), 5, "", io.ErrUnexpectedEOF},
	} {
		got, err := gunzip(scene.sent, scene.room)
		if !errors.Is(err, scene.err) || string(got) != scene.want {
			t.Errorf("%s: got %q, %v, want %q, %v", scene.name, got, err, scene.want, scene.err)
		}
	}
}

func TestASenderThatFailsAllTheTimeIsHeldBackInTheLog(t *testing.T) {
	q := newThrottledLog(hclog.NewNullLogger())
	start := time.Unix(1_790_000_000, 0)
	for _, step := range []struct {
		second int
		what   string
		held   int
		ok     bool
	}{{0, "a", 0, true}, {1, "a", 0, false}, {1, "b", 0, true}, {9, "a", 0, false}, {10, "a", 2, true},
		{11, "a", 0, false}} {
		held, ok := q.permit(step.what, start.Add(time.Duration(step.second)*time.Second))
		if held != step.held || ok != step.ok {
			t.Errorf("at %d s: %d held back, %v, want %d, %v", step.second, held, ok, step.held, step.ok)
		}
	}
	for i := range 3 * throttleNames {
		q.permit(fmt.Sprint(i), start)
	}
	if len(q.said) > throttleNames {
		t.Errorf("%d remembered, want at most %d", len(q.said), throttleNames)
	}
}

func TestAnEmitterMayCallItselfAnythingAndStillFits(t *testing.T) {
	name := strings.Repeat("n", 500<<10)
	s := open(t, nil)
	s.accepted([]byte(strings.Replace(serverStarted, `"j1"`, `"`+name+`"`, 1)))
	records := s.records("events")
	if len(records) != 4 {
		t.Fatalf("%d records, want 4", len(records))
	}
	if got := len(records[0].Key); got != maxEmitter {
		t.Errorf("key of %d bytes, want %d", got, maxEmitter)
	}
}
