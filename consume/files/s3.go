package files

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"januscdr/consume"
)

// S3 says how to reach an object store that speaks S3.
type S3 struct {
	Endpoint  string // http://host:port or https://host; empty: https://s3.amazonaws.com
	Region    string // empty: the store is asked
	AccessKey string // empty: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ~/.aws/credentials, the role of the machine
	SecretKey string
}

// bucket is a place in an object store. What it stages is an object below staged/, which the store copies to its name
// when the manifest is there: readers that list names see what is committed only.
type bucket struct {
	client *minio.Client
	bucket string
	prefix string // empty, or with a slash at its end
}

// IsS3 tells whether a place is one in an object store: s3://bucket/prefix.
func IsS3(place string) bool { return strings.HasPrefix(place, "s3://") }

func newBucket(at string, o S3) (*bucket, error) {
	name, prefix, _ := strings.Cut(strings.TrimPrefix(at, "s3://"), "/")
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	if o.Endpoint == "" {
		o.Endpoint = "https://s3.amazonaws.com"
	}
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Host == "" || name == "" {
		return nil, fmt.Errorf("%w: %s at %q: write s3://bucket/prefix, and http://host:port or "+
			"https://host for the endpoint",
			consume.ErrRefused, at, o.Endpoint)
	}
	keys := credentials.NewStaticV4(o.AccessKey, o.SecretKey, "")
	if o.AccessKey == "" {
		keys = credentials.NewChainCredentials([]credentials.Provider{
			&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{Client: http.DefaultClient},
		})
	}
	client, err := minio.New(u.Host, &minio.Options{Creds: keys, Secure: u.Scheme == "https", Region: o.Region,
		MaxRetries: 4})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", consume.ErrRefused, err)
	}
	return &bucket{client: client, bucket: name, prefix: prefix}, nil
}

// prepare sees that the store keeps two writers apart: it must refuse to write what is there already.
func (b *bucket) prepare(ctx context.Context) error {
	probe := "probe-" + rand.Text()
	first, second := b.putNew(ctx, stagedDir+"/"+probe, []byte("1")), b.putNew(ctx, stagedDir+"/"+probe, []byte("2"))
	removed := b.remove(ctx, stagedDir+"/"+probe)
	switch {
	case first != nil && !errors.Is(first, consume.ErrFenced): // an answer was lost, and it is there
		return b.failed("write to", first)
	case second == nil:
		return fmt.Errorf("%w: bucket %s takes a second object of the same name though told not to (If-None-Match), so two "+
			"exports could overwrite each other", consume.ErrRefused, b.bucket)
	case !errors.Is(second, consume.ErrFenced):
		return b.failed("write to", second)
	case removed != nil:
		return b.failed("remove from", removed)
	}
	return nil
}

// create begins a file on the local disk; it has no name there, so that nothing is left of it after a kill.
func (b *bucket) create(string) (*os.File, error) {
	f, err := os.CreateTemp("", "januscdr-export-")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

func (b *bucket) stage(ctx context.Context, name string, f *os.File, size int64) error {
	defer f.Close()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	// In one request: of an upload in parts, parts would be left after a kill.
	_, err := b.client.PutObject(ctx, b.bucket, b.prefix+stagedDir+"/"+name, f, size,
		minio.PutObjectOptions{DisableMultipart: true, ContentType: "application/octet-stream"})
	if err != nil {
		return b.failed("write to", err)
	}
	return nil
}

func (b *bucket) publish(ctx context.Context, name string, content []byte) error {
	err := b.putNew(ctx, manifestsDir+"/"+name, content)
	if errors.Is(err, consume.ErrFenced) {
		// The library repeats a request whose answer was lost, and is told then that the object is there: it may be ours.
		is, readErr := read(ctx, b, manifestsDir+"/"+name)
		switch {
		case readErr != nil:
			return b.failed("read from", readErr)
		case bytes.Equal(is, content):
			return nil
		}
		return consume.ErrFenced
	}
	if err != nil {
		return b.failed("write to", err)
	}
	return nil
}

// putNew writes an object unless there is one: then it is ErrFenced.
func (b *bucket) putNew(ctx context.Context, name string, content []byte) error {
	o := minio.PutObjectOptions{DisableMultipart: true, ContentType: "application/json"}
	o.SetMatchETagExcept("*")
	_, err := b.client.PutObject(ctx, b.bucket, b.prefix+name, bytes.NewReader(content), int64(len(content)), o)
	if minio.ToErrorResponse(err).StatusCode == http.StatusPreconditionFailed {
		return consume.ErrFenced
	}
	return err
}

func (b *bucket) settle(ctx context.Context, staged, name string) error {
	from := b.prefix + stagedDir + "/" + staged
	_, err := b.client.CopyObject(ctx, minio.CopyDestOptions{Bucket: b.bucket, Object: b.prefix + name},
		minio.CopySrcOptions{Bucket: b.bucket, Object: from})
	switch {
	case isMissing(err):
		return nil
	case err != nil:
		return b.failed("copy within", err)
	}
	if err := b.remove(ctx, stagedDir+"/"+staged); err != nil {
		return b.failed("remove from", err)
	}
	return nil
}

func (b *bucket) drop(_ string, f *os.File) { _ = f.Close() } // what was uploaded is found by GC

func (b *bucket) list(ctx context.Context, prefix string) (all []entry, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for o := range b.client.ListObjects(ctx, b.bucket,
		minio.ListObjectsOptions{Prefix: b.prefix + prefix, Recursive: true}) {
		if o.Err != nil {
			return nil, b.failed("list", o.Err)
		}
		all = append(all, entry{strings.TrimPrefix(o.Key, b.prefix), o.LastModified})
	}
	slices.SortFunc(all, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

func (b *bucket) open(ctx context.Context, name string) (io.ReadCloser, error) {
	o, err := b.client.GetObject(ctx, b.bucket, b.prefix+name, minio.GetObjectOptions{})
	if err == nil {
		_, err = o.Stat() // the request is made here
	}
	if isMissing(err) {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return o, err
}

func (b *bucket) remove(ctx context.Context, name string) error {
	return b.client.RemoveObject(ctx, b.bucket, b.prefix+name, minio.RemoveObjectOptions{})
}

func isMissing(err error) bool { return minio.ToErrorResponse(err).Code == minio.NoSuchKey }

// failed says what could not be done, and whether waiting mends it.
func (b *bucket) failed(what string, err error) error {
	switch minio.ToErrorResponse(err).Code {
	case minio.NoSuchBucket, minio.AccessDenied, "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidBucketName":
		err = errors.Join(consume.ErrRefused, err)
	}
	return fmt.Errorf("%s bucket %s: %w", what, b.bucket, err)
}
