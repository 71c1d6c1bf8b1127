package explain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"januscdr/cdr"
	"januscdr/janus"
)

// maxPeople bounds how many people of a room are told; how many more there are is said.
const maxPeople = 200

// RoomStory is what happened in one room, in words: people on one axis of time. Its JSON form is what `cdr explain
// --room --json` writes. All texts may be shown as they are; times are as in a Story.
type RoomStory struct {
	Emitter  string       `json:"emitter"`
	Plugin   string       `json:"plugin"`
	Room     string       `json:"room_id"`
	From     string       `json:"from"` // name of the file or topic
	Begin    janus.Micros `json:"begin"`
	End      janus.Micros `json:"end"`
	Open     bool         `json:"open"`         // somebody is in where the log ends
	AtOnce   int          `json:"most_at_once"` // people
	Headline string       `json:"headline"`
	People   []Person     `json:"people"` // in the order in which they came
	Moves    []Move       `json:"moves"`  // who comes and goes, in the order of time
	Noticed  []string     `json:"noticed"`
}

// Person is whoever was in a room with one session.
type Person struct {
	Name         string    `json:"name"`
	Participants []string  `json:"participant_ids"`
	Session      string    `json:"session_id"`
	Partition    int32     `json:"partition"`
	OpaqueIDs    []string  `json:"opaque_ids"`
	In           []Bar     `json:"in"` // from when to when, however many legs there were
	Legs         []Bar     `json:"legs"`
	Outcomes     []Outcome `json:"outcomes"` // of the legs, in their order
}

// Move is that somebody comes or goes.
type Move struct {
	Time   janus.Micros `json:"time"`
	Person string       `json:"person"`
	Comes  bool         `json:"comes"`
	In     int          `json:"in"` // how many are in after it
	// Unsure is that the true end may lie up to then.
	Unsure janus.Micros `json:"latest,omitempty"`
}

// PartitionLog is the log of one partition: how it is folded, and what is in it.
type PartitionLog func(partition int32) (Options, Inputs)

// TellRoom makes the story of the room that a query names, of the sessions that were found for it.
func TellRoom(ctx context.Context, q Query, found []Found, log PartitionLog) (*RoomStory, error) {
	if len(found) == 0 {
		return nil, errors.New("nobody was in " + q.String())
	}
	var legs []roomLeg
	of := map[int32][]Found{}
	for _, f := range found {
		of[f.Partition] = append(of[f.Partition], f)
	}
	name := ""
	for partition, sessions := range of {
		o, inputs := log(partition)
		some, err := legsIn(ctx, o, inputs, q, sessions)
		if err != nil {
			return nil, err
		}
		legs, name = append(legs, some...), o.Name
	}
	slices.SortFunc(legs, func(a, b roomLeg) int {
		return cmp.Or(cmp.Compare(a.bar.Start, b.bar.Start), cmp.Compare(a.session, b.session),
			cmp.Compare(a.handle, b.handle), cmp.Compare(a.bar.Name, b.bar.Name))
	})
	if err := oneRoom(q, legs); err != nil {
		return nil, err
	}
	if len(legs) == 0 {
		return nil, errors.New("nobody was in " + q.String() + ": it is named, and no leg was in it")
	}
	if len(of) > 1 { // of a topic, where each has its partition in its name
		name, _, _ = strings.Cut(name, ", partition ")
	}
	return writeRoom(q, clean(name), legs), nil
}

// oneRoom tells whether all legs were in one room: plugins and servers have rooms of the same id.
func oneRoom(q Query, legs []roomLeg) error {
	var places []string
	for _, l := range legs {
		place := fmt.Sprintf("--emitter %q --plugin %s", l.emitter, shortPlugin(l.plugin))
		if !slices.Contains(places, place) {
			places = append(places, place)
		}
	}
	if len(places) < 2 {
		return nil
	}
	slices.Sort(places)
	return fmt.Errorf("there are %d rooms %q; say which one:\n  %s", len(places), clean(q.Room),
		strings.Join(places, "\n  "))
}

// roomLeg is a leg in the room.
type roomLeg struct {
	emitter, plugin string
	partition       int32
	session         janus.SessionID
	handle          janus.HandleID
	opaque          string
	name            string // of the participant
	participant     string
	bar             Bar
	outcome         Outcome
}

// roomWatch follows a fold and keeps what is known of the sessions that were in the room.
type roomWatch struct {
	query    Query
	parser   janus.Parser
	event    *janus.Event
	sessions map[sessionRef]*roomSession
}

type roomSession struct {
	parts parts
	in    map[*legState]bool // legs without a record, that began on a handle that was in the room
	rooms map[janus.HandleID]janus.PluginEvent
}

