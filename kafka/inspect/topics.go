package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/kafka"
)

// Verdict says whether a promise can be kept.
type Verdict int

// The verdicts, from good to bad.
const (
	OK     Verdict = iota
	Weak           // kept as long as all goes well
	Broken         // not kept, or not any more
)

// String is the word for it.
func (v Verdict) String() string { return [...]string{"OK", "WEAK", "BROKEN"}[v] }

// MarshalText writes the word.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// The promises that settings of Kafka can keep or break. They are explained in docs/guarantees.md.
const (
	PromiseKept       = "nothing acknowledged is lost"
	PromiseOnce       = "each record comes out once"
	PromiseState      = "open sessions are remembered"
	PromiseTime       = "time is in the log"
	PromisePlace      = "a session stays in its partition"
	PromiseFits       = "what comes in fits"
	PromiseUnread     = "nothing is deleted unread"
	PromiseFollow     = "records follow their calls"
	PromiseUnderstood = "every event is understood"
)

// Finding is a verdict on one promise, on one subject: a topic, the cluster, the group.
type Finding struct {
	Promise string  `json:"promise"`
	Subject string  `json:"subject"`
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason"`           // what was found, in one line
	Remedy  string  `json:"remedy,omitempty"` // what to do about it; empty when all is well
}

// findings are collected, subject by subject.
type findings []Finding

func (f *findings) add(promise, subject string, verdict Verdict, reason, remedy string) {
	*f = append(*f, Finding{promise, subject, verdict, reason, remedy})
}

// durableCopies and durableInSync are what it takes for an acknowledged record to survive the loss of any broker, and
// for work to go on meanwhile.
const (
	durableCopies = 3
	durableInSync = 2
)

