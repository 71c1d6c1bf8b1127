package consume_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"januscdr/consume"
	"januscdr/consume/files"
)

// storeVariable names an object store that is there, http://access:secret@host:port. Otherwise there is one in process.
const storeVariable = "JANUSCDR_TEST_S3"

// A depot is a bucket behind a door that fails as object stores do: it says 503 to some requests, and to some others,
// which it did.
type depot struct {
	s3     files.S3
	client *minio.Client // by the back door
	bucket string
	faults atomic.Int64 // one of so many requests fails; 0: none
	failed atomic.Int64
	lost   atomic.Int64 // so many manifests are written, and 503 is said
	loose  atomic.Bool  // it ignores If-None-Match, as some stores do
}

func newDepot(t *testing.T) *depot {
	t.Helper()
	text := os.Getenv(storeVariable)
	access, secret := "access", "secret"
	if text == "" {
		server := httptest.NewServer(gofakes3.New(s3mem.New()).Server())
		t.Cleanup(server.Close)
		text = server.URL
	}
	to, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if to.User != nil {
		access = to.User.Username()
		secret, _ = to.User.Password()
		to.User = nil
	}
	d := &depot{bucket: fmt.Sprintf("records-%d-%d", os.Getpid(), time.Now().UnixNano())}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host // it is signed
		if d.loose.Load() {
			r.Out.Header.Del("If-None-Match")
		}
	}}
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/manifests/") && r.Method == http.MethodPut && d.lost.Add(-1) >= 0 {
			proxy.ServeHTTP(httptest.NewRecorder(), r)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		n := d.faults.Load()
		if n == 0 || rand.Int64N(n) != 0 {
			proxy.ServeHTTP(w, r)
			return
		}
		d.failed.Add(1)
		if rand.IntN(2) == 0 {
			proxy.ServeHTTP(httptest.NewRecorder(), r)
		} else {
			_, _ = io.Copy(io.Discard, r.Body)
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>not now</Message></Error>`)
	}))
	t.Cleanup(door.Close)
	d.s3 = files.S3{Endpoint: door.URL, Region: "us-east-1", AccessKey: access, SecretKey: secret}
	if d.client, err = minio.New(strings.TrimPrefix(door.URL, "http://"), &minio.Options{Region: "us-east-1",
		Creds: credentials.NewStaticV4(access, secret, "")}); err != nil {
		t.Fatal(err)
	}
	if err := d.client.MakeBucket(t.Context(), d.bucket, minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *depot) task(c *cluster) task {
	return task{Brokers: c.opts.Brokers, Topic: c.topic, Kind: "parquet", Place: "s3://" + d.bucket + "/of/ours",
		Records: 50, S3: d.s3}
}

// ids are the records in the files that somebody sees who knows nothing of manifests, each with how often.
func (d *depot) ids(t *testing.T) map[string]int {
	t.Helper()
	all := map[string]int{}
	for o := range d.client.ListObjects(t.Context(), d.bucket, minio.ListObjectsOptions{Prefix: "of/ours/date=",
		Recursive: true}) {
		object, err := d.client.GetObject(t.Context(), d.bucket, o.Key, minio.GetObjectOptions{})
		if err = errors.Join(o.Err, err); err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(object)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range idsIn(t, "parquet", b) {
			all[id]++
		}
	}
	return all
}

func TestABucketHoldsEachRecordOnceThoughWriterAndStoreFail(t *testing.T) {
	t.Parallel()
	c, d := newCluster(t), newDepot(t)
	d.faults.Store(15)
	k := d.task(c)
	c.storm(k, kills(t, 8), nil)
	d.faults.Store(0)
	if d.failed.Load() == 0 {
		t.Error("nothing failed")
	}
	t.Logf("%d requests failed", d.failed.Load())
	same(t, d.ids(t), c.ids())
	r := k.verified(t)
	if n := len(c.records); r.Records != int64(n) || r.Lost != 0 || r.Manifests < 2 {
		t.Errorf("%+v, of %d records", r, n)
	}
	if _, err := files.GC(t.Context(), k.Place, d.s3, 0, true); err != nil {
		t.Fatal(err)
	}
	for o := range d.client.ListObjects(t.Context(), d.bucket, minio.ListObjectsOptions{Prefix: "of/ours/staged",
		Recursive: true}) {
		t.Errorf("%s is left", o.Key)
	}
	k.verified(t)
}

// The library asks again when an answer is lost, and is told that the manifest is there: it is ours.
func TestALostAnswerIsNoOtherWriter(t *testing.T) {
	t.Parallel()
	c, d := newCluster(t), newDepot(t)
	c.produce(120)
	d.lost.Store(1)
	k := d.task(c)
	k.fill(t)
	if d.lost.Load() >= 0 {
		t.Error("no answer was lost")
	}
	same(t, d.ids(t), c.ids())
	k.verified(t)
}

// A zombie, woken after another went on, finds that its manifest is there, and ends.
func TestAWriterOfABucketThatWakesUpDoesNoHarm(t *testing.T) {
	t.Parallel()
	c, d := newCluster(t), newDepot(t)
	c.produce(200)
	k := d.task(c)
	k.wakesFenced(t, c)
	same(t, d.ids(t), c.ids())
	k.verified(t)
}

// Of two writers of one bucket one ends, and nothing is lost or doubled by it.
func TestOfTwoWritersOfOneBucketOneEnds(t *testing.T) {
	t.Parallel()
	c, d := newCluster(t), newDepot(t)
	k := d.task(c)
	one, two := k.start(t), k.start(t)
	ended := func() bool { return len(one.ended)+len(two.ended) > 0 }
	for limit := time.Now().Add(patience); !ended() && time.Now().Before(limit); {
		c.produce(60)
	}
	if !ended() {
		t.Fatal("both go on")
	}
	one.killed(t)
	two.killed(t)
	k.fill(t)
	same(t, d.ids(t), c.ids())
	k.verified(t)
}

func TestAStoreThatCannotKeepTwoWritersApartIsRefused(t *testing.T) {
	t.Parallel()
	if os.Getenv(storeVariable) != "" {
		t.Skip("the store that " + storeVariable + " names keeps them apart; the one within can be told not to")
	}
	d := newDepot(t)
	d.loose.Store(true)
	target := files.New(files.Options{Dir: "s3://" + d.bucket, S3: d.s3, Form: files.Form{Name: "csv"}})
	if _, _, err := target.Positions(t.Context()); !errors.Is(err, consume.ErrRefused) ||
		!strings.Contains(err.Error(), "If-None-Match") {
		t.Errorf("got %v", err)
	}
	d.loose.Store(false)
	if _, _, err := target.Positions(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestABucketThatIsNotThereIsSaidSo(t *testing.T) {
	t.Parallel()
	d := newDepot(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	target := files.New(files.Options{Dir: "s3://" + d.bucket + "-absent/x", S3: d.s3, Form: files.Form{Name: "csv"}})
	if _, _, err := target.Positions(ctx); !errors.Is(err, consume.ErrRefused) ||
		!strings.Contains(err.Error(), "absent") {
		t.Errorf("got %v", err)
	}
	if _, err := files.Verify(ctx, "s3://"+d.bucket+"/x", d.s3); err == nil {
		t.Error("an empty bucket is an export")
	}
	if _, _, err := files.New(files.Options{Dir: "s3://", S3: files.S3{Endpoint: "minio:9000"},
		Form: files.Form{Name: "csv"}}).Positions(ctx); !errors.Is(err, consume.ErrRefused) {
		t.Errorf("got %v", err)
	}
}

// What was removed, changed or put into a bucket is named.
func TestWhatIsWrongWithABucketIsNamed(t *testing.T) {
	t.Parallel()
	c, d := newCluster(t), newDepot(t)
	c.produce(500)
	k := d.task(c)
	k.fill(t)
	var names []string
	for o := range d.client.ListObjects(t.Context(), d.bucket, minio.ListObjectsOptions{Prefix: "of/ours/date=",
		Recursive: true}) {
		names = append(names, o.Key)
	}
	if len(names) < 2 {
		t.Fatalf("%v are too few", names)
	}
	put := func(name, text string) {
		t.Helper()
		if _, err := d.client.PutObject(t.Context(), d.bucket, name, strings.NewReader(text), int64(len(text)),
			minio.PutObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.client.RemoveObject(t.Context(), d.bucket, names[0], minio.RemoveObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	put(names[1], "changed")
	put("of/ours/date=2026-11-01/another.parquet", "besides")
	r, err := files.Verify(t.Context(), k.Place, d.s3)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(r.Findings, "\n")
	for _, want := range []string{strings.TrimPrefix(names[0], "of/ours/") + " of manifest", "is missing",
		"has 7 bytes and had",
		"another.parquet is named by no manifest"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not among\n%s", want, all)
		}
	}
	if len(r.Findings) != 3 {
		t.Errorf("found\n%s", all)
	}
}
