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
//   - A connection of clients that is gone takes its sessions along. With HTTP a connection is one request and no
//     session; with MQTT it is the server's own, to its broker, and serves all clients.
//   - A videoroom tells of leaving, unpublished and kicked without ids, an audiobridge of left in most cases. Where the
//     ids are those of the leaving one, that is enough.
//   - A room that is destroyed ends the membership of all, and names at most who asked for it; kicked and kicked_all
//     name who asked, and not the victim.
//   - A mountpoint that is destroyed, or has its viewers kicked, ends views too, but there Janus closes the
//     PeerConnection of each viewer, and the hangup of each says so with its own ids.
//   - A videoroom's updated subscription can bear the ids of the publisher who left. It ends nothing, and in a room of n
//     it comes n times for each who leaves; so it concerns nobody else.
func (e *Event) Reach() Reach {
	switch body := e.Body.(type) {
	case *ServerStarted, *ServerShutdown:
		return ReachEveryone
	case *TransportEvent:
		if body.Event == "disconnected" && body.Transport != transportHTTP && body.Transport != transportMQTT {
			return ReachEveryone
		}
	case *PluginEvent:
		return body.reach(e.Session != 0)
	}
	return ReachOwn
}

const (
	transportHTTP = "janus.transport.http"
	transportMQTT = "janus.transport.mqtt"

	pluginVideoRoom   = "janus.plugin.videoroom"
	pluginAudioBridge = "janus.plugin.audiobridge"
	pluginTextRoom    = "janus.plugin.textroom"
)

// reach is the reach of a plugin's event; own tells whether it names a session.
func (p *PluginEvent) reach(own bool) Reach {
	var ends bool // for others
	switch p.Plugin {
	case pluginVideoRoom:
		switch p.Name {
		case "leaving", "unpublished":
			ends = !own
		case "kicked", "destroyed":
			ends = true
		}
	case pluginAudioBridge:
		switch p.Name {
		case "left":
			ends = !own
		case "kicked", "kicked_all", "destroyed":
			ends = true
		}
	case pluginTextRoom:
		switch p.Name {
		case "kicked", "kicked_all", "destroyed":
			ends = true
		}
	}
	if ends {
		return ReachEveryone
	}
	return ReachOwn
}
