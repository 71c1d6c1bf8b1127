package cdr

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"januscdr/janus"
)

// What the laws share: a log, ways to run it, and what must hold of whatever comes out.

// play says how a log is run. The zero value runs it in one go under the default policy.
type play struct {
	policy  *Policy
	source  Source
	commit  func(i int) bool // whether a step is taken after input i; nil for never
	restart func(i int) bool // whether another process goes on after it
	evict   bool             // nothing stays decoded from record to record
	noFlush bool
	forget  bool               // a restart does not read the window again
	each    func(p *Partition) // called after each input
}

// outcome is what came of a log.
type outcome struct {
	records []Record
	states  MemoryStates
	parked  int
	toStubs int         // events of sessions, repetitions too, that came when the session was reported already
	again   map[ID]bool // sessions that began once more at the same moment, when the partition had forgotten them

	revisions map[ID]int32 // the highest of each part of a leg, once asked for
}

// run folds a log.
func (how play) run(log []Input) (outcome, error) {
	policy := DefaultPolicy()
	if how.policy != nil {
		policy = *how.policy
	}
	if how.source.Topic == "" {
		how.source.Topic = "janus.events"
	}
	out := outcome{states: MemoryStates{}, again: map[ID]bool{}}
	p, err := Open(policy, how.source, out.states)
	if err != nil {
		return out, err
	}
	forgotten, reported := map[string]bool{}, map[ID]bool{}
	trace := func(c Conclusion) {
		switch c.Rule {
		case RuleSessionForgotten:
			forgotten[c.Emitter+"/"+c.Session.String()] = true
		case RuleRecordEmitted:
			uid := c.Record.SessionUID
			if reported[uid] && forgotten[c.Emitter+"/"+c.Session.String()] {
				out.again[uid] = true
			}
			if c.Record.RecordType == SessionSummary {
				reported[uid] = true
			}
		}
	}
	p.Trace(trace)
	take := func() {
		step := p.Step()
		out.records = append(out.records, step.Records...)
		out.parked += len(step.Parked)
		out.states.Put(step.Changes...)
		p.Committed()
	}
	for i, in := range log {
		repetitions := p.counts.Duplicates
		if err := p.Apply(in); err != nil {
			return out, fmt.Errorf("input %d: %w", i, err)
		}
		if p.tooLate(in, p.counts.Duplicates > repetitions) {
			out.toStubs++
		}
		if how.each != nil {
			how.each(p)
		}
		restart := how.restart != nil && how.restart(i)
		if restart || how.commit != nil && how.commit(i) {
			take()
		}
		if how.evict {
			p.restBeyond(0, 0)
		}
		if restart {
			if p, err = Open(policy, how.source, out.states); err != nil {
				return out, fmt.Errorf("open again after input %d: %w", i, err)
			}
			p.Trace(trace)
			for _, before := range log[max(0, i+1-WindowSize) : i+1] {
				if !how.forget {
					p.PrimeWindow(before)
				}
			}
		}
	}
	if !how.noFlush {
		if err := p.Flush(); err != nil {
			return out, fmt.Errorf("flush: %w", err)
		}
	}
	take()
	return out, nil
}

// tooLate tells whether an input was an event of a session that is a stub at the moment, or a repetition of one that is
// forgotten altogether.
func (p *Partition) tooLate(in Input, again bool) bool {
	if in.Kind != KindEvent {
		return false
	}
	var parser janus.Parser
	e, err := parser.Parse(in.Value)
	if err != nil || e.Session == 0 {
		return false
	}
	name := e.Emitter
	if in.Emitter != "" {
		name = in.Emitter
	}
	em := p.index.emitters[name]
	if em == nil {
		return again
	}
	k := p.index.sessions[sessionRef{em.number, e.Session}]
	if k == nil || k.deleted {
		return again
	}
	return k.stub
}

// ofSessions is how many records of a log are events that name a session.
func ofSessions(log []Input) (n int) {
	var parser janus.Parser
	for _, in := range log {
		if in.Kind == KindEvent {
			if e, err := parser.Parse(in.Value); err == nil && e.Session != 0 {
				n++
			}
		}
	}
	return n
}

