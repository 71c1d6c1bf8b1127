package explain

import (
	"fmt"
	"strings"

	"januscdr/cdr"
	"januscdr/janus"
)

// parts is what is known of the parts of a session: its incarnations, handles and legs, and its records.
type parts struct {
	lives   []*Bar // incarnations, in their order
	handles []*handleState
	legs    []*legState // in the order in which they were first heard of
	legOf   map[legKey]*legState
	records []*cdr.Record // all that were emitted, in their order
}

type handleState struct {
	id       janus.HandleID
	plugin   string
	opaque   string // as it may be shown
	attached bool   // its attach was seen
	start    janus.Micros
	end      janus.Micros // 0: it has not ended
}

// legKey names a leg. A session id may come again, with the same handle, so the incarnation belongs to it.
type legKey struct {
	handle janus.HandleID
	kind   cdr.LegKind
	index  int32
	life   int // incarnations that were seen by then
}

// legState is what was concluded about a leg. A moment that is 0 is not known.
type legState struct {
	legKey
	start, answer, end janus.Micros
	endBounded         bool        // it may have ended before that
	record             *cdr.Record // the final one
	call               string      // Call-ID, of what SIP said of it
}

// handle finds a handle; nil when there is none.
func (p *parts) handle(id janus.HandleID) *handleState {
	for _, h := range p.handles {
		if h.id == id {
			return h
		}
	}
	return nil
}

// leg is the leg that a conclusion is about.
func (p *parts) leg(c *conclusion) *legState {
	key := legKey{c.Handle, c.LegKind, c.LegIndex, len(p.lives)}
	l := p.legOf[key]
	if l == nil {
		l = &legState{legKey: key}
		p.legOf[key] = l
		p.legs = append(p.legs, l)
	}
	return l
}

// life is the incarnation of the moment, nil before the first.
func (p *parts) life() *Bar {
	if len(p.lives) == 0 {
		return nil
	}
	return p.lives[len(p.lives)-1]
}

// sessionEnded tells whether the end of the session was told.
func (p *parts) sessionEnded() bool { return len(p.lives) > 0 && p.life().End != 0 }

// event notes what an event of the session tells of its handle.
func (p *parts) event(e *janus.Event) {
	h := p.handle(e.Handle)
	if h == nil {
		h = &handleState{id: e.Handle, start: e.Time}
		p.handles = append(p.handles, h)
	}
	if h.opaque == "" {
		h.opaque = clean(e.OpaqueID)
	}
	plugin := ""
	switch b := e.Body.(type) {
	case *janus.HandleAttached:
		plugin, h.attached = b.Plugin, true
	case *janus.HandleDetached:
		plugin = b.Plugin
	case *janus.PluginEvent:
		plugin = b.Plugin
	}
	if h.plugin == "" {
		h.plugin = strings.Clone(plugin)
	}
}

// conclusion notes what a conclusion tells of the part that it is about.
func (p *parts) conclusion(c *conclusion) {
	switch c.Rule {
	case cdr.RuleSessionOpened, cdr.RuleSessionOpenedByFirstEvent:
		p.lives = append(p.lives, &Bar{Name: "session", Start: c.At, Open: true})
	case cdr.RuleSessionEndDestroyed, cdr.RuleSessionEndTimeout, cdr.RuleSessionEndConnectionLost:
		if life := p.life(); life != nil {
			life.End = c.At
		}
	case cdr.RuleHandleClosed:
		if h := p.handle(c.Handle); h != nil {
			h.end = c.At
		}
	case cdr.RuleAnsweredSIP, cdr.RuleAnsweredWebRTCUp, cdr.RuleAnsweredJoined, cdr.RuleAnsweredStreamStarted,
		cdr.RuleAnsweredByEvidence:
		p.leg(c).answer = c.At
	case cdr.RuleLegEndedSIPHangup, cdr.RuleLegEndedHangup, cdr.RuleLegEndedByPlugin, cdr.RuleMembershipEndedByOther:
		l := p.leg(c)
		l.end, l.endBounded = c.At, false
	case cdr.RuleLegEndedDetached, cdr.RuleLegEndedWithSession:
		l := p.leg(c)
		l.end, l.endBounded = c.At, true
	case cdr.RuleRecordEmitted:
		p.emitted(c)
	default:
		if c.Rule >= cdr.RuleLegOpenedByOffer && c.Rule <= cdr.RuleLegStartMoved {
			p.leg(c).start = c.At
		}
	}
}

