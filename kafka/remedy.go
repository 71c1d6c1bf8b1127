package kafka

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// WithRemedy says of what a broker did not take what to do, where its own words do not. Other errors stay as they are.
func WithRemedy(err error) error {
	if errors.Is(err, kerr.InvalidTimestamp) {
		return fmt.Errorf("the clock of this machine is ahead of the brokers' by more than the topic lets it "+
			"(message.timestamp.after.max.ms), or behind: set the clocks by NTP, or the topic's message.timestamp.type to "+
			"LogAppendTime: %w", err)
	}
	return err
}
