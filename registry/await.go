package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// remembered is what the file holds: an id, and what it is the id of.
type remembered struct {
	Registry    string `json:"registry"`
	Subject     string `json:"subject"`
	Fingerprint string `json:"schema_fingerprint"`
	ID          int32  `json:"id"`
}

// Await returns the id of our schema, for the life of a process: nobody asks again. While the registry does not answer
// it takes the id that the file remembers, and without one it waits. register lets it register what is missing;
// otherwise that is an error, as is everything else that waiting does not mend. Without a file nothing is remembered.
func (r *Registry) Await(ctx context.Context, file string, register bool) (int32, error) {
	for told := false; ; told = true {
		s, err := r.find(ctx, register)
		if err == nil {
			return s.ID, r.remember(file, s.ID)
		}
		if !errors.Is(err, ErrAway) || ctx.Err() != nil {
			return 0, err
		}
		if id, known := r.recall(file); known {
			r.log.Warn("the schema registry does not answer, going on with the id it gave before", "id", id, "error", err)
			return id, nil
		}
		if !told {
			r.log.Warn("waiting for the schema registry", "error", err)
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(r.retry):
		}
	}
}

func (r *Registry) find(ctx context.Context, register bool) (Schema, error) {
	if !register {
		return r.Find(ctx)
	}
	s, added, err := r.Register(ctx)
	if added {
		r.log.Info("schema registered", "subject", r.subject, "version", s.Version, "id", s.ID)
	}
	return s, err
}

func (r *Registry) key(id int32) remembered {
	return remembered{Registry: r.urls, Subject: r.subject, Fingerprint: r.print, ID: id}
}

// recall returns the id that the file has for this registry, subject and schema.
func (r *Registry) recall(file string) (int32, bool) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	var was remembered
	if json.Unmarshal(b, &was) != nil || was != r.key(was.ID) {
		return 0, false
	}
	return was.ID, true
}

func (r *Registry) remember(file string, id int32) error {
	if file == "" {
		return nil
	}
	if was, known := r.recall(file); known {
		if was == id {
			return nil
		}
		r.log.Warn("the schema registry has another id for the same schema, it seems to have been made anew: what was "+
			"written before needs the old id", "id", id, "before", was)
	}
	b, err := json.Marshal(r.key(id))
	if err == nil {
		err = os.MkdirAll(filepath.Dir(file), 0o750)
	}
	if err == nil {
		err = os.WriteFile(file+".new", b, 0o640)
	}
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if err != nil {
		return fmt.Errorf("remember the id of the schema: %w", err)
	}
	return nil
}
