package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"januscdr/internal/cli"
	"januscdr/internal/fixtures/recordings"
	"januscdr/kafka"
)

// cgratesVariable names the cgr-engine that scripts/cgrates.sh builds.
const cgratesVariable = "JANUSCDR_TEST_CGRATES"

// abortEachThird lets each third transaction with records be refused when it writes its offsets, which is after the
// records. It counts those that ended so.
func abortEachThird(c *kfake.Cluster, records string) (aborted *atomic.Int64) {
	var written atomic.Bool
	var asked int
	aborted = new(atomic.Int64)
	topic := c.TopicInfo(records)
	c.ControlKey(kmsg.Produce.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		for _, t := range request.(*kmsg.ProduceRequest).Topics {
			if t.Topic == records || t.TopicID == topic.TopicID {
				written.Store(true)
			}
		}
		return nil, nil, false
	})
	c.ControlKey(kmsg.TxnOffsetCommit.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if !written.Swap(false) {
			return nil, nil, false
		}
		if asked++; asked%3 != 1 {
			return nil, nil, false
		}
		req := request.(*kmsg.TxnOffsetCommitRequest)
		resp := req.ResponseKind().(*kmsg.TxnOffsetCommitResponse)
		for _, topic := range req.Topics {
			told := kmsg.NewTxnOffsetCommitResponseTopic()
			told.Topic = topic.Topic
			for _, p := range topic.Partitions {
				told.Partitions = append(told.Partitions, kmsg.TxnOffsetCommitResponseTopicPartition{Partition: p.Partition,
					ErrorCode: kerr.UnknownMemberID.Code})
			}
			resp.Topics = append(resp.Topics, told)
		}
		return resp, nil, true
	})
	c.ControlKey(kmsg.EndTxn.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if !request.(*kmsg.EndTxnRequest).Commit {
			aborted.Add(1)
		}
		return nil, nil, false
	})
	return aborted
}

// uncommitted are the values of a topic by partition, as a reader sees them that knows nothing of transactions.
func (s *site) uncommitted(topic string) map[int32][][]byte {
	s.t.Helper()
	o := kafka.Options{Brokers: []string{s.address}}
	client, err := kafka.NewClient(o)
	if err != nil {
		s.t.Fatal(err)
	}
	defer client.Close()
	ends, err := kafka.CommittedRanges(s.ctx, client, topic)
	if err != nil {
		s.t.Fatal(err)
	}
	from := map[int32]kgo.Offset{}
	for partition, r := range ends {
		if r.From < r.To {
			from[partition] = kgo.NewOffset().At(r.From)
		}
	}
	reader, err := kafka.NewClient(o, kgo.FetchIsolationLevel(kgo.ReadUncommitted()), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	if err != nil {
		s.t.Fatal(err)
	}
	defer reader.Close()
	all := map[int32][][]byte{}
	for len(from) > 0 {
		fetches := reader.PollFetches(s.ctx)
		if err := fetches.Err(); err != nil {
			s.t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				all[r.Partition] = append(all[r.Partition], r.Value)
			}
			if r.Offset+1 >= ends[r.Partition].To {
				delete(from, r.Partition)
			}
		})
	}
	return all
}

// engine is a CGRateS, with the configuration and the tariff plan of its page.
type engine struct {
	t       *testing.T
	http    string
	log     *bytes.Buffer
	rerates bool // it takes amendments
}

// blocks are the files that a page shows, by the name in the comment above each.
func blocks(t *testing.T, page string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(repository, "docs", "consumers", page))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	shown := regexp.MustCompile("(?s)<!-- file: (\\S+) -->\n```\\w*\n(.*?)```")
	for _, m := range shown.FindAllStringSubmatch(string(b), -1) {
		all[m[1]] = m[2]
	}
	return all
}

// freePort is one below those of outgoing connections.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(12_000))
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

