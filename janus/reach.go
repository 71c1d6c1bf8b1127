package janus

// Reach says whom an event concerns.
type Reach int

const (
	// ReachOwn is an event that concerns at most the session it names.
	ReachOwn Reach = iota
	// ReachEveryone is an event that may end something in sessions it does not name: whoever holds sessions of its
	// server has to see it.
	ReachEveryone
)

// String is "own" or "everyone".
func (r Reach) String() string {
	if r == ReachEveryone {
		return "everyone"
	}
	return "own"
}

// Reach tells whether the event concerns others than the session that it names. What is rare and ends things for
// others does; what is frequent and ends nothing does not, though it may name no session:
//
//   - The start and the shutdown of a server end all of its sessions. Its heartbeat ("update") ends nothing, and that
//     the server lives is told to everyone more cheaply, with any event of it as a sign.
//   - A connection of a client that is gone takes its sessions along (ConnectionIsClient).
//   - A videoroom tells of leaving and kicked without ids, an audiobridge of left in most cases (Departure). Where the
//     ids are those of the leaving one, that is enough. Who only ceases to publish stays a member.
//   - A room that is destroyed ends the membership of all, and names at most who asked for it; kicked and kicked_all
//     name who asked, and not the victim.
//   - A mountpoint that is destroyed, or has its viewers kicked, ends views too, but there Janus closes the
//     PeerConnection of each viewer, and the hangup of each says so with its own ids.
//   - A videoroom's updated subscription can bear the ids of the publisher who left. It ends nothing, and in a room of
//     n it comes n times for each who leaves; so it concerns nobody else.
func (e *Event) Reach() Reach {
	switch body := e.Body.(type) {
	case *ServerStarted, *ServerShutdown:
		return ReachEveryone
	case *TransportEvent:
		if body.Event == "disconnected" && ConnectionIsClient(body.Transport) {
			return ReachEveryone
		}
	case *PluginEvent:
		if d, ok := body.Departure(); ok && (d.ByOthers || e.Session == 0) {
			return ReachEveryone
		}
	}
	return ReachOwn
}

// Departure is the end of memberships of a room that a plugin tells of.
type Departure struct {
	User     ID   // who left, by the id in PluginEvent.Room; none when All is set
	All      bool // everybody did: the room is no more
	ByOthers bool // somebody else wanted it so, and if the event names a session it is theirs
}

// Departure tells whose membership of PluginEvent.Room the event ends; not ok when it ends none. Who leaves a text room
// is not among them: that event always bears the ids of the one who leaves.
func (p *PluginEvent) Departure() (d Departure, ok bool) {
	if p.Name == "destroyed" {
		switch p.Plugin {
		case PluginVideoRoom, PluginAudioBridge, PluginTextRoom:
			return Departure{All: true, ByOthers: true}, true
		}
		return Departure{}, false
	}
	switch p.Plugin {
	case PluginVideoRoom:
		switch p.Name {
		//mutant:leaving-of-others
		case "leaving":
			return Departure{User: p.ID}, true
		//mutant:kicked-by-others
		case "kicked":
			return Departure{User: p.ID, ByOthers: true}, true
		}
	case PluginAudioBridge:
		switch p.Name {
		case "left":
			return Departure{User: p.ID}, true
		case "kicked", "kicked_all": // one event for each who is
			return Departure{User: p.ID, ByOthers: true}, true
		}
	case PluginTextRoom:
		if p.Name == "kicked" {
			return Departure{User: ID{Text: p.Username, Quoted: true}, ByOthers: true}, true
		}
	}
	return Departure{}, false
}