// legsIn are the legs of some sessions of one partition that were in the room.
func legsIn(ctx context.Context, o Options, inputs Inputs, q Query, found []Found) ([]roomLeg, error) {
	w := &roomWatch{query: q, sessions: map[sessionRef]*roomSession{}}
	for _, f := range found {
		w.sessions[sessionRef{f.Emitter, f.Session}] = &roomSession{parts: parts{legOf: map[legKey]*legState{}},
			in: map[*legState]bool{}, rooms: map[janus.HandleID]janus.PluginEvent{}}
	}
	if err := follow(ctx, o, inputs, listener{before: w.before, conclusion: w.conclusion}); err != nil {
		return nil, err
	}
	var legs []roomLeg
	for at, s := range w.sessions {
		for _, l := range s.parts.legs {
			if leg, ok := s.leg(l, q, o); ok {
				leg.emitter, leg.session, leg.partition = at.emitter, at.session, o.Source.Partition
				legs = append(legs, leg)
			}
		}
	}
	return legs, nil
}

// before looks at an event before it is folded.
func (w *roomWatch) before(in cdr.Input) {
	w.event = nil
	if in.Kind != cdr.KindEvent {
		return
	}
	e, err := w.parser.Parse(in.Value)
	if err != nil || e.Handle == 0 {
		return
	}
	s := w.sessions[sessionRef{emitterOf(in, e), e.Session}]
	if s == nil {
		return
	}
	w.event = e
	s.parts.event(e)
	if b, ok := e.Body.(*janus.PluginEvent); ok && b.Room.Known() {
		s.rooms[e.Handle] = janus.PluginEvent{Plugin: strings.Clone(b.Plugin), Display: strings.Clone(b.Display),
			Username: strings.Clone(b.Username), Room: janus.ID{Text: strings.Clone(b.Room.Text)},
			ID: janus.ID{Text: strings.Clone(b.ID.Text)}}
	}
}

// conclusion looks at what is concluded about the sessions.
func (w *roomWatch) conclusion(c cdr.Conclusion) {
	s := w.sessions[sessionRef{c.Emitter, c.Session}]
	if s == nil {
		return
	}
	keep := conclusion{Conclusion: c, closed: s.parts.sessionEnded()}
	keep.Record = nil
	if c.Record != nil {
		r := safe(c.Record)
		keep.record = &r
	}
	s.parts.conclusion(&keep)
	if c.LegKind != cdr.LegKindUnknown && c.Rule != cdr.RuleRecordEmitted && s.rooms[c.Handle].Room.Text == w.query.Room {
		s.in[s.parts.leg(&keep)] = true
	}
}

// leg is a leg as it is told, if it was in the room.
func (s *roomSession) leg(l *legState, q Query, o Options) (leg roomLeg, ok bool) {
	at := s.rooms[l.handle]
	if l.record != nil {
		r := l.record
		if r.RoomID != clean(q.Room) || q.Plugin != "" && shortPlugin(r.Plugin) != shortPlugin(q.Plugin) {
			return leg, false
		}
		leg = roomLeg{plugin: r.Plugin, opaque: r.OpaqueID, name: r.DisplayName, participant: r.ParticipantID}
		leg.outcome = Outcome{Text: outcome(r), Chargeable: r.Chargeable, Answered: r.AnswerTime != 0,
			Confidence: r.Confidence.String()}
		if r.Chargeable {
			leg.outcome.Charged = span(answeredFor(r))
		}
	} else {
		if !s.in[l] || l.start == 0 || q.Plugin != "" && shortPlugin(at.Plugin) != shortPlugin(q.Plugin) {
			return leg, false
		}
		leg = roomLeg{plugin: at.Plugin, name: clean(cmp.Or(at.Display, at.Username)), participant: clean(at.ID.Text)}
		if o.Policy.For("", at.Plugin).DisplayName != cdr.Emit {
			leg.name = ""
		}
		if h := s.parts.handle(l.handle); h != nil {
			leg.opaque = h.opaque
		}
		leg.outcome = Outcome{Text: legNoun(l.kind) + l.soFar()}
	}
	leg.handle = l.handle
	leg.bar = s.parts.legBar(l)
	if l.record != nil && l.record.Role != cdr.RoleUnknown && l.kind == cdr.PeerConnection {
		leg.bar.Name = strings.ToLower(l.record.Role.String())
	}
	leg.outcome.Leg = leg.bar.Name
	return leg, true
}

