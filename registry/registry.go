// Package registry knows a schema registry that speaks Confluent's interface: whether it has the schema of our records,
// under which id, and how it gets there.
//
// It promises that a schema that was registered once is found again as long as its fields are the same, whatever else
// was written about it since: registries compare texts and give each other text another id, so versions are compared by
// the fingerprint of their canonical form. It touches the network, and one file that it is named.
package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/sr"

	"januscdr/avro"
)

// Options say which registry, and who we are there.
type Options struct {
	URLs           []string // tried in turn
	Subject        string
	Schema         string // empty: that of the records, avro.Reduced
	User, Password string // HTTP Basic authentication; no user: none
	TLS            *tls.Config
	Log            hclog.Logger // nil: silent
}

// Registry is one subject of a registry.
type Registry struct {
	client  *sr.Client
	subject string
	schema  string
	print   string // its fingerprint
	urls    string
	retry   time.Duration
	log     hclog.Logger
}

// Schema is where our schema stands.
type Schema struct {
	ID      int32
	Version int
}

// Level is the compatibility that we set: each version reads what each other wrote, which is what old records and old
// readers need.
const Level = "FULL_TRANSITIVE"

// Errors for callers who choose.
var (
	// ErrAbsent says that the registry does not have the schema of our records.
	ErrAbsent = errors.New("the schema is not registered")
	// ErrIncompatible says that the registry refuses it, because it does not fit to an earlier version.
	ErrIncompatible = errors.New("the schema does not fit to what is registered")
	// ErrAway says that the registry does not answer, or not now: to ask again may help.
	ErrAway = errors.New("the registry does not answer")
)

const (
	requestTimeout = 10 * time.Second
	retryAfter     = 2 * time.Second
)

// New makes a Registry, without asking it anything.
func New(o Options) (*Registry, error) {
	opts := []sr.ClientOpt{
		sr.URLs(o.URLs...),
		sr.HTTPClient(&http.Client{Timeout: requestTimeout}),
		sr.UserAgent("januscdr"),
	}
	if o.TLS != nil {
		opts = append(opts, sr.DialTLSConfig(o.TLS))
	}
	if o.User != "" {
		opts = append(opts, sr.BasicAuth(o.User, o.Password))
	}
	if o.Schema == "" {
		o.Schema = avro.Reduced()
	}
	fingerprint, err := avro.FingerprintOf(o.Schema)
	if err != nil {
		return nil, err
	}
	client, err := sr.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("make client of schema registry: %w", err)
	}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	return &Registry{client: client, subject: o.Subject, schema: o.Schema, print: fingerprint,
		urls: strings.Join(o.URLs, ","), retry: retryAfter,
		log: o.Log}, nil
}

// Subject is the name under which readers look for the schema.
func (r *Registry) Subject() string { return r.subject }

// Find returns where the schema of our records stands: the newest version with the same fields. The errors are
// ErrAbsent, ErrAway, or that the registry refuses us.
func (r *Registry) Find(ctx context.Context) (Schema, error) {
	versions, err := r.versions(ctx)
	if err != nil {
		return Schema{}, err
	}
	for i := len(versions) - 1; i >= 0; i-- {
		s, err := r.client.SchemaByVersion(ctx, r.subject, versions[i])
		if err != nil {
			return Schema{}, r.failed(fmt.Sprintf("read version %d of", versions[i]), err)
		}
		if s.Type != sr.TypeAvro {
			continue
		}
		if f, err := avro.FingerprintOf(s.Schema.Schema); err == nil && f == r.print {
			return Schema{ID: int32(s.ID), Version: s.Version}, nil
		}
	}
	return Schema{}, fmt.Errorf("subject %s of %s: %w: it has %d others", r.subject, r.urls, ErrAbsent, len(versions))
}

// versions of the subject; none when there is no such subject.
func (r *Registry) versions(ctx context.Context) ([]int, error) {
	versions, err := r.client.SubjectVersions(ctx, r.subject)
	if isStatus(err, http.StatusNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, r.failed("list versions of", err)
	}
	return versions, nil
}

// Register sees that the registry has the schema of our records, and that the compatibility of the subject is Level.
// added tells whether it is a new version. The errors are those of Find, and ErrIncompatible.
func (r *Registry) Register(ctx context.Context) (s Schema, added bool, err error) {
	versions, err := r.versions(ctx)
	if err != nil {
		return s, false, err
	}
	if len(versions) > 0 { // the level must hold for what comes now; some registries know no level of what is not there
		if err := r.setLevel(ctx); err != nil {
			return s, false, err
		}
		if s, err = r.Find(ctx); !errors.Is(err, ErrAbsent) {
			return s, false, err
		}
		if err := r.Fits(ctx); err != nil {
			return s, false, err
		}
	}
	if _, err = r.client.RegisterSchema(ctx, r.subject, r.ours(), -1, -1); err != nil {
		if isStatus(err, http.StatusConflict) {
			err = errors.Join(ErrIncompatible, err)
		}
		return s, false, r.failed("register", err)
	}
	if err = r.setLevel(ctx); err == nil {
		s, err = r.Find(ctx)
	}
	return s, true, err
}

func (r *Registry) ours() sr.Schema { return sr.Schema{Schema: r.schema, Type: sr.TypeAvro} }

// Fits asks the registry whether our schema would be taken. The error is ErrIncompatible, with the reasons, when it
// would not.
func (r *Registry) Fits(ctx context.Context) error {
	result, err := r.client.CheckCompatibility(sr.WithParams(ctx, sr.Verbose), r.subject, -2, r.ours())
	if isStatus(err, http.StatusNotFound) { // no subject, or a registry that compares with the last version only
		result, err = r.client.CheckCompatibility(sr.WithParams(ctx, sr.Verbose), r.subject, -1, r.ours())
	}
	switch {
	case isStatus(err, http.StatusNotFound):
		return nil
	case err != nil:
		return r.failed("compare with", err)
	case !result.Is:
		return fmt.Errorf("subject %s of %s: %w: %s", r.subject, r.urls, ErrIncompatible, strings.Join(result.Messages, "; "))
	}
	return nil
}

// Level returns the compatibility of the subject; empty when it has none of its own.
func (r *Registry) Level(ctx context.Context) (string, error) {
	result := r.client.Compatibility(ctx, r.subject)[0]
	switch {
	case isStatus(result.Err, http.StatusNotFound):
		return "", nil
	case result.Err != nil:
		return "", r.failed("read the compatibility of", result.Err)
	}
	return result.Level.String(), nil
}

func (r *Registry) setLevel(ctx context.Context) error {
	result := r.client.SetCompatibility(ctx, sr.SetCompatibility{Level: sr.CompatFullTransitive}, r.subject)[0]
	if result.Err != nil {
		return r.failed("set the compatibility of", result.Err)
	}
	return nil
}

// failed says what could not be done, and whether it may be done later.
func (r *Registry) failed(what string, err error) error {
	var answer *sr.ResponseError
	if !errors.As(err, &answer) || answer.StatusCode >= 500 || answer.StatusCode == http.StatusTooManyRequests {
		err = errors.Join(ErrAway, err)
	}
	return fmt.Errorf("%s subject %s of the schema registry %s: %w", what, r.subject, r.urls, oneLine{err})
}

// oneLine shows joined errors in one line.
type oneLine struct{ error }

func (o oneLine) Error() string { return strings.ReplaceAll(o.error.Error(), "\n", ": ") }
func (o oneLine) Unwrap() error { return o.error }

func isStatus(err error, code int) bool {
	var answer *sr.ResponseError
	return errors.As(err, &answer) && answer.StatusCode == code
}
