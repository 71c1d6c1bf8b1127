package main

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"januscdr/config"
	"januscdr/internal/cli"
	"januscdr/internal/fixtures/player"
	"januscdr/internal/fixtures/recordings"
	"januscdr/internal/wiring"
)

func newPlay(environ []string) *cobra.Command {
	var names []string
	var speed float64
	var fresh bool
	cmd := &cobra.Command{
		Use:   "play URL",
		Short: "Play recorded traffic of real Janus servers to an ingest",
		Long: `Posts what real Janus servers once reported to the ingest at URL, as Janus would: same bytes, same batches,
one request at a time, each again until it is answered; pauses are shortened by --speed. It is for trying out an
installation before a Janus is there. An URL without a path means /events.

The recordings are of the past, and a second play repeats the events of the first, which makes no call twice. With
--fresh they are new calls, which have just ended, of Janus servers whose names have the time of the play.`,
		Example: `  cdr play http://127.0.0.1:8090/events
  cdr play http://127.0.0.1:8090/events --recording 1.1-e_videocall,1.4-t_newer --speed 1
  cdr play https://ingest.example.com/events --fresh --ingest-auth-user janus`,
		Args: cobra.ExactArgs(1),
	}
	flags := config.Bind(cmd.Flags(), "ingest.auth")
	f := cmd.Flags()
	f.StringSliceVar(&names, "recording", demoRecordings, "which recordings to play, in turn; all: all of them")
	f.Float64Var(&speed, "speed", 20, "how many times faster than recorded to play; 0: without pauses")
	f.BoolVar(&fresh, "fresh", false, "as calls of now, by Janus servers that nobody knows yet")
	completeRecordings(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(names) == 1 && names[0] == "all" {
			names = recordings.Names()
		}
		if err := checkPlay(names, speed); err != nil {
			return err
		}
		to, err := url.Parse(args[0])
		if err != nil || to.Host == "" || to.Scheme != "http" && to.Scheme != "https" {
			return cli.Misused("%q is no URL of an ingest; write http://127.0.0.1:8090/events", args[0])
		}
		if to.Path == "" {
			to.Path = "/events"
		}
		c, err := wiring.Load(flags, environ)
		if err != nil {
			return err
		}
		screen := newScreen(cmd.OutOrStdout(), environ)
		var requests, events int
		for i, name := range names {
			all := recordings.Requests(name)
			if fresh {
				all = refreshed(all, fmt.Sprintf("play-%s-%d", screen.started.UTC().Format("20060102T150405.000"), i+1), time.Now())
			}
			o := player.Options{Speed: speed, User: c.Ingest.Auth.User, Password: c.Ingest.Auth.Password,
				Progress: func(done, total int, _ time.Duration) { screen.playing(i+1, len(names), name, done, total) },
				Failed: func(request, try int, err error) {
					if try == 1 {
						fmt.Fprintf(cmd.ErrOrStderr(), "cdr: request %d of %s is sent again: %v\n", request, name, err)
					}
				}}
			if err := player.Play(cmd.Context(), to.String(), all, o); err != nil {
				return fmt.Errorf("play %s to %s: %w", name, to.Redacted(), err)
			}
			n := len(recordings.Events(name))
			screen.played(name, len(all), n)
			requests, events = requests+len(all), events+n
		}
		screen.say("%s, %s, all answered, in %v", count(requests, "request"), count(events, "event"),
			time.Since(screen.started).Round(100*time.Millisecond))
		return nil
	}
	return cmd
}

// checkPlay tells what is wrong with what is to be played.
func checkPlay(names []string, speed float64) error {
	known := strings.Join(recordings.Names(), " ")
	for _, r := range names {
		if !strings.Contains(" "+known+" ", " "+r+" ") {
			return cli.Misused("--recording: there is no recording %q; there are: %s", r, known)
		}
	}
	if speed < 0 {
		return cli.Misused("--speed: %g is not possible; 1 is as recorded, 0 is without pauses", speed)
	}
	return nil
}

var (
	emitterMember   = regexp.MustCompile(`"emitter"\s*:\s*"[^"]*"`)
	timestampMember = regexp.MustCompile(`"timestamp"\s*:\s*\d{16}`)
)

// refreshed are requests as if an emitter of another name had sent them, and the last event were of now.
func refreshed(all []recordings.Request, emitter string, now time.Time) []recordings.Request {
	var last int64
	of := func(member []byte) int64 {
		n, _ := strconv.ParseInt(string(member[len(member)-16:]), 10, 64) // 16 digits
		return n
	}
	for _, r := range all {
		for _, member := range timestampMember.FindAll(r.Body, -1) {
			last = max(last, of(member))
		}
	}
	by := now.UnixMicro() - last
	for i, r := range all {
		body := timestampMember.ReplaceAllFunc(r.Body, func(member []byte) []byte {
			return strconv.AppendInt([]byte(`"timestamp":`), of(member)+by, 10)
		})
		all[i].Body = emitterMember.ReplaceAll(body, []byte(`"emitter":"`+emitter+`"`))
		all[i].Encoding, all[i].Raw = "", nil
	}
	return all
}