// checkTold says what is wrong with the records of a whole log, whatever was in it.
func checkTold(out outcome, events int) error {
	local := int64(-1)
	ids := map[ID]bool{}
	done, suspect := map[ID]bool{}, map[ID]bool{}
	parts := map[ID][]*Record{} // by leg
	legs := map[ID][]*Record{}  // final records by session
	counted := 0
	lives := map[ID]int32{}
	for i := range out.records {
		r := &out.records[i]
		if uid := r.SessionUID; out.again[uid] { // for the books each life of it is a session
			one := *r
			r = &one
			for _, id := range []*ID{&r.SessionUID, &r.CDRID, &r.RecordID} {
				*id = recordID(*id, lives[uid], -1)
			}
			r.LegIDs = slices.Clone(r.LegIDs)
			for j, id := range r.LegIDs {
				r.LegIDs[j] = recordID(id, lives[uid], -1)
			}
			if r.RecordType == SessionSummary {
				lives[uid]++
			}
		}
		if err := checkRecord(r); err != nil {
			return fmt.Errorf("record %d (%v of session %s, handle %s, %v %d): %w", i, r.RecordType, r.SessionID, r.HandleID, r.LegKind, r.LegIndex, err)
		}
		if local >= 0 && r.LocalRecordSequenceNumber != local+1 {
			return fmt.Errorf("record %d has number %d after %d", i, r.LocalRecordSequenceNumber, local)
		}
		local = r.LocalRecordSequenceNumber
		if ids[r.RecordID] {
			return fmt.Errorf("record %d: its id came before", i)
		}
		ids[r.RecordID] = true
		if err := checkRevision(r, ids); err != nil {
			return fmt.Errorf("record %d: %w", i, err)
		}
		if out.amended(i) {
			continue // the highest revision counts
		}
		if done[r.SessionUID] {
			return fmt.Errorf("record %d comes after the SESSION record of its session", i)
		}
		if r.RecordType == SessionSummary {
			done[r.SessionUID] = true
			suspect[r.SessionUID] = r.ClockSuspect
			counted += int(r.EventCount) + int(r.DuplicateCount)
			if err := checkSummary(r, legs[r.SessionUID]); err != nil {
				return fmt.Errorf("record %d, SESSION of %s: %w", i, r.SessionID, err)
			}
			continue
		}
		if before := parts[r.CDRID]; len(before) > 0 && before[len(before)-1].IsFinal {
			return fmt.Errorf("record %d comes after the final record of its leg", i)
		}
		parts[r.CDRID] = append(parts[r.CDRID], r)
		if r.IsFinal {
			if err := checkParts(parts[r.CDRID]); err != nil {
				return fmt.Errorf("record %d, leg of handle %s: %w", i, r.HandleID, err)
			}
			legs[r.SessionUID] = append(legs[r.SessionUID], r)
		}
	}
	for uid, all := range legs {
		if !done[uid] {
			return fmt.Errorf("session %s has legs and no SESSION record", all[0].SessionID)
		}
		if err := checkApart(all, suspect[uid]); err != nil {
			return fmt.Errorf("session %s: %w", all[0].SessionID, err)
		}
	}
	for id, all := range parts {
		if !all[len(all)-1].IsFinal {
			return fmt.Errorf("leg %v has no final record", id)
		}
	}
	if events >= 0 && counted+out.toStubs != events {
		return fmt.Errorf("SESSION records count %d events, and %d came to stubs, of %d", counted, out.toStubs, events)
	}
	return nil
}

// checkRevision says what is wrong with an amendment: it names the revision before it, which came before.
func checkRevision(r *Record, ids map[ID]bool) error {
	if (r.Revision == 0) != (r.ChangeKind == Original) || (r.Revision == 0) != (r.Supersedes == "") {
		return fmt.Errorf("revision %d is %v and supersedes %q", r.Revision, r.ChangeKind, r.Supersedes)
	}
	if before := recordID(r.CDRID, r.RecordSequenceNumber, r.Revision-1); r.Revision > 0 && (r.Supersedes != before.String() || !ids[before]) {
		return fmt.Errorf("revision %d supersedes %s, which is not the one before or did not come", r.Revision, r.Supersedes)
	}
	return nil
}

// amended tells whether a record has a later revision.
func (o *outcome) amended(i int) bool {
	if o.revisions == nil {
		o.revisions = map[ID]int32{}
		for j := range o.records {
			r := &o.records[j]
			part := recordID(r.CDRID, r.RecordSequenceNumber, -2)
			o.revisions[part] = max(o.revisions[part], r.Revision)
		}
	}
	r := &o.records[i]
	return r.Revision < o.revisions[recordID(r.CDRID, r.RecordSequenceNumber, -2)]
}

