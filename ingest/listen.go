package ingest

import (
	"errors"
	"fmt"
	"syscall"
)

// listenError says why a port could not be opened, and what to do.
func listenError(address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("listen for events on %s: another process listens there: stop it, or choose another address with --ingest-listen: %w", address, err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("listen for events on %s: this port needs more rights than we have: choose one above 1023 with --ingest-listen: %w", address, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("listen for events on %s: this machine has no such address: choose one of its own, or :port for all, with --ingest-listen: %w", address, err)
	}
	return fmt.Errorf("listen for events on %s: write the address as host:port, with --ingest-listen: %w", address, err)
}
