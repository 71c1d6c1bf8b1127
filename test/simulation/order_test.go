//go:build synctests

package simulation

import (
	"slices"
	"sync"
	"testing"
	"time"

	"januscdr/pipeline"
)

// follows says what may come after a step of a commit, as in package model.
var follows = map[pipeline.CrashPoint][]pipeline.CrashPoint{
	"":                     {pipeline.BeforeBegin},
	pipeline.BeforeBegin:   {pipeline.AfterBegin},
	pipeline.AfterBegin:    {pipeline.Producing},
	pipeline.Producing:     {pipeline.Producing, pipeline.AfterProduce},
	pipeline.AfterProduce:  {pipeline.BeforeOffsets, pipeline.BeforeAbort},
	pipeline.BeforeOffsets: {pipeline.BeforeEnd, pipeline.BeforeAbort},
	pipeline.BeforeAbort:   {pipeline.BeforeBegin}, // of another client
	pipeline.BeforeEnd:     {pipeline.AfterEnd, pipeline.BeforeBegin},
	pipeline.AfterEnd:      {pipeline.AfterRemember},
	pipeline.AfterRemember: {pipeline.AfterRemember, pipeline.BeforeBegin},
}

func TestSceneCommitsTakeTheStepsOfTheModelInItsOrder(t *testing.T) {
	scene(t, func(w *world, p *process) {
		w.end(p) // one worker: its steps come one after the other
		p.host.workers = 1
		var mu sync.Mutex
		var last pipeline.CrashPoint
		commits := 0
		observe := func(step pipeline.CrashPoint) {
			mu.Lock()
			defer mu.Unlock()
			if _, ofCommit := follows[step]; !ofCommit {
				return
			}
			if !slices.Contains(follows[last], step) {
				w.fail("%q follows %q", step, last)
			}
			if last = step; step == pipeline.AfterEnd {
				commits++
			}
		}
		p = w.start(p.host, func(o *pipeline.Options) { o.OnCrashPoint(observe) })
		w.pass(10 * time.Second)
		w.refuseOne()
		w.pass(15 * time.Second)
		w.end(p)
		w.start(p.host)
		mu.Lock()
		defer mu.Unlock()
		if commits < 5 {
			w.fail("%d commits were seen", commits)
		}
	})
}