// checkRecord says what is wrong within one record.
func checkRecord(r *Record) error {
	closure := r.RecordClosureTime
	switch {
	case r.Duration < 0 || r.CumulativeDuration < 0 || r.HoldingDuration < 0 || r.SetupDuration < 0:
		return fmt.Errorf("a duration is negative: %d, %d, %d, %d", r.Duration, r.CumulativeDuration, r.HoldingDuration, r.SetupDuration)
	case closure < r.RecordOpeningTime || r.RecordOpeningTime < r.StartTime:
		return fmt.Errorf("it starts at %d, opens at %d and closes at %d", r.StartTime, r.RecordOpeningTime, closure)
	case r.AnswerTime != 0 && r.AnswerTime < r.StartTime:
		return fmt.Errorf("answered at %d, before its start %d", r.AnswerTime, r.StartTime)
	case r.AnswerTime != 0 && r.AnswerTime > closure && r.IsFinal:
		return fmt.Errorf("answered at %d, after its end %d", r.AnswerTime, closure)
	case (r.AnswerTime != 0) != (r.AnswerBasis != AnswerUnknown) || (r.AnswerTime != 0) != (r.Disposition == Answered):
		return fmt.Errorf("answer %d, %v and %v do not go together", r.AnswerTime, r.AnswerBasis, r.Disposition)
	case r.AnswerTime == 0 && (r.Duration != 0 || r.CumulativeDuration != 0):
		return fmt.Errorf("not answered, and lasts %d", r.Duration)
	case r.AnswerTime != 0 && r.Duration != int64(max(0, closure-max(r.AnswerTime, r.RecordOpeningTime))):
		return fmt.Errorf("lasts %d from %d or %d to %d", r.Duration, r.AnswerTime, r.RecordOpeningTime, closure)
	case r.IsFinal != (r.EndTime != 0) || r.IsFinal != (r.EndBasis != EndUnknown):
		return fmt.Errorf("final %t, with end %d, %v", r.IsFinal, r.EndTime, r.EndBasis)
	case r.IsFinal && (r.EndEarliestTime > r.EndTime || r.EndTime > r.EndLatestTime || r.EndTime != closure):
		return fmt.Errorf("ends at %d, between %d and %d, and closes at %d", r.EndTime, r.EndEarliestTime, r.EndLatestTime, closure)
	case r.IsFinal && r.EndEarliestTime < r.StartTime:
		return fmt.Errorf("ends at %d at the earliest, before its start %d", r.EndEarliestTime, r.StartTime)
	case r.EventCount < 0 || r.DuplicateCount < 0 || r.LateCount < 0 || r.LateCount > r.EventCount:
		return fmt.Errorf("counts %d, %d, %d", r.EventCount, r.DuplicateCount, r.LateCount)
	case r.FirstOffset > r.LastOffset && r.EventCount > 0:
		return fmt.Errorf("offsets %d to %d", r.FirstOffset, r.LastOffset)
	case r.LeftOutLegCount > 0 && r.Confidence == Exact:
		return fmt.Errorf("%v though %d legs were left out", r.Confidence, r.LeftOutLegCount)
	case (r.Confidence == Estimated) != (r.StartMissing || r.ClockSuspect || r.EndBasis == EndLastEvidence):
		return fmt.Errorf("%v with start missing %t, clock suspect %t, %v", r.Confidence, r.StartMissing, r.ClockSuspect, r.EndBasis)
	case r.Confidence == Exact && (r.EndMissing || r.EndEarliestTime != r.EndLatestTime):
		return fmt.Errorf("EXACT with end missing %t between %d and %d", r.EndMissing, r.EndEarliestTime, r.EndLatestTime)
	case r.EndMissing != (r.EndBasis == EndLastEvidence || r.EndBasis == EndEmitterRestart || r.EndBasis == EndEmitterShutdown):
		return fmt.Errorf("end missing %t with %v", r.EndMissing, r.EndBasis)
	case r.CauseForRecordClosing == CauseUnknown || r.Confidence == ConfidenceUnknown || r.ChangeKind == ChangeUnknown || r.IdentityBasis == IdentityUnknown:
		return fmt.Errorf("a word is UNKNOWN that never is: %v, %v, %v, %v", r.CauseForRecordClosing, r.Confidence, r.ChangeKind, r.IdentityBasis)
	case r.RecordType == Leg && (r.LegKind == LegKindUnknown || r.HandleID == ""):
		return fmt.Errorf("a leg without kind or handle")
	case r.RecordType == Leg && r.IsFinal && r.AnswerTime == 0 && r.CauseForRecordClosing != CauseUnsuccessfulCallAttempt:
		return fmt.Errorf("not answered, and %v", r.CauseForRecordClosing)
	case !slices.IsSorted(r.Feeds) || len(slices.Compact(slices.Clone(r.Feeds))) != len(r.Feeds):
		return fmt.Errorf("feeds %q", r.Feeds)
	}
	for i := range r.Streams {
		s := &r.Streams[i]
		if i > 0 {
			b := &r.Streams[i-1]
			if c := strings.Compare(b.Mid, s.Mid); c > 0 || c == 0 && (b.Media.String() > s.Media.String() || b.Media == s.Media && b.Layer > s.Layer) {
				return fmt.Errorf("streams %d and %d are not in order", i-1, i)
			}
		}
		switch {
		case s.BytesReceived < 0 || s.BytesSent < 0 || s.PacketsReceived < 0 || s.PacketsSent < 0 || s.NACKsReceived < 0 || s.NACKsSent < 0 || s.RetransmissionsReceived < 0:
			return fmt.Errorf("stream %d counts below zero: %+v", i, *s)
		case s.Samples <= 0 || s.SlowLinks < 0:
			return fmt.Errorf("stream %d has %d samples and %d slow links", i, s.Samples, s.SlowLinks)
		case (s.FirstMediaTime == 0) != (s.LastMediaTime == 0) || s.FirstMediaTime > s.LastMediaTime:
			return fmt.Errorf("stream %d flows from %d to %d", i, s.FirstMediaTime, s.LastMediaTime)
		case s.FinalSample && r.EndMissing:
			return fmt.Errorf("stream %d has its final sample though nobody saw the end", i)
		}
		for _, q := range []Quality{s.RTT, s.JitterLocal, s.JitterRemote, s.InLinkQuality, s.OutLinkQuality} {
			if q.Known && (q.Min > q.Last || q.Last > q.Max || int64(q.MeanMilli) < int64(q.Min)*1000 && q.Min > -2_000_000 || int64(q.MeanMilli) > int64(q.Max)*1000 && q.Max < 2_000_000) {
				return fmt.Errorf("stream %d: gauge %+v", i, q)
			}
		}
	}
	return nil
}

