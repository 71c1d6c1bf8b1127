package stage

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
)

// Main runs a program until it ends or is interrupted, and ends the process: with 0, with 1 after an error, which is told,
// or with 130.
func Main(name string, run func(context.Context) error) {
	// An interrupt that comes twice must not leave processes behind, so it stays caught until all have ended.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	switch {
	case err == nil:
		os.Exit(0)
	case errors.Is(err, context.Canceled):
		fmt.Fprintf(os.Stderr, "%s: interrupted, no verdict\n", name)
		os.Exit(130)
	default:
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// Place is where a run takes place, and by which seed.
type Place struct {
	Seed    uint64
	Dir     string // for topics, states and logs
	Keep    bool   // keep it even if all is well
	Root    string // the checkout
	Bin     string // folder with our commands
	Port    int    // first of 100 ports
	Brokers int    // 1 or 3

	flags *flag.FlagSet
}

// Flags lets the command line say the place.
func (p *Place) Flags(f *flag.FlagSet) {
	p.flags = f
	f.Uint64Var(&p.Seed, "seed", 0, "of what is left to chance; 0: a new one")
	f.StringVar(&p.Dir, "dir", "", "new folder for topics, states and logs; empty: a temporary one")
	f.BoolVar(&p.Keep, "keep", false, "keep the folder even if all is well")
	f.StringVar(&p.Root, "root", "", "checkout with scripts/ and cmd/; empty: the one this is run in")
	f.StringVar(&p.Bin, "bin", "", "folder with our commands; empty: they are built")
	f.IntVar(&p.Port, "port", 0, "first of 100 ports, below 32768; 0: free ones")
	f.IntVar(&p.Brokers, "brokers-count", 1, "brokers: 1 or 3")
}

// Complete checks what was said and fills in what was not. The name is that of a temporary folder.
func (p *Place) Complete(name string) (err error) {
	if p.flags.NArg() > 0 {
		return fmt.Errorf("what is %q? only flags are taken", p.flags.Arg(0))
	}
	for p.Seed == 0 {
		p.Seed = uint64(rand.Uint32())
	}
	if p.Brokers != 1 && p.Brokers != 3 {
		return fmt.Errorf("-brokers-count %d: 1 or 3", p.Brokers)
	}
	if p.Root == "" {
		if p.Root, err = checkout(); err != nil {
			return err
		}
	}
	if p.Dir == "" {
		p.Dir, err = os.MkdirTemp("", name)
		return err
	}
	if p.Dir, err = filepath.Abs(p.Dir); err != nil {
		return err
	}
	return os.MkdirAll(p.Dir, 0o755)
}

// checkout finds the one that we are in.
func checkout() (string, error) {
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for root := wd; ; root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, "scripts", "kafka.sh")); err == nil {
			return root, nil
		}
		if root == filepath.Dir(root) {
			return "", fmt.Errorf("find scripts/kafka.sh above %s: it is not there; run this in the checkout, or give -root", wd)
		}
	}
}

// Build makes some of our commands as they are now, unless they are there: a run lasts, and others may go on writing.
func (p *Place) Build(ctx context.Context, commands ...string) error {
	if p.Bin != "" {
		return nil
	}
	p.Bin = filepath.Join(p.Dir, "bin")
	args := []string{"build", "-o", p.Bin + string(filepath.Separator)}
	for _, name := range commands {
		args = append(args, "januscdr/cmd/"+name)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = p.Root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the commands: %w: %s", err, out)
	}
	return nil
}

// Kafka is the one of this place, not yet started.
func (p *Place) Kafka() (*Kafka, error) {
	if p.Port == 0 {
		var err error
		if p.Port, err = freePorts(); err != nil {
			return nil, err
		}
	}
	return &Kafka{Root: p.Root, Dir: filepath.Join(p.Dir, "kafka"), Size: p.Brokers, Port: p.Port}, nil
}

// Service is one of our commands with a folder of its own in this place, which holds its log and state, and with the
// n-th port for its health. Command is its name and arguments.
func (p *Place) Service(name string, n int, command ...string) (*Service, error) {
	dir := filepath.Join(p.Dir, name)
	command[0] = filepath.Join(p.Bin, command[0])
	return &Service{Name: name, Args: command, Log: filepath.Join(dir, "log"), State: filepath.Join(dir, "state"),
		Admin: fmt.Sprintf("127.0.0.1:%d", p.Port+60+n)}, os.MkdirAll(dir, 0o755)
}
