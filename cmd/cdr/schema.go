package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/avro"
	"januscdr/config"
	"januscdr/internal/cli"
	"januscdr/internal/wiring"
	"januscdr/kafka"
	"januscdr/pipeline"
	"januscdr/registry"
)

func newSchema(environ []string) *cobra.Command {
	var reduced bool
	var version int
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "The Avro schema of the records, here and in a registry",
		Long: `Prints the Avro schema of the records with the meaning of each field; with --reduced without, as it is
registered: registries take each other text for another schema, and words of explanation are to make none.
Below it are other forms of the same, and what a registry is asked.`,
		Example: "  cdr schema > call_detail_record.avsc\n  cdr schema register --registry-url http://registry:8081",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := schemaOf(version)
			if err != nil {
				return err
			}
			if reduced {
				text = avro.Reduced() + "\n"
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		},
	}
	cmd.Flags().BoolVar(&reduced, "reduced", false, "without documentation, as it is registered")
	cmd.Flags().IntVar(&version, "version", 0, "that of an earlier release; 0: of this program")
	cmd.AddCommand(newSchemaJSON(), newSchemaTable(), newSchemaCheck(environ), newSchemaRegister(environ))
	return cmd
}

func newSchemaCheck(environ []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Ask the registry whether it has the schema",
		Long: `Asks the schema registry whether it has the schema of this program's records, under which id, and whether it
would take it. Changes nothing. Exits with 1 if the schema is not there, or not guarded as it should be.`,
		Example: "  cdr schema check --registry-url http://registry:8081",
		Args:    cobra.NoArgs,
	}
	flags := config.Bind(cmd.Flags(), "registry", "topics.cdr", "log")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		r, err := registryOf(cmd, flags, environ)
		if err != nil {
			return err
		}
		ctx, out := cmd.Context(), cmd.OutOrStdout()
		level, err := r.Level(ctx)
		if err != nil {
			return err
		}
		s, err := r.Find(ctx)
		switch {
		case errors.Is(err, registry.ErrAbsent):
			fmt.Fprintf(out, "subject %s does not have the schema of this program (%s)\n", r.Subject(), avro.Fingerprint())
			if err := r.Fits(ctx); err != nil {
				return err
			}
			fmt.Fprintln(out, "it would be taken: `cdr schema register` adds it")
			return cli.ErrSilent
		case err != nil:
			return err
		}
		fmt.Fprintf(out, "subject %s has it as version %d, id %d\n", r.Subject(), s.Version, s.ID)
		if level != registry.Level {
			fmt.Fprintf(out, "its compatibility is %q, not %s: `cdr schema register` sets it\n", level, registry.Level)
			return cli.ErrSilent
		}
		return nil
	}
	return cmd
}

func newSchemaRegister(environ []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "register",
		Short: "Register the schema, and set its compatibility",
		Long: `Sees that the schema registry has the schema of this program's records, and sets the compatibility of the
subject to FULL_TRANSITIVE. A schema that is there already is left as it is.`,
		Example: "  cdr schema register --registry-url http://registry:8081",
		Args:    cobra.NoArgs,
	}
	flags := config.Bind(cmd.Flags(), "registry", "topics.cdr", "log")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		r, err := registryOf(cmd, flags, environ)
		if err != nil {
			return err
		}
		s, added, err := r.Register(cmd.Context())
		if err != nil {
			return err
		}
		what := "was there"
		if added {
			what = "is new"
		}
		fmt.Fprintf(cmd.OutOrStdout(), "subject %s: version %d with id %d %s\n", r.Subject(), s.Version, s.ID, what)
		return nil
	}
	return cmd
}

func registryOf(cmd *cobra.Command, flags *config.Flags, environ []string) (*registry.Registry, error) {
	c, err := wiring.Load(flags, environ)
	if err != nil {
		return nil, err
	}
	if len(c.Registry.URL) == 0 {
		return nil, cli.Misused("registry.url is empty: say which registry, for example http://registry:8081")
	}
	return recordsIn(c, wiring.Logger(cmd.ErrOrStderr(), "cdr", c, environ))
}

// recordsIn is the subject of the records in the registry.
func recordsIn(c *config.Config, log hclog.Logger) (*registry.Registry, error) {
	subject := c.Registry.Subject
	if subject == "" {
		subject = c.Topics.CDR + "-value"
	}
	return newRegistry(c, subject, avro.Reduced(), log)
}

func newRegistry(c *config.Config, subject, schema string, log hclog.Logger) (*registry.Registry, error) {
	files := c.Registry.TLS
	secure, err := (&kafka.TLS{CAFile: files.CAFile, CertFile: files.CertFile, KeyFile: files.KeyFile,
		ServerName: files.ServerName}).Config()
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	return registry.New(registry.Options{URLs: c.Registry.URL, Subject: subject, Schema: schema, User: c.Registry.User,
		Password: c.Registry.Password, TLS: secure, Log: log.Named("registry")})
}

// encoding is how records are written: for the readers of a registry if there is one. The topic must be framed so
// already, unless it is to change from here on.
func encoding(ctx context.Context, c *config.Config, client *kgo.Client, o pipeline.Options,
	change bool) (pipeline.EncodeFunc, error) {
	framing, encode := avro.SingleObject, pipeline.EncodeFunc(avro.Encode)
	if len(c.Registry.URL) > 0 {
		r, err := recordsIn(c, o.Log)
		if err != nil {
			return nil, err
		}
		id, err := r.Await(ctx, filepath.Join(c.StateDir, "registry.json"), c.Registry.Register)
		if errors.Is(err, registry.ErrAbsent) {
			return nil, fmt.Errorf("%w; `cdr schema register` adds it, or registry.register", err)
		}
		if err != nil {
			return nil, err
		}
		o.Log.Info("records are framed for a schema registry", "subject", r.Subject(), "id", id)
		framing, encode = avro.Registered, avro.EncodeRegistered(id)
	}
	last, err := kafka.Last(ctx, client, o.Kafka, o.Topics.CDR)
	if err != nil {
		return nil, err
	}
	if last == nil {
		return encode, nil
	}
	if was := avro.FramingOf(last.Value); was != framing {
		if !change {
			return nil, fmt.Errorf("%s partition %d offset %d is in %s, and this program is to write in %s: its readers "+
				"cannot read both; set or empty registry.url as the other processes have it, or stop them all and start with "+
				"--change-framing", o.Topics.CDR, last.Partition, last.Offset, was, framing)
		}
		o.Log.Warn("the framing of records changes from here on: readers of the topic need to know both", "topic",
			o.Topics.CDR, "before", was, "now", framing)
	}
	return encode, nil
}
