package janustest

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// inside is set in the environment of the test that runs in the namespace.
const inside = "JANUSTEST_INSIDE"

// lack says what this machine does not have or allow, for the test to be skipped with it.
var lack string

// Janus does not use loopback interfaces, so each side of a call has one end of a cable.
const (
	janusInterface, janusAddress   = "v0", "198.51.100.10"
	callerInterface, callerAddress = "v1", "203.0.113.1"
)

// TestMain runs the tests again in a network namespace of its own.
func TestMain(m *testing.M) {
	if os.Getenv(inside) != "" {
		if err := makeNetwork(); err != nil {
			fmt.Fprintln(os.Stderr, "make the test's network:", err)
			os.Exit(1)
		}
		// A story waits more than it computes, so all can be told at once.
		flag.Parse()
		if err := flag.Set("test.parallel", "8"); err != nil {
			fmt.Fprintln(os.Stderr, "tell stories at once:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	for tool, install := range map[string]string{"janus": "janus", "ip": "iproute2"} {
		if _, err := exec.LookPath(tool); err != nil {
			lack = fmt.Sprintf("needs %s: apt-get install %s", tool, install)
			os.Exit(m.Run())
		}
	}
	code, err := again()
	switch {
	case errors.Is(err, syscall.EPERM):
		lack = "needs a network namespace: be root, or allow unprivileged user namespaces"
		code = m.Run()
	case err != nil:
		fmt.Fprintln(os.Stderr, "run the test in a network namespace:", err)
		code = 1
	}
	os.Exit(code)
}

func again() (int, error) {
	// The namespace ends with its processes, and they with the thread that started them, which must therefore stay.
	runtime.LockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	signals := make(chan os.Signal, 1) // as when the test takes too long: it should say where it hangs
	signal.Notify(signals, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGINT)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s)
		}
	}()
	err := cmd.Wait()
	if exit := new(exec.ExitError); errors.As(err, &exit) && exit.ExitCode() > 0 {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// makeNetwork lays the cable between Janus and the callers.
func makeNetwork() error {
	for _, line := range []string{
		"link set lo up",
		"link add " + janusInterface + " type veth peer name " + callerInterface,
		"address add " + janusAddress + "/32 dev " + janusInterface,
		"address add " + callerAddress + "/32 dev " + callerInterface,
		"link set " + janusInterface + " up",
		"link set " + callerInterface + " up",
	} {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", line, err, out)
		}
	}
	// Both ends are in one namespace: what comes over the cable has an address of our own as its sender.
	for _, name := range []string{"all", janusInterface, callerInterface} {
		for setting, value := range map[string]string{"accept_local": "1", "rp_filter": "0"} {
			if err := os.WriteFile("/proc/sys/net/ipv4/conf/"+name+"/"+setting, []byte(value), 0); err != nil {
				return err
			}
		}
	}
	return nil
}
