package ingest

import (
	"errors"
	"fmt"
	"syscall"
)

// listenError says why a port could not be opened, and what to do.
func listenError(address string, err error) error {
	why := "write the address as host:port, with --ingest-listen"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		why = "another process listens there: stop it, or choose another address with --ingest-listen"
	case errors.Is(err, syscall.EACCES):
		why = "this port needs more rights than we have: choose one above 1023 with --ingest-listen"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		why = "this machine has no such address: choose one of its own, or :port for all, with --ingest-listen"
	}
	return fmt.Errorf("listen for events on %s: %s: %w", address, why, err)
}