// startEngine starts CGRateS, which reads the topic of the page from this broker.
func startEngine(t *testing.T, program, address string) *engine {
	t.Helper()
	conf, plan := t.TempDir(), t.TempDir()
	version, err := exec.Command(program, "-version").Output()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", version)
	of := "cgrates.json"
	if !bytes.Contains(version, []byte("v0.10")) {
		of = "cgrates-1.json"
	}
	e := &engine{t: t, http: freePort(t), log: &bytes.Buffer{}, rerates: of != "cgrates.json"}
	files := blocks(t, "cgrates.md")
	if files[of] == "" || len(files) < 8 {
		t.Fatalf("the page has %v", slices.Collect(maps.Keys(files)))
	}
	for name, text := range files {
		if strings.HasSuffix(name, ".csv") {
			if err := os.WriteFile(filepath.Join(plan, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	var all map[string]map[string]any
	if err := json.Unmarshal([]byte(strings.ReplaceAll(files[of], "kafka:9092", address)), &all); err != nil {
		t.Fatal(err)
	}
	all["general"]["logger"], all["general"]["log_level"] = "*stdout", 6
	all["listen"] = map[string]any{"http": e.http}
	for _, name := range []string{"rpc_json", "rpc_gob", "rpc_json_tls", "rpc_gob_tls", "http_tls"} {
		all["listen"][name] = freePort(t)
	}
	all["sessions"]["listen_bijson"] = freePort(t)
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(conf, "cgrates.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-config_path", conf)
	cmd.Stdout, cmd.Stderr = e.log, e.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("%s", e.log)
		}
	})
	for limit := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		var pong string
		if err := e.call("CoreSv1.Ping", map[string]any{}, &pong); err == nil {
			break
		} else if len(ended) > 0 || time.Now().After(limit) {
			t.Fatal(err)
		}
	}
	e.must("APIerSv1.LoadTariffPlanFromFolder", map[string]any{"FolderPath": plan}, nil)
	return e
}