// checkParts says what is wrong with the parts of one leg: they tile it.
func checkParts(parts []*Record) error {
	last := parts[len(parts)-1]
	if len(parts) == 1 {
		if last.RecordSequenceNumber != 0 || last.RecordOpeningTime != last.StartTime || last.CumulativeDuration != last.Duration {
			return fmt.Errorf("the only record has number %d, opens at %d, starts at %d", last.RecordSequenceNumber, last.RecordOpeningTime, last.StartTime)
		}
		return nil
	}
	var sum int64
	for i, r := range parts {
		sum += r.Duration
		switch {
		case r.RecordSequenceNumber != int32(i+1):
			return fmt.Errorf("part %d has number %d", i+1, r.RecordSequenceNumber)
		case r.CumulativeDuration != sum:
			return fmt.Errorf("part %d: the parts so far last %d, it says %d", i+1, sum, r.CumulativeDuration)
		case r.StartTime != last.StartTime || r.AnswerTime != last.AnswerTime:
			return fmt.Errorf("part %d starts at %d and answers at %d, the last one %d and %d", i+1, r.StartTime, r.AnswerTime, last.StartTime, last.AnswerTime)
		case i == 0 && r.RecordOpeningTime != r.StartTime:
			return fmt.Errorf("the first part opens at %d, the leg at %d", r.RecordOpeningTime, r.StartTime)
		case i > 0 && r.RecordOpeningTime != parts[i-1].RecordClosureTime:
			return fmt.Errorf("part %d opens at %d, the one before closes at %d", i+1, r.RecordOpeningTime, parts[i-1].RecordClosureTime)
		}
	}
	if last.AnswerTime != 0 && sum != int64(last.EndTime-last.AnswerTime) {
		return fmt.Errorf("the parts last %d, the leg from %d to %d", sum, last.AnswerTime, last.EndTime)
	}
	return nil
}

