package wiring

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/hashicorp/go-hclog"

	"januscdr/config"
	"januscdr/kafka"
)

// OnHangup lets SIGHUP read certificates and the level of the log again, until the context ends, instead of
// ending the process. Other settings that have changed wait for the next start. It also says by whom a stop was wanted.
func OnHangup(ctx context.Context, log hclog.Logger, flags *config.Flags, environ []string, k kafka.Options) {
	arrived := make(chan os.Signal, 1)
	signal.Notify(arrived, syscall.SIGHUP)
	context.AfterFunc(ctx, func() { log.Info("stopping", "by", context.Cause(ctx)) })
	go func() { // it ends with the process: a signal that comes while all stops must not kill
		for range arrived {
			if err := reread(log, flags, environ, k); err != nil {
				log.Error("SIGHUP: all stays as it was, something is wrong with the configuration", "error", err)
				continue
			}
			log.Info("SIGHUP: certificates and the level of the log were read again; new connections use them")
		}
	}()
}

func reread(log hclog.Logger, flags *config.Flags, environ []string, k kafka.Options) error {
	c, err := flags.Load(environ)
	if err != nil {
		return err
	}
	if err := k.Renew(); err != nil {
		return err
	}
	log.SetLevel(hclog.LevelFromString(c.Log.Level))
	return nil
}