// Topics looks at the topics and says of each promise that hangs on them whether it can be kept. An error means
// that they could not be looked at.
func Topics(ctx context.Context, cl *kgo.Client, t kafka.Topics) ([]Finding, error) {
	topics := t.Specs()
	if len(topics) == 0 {
		return nil, nil
	}
	var names []string
	for _, topic := range topics {
		names = append(names, topic.Name)
	}
	admin := kadm.NewClient(cl)
	details, err := admin.ListTopics(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	var present []string
	for _, name := range names {
		if details.Has(name) && details[name].Err == nil {
			present = append(present, name)
		}
	}
	configs, err := settings(ctx, admin, present)
	if err != nil {
		return nil, err
	}
	want := t.Partitions
	if want <= 0 && t.Events != "" {
		want = int32(len(details[t.Events].Partitions))
	}
	var all findings
	for _, topic := range topics {
		detail, ok := details[topic.Name]
		called := fmt.Sprintf("topic %s (%s)", topic.Name, topic.Role)
		switch {
		case !ok || errors.Is(detail.Err, kerr.UnknownTopicOrPartition):
			all.add(PromiseKept, topic.Name, Broken, called+" does not exist", "create it with `cdr topics create`")
		case errors.Is(detail.Err, kerr.TopicAuthorizationFailed):
			all.add(PromiseKept, topic.Name, Broken, called+" may not be described by us",
				fmt.Sprintf("grant it with `kafka-acls --add --operation Describe --topic %s --allow-principal User:...`",
					topic.Name))
		case detail.Err != nil:
			return nil, fmt.Errorf("topic %s: %w", topic.Name, detail.Err)
		default:
			all.topic(t, topic, detail, configs[topic.Name], want, int32(len(details[t.Events].Partitions)))
		}
	}
	return all.paste(cl), nil
}

func (f *findings) topic(t kafka.Topics, topic kafka.TopicSpec, detail kadm.TopicDetail, config map[string]string, want,
	events int32) {
	called := fmt.Sprintf("topic %s (%s)", topic.Name, topic.Role)
	have := int32(len(detail.Partitions))
	switch { // if the configuration is wrong, that is said of the events
	case !topic.Aligned:
	case want <= 0 || have == want, topic.Name != t.Events && have == events:
		f.add(PromisePlace, topic.Name, OK, fmt.Sprintf("%s has %d partitions", called, have), "")
	case topic.Name == t.Events:
		f.add(PromisePlace, topic.Name, Broken,
			fmt.Sprintf("%s has %d partitions, the configuration says %d, and a session must stay in its partition", called,
				have, want),
			fmt.Sprintf("set the partitions of the configuration to %d, or take new topic names and create them with `cdr "+
				"topics create`", have))
	default:
		f.add(PromisePlace, topic.Name, Broken,
			fmt.Sprintf("%s has %d partitions, but partition n belongs to partition n of the %d of %s", called, have, want,
				t.Events),
			fmt.Sprintf("take another topic name, or delete it if it is empty (`kafka-topics --delete --topic %s`), then `cdr "+
				"topics create`", topic.Name))
	}

	promise := PromiseKept
	if topic.Name == t.State {
		promise = PromiseState
	}
	if have := config["cleanup.policy"]; have != topic.CleanupPolicy {
		f.add(promise, topic.Name, Broken,
			fmt.Sprintf("%s has cleanup.policy=%s, which %s", called, have, harm(topic.CleanupPolicy, t.Embedded)),
			"mend it with `"+alter(topic.Name, "cleanup.policy="+topic.CleanupPolicy)+"`")
	} else {
		f.add(promise, topic.Name, OK, fmt.Sprintf("%s has cleanup.policy=%s", called, have), "")
	}
	if have, err := strconv.ParseInt(config["delete.retention.ms"], 10, 64); topic.CleanupPolicy == "compact" &&
		err == nil {
		if have < kafka.TombstoneRetention.Milliseconds() {
			f.add(promise, topic.Name, Broken,
				fmt.Sprintf("%s has delete.retention.ms=%d, so a state store that was away for longer could bring closed "+
					"sessions back", called, have),
				"mend it with `"+alter(topic.Name, "delete.retention.ms="+millis(kafka.TombstoneRetention))+"`")
		} else {
			f.add(promise, topic.Name, OK, fmt.Sprintf("%s has delete.retention.ms=%d", called, have), "")
		}
	}
	if topic.LogAppendTime {
		if have := config["message.timestamp.type"]; have != "LogAppendTime" {
			f.add(PromiseTime, topic.Name, Broken,
				fmt.Sprintf("%s has message.timestamp.type=%s, so time in the log would be that of any sender's clock", called,
					have),
				"mend it with `"+alter(topic.Name, "message.timestamp.type=LogAppendTime")+"`")
		} else {
			f.add(PromiseTime, topic.Name, OK, called+" has message.timestamp.type=LogAppendTime", "")
		}
	}
	if have, err := strconv.Atoi(config["max.message.bytes"]); err == nil {
		if have < kafka.MaxMessageBytes {
			f.add(PromiseFits, topic.Name, Broken,
				fmt.Sprintf("%s has max.message.bytes=%d, so a large event would not fit", called, have),
				"mend it with `"+alter(topic.Name, fmt.Sprintf("max.message.bytes=%d", kafka.MaxMessageBytes))+"`")
		} else {
			f.add(PromiseFits, topic.Name, OK, fmt.Sprintf("%s has max.message.bytes=%d", called, have), "")
		}
	}
	f.retention(t, topic, called, config)
	f.durability(t, topic, called, detail, config)
}

// The shortest retention that is no weakness. Events must outlast the longest stop of the processors, a weekend with
// its Monday, and records the longest stop of whoever bills.
const (
	shortEvents = 3 * 24 * time.Hour
	shortRecord = 7 * 24 * time.Hour
)

func (f *findings) retention(t kafka.Topics, topic kafka.TopicSpec, called string, config map[string]string) {
	var least time.Duration
	var who string
	switch topic.Name {
	case t.Events:
		least, who = shortEvents, "processors"
	case t.CDR:
		least, who = shortRecord, "whoever reads the records"
	default:
		return
	}
	ms, err := strconv.ParseInt(config["retention.ms"], 10, 64)
	if err != nil {
		return
	}
	kept := time.Duration(ms) * time.Millisecond
	bytes := config["retention.bytes"]
	switch {
	case ms >= 0 && kept < least:
		f.add(PromiseUnread, topic.Name, Weak,
			fmt.Sprintf("%s is kept for %s only, and %s may be away for longer", called, days(kept), who),
			"mend it with `"+alter(topic.Name, "retention.ms="+millis(least))+"`")
	case bytes != "" && bytes != "-1" && !t.Embedded:
		f.add(PromiseUnread, topic.Name, Weak,
			fmt.Sprintf("%s is cut at retention.bytes=%s per partition, however long that lasts", called, bytes),
			"see that it holds the longest stop, or mend it with `"+alter(topic.Name, "retention.bytes=-1")+"`")
	case ms < 0:
		f.add(PromiseUnread, topic.Name, OK, called+" is kept for ever", "")
	default:
		f.add(PromiseUnread, topic.Name, OK, fmt.Sprintf("%s is kept for %s", called, days(kept)), "")
	}
}

// days is a length of time as people say it who keep something.
func days(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == day:
		return "1 day"
	case d > 0 && d%day == 0:
		return fmt.Sprintf("%d days", d/day)
	}
	return d.String()
}