// call calls a method of its.
func (e *engine) call(method string, params, result any) error {
	body, err := json.Marshal(map[string]any{"id": 1, "method": method, "params": []any{params}})
	if err != nil {
		return err
	}
	answer, err := http.Post("http://"+e.http+"/jsonrpc", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var got struct {
		Result json.RawMessage
		Error  any
	}
	if err := json.NewDecoder(answer.Body).Decode(&got); err != nil {
		return err
	}
	if got.Error != nil {
		return fmt.Errorf("%s: %v", method, got.Error)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(got.Result, result)
}

func (e *engine) must(method string, params, result any) {
	e.t.Helper()
	if err := e.call(method, params, result); err != nil {
		e.t.Fatal(err)
	}
}

// rated is a CDR of its.
type rated struct {
	OriginID, OriginHost, Account, Destination, RunID, Usage, ExtraInfo string
	SetupTime, AnswerTime                                               time.Time
	OrderID                                                             int64
	Cost                                                                float64
}

// cdrs waits until it has so many of the run that charges, and returns all in the order in which they came.
func (e *engine) cdrs(n int) (all []rated) {
	e.t.Helper()
	for limit := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		all = nil
		err := e.call("APIerSv2.GetCDRs", map[string]any{"RunIDs": []string{"*default"}}, &all)
		if err == nil && len(all) >= n {
			break
		}
		if time.Now().After(limit) {
			e.t.Fatalf("%d of %d CDRs came: %v", len(all), n, err)
		}
	}
	slices.SortFunc(all, func(a, b rated) int { return int(a.OrderID - b.OrderID) })
	return all
}

// balance is what an account has.
func (e *engine) balance(account string) float64 {
	e.t.Helper()
	var got struct {
		BalanceMap map[string][]struct{ Value float64 }
	}
	e.must("APIerSv2.GetAccount", map[string]any{"Tenant": "cgrates.org", "Account": account}, &got)
	var sum float64
	for _, b := range got.BalanceMap["*monetary"] {
		sum += b.Value
	}
	return sum
}

// leg is what a copy says of one, in the words of the record.
type leg struct {
	CDRID      string `json:"cdr_id"`
	Emitter    string `json:"emitter"`
	OpaqueID   string `json:"opaque_id"`
	Plugin     string `json:"plugin"`
	StartTime  int64  `json:"start_time"`
	AnswerTime int64  `json:"answer_time"`
	Duration   int64  `json:"cumulative_duration"`
}

// calls have many sessions together, so that there are transactions to abort.
var calls = []string{"1.1-a_echotest", "1.1-c_videoroom", "1.1-d_audiobridge", "1.1-f_sip", "1.1-g_parallel",
	"1.1-l_string_ids", "1.1-n_bigroom"}

// happensAborted lets calls happen while each third transaction of the processor is aborted.
func (s *site) happensAborted() (aborted int64) {
	s.t.Helper()
	count := abortEachThird(s.broker.Cluster(), "janus.cdr")
	processor := s.start("run", "--admin-listen", "")
	all := 0
	for _, recording := range calls {
		if err := os.WriteFile("events.jsonl", bytes.Join(recordings.Events(recording), []byte("\n")), 0o600); err != nil {
			s.t.Fatal(err)
		}
		all += strings.Count(s.says("assemble", "events.jsonl").out, "\n")
		s.happens(recording)
		if got := s.says("tail", "--from", "earliest", "--count", fmt.Sprint(all)); got.code != cli.OK {
			s.t.Fatalf("%+v\n%s", got, processor.err)
		}
	}
	processor.stop(syscall.SIGTERM)
	<-processor.done
	return count.Load()
}

// credit is what each account begins with, a unit for each second.
const credit = 1_000_000

// rates is the copy that the page makes for CGRateS.
var rates = []string{"copy", "--create-topic", "--copy-to", "janus.cdr.rated", "--kafka-compression", "none",
	"--copy-where", "record_type=LEG,chargeable,is_final,disposition=ANSWERED,opaque_id"}

// CGRateS, configured as its page says, rates the copy: each leg that was answered once and in order, though each third
// transaction of the processor was aborted and CGRateS knows nothing of transactions. Of amendments it takes what its
// version can.
func TestCGRateSRatesEachCallOnceThoughTransactionsAreAborted(t *testing.T) {
	program := os.Getenv(cgratesVariable)
	if program == "" {
		t.Skip(cgratesVariable + " names no cgr-engine: scripts/cgrates.sh builds one")
	}
	s := newSite(t)
	copies := func() {
		t.Helper()
		if got := s.says(append(rates, "--once")...); got.code != cli.OK {
			t.Fatalf("%+v", got)
		}
	}
	if got := s.says("topics", "create"); got.code != cli.OK {
		t.Fatalf("%+v", got)
	}
	copies() // none, but the topic is there
	e := startEngine(t, program, strings.Replace(s.address, "127.0.0.1", "localhost", 1))
	for account := range accounts(t) {
		e.must("APIerSv1.SetBalance", map[string]any{"Tenant": "cgrates.org", "Account": account,
			"BalanceType": "*monetary", "Balance": map[string]any{"ID": "credit", "Value": credit, "Weight": 10}}, nil)
	}
	copier := s.start(append(rates, "--admin-listen", "")...)
	aborted := s.happensAborted()
	copier.stop(syscall.SIGTERM)
	<-copier.done
	copies()

	seen, records := 0, strings.Count(s.says("tail", "--from", "earliest", "--once", "--json").out, "\n")
	for _, values := range s.uncommitted("janus.cdr") {
		seen += len(values)
	}
	if aborted < 3 || seen <= records {
		t.Fatalf("%d transactions were aborted, and %d of %d records are phantoms: that is no test", aborted, seen-records,
			seen)
	}
	legs, order, copied := s.copiedLegs()
	if copied != len(legs) {
		t.Errorf("%d copies of %d legs", copied, len(legs))
	}
	t.Logf("%d aborted transactions left %d phantoms beside %d records; %d legs were copied", aborted, seen-records,
		records, len(legs))
	e.rated(legs, order)

	if made := s.amend(); made < 3 {
		t.Fatalf("%d amendments are none", made)
	}
	copies()
	if amended, _, _ := s.copiedLegs(); e.rerates {
		legs = amended
	}
	e.drained(s, "janus.cdr.rated")
	e.rated(legs, nil)
}

// copiedLegs are the legs of the copy in their newest revision, and by partition the ids in the order in which they
// first came; copied counts the revisions, too.
func (s *site) copiedLegs() (legs map[string]leg, order map[int32][]string, copied int) {
	s.t.Helper()
	legs, order = map[string]leg{}, map[int32][]string{}
	for partition, values := range s.uncommitted("janus.cdr.rated") {
		copied += len(values)
		for _, value := range values {
			var l leg
			if err := json.Unmarshal(value, &l); err != nil {
				s.t.Fatal(err)
			}
			if _, known := legs[l.CDRID]; !known {
				order[partition] = append(order[partition], l.CDRID)
			}
			legs[l.CDRID] = l
		}
	}
	return legs, order, copied
}

// rated expects that it has rated these legs and no others, in this order within each partition if one is given, and
// has taken from each account what they cost.
func (e *engine) rated(legs map[string]leg, order map[int32][]string) {
	e.t.Helper()
	want := map[string]float64{}
	for account := range accounts(e.t) {
		want[account] = credit
	}
	for _, l := range legs {
		want[l.OpaqueID] -= seconds(l.Duration)
	}
	var cdrs []rated
	got := map[string]float64{}
	for limit := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		cdrs = e.cdrs(len(legs))
		for account := range want {
			got[account] = e.balance(account)
		}
		if maps.Equal(got, want) {
			break
		}
		if time.Now().After(limit) {
			e.t.Fatalf("the accounts have %v, want %v", got, want)
		}
	}
	if len(cdrs) != len(legs) {
		e.t.Errorf("%d CDRs of %d legs", len(cdrs), len(legs))
	}
	came := map[int32][]string{}
	for _, c := range cdrs {
		l := legs[c.OriginID]
		usage, err := time.ParseDuration(c.Usage)
		if err != nil || usage != time.Duration(l.Duration)*time.Microsecond || c.Account != l.OpaqueID ||
			c.OriginHost != l.Emitter || c.Destination != l.Plugin || c.AnswerTime.Unix() != l.AnswerTime/1_000_000 ||
			c.SetupTime.Unix() != l.StartTime/1_000_000 || c.Cost != seconds(l.Duration) {
			e.t.Errorf("%+v is not %+v", c, l)
		}
		for partition, ids := range order {
			if slices.Contains(ids, c.OriginID) {
				came[partition] = append(came[partition], c.OriginID)
			}
		}
	}
	if order != nil && fmt.Sprint(came) != fmt.Sprint(order) {
		e.t.Errorf("they came in the order\n%v, not\n%v", came, order)
	}
}