// writeRoom makes the story of legs that are in the order of their beginnings.
func writeRoom(q Query, name string, legs []roomLeg) *RoomStory {
	s := &RoomStory{Emitter: clean(legs[0].emitter), Plugin: clean(legs[0].plugin), Room: clean(q.Room), From: name,
		Begin: legs[0].bar.Start}
	index := map[sessionRef]int{}
	for _, l := range legs {
		at := sessionRef{l.emitter, l.session}
		i, ok := index[at]
		if !ok {
			i = len(s.People)
			index[at] = i
			s.People = append(s.People, Person{Session: l.session.String(), Partition: l.partition})
		}
		s.People[i].add(&l)
		s.End = max(s.End, l.bar.Start, l.bar.End)
		s.Open = s.Open || l.bar.Open
	}
	for i := range s.People {
		s.People[i].finish()
	}
	s.moves()
	s.Headline = fmt.Sprintf("%s: %s in %s, up to %d at a time", dateTime(s.Begin),
		many(len(s.People), "person", "people"), span(s.End-s.Begin), s.AtOnce)
	if s.Open {
		s.Headline += "; it goes on where the log ends"
	}
	s.notice()
	if more := len(s.People) - maxPeople; more > 0 {
		s.People = s.People[:maxPeople]
		s.Noticed = append(s.Noticed, fmt.Sprintf("%s are not shown.", many(more, "more person", "more people")))
	}
	return s
}

// add notes a leg of a person.
func (p *Person) add(l *roomLeg) {
	note := func(list *[]string, text string) {
		if text != "" && !slices.Contains(*list, text) && len(*list) < 5 {
			*list = append(*list, text)
		}
	}
	note(&p.Participants, l.participant)
	note(&p.OpaqueIDs, l.opaque)
	if p.Name == "" || l.bar.Kind == cdr.RoomMembership.String() && l.name != "" {
		p.Name = cmp.Or(l.name, p.Name)
	}
	p.Legs, p.Outcomes = append(p.Legs, l.bar), append(p.Outcomes, l.outcome)
}

// stay is from when to when a person was in: by memberships, or where there are none, by whatever legs there are.
func (p *Person) stay() {
	members := slices.ContainsFunc(p.Legs, func(l Bar) bool { return l.Kind == cdr.RoomMembership.String() })
	for _, l := range p.Legs {
		if members && l.Kind != cdr.RoomMembership.String() {
			continue
		}
		in := Bar{Name: "in the room", Start: l.Start, End: l.End, Open: l.Open, Latest: l.Latest}
		if n := len(p.In); n > 0 {
			if last := &p.In[n-1]; last.Open || in.Start <= last.End {
				if in.Open || in.End > last.End {
					last.End, last.Open, last.Latest = in.End, last.Open || in.Open, in.Latest
				}
				continue
			}
		}
		p.In = append(p.In, in)
	}
}

// finish gives the person a name, and the members of lists that are empty.
func (p *Person) finish() {
	p.stay()
	participant := ""
	if len(p.Participants) > 0 {
		participant = "participant " + p.Participants[0]
	}
	opaque := ""
	if len(p.OpaqueIDs) > 0 {
		opaque = p.OpaqueIDs[0]
	}
	p.Name = cmp.Or(p.Name, opaque, participant, "session "+p.Session)
	for _, l := range []*[]string{&p.Participants, &p.OpaqueIDs} {
		if *l == nil {
			*l = []string{}
		}
	}
}

// moves collects who comes and goes, and how many are in at once.
func (s *RoomStory) moves() {
	for i := range s.People {
		p := &s.People[i]
		for _, in := range p.In {
			s.Moves = append(s.Moves, Move{Time: in.Start, Person: p.Name, Comes: true})
			if !in.Open && in.End != 0 {
				move := Move{Time: in.End, Person: p.Name}
				if in.Latest > in.End {
					move.Unsure = in.Latest
				}
				s.Moves = append(s.Moves, move)
			}
		}
	}
	slices.SortStableFunc(s.Moves, func(a, b Move) int { return cmp.Compare(a.Time, b.Time) })
	in := 0
	for i := range s.Moves {
		if s.Moves[i].Comes {
			in++
		} else {
			in--
		}
		s.Moves[i].In = in
		s.AtOnce = max(s.AtOnce, in)
	}
}

// notice says what is worth noticing.
func (s *RoomStory) notice() {
	s.Noticed = []string{}
	for i := range s.People {
		p := &s.People[i]
		if n := len(p.In); n > 1 {
			s.Noticed = append(s.Noticed, fmt.Sprintf("%s came %d times.", p.Name, n))
		}
		for j := range p.Legs {
			if c := p.Outcomes[j].Confidence; c != "" && c != cdr.Exact.String() {
				s.Noticed = append(s.Noticed, fmt.Sprintf("The %s of %s is %s.", p.Outcomes[j].Leg, p.Name, c))
			}
		}
	}
	const most = 20
	if more := len(s.Noticed) - most; more > 0 {
		s.Noticed = append(s.Noticed[:most], fmt.Sprintf("And %d more like these.", more))
	}
}
