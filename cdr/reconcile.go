package cdr

import "januscdr/janus"

// Reconcile is how what is open by the log is held against what Janus counts. Both are read at the same moment, but that of
// Janus is not taken under one lock, and what is told of a session that ends comes some microseconds after it is not
// counted any more. So one difference says nothing; one that stays says that something was lost:
//
//   - more in the log than in Janus: ends were lost. What Janus no longer counts has ended.
//   - less in the log than in Janus: beginnings were lost, and nothing came of them since.
//
// Of a difference that changes, the least is sure. A heartbeat that shows none ends it.

// Differences is how many heartbeats must show a difference before it is one.
const Differences = 3

// Balance is what the heartbeats so far say of an emitter. The zero value has seen none.
type Balance struct {
	Sessions, Handles, PeerConnections Gap
	Beats                              int64        // heartbeats that were compared
	Last                               janus.Micros // the newest of them
}

// Gap is a difference that stays.
type Gap struct {
	Surplus int64        // in the log and not in Janus, at least; negative: in Janus and not in the log; 0: none
	Since   janus.Micros // the first heartbeat that showed it, while there is one
	Equal   janus.Micros // the last heartbeat before that showed none: it was lost after that; 0 for none
	Beats   int          // heartbeats in a row that show it

	least int64 // of the difference in them
}

// Reconcile takes the next heartbeat, and what was open by the log then, in all partitions together.
func (b *Balance) Reconcile(at janus.Micros, log, counted Census) {
	b.Beats++
	b.Last = at
	b.Sessions.see(at, log.Sessions-counted.Sessions)
	b.Handles.see(at, log.Handles-counted.Handles)
	b.PeerConnections.see(at, log.PeerConnections-counted.PeerConnections)
}

func (g *Gap) see(at janus.Micros, surplus int64) {
	switch {
	case surplus == 0:
		*g = Gap{Equal: at}
		return
	case g.Beats == 0 || (surplus < 0) != (g.least < 0):
		*g = Gap{Since: at, Beats: 1, Equal: g.Equal, least: surplus}
	default:
		g.Beats++
		if surplus < 0 {
			g.least = max(g.least, surplus)
		} else {
			g.least = min(g.least, surplus)
		}
	}
	if g.Beats >= Differences {
		g.Surplus = g.least
	}
}

// Even tells whether nothing is missing, by the heartbeats so far.
func (b *Balance) Even() bool {
	return b.Sessions.Surplus == 0 && b.Handles.Surplus == 0 && b.PeerConnections.Surplus == 0
}

// SumTallies adds up the tallies of a heartbeat over partitions: those of the newest one that all of them have. It is not ok when
// there is none.
func SumTallies(partitions [][]Tally) (sum Tally, ok bool) {
	if len(partitions) == 0 {
		return sum, false
	}
	for _, t := range partitions[0] {
		all := t
		common := true
		for _, others := range partitions[1:] {
			found := false
			for _, o := range others {
				if o.At == t.At {
					all.Here, found = all.Here.Add(o.Here), true
				}
			}
			common = common && found
		}
		if common && (!ok || all.At > sum.At) {
			sum, ok = all, true
		}
	}
	return sum, ok
}