// drained waits until it has read the topic to its end.
func (e *engine) drained(s *site, topic string) {
	e.t.Helper()
	client, err := kafka.NewClient(kafka.Options{Brokers: []string{s.address}})
	if err != nil {
		e.t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	for limit := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		ends, err := admin.ListEndOffsets(s.ctx, topic)
		if err != nil {
			e.t.Fatal(err)
		}
		at, err := admin.FetchOffsets(s.ctx, "cgrates")
		if err != nil {
			e.t.Fatal(err)
		}
		left := int64(0)
		ends.Each(func(o kadm.ListedOffset) {
			committed, _ := at.Lookup(topic, o.Partition)
			left += o.Offset - max(committed.At, 0)
		})
		if left == 0 {
			return
		}
		if time.Now().After(limit) {
			e.t.Fatalf("%d copies are not read", left)
		}
	}
}

// seconds are those that are begun, which is what the plan of the page charges.
func seconds(micros int64) float64 { return float64((micros + 999_999) / 1_000_000) }

// accounts are the billing references of the calls, each with its legs.
func accounts(t *testing.T) map[string]int {
	t.Helper()
	all := map[string]int{}
	for _, recording := range calls {
		if err := os.WriteFile("events.jsonl", bytes.Join(recordings.Events(recording), []byte("\n")), 0o600); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(says(t, "", "assemble", "events.jsonl").out) {
			var r billed
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			if r.Chargeable && r.OpaqueID != "" && r.AnswerTime > 0 {
				all[r.OpaqueID]++
			}
		}
	}
	return all
}
