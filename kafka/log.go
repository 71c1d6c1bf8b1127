package kafka

import (
	"errors"
	"io"
	"net"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kgo"
)

// clientLog writes what a client has to say into our log, one level lower up to its information: franz-go tells at
// "info" of each transaction and each poll that was cut short, which is per batch and so a matter of debugging for us.
type clientLog struct{ log hclog.Logger }

// Level is asked before each line, so that lines nobody wants cost nothing.
func (l clientLog) Level() kgo.LogLevel {
	switch {
	case l.log.IsTrace():
		return kgo.LogLevelDebug
	case l.log.IsDebug():
		return kgo.LogLevelInfo
	case l.log.IsWarn():
		return kgo.LogLevelWarn
	case l.log.IsError():
		return kgo.LogLevelError
	}
	return kgo.LogLevelNone
}

// Log writes one line.
func (l clientLog) Log(level kgo.LogLevel, msg string, pairs ...any) {
	if level <= kgo.LogLevelWarn && (aboutConnection(msg) || hungUp(pairs)) {
		level = kgo.LogLevelInfo
	}
	switch level {
	case kgo.LogLevelError:
		l.log.Error(msg, pairs...)
	case kgo.LogLevelWarn:
		l.log.Warn(msg, pairs...)
	case kgo.LogLevelInfo:
		l.log.Debug(msg, pairs...)
	case kgo.LogLevelDebug:
		l.log.Trace(msg, pairs...)
	}
}

// hungUp tells whether a line is about something that failed since no broker could be reached.
func hungUp(pairs []any) bool {
	for i := 1; i < len(pairs); i += 2 {
		err, ok := pairs[i].(error)
		var network *net.OpError
		if ok && (errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed)) {
			return true
		}
	}
	return false
}

// aboutConnection tells whether a line is about one try to connect. Of a broker that is away there would be one every
// other second; who needs it is told by an error, and WaitReady and Contact.Watch say that it is away.
func aboutConnection(msg string) bool {
	for _, begin := range []string{"unable to open connection to broker", "unable to request api versions",
		"unable to initialize sasl", "read from broker"} {
		if strings.HasPrefix(msg, begin) {
			return true
		}
	}
	return false
}
