package janus

import "testing"

func TestWhatEndsThingsForOthersReachesEveryone(t *testing.T) {
	plugin := func(name, data string) string {
		return `"type":64,"event":{"plugin":"janus.plugin.` + name + `","data":` + data + `}`
	}
	transport := func(name, event string) string {
		return `"type":128,"event":{"transport":"janus.transport.` + name + `","id":"7","data":{"event":"` + event + `"}}`
	}
	const own = `,"session_id":7,"handle_id":9`
	tests := map[string]struct {
		event string
		want  Reach
	}{
		"a server starts":         {`"type":256,"subtype":1,"event":{"status":"started","info":{}}`, ReachEveryone},
		"a server stops":          {`"type":256,"subtype":2,"event":{"status":"shutdown","signum":15}`, ReachEveryone},
		"a server lives":          {`"type":256,"subtype":1,"event":{"status":"update","info":{"sessions":0}}`, ReachOwn},
		"a server does new words": {`"type":256,"subtype":3,"event":{"status":"drained"}`, ReachOwn},

		"a WebSocket is gone":                   {transport("websockets", "disconnected"), ReachEveryone},
		"a Unix socket is gone":                 {transport("pfunix", "disconnected"), ReachEveryone},
		"a connection of somebody's own kind":   {transport("quic", "disconnected"), ReachEveryone},
		"an HTTP connection is no session":      {transport("http", "disconnected"), ReachOwn},
		"the server's connection to its broker": {transport("mqtt", "disconnected"), ReachOwn},
		"an outgoing queue":                     {transport("rabbitmq", "disconnected"), ReachOwn},
		"a WebSocket is there":                  {transport("websockets", "connected"), ReachOwn},
		"an HTTP request":                       {transport("http", "request"), ReachOwn},

		"a publisher leaves":                       {plugin("videoroom", `{"event":"leaving","room":88,"id":1}`), ReachEveryone},
		"a publisher ceases":                       {plugin("videoroom", `{"event":"unpublished","room":88,"id":1}`), ReachOwn},
		"a publisher is kicked":                    {plugin("videoroom", `{"event":"kicked","room":88,"id":1}`), ReachEveryone},
		"a publisher leaves, with its ids":         {plugin("videoroom", `{"event":"leaving","room":88,"id":1}`) + own, ReachOwn},
		"a publisher ceases, with its ids":         {plugin("videoroom", `{"event":"unpublished","room":88,"id":1}`) + own, ReachOwn},
		"a publisher is kicked, with anyone's ids": {plugin("videoroom", `{"event":"kicked","room":88,"id":1}`) + own, ReachEveryone},
		"a room is destroyed":                      {plugin("videoroom", `{"event":"destroyed","room":88}`) + own, ReachEveryone},
		"a room is destroyed by an operator":       {plugin("videoroom", `{"event":"destroyed","room":88}`), ReachEveryone},
		"a room is created":                        {plugin("videoroom", `{"event":"created","room":88}`) + own, ReachOwn},
		"a publisher joins":                        {plugin("videoroom", `{"event":"joined","room":88,"id":1}`) + own, ReachOwn},
		"a subscription loses a feed":              {plugin("videoroom", `{"event":"updated","room":88,"streams":[],"private_id":5}`) + own, ReachOwn},
		"a remote publisher publishes":             {plugin("videoroom", `{"event":"published","room":88,"id":1}`), ReachOwn},
		"a subscriber ends":                        {plugin("videoroom", `{"event":"unsubscribed","room":88,"feed":1}`) + own, ReachOwn},
		"someone is moderated":                     {plugin("videoroom", `{"videoroom":"moderated","room":88,"id":1}`), ReachOwn},

		"someone left an audiobridge":         {plugin("audiobridge", `{"event":"left","room":88,"id":1}`), ReachEveryone},
		"someone left it, with ids":           {plugin("audiobridge", `{"event":"left","room":88,"id":1}`) + own, ReachOwn},
		"someone is kicked out of it":         {plugin("audiobridge", `{"event":"kicked","room":88,"id":1}`) + own, ReachEveryone},
		"all are kicked out of it":            {plugin("audiobridge", `{"event":"kicked_all","room":88,"id":1}`) + own, ReachEveryone},
		"an audiobridge is destroyed":         {plugin("audiobridge", `{"event":"destroyed","room":88}`) + own, ReachEveryone},
		"someone is muted in an audiobridge":  {plugin("audiobridge", `{"event":"mute","room":88,"id":1}`) + own, ReachOwn},
		"someone is suspended in it":          {plugin("audiobridge", `{"event":"suspended","room":88,"id":1}`) + own, ReachOwn},
		"an announcement in it":               {plugin("audiobridge", `{"event":"announcement-started","room":88}`), ReachOwn},
		"someone is kicked out of a textroom": {plugin("textroom", `{"textroom":"kicked","room":88,"username":"bob"}`) + own, ReachEveryone},
		"a textroom is destroyed":             {plugin("textroom", `{"event":"destroyed","room":88}`) + own, ReachEveryone},
		"someone leaves a textroom":           {plugin("textroom", `{"event":"leave","room":88,"username":"bob"}`) + own, ReachOwn},
		"a mountpoint is destroyed":           {plugin("streaming", `{"event":"destroyed","id":301}`) + own, ReachOwn},
		"a mountpoint loses all its viewers":  {plugin("streaming", `{"event":"kicked_all","id":301}`) + own, ReachOwn},
		"a plugin of somebody's own":          {plugin("lua", `{"event":"destroyed","room":88}`), ReachOwn},
		"a SIP call is forwarded":             {plugin("sip", `{"event":"rtp_forward","stream_id":1}`), ReachOwn},
		"a session ends":                      {`"type":1,"event":{"name":"destroyed"},"session_id":7`, ReachOwn},
		"a handle ends":                       {`"type":2,"event":{"name":"detached","plugin":"janus.plugin.videoroom"}` + own, ReachOwn},
		"an operator says something":          {`"type":4,"event":{"schema":"s","data":{"event":"destroyed"}}`, ReachOwn},
		"a body that nobody knows":            {`"type":64,"event":"destroyed"`, ReachOwn},
	}
	var p Parser
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e := mustParse(t, &p, `{"emitter":"e","timestamp":1790000000000000,`+test.event+`}`)
			if got := e.Reach(); got != test.want {
				t.Errorf("%+v reaches %v, want %v", e.Body, got, test.want)
			}
		})
	}
}
