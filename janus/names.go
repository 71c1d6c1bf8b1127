package janus

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// The package names of Janus' own plugins, as PluginEvent.Plugin and HandleAttached.Plugin say them.
const (
	PluginEchoTest    = "janus.plugin.echotest"
	PluginVideoRoom   = "janus.plugin.videoroom"
	PluginAudioBridge = "janus.plugin.audiobridge"
	PluginTextRoom    = "janus.plugin.textroom"
	PluginStreaming   = "janus.plugin.streaming"
	PluginVideoCall   = "janus.plugin.videocall"
	PluginSIP         = "janus.plugin.sip"
	PluginNoSIP       = "janus.plugin.nosip"
	PluginRecordPlay  = "janus.plugin.recordplay"
	PluginVoiceMail   = "janus.plugin.voicemail"
)

// The package names of Janus' own transports, as SessionCreated.Transport and TransportEvent.Transport say them.
const (
	TransportHTTP       = "janus.transport.http"
	TransportWebSockets = "janus.transport.websockets"
	TransportUnixSocket = "janus.transport.pfunix"
	TransportMQTT       = "janus.transport.mqtt"
	TransportRabbitMQ   = "janus.transport.rabbitmq"
	TransportNanomsg    = "janus.transport.nanomsg"
)

// ConnectionIsClient tells whether a transport has one connection for each client, so that the id of a connection
// stands for the client and its loss takes the client's sessions along. Over HTTP a connection is one request, and to a
// message broker it is the server's own and serves all clients. Of a transport that is not known here it is believed.
func ConnectionIsClient(transport string) bool {
	switch transport {
	case TransportHTTP, TransportMQTT, TransportRabbitMQ, TransportNanomsg:
		return false
	}
	return true
}

// MaxEmitter is the most bytes that the name of an emitter has wherever it is kept: in records, in states, in Kafka
// keys. What a server calls itself may be longer; see EmitterName.
const MaxEmitter = 512

// EmitterName is the name by which an emitter is known: its own, or, where that has more than MaxEmitter bytes, the
// beginning of it and a hash of the whole, so that no two emitters become one. The name of a name is that name.
func EmitterName(name string) (known string, cut bool) {
	if len(name) <= MaxEmitter {
		return name, false
	}
	sum := sha256.Sum256([]byte(name))
	//mutant:long-names
	tail := "~" + hex.EncodeToString(sum[:16])
	return strings.ToValidUTF8(name[:MaxEmitter-len(tail)], "") + tail, true
}