// checkApart says where two legs stand for one thing: a PeerConnection, or what stands beside it, exists once at a time
// on a handle. Where the server's clock was set back they may seem to overlap. One that was open then says so, else their
// session does: one was over before, and the other began behind.
func checkApart(legs []*Record, suspect bool) error {
	type place struct {
		handle string
		kind   LegKind
	}
	index := map[place]map[int32]bool{}
	by := map[place][]*Record{}
	for _, r := range legs {
		at := place{r.HandleID, r.LegKind}
		if index[at] == nil {
			index[at] = map[int32]bool{}
		}
		if index[at][r.LegIndex] {
			return fmt.Errorf("handle %s has %v %d twice", r.HandleID, r.LegKind, r.LegIndex)
		}
		index[at][r.LegIndex] = true
		if r.LegKind == PeerConnection || r.LegKind == StreamView || r.LegKind == Recording {
			by[at] = append(by[at], r)
		}
	}
	for at, all := range by {
		slices.SortFunc(all, func(a, b *Record) int { return int(min(max(a.StartTime-b.StartTime, -1), 1)) })
		for i := 1; i < len(all); i++ {
			if a, b := all[i-1], all[i]; a.EndTime > b.StartTime && b.EndTime > b.StartTime && !a.ClockSuspect && !b.ClockSuspect && !suspect {
				return fmt.Errorf("handle %s has a %v from %d to %d and one from %d to %d", at.handle, at.kind, a.StartTime, a.EndTime, b.StartTime, b.EndTime)
			}
		}
	}
	return nil
}

// checkSummary says what is wrong with a SESSION record, given the final records of its legs.
func checkSummary(r *Record, legs []*Record) error {
	var answered, charged int32 // a call and what carries it are one call
	var first janus.Micros
	start := map[ID]janus.Micros{}
	up := map[ID]bool{}
	for _, l := range legs {
		up[l.CDRID] = l.AnswerTime != 0
	}
	for _, l := range legs {
		start[l.CDRID] = l.StartTime
		if l.AnswerTime != 0 {
			if !up[l.CompanionCDRID] {
				answered++
			}
			if l.Chargeable {
				charged++
			}
			if early := l.Plugin == janus.PluginSIP && l.LegKind == PeerConnection && !l.Chargeable; !early && (first == 0 || l.AnswerTime < first) {
				first = l.AnswerTime
			}
		}
	}
	if int(r.LegCount) != len(legs) || r.AnsweredLegCount > answered || r.AnsweredLegCount < charged ||
		r.MaxConcurrentLegs > r.AnsweredLegCount {
		return fmt.Errorf("says %d legs, %d answered, %d at once; there are %d and %d", r.LegCount, r.AnsweredLegCount, r.MaxConcurrentLegs, len(legs), answered)
	}
	if r.Truncated {
		return nil // its list may be shorter, and its first answer later
	}
	if len(r.LegIDs) != len(legs) {
		return fmt.Errorf("lists %d legs of %d", len(r.LegIDs), len(legs))
	}
	for i, id := range r.LegIDs {
		at, ok := start[id]
		if !ok || i > 0 && at < start[r.LegIDs[i-1]] {
			return fmt.Errorf("leg %d of its list is unknown or out of order", i)
		}
	}
	if (first != 0) != (r.Disposition == Answered) {
		return fmt.Errorf("%v with %d answered legs", r.Disposition, answered)
	}
	return nil
}

// without gives records with some fields set to zero, so that others can be compared.
func without(records []Record, clear func(*Record)) []Record {
	out := slices.Clone(records)
	for i := range out {
		clear(&out[i])
	}
	return out
}

func clearCopies(r *Record) {
	r.DuplicateCount, r.FirstOffset, r.LastOffset, r.LineageOffset = 0, 0, 0, 0
}

// difference names the first record, and its first field, in which two lists differ; empty when they are equal.
func difference(a, b []Record) string {
	for i := range min(len(a), len(b)) {
		if reflect.DeepEqual(a[i], b[i]) {
			continue
		}
		x, y := reflect.ValueOf(a[i]), reflect.ValueOf(b[i])
		for f := range x.NumField() {
			if !reflect.DeepEqual(x.Field(f).Interface(), y.Field(f).Interface()) {
				return fmt.Sprintf("record %d (%v of session %s, handle %s, %v %d): %s is %v and %v", i, a[i].RecordType, a[i].SessionID, a[i].HandleID,
					a[i].LegKind, a[i].LegIndex, x.Type().Field(f).Name, x.Field(f).Interface(), y.Field(f).Interface())
			}
		}
	}
	if len(a) != len(b) {
		return fmt.Sprintf("%d records and %d", len(a), len(b))
	}
	return ""
}

// sameStates tells whether two shelves hold the same.
func sameStates(a, b MemoryStates) error {
	for _, key := range slices.Sorted(maps.Keys(a)) {
		if !bytes.Equal(a[key], b[key]) {
			return fmt.Errorf("state %q differs, %d and %d bytes", key, len(a[key]), len(b[key]))
		}
	}
	if len(a) != len(b) {
		return fmt.Errorf("%d states and %d", len(a), len(b))
	}
	return nil
}
