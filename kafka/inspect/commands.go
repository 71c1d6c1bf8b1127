package inspect

import (
	"regexp"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// command is the beginning of a line for one of Kafka's own tools, in a remedy.
var command = regexp.MustCompile("`(kafka-[a-z-]+) --([a-z-]+)")

// paste makes commands of remedies run as they stand: Kafka's tools want to be told where the brokers are.
func (f findings) paste(cl *kgo.Client) findings {
	brokers, _ := cl.OptValue(kgo.SeedBrokers).([]string)
	for i := range f {
		f[i].Remedy = command.ReplaceAllStringFunc(f[i].Remedy, func(begin string) string {
			said := command.FindStringSubmatch(begin)
			if said[2] == "bootstrap-server" {
				return begin
			}
			return "`" + said[1] + " --bootstrap-server " + strings.Join(brokers, ",") + " --" + said[2]
		})
	}
	return f
}
