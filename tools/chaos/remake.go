package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"januscdr/internal/fixtures/procs"
	"januscdr/kafka"
)

const (
	remakeLimit = 3 * time.Minute // within which all must have said what they say
	remakeTry   = 12 * time.Second
)

// said are the beginnings of what a processor says when its topics are not those it knew.
var said = []string{"kafka has lost data that it acknowledged", "changelog belongs to another event log",
	"was deleted and made again", "belongs to another topic"}

// remake is the last act, when all was compared: topics are deleted and made again under running processes. Ingest
// must go on by itself; processors must end and say why, and end again when they are started as if nothing had
// happened. Then we do what the runbook says.
func (s *scenario) remake(ctx context.Context) error {
	for round := range s.o.remakes {
		if err := s.startAnew(ctx, round); err != nil {
			return err
		}
		topic := s.Topics.Events
		if round%2 == 1 {
			topic = s.Topics.State
		}
		fmt.Printf("chaos: %s is deleted and made again\n", topic)
		if err := s.sendUntil(ctx, "an event is folded", func() bool {
			_, at, err := s.Offsets(ctx)
			return err == nil && sum(at) > 0
		}); err != nil {
			return err
		}
		if err := s.deleteAndMake(ctx, topic); err != nil {
			return err
		}
		if err := s.endLoudly(ctx, topic); err != nil {
			return err
		}
		s.remade++
	}
	return nil
}

// startAnew does what the runbook says: a new changelog and group, and no state.
func (s *scenario) startAnew(ctx context.Context, round int) error {
	s.Group = fmt.Sprintf("chaos-%d", round+1)
	s.Topics.State = fmt.Sprintf("janus.cdr.state-%d", round+1)
	if _, err := kafka.CreateTopics(ctx, s.Client, s.Topics); err != nil {
		return err
	}
	for _, p := range s.Processors {
		p.Kill()
		if err := os.RemoveAll(p.State); err != nil {
			return err
		}
		p.Set("GROUP", s.Group)
		p.Set("TOPICS_STATE", s.Topics.State)
	}
	for _, p := range s.Services() {
		if err := p.Start(); err != nil {
			return err
		}
		if err := p.AwaitReady(ctx, 2*time.Minute); err != nil {
			return err
		}
	}
	return nil
}

func (s *scenario) deleteAndMake(ctx context.Context, topic string) error {
	deleted, err := s.Admin.DeleteTopics(ctx, topic)
	if err == nil {
		err = deleted.Error()
	}
	for limit := time.Now().Add(remakeLimit); err == nil; {
		var created []string
		if created, err = kafka.CreateTopics(ctx, s.Client, s.Topics); len(created) > 0 {
			return err
		}
		if time.Now().After(limit) {
			return fmt.Errorf("make %s again: it is still there", topic)
		}
		procs.Sleep(ctx, 100*time.Millisecond)
	}
	return err
}

// endLoudly waits until all processors have ended and said why, two times, while ingest takes events.
func (s *scenario) endLoudly(ctx context.Context, topic string) error {
	for life := range 2 {
		ends := make(chan struct{}, len(s.Processors))
		for _, p := range s.Processors {
			go func() {
				defer func() { ends <- struct{}{} }()
				ended, _ := p.AwaitEnd(ctx, remakeLimit)
				words := p.LastWords()
				for _, some := range said {
					if ended && strings.Contains(words, some) {
						return
					}
				}
				s.Complaints.Add("%s: %s was made again, it ended: %v, its last words: %.400s", p.Name, topic, ended, words)
			}()
		}
		left := len(s.Processors)
		if err := s.sendUntil(ctx, "all processors have ended", func() bool {
			for len(ends) > 0 {
				<-ends
				left--
			}
			return left == 0
		}); err != nil {
			return err
		}
		if life == 0 {
			for _, p := range s.Processors {
				if err := p.Start(); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// sendUntil posts an event of its own each moment until something is so. In the end one must be answered.
func (s *scenario) sendUntil(ctx context.Context, what string, so func() bool) error {
	answered := false
	for limit := time.Now().Add(remakeLimit + time.Minute); !so() || !answered; {
		if time.Now().After(limit) {
			s.Complaints.Add("not within %v: %s; the last event was answered: %v", remakeLimit, what, answered)
			return nil
		}
		answered = s.sendOne(ctx)
		if !procs.Sleep(ctx, 50*time.Millisecond) {
			return ctx.Err()
		}
	}
	return nil
}

func (s *scenario) sendOne(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, remakeTry)
	defer cancel()
	now := time.Now().UnixMicro()
	body := fmt.Appendf(nil, `{"emitter":"chaos-last","type":1,"timestamp":%d,"session_id":%d,"event":{"name":"created"}}`,
		now, now)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.IngestAddress(0)+"/events",
		bytes.NewReader(body))
	if err != nil {
		return false
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}
