package janus

// nameKeys are the keys that can hold the name of a plugin's event, the first that is a string wins: streaming says
// status, talking and moderation use the name of the plugin, textroom does for kicked.
var nameKeys = [...]string{"event", "status", "videoroom", "audiobridge", "textroom"}

// pluginBody reads a body of type 64: the plugin's package name and whatever object it says.
func (p *Parser) pluginBody(s *scanner) Body {
	e := &p.pluginEvent
	*e = PluginEvent{Feeds: e.Feeds[:0]}
	var plugin string
	data := false
	for key, ok := s.first(); ok; key, ok = s.next() {
		switch key {
		case "plugin":
			plugin = s.text()
		case "data":
			if data = s.peek() == '{'; data {
				*e = PluginEvent{Feeds: e.Feeds[:0]}
				e.read(s)
			} else {
				s.skip()
			}
		default:
			s.skip()
		}
	}
	if !data {
		return &p.unknown
	}
	e.Plugin = plugin
	return e
}

// read reads data into zeroed memory. The caller has peeked '{'.
func (e *PluginEvent) read(s *scanner) {
	var names [len(nameKeys)]string
	var named [len(nameKeys)]bool
	for key, ok := s.first(); ok; key, ok = s.next() {
		switch key {
		case "event", "status", "videoroom", "audiobridge", "textroom":
			for i, k := range nameKeys {
				if key == k {
					named[i] = s.peek() == '"'
					names[i] = s.text()
					break
				}
			}
		case "room":
			e.Room = s.id()
		case "id":
			e.ID = s.id()
		case "feed":
			e.Feed = s.id()
		case "private_id":
			e.PrivateID = s.unsigned()
		case "streams":
			e.readStreams(s)
		case "username":
			e.Username = s.text()
		case "display":
			e.Display = s.text()
		case "displayname":
			e.DisplayName = s.text()
		case "identity":
			e.Identity = s.text()
		case "caller":
			e.Caller = s.text()
		case "callee":
			e.Callee = s.text()
		case "call-id":
			e.CallID = s.text()
		case "referred_by":
			e.ReferredBy = s.text()
		case "code":
			e.Code = s.small()
		case "reason":
			e.Reason = s.text()
		case "reason_header":
			e.ReasonText = s.text()
		case "reason_header_protocol":
			e.ReasonProtocol = s.text()
		case "reason_header_cause":
			e.ReasonCause = s.text()
		case "sip":
			e.SIP = s.text()
		case "type":
			e.SDPType = s.text()
		case "master_id":
			e.MasterID = s.unsigned()
		case "helper":
			e.Helper, _ = s.boolean()
		case "setup":
			e.Setup, _ = s.boolean()
		default:
			s.skip()
		}
	}
	for i, k := range nameKeys {
		if named[i] {
			e.Name, e.Key = names[i], k
			return
		}
	}
}

// readStreams counts the streams of a publisher or subscription, and gathers the feeds of a subscription's.
func (e *PluginEvent) readStreams(s *scanner) {
	e.Streams, e.Feeds = 0, e.Feeds[:0]
	if s.peek() != '[' {
		s.skip()
		return
	}
	for ok := s.firstElement(); ok; ok = s.nextElement() {
		e.Streams++
		if s.peek() != '{' {
			s.skip()
			continue
		}
		// A stream of media has one feed, a data stream mixes those of many.
		var feed ID
		others := len(e.Feeds)
		for key, ok := s.first(); ok; key, ok = s.next() {
			switch key {
			case "feed_id":
				feed = s.id()
			case "source_ids":
				e.Feeds = e.Feeds[:others]
				if s.peek() != '[' {
					s.skip()
					continue
				}
				for ok := s.firstElement(); ok; ok = s.nextElement() {
					e.addFeed(s.id())
				}
			default:
				s.skip()
			}
		}
		e.addFeed(feed)
	}
}

func (e *PluginEvent) addFeed(feed ID) {
	if feed.Known() {
		e.Feeds = append(e.Feeds, feed)
	}
}
