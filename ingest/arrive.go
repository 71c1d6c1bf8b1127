package ingest

import (
	"context"
	"errors"
	"io"
)

const (
	firstRoom  = 16 << 10 // bytes that a body gets before one of them has come: most need no more
	roomFactor = 4        // how many times what has come a body gets when that is full
)

// arrive reads a stream to its end, or until so many bytes have come, in memory by what has come and not by what is
// promised: who announces much and sends little takes little from the others. That is firstRoom or roomFactor times
// what has come, whichever is more. The end of a stream before the end of what it holds is an error of the stream.
func (c *claim) arrive(ctx context.Context, stream io.Reader, most int64) ([]byte, error) {
	room := min(firstRoom, most)
	if err := c.take(ctx, room); err != nil {
		return nil, err
	}
	got := make([]byte, 0, room)
	for int64(len(got)) < most {
		if int64(len(got)) == room {
			larger := min(roomFactor*room, most)
			if err := c.take(ctx, larger-room); err != nil {
				return nil, err
			}
			moved := make([]byte, len(got), larger)
			copy(moved, got)
			got, room = moved, larger
		}
		n, err := stream.Read(got[len(got):room])
		got = got[:len(got)+n]
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	return got, nil
}