// durability is whether an acknowledged record survives the loss of a broker.
func (f *findings) durability(t kafka.Topics, topic kafka.TopicSpec, called string, detail kadm.TopicDetail,
	config map[string]string) {
	if t.Embedded {
		return // it says what it is when it starts
	}
	bad := Weak
	if t.RequireDurable {
		bad = Broken
	}
	copies, missing := 0, 0
	for _, p := range detail.Partitions {
		if n := len(p.Replicas); copies == 0 || n < copies {
			copies = n
		}
		if len(p.ISR) < len(p.Replicas) {
			missing++
		}
	}
	inSync, _ := strconv.Atoi(config["min.insync.replicas"])
	inSync = cmp.Or(inSync, 1)
	sound := true
	weak := func(verdict Verdict, reason, remedy string) {
		sound = false
		f.add(PromiseKept, topic.Name, verdict, called+" "+reason, remedy)
	}
	if copies < durableCopies {
		weak(bad, fmt.Sprintf("has %s of each partition, so it does not survive the loss of a broker while another is away",
			plural(copies, "copy", "copies")),
			"give it three (`kafka-reassign-partitions`), or create it with topics.replication 3")
	}
	if copies > 1 && inSync < durableInSync {
		weak(bad, fmt.Sprintf("has min.insync.replicas=%d, so what one broker acknowledged alone is lost with it", inSync),
			"mend it with `"+alter(topic.Name, fmt.Sprintf("min.insync.replicas=%d", durableInSync))+"`")
	}
	if copies > 1 && inSync >= copies {
		weak(Weak, fmt.Sprintf("has min.insync.replicas=%d of %d copies, so nothing can be written while any broker is away",
			inSync, copies),
			"give it three copies (`kafka-reassign-partitions`) and min.insync.replicas=2")
	}
	if config["unclean.leader.election.enable"] == "true" {
		weak(bad, "has unclean.leader.election.enable=true, so a broker that missed records may become the truth",
			"mend it with `"+alter(topic.Name, "unclean.leader.election.enable=false")+"`")
	}
	if missing > 0 {
		weak(Weak, fmt.Sprintf("has %s that misses copies at this moment", plural(missing, "partition", "partitions")),
			"see which broker is away (`kafka-topics --describe --under-replicated-partitions`)")
	}
	if sound {
		f.add(PromiseKept, topic.Name, OK, fmt.Sprintf("%s has %d copies, %d of them acknowledge", called, copies, inSync),
			"")
	}
}

// Weaknesses are the findings that are no reason to stop, but to tell somebody.
func Weaknesses(all []Finding) []Finding {
	return slices.DeleteFunc(slices.Clone(all), func(f Finding) bool { return f.Verdict != Weak })
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// ErrTopics is what an error of CheckTopics wraps when the topics do not fit, as opposed to when they could not be
// looked at.
var ErrTopics = errors.New("topics do not fit")

// CheckTopics looks whether the topics are what they must be. The error names all that is wrong, each with the reason
// and the command that mends it. What is only weak is no error, except for durability where kafka.Topics.RequireDurable
// is set: see Topics.
func CheckTopics(ctx context.Context, cl *kgo.Client, t kafka.Topics) error {
	findings, err := Topics(ctx, cl, t)
	if err != nil {
		return fmt.Errorf("check topics: %w", err)
	}
	var complaints []string
	for _, f := range findings {
		if f.Verdict == Broken {
			complaints = append(complaints, f.Reason+": "+f.Remedy)
		}
	}
	switch len(complaints) {
	case 0:
	case 1:
		return fmt.Errorf("check topics: %w: %s", ErrTopics, complaints[0])
	default:
		return fmt.Errorf("check topics: %w:\n%s", ErrTopics, strings.Join(complaints, "\n"))
	}
	return nil
}

// settingsTries is how often a broker is asked, one after the other, that does not know a topic yet of which another
// has told.
const (
	settingsTries = 40
	settingsPause = 50 * time.Millisecond
)

// settings are the configurations of topics, by name.
func settings(ctx context.Context, admin *kadm.Client, topics []string) (map[string]map[string]string, error) {
	configs := map[string]map[string]string{}
	for try := 1; len(topics) > 0; try++ {
		described, err := admin.DescribeTopicConfigs(ctx, topics...)
		if err != nil {
			return nil, fmt.Errorf("describe topics: %w", err)
		}
		var late []string
		for _, resource := range described {
			switch {
			case errors.Is(resource.Err, kerr.UnknownTopicOrPartition) && try < settingsTries:
				late = append(late, resource.Name)
				continue
			case resource.Err != nil:
				return nil, fmt.Errorf("describe topic %s: %w", resource.Name, resource.Err)
			}
			configs[resource.Name] = map[string]string{}
			for _, config := range resource.Configs {
				configs[resource.Name][config.Key] = config.MaybeValue()
			}
		}
		if topics = late; len(topics) == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("describe topics: %w", ctx.Err())
		case <-time.After(settingsPause):
		}
	}
	return configs, nil
}

func harm(policy string, embedded bool) string {
	switch {
	case policy == "compact":
		return "would delete states of open sessions by age"
	case embedded:
		return "loses states on the embedded broker while a transaction is open"
	}
	return "would delete all but the last record of a key"
}

func alter(topic, config string) string {
	return "kafka-configs --alter --entity-type topics --entity-name " + topic + " --add-config " + config
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
