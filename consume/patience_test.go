package consume

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// gone is a target that is away.
type gone struct{ Target }

var errGone = errors.New("nobody is there")

func (gone) Positions(context.Context) (Origin, map[int32]int64, error) {
	return Origin{}, nil, errGone
}

// What is started to bring what there is ends when its target does not come, whoever started it; what goes on waits.
func TestATargetThatIsAwayIsWaitedForAsLongAsPatienceLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		err := New(Options{Name: "target", Once: true, Patience: 10 * time.Second}, gone{}).Run(t.Context())
		if took := time.Since(began); !errors.Is(err, errGone) || took != 10*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
		for _, o := range []Options{{Once: true}, {Patience: 10 * time.Second}} {
			ctx, stop := context.WithTimeout(t.Context(), time.Hour)
			if err := New(o, gone{}).Run(ctx); err != nil || ctx.Err() == nil {
				t.Errorf("%+v: it ends with %v", o, err)
			}
			stop()
		}
	})
}
