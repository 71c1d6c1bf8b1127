package explain

import "januscdr/janus"

// Story is what happened in one session, in words. Its JSON form is what `cdr explain --json` writes. All texts may be
// shown as they are; times are microseconds since the epoch, in the clock of the emitter.
type Story struct {
	Emitter  string       `json:"emitter"`
	Session  string       `json:"session_id"`
	From     Origin       `json:"from"`
	Begin    janus.Micros `json:"begin"` // timestamp of its first event
	End      janus.Micros `json:"end"`   // timestamp of its last event
	Events   int          `json:"events"`
	Open     bool         `json:"open"` // the session is open where the log ends
	Headline string       `json:"headline"`
	Left     string       `json:"left_out,omitempty"` // what of the session is not told
	Outcomes []Outcome    `json:"outcomes"`
	Handles  []Handle     `json:"handles"`
	Timeline []Entry      `json:"timeline"`
	Records  []Account    `json:"records"`
	Noticed  []string     `json:"noticed"`
	Rules    []RuleUsed   `json:"rules"`
	Personal string       `json:"personal,omitempty"` // what the policy keeps out of this story
	Sessions []Bar        `json:"sessions"`           // its incarnations
}

// Origin says where the events lie.
type Origin struct {
	Name      string `json:"name"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	First     int64  `json:"first_offset"`
	Last      int64  `json:"last_offset"`
}

// Outcome is what came of one leg, in one sentence.
type Outcome struct {
	Leg        string `json:"leg"`
	Text       string `json:"text"`
	Chargeable bool   `json:"chargeable"`
	Answered   bool   `json:"answered"`
	Charged    string `json:"charged,omitempty"` // how long, where it is chargeable
	Confidence string `json:"confidence"`
}

// Handle is a plugin handle of the session.
type Handle struct {
	ID       string `json:"handle_id"`
	Name     string `json:"name"` // what the story calls it: handle 1
	Plugin   string `json:"plugin"`
	OpaqueID string `json:"opaque_id,omitempty"`
	Bar      Bar    `json:"bar"`
	Legs     []Bar  `json:"legs"`
}

// Bar is a stretch of time to be drawn. A moment that is 0 is not known.
type Bar struct {
	Name     string       `json:"name"`
	Start    janus.Micros `json:"start"`
	Answer   janus.Micros `json:"answer,omitempty"`
	End      janus.Micros `json:"end,omitempty"`
	Earliest janus.Micros `json:"end_earliest,omitempty"`
	Latest   janus.Micros `json:"end_latest,omitempty"`
	Open     bool         `json:"open,omitempty"` // it has no end where the log ends

	Chargeable bool   `json:"chargeable,omitempty"`
	Kind       string `json:"leg_kind,omitempty"`
}

// Kind sorts the entries of a timeline.
type Kind string

// The kinds of entries.
const (
	KindSession   Kind = "session"   // the session itself
	KindHandle    Kind = "handle"    // a handle comes or goes
	KindSignal    Kind = "signal"    // offer and answer, SIP messages
	KindConnect   Kind = "connect"   // ICE and DTLS
	KindMedia     Kind = "media"     // media and statistics
	KindPlugin    Kind = "plugin"    // what a plugin tells
	KindElsewhere Kind = "elsewhere" // events of others that concern this session
	KindTime      Kind = "time"      // time passed
)

// Entry is a line of the timeline: one event, several of one kind, or time that passed.
type Entry struct {
	Time    janus.Micros `json:"time"`            // of the first event; for KindTime about when, in the emitter's clock
	Until   janus.Micros `json:"until,omitempty"` // of the last event, where there are several
	About   bool         `json:"about,omitempty"` // Time is not an event's
	First   int64        `json:"first_offset"`
	Last    int64        `json:"last_offset"`
	Count   int          `json:"count"`
	Kind    Kind         `json:"kind"`
	Handle  string       `json:"handle,omitempty"` // its name
	Text    string       `json:"text"`
	Because []Conclusion `json:"concluded,omitempty"`

	handleID    janus.HandleID
	digest      digest // makes Text, where events are told together
	conclusions []conclusion
	atEnd       bool // the file ended
}

// Conclusion is what the program concluded, and why.
type Conclusion struct {
	Rule string `json:"rule"`
	Text string `json:"text"`
}

// RuleUsed explains a rule that was used in the story.
type RuleUsed struct {
	Rule    string `json:"rule"`
	Means   string `json:"means"`
	Billing string `json:"money"`   // what follows for the invoice
	Section string `json:"section"` // of docs/records.md
}

// Account is a record, with what it means.
type Account struct {
	Title      string  `json:"title"`
	RecordID   string  `json:"record_id"`
	Text       string  `json:"text"`
	Billing    string  `json:"money"` // what of it is charged
	Confidence string  `json:"confidence"`
	Certainty  string  `json:"sure"` // what the confidence comes from, and what the uncertainty means
	Fields     []Field `json:"fields"`
}

// Field is a field of a record.
type Field struct {
	Name    string `json:"name"`
	Value   string `json:"value"` // "" for null
	Reads   string `json:"reads,omitempty"`
	Meaning string `json:"meaning"`
}