// callOf notes which SIP call a conclusion from an event is about.
func (p *parts) callOf(c *conclusion, e *janus.Event) {
	b, ok := e.Body.(*janus.PluginEvent)
	if ok && b.CallID != "" && c.LegKind == cdr.SIPCall && c.Handle == e.Handle {
		p.leg(c).call = strings.Clone(b.CallID)
	}
}

// emitted notes a record.
func (p *parts) emitted(c *conclusion) {
	r := c.record
	p.records = append(p.records, r)
	switch {
	case r.RecordType == cdr.SessionSummary:
		if life := p.life(); life != nil {
			*life = barOf(r, "session")
		}
	case r.IsFinal:
		p.leg(c).record = r
	}
}

// barOf is the time of a record as a bar.
func barOf(r *cdr.Record, name string) Bar {
	return Bar{
		Name: name, Start: r.StartTime, Answer: r.AnswerTime, End: r.EndTime,
		Earliest: r.EndEarliestTime, Latest: r.EndLatestTime,
	}
}

// subject is what a conclusion is about, in words, beside an entry of the handle at hand.
func (p *parts) subject(c *conclusion) string {
	switch {
	case c.LegKind != cdr.LegKindUnknown:
		name := p.legName(c.Handle, c.LegKind, c.LegIndex)
		if c.Rule != cdr.RuleLegNotOpened && !strings.ContainsAny(name, "0123456789") {
			name = "the " + name
		}
		return name
	case c.Handle != 0:
		return "what is open on " + p.handleName(c.Handle)
	case c.Rule == cdr.RuleSuperseded:
		return "this session"
	}
	return "the session"
}

func (p *parts) handleName(id janus.HandleID) string {
	for i, h := range p.handles {
		if h.id == id {
			if len(p.handles) == 1 {
				return "the handle"
			}
			return fmt.Sprintf("handle %d", i+1)
		}
	}
	return "a handle"
}

// legNoun is a kind of leg in words.
func legNoun(kind cdr.LegKind) string {
	switch kind {
	case cdr.PeerConnection:
		return "PeerConnection"
	case cdr.SIPCall:
		return "SIP call"
	case cdr.RoomMembership:
		return "membership"
	case cdr.StreamView:
		return "view"
	case cdr.Recording:
		return "recording"
	}
	return "leg"
}

// legName names a leg as shortly as is clear within its session: PeerConnection, SIP call 2, membership of handle 3.
func (p *parts) legName(handle janus.HandleID, kind cdr.LegKind, index int32) string {
	name := legNoun(kind)
	several, elsewhere := false, false
	for _, l := range p.legs {
		if l.kind == kind {
			several = several || l.handle == handle && l.index != index
			elsewhere = elsewhere || l.handle != handle
		}
	}
	if several {
		name += fmt.Sprintf(" %d", index+1)
	}
	if elsewhere {
		name += " of " + p.handleName(handle)
	}
	return name
}

// recordName names what a record is about.
func (p *parts) recordName(r *cdr.Record) string {
	if r.RecordType == cdr.SessionSummary {
		return "session"
	}
	for _, h := range p.handles {
		if h.id.String() == r.HandleID {
			return p.legName(h.id, r.LegKind, r.LegIndex)
		}
	}
	return legNoun(r.LegKind)
}
