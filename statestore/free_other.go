//go:build !linux && !darwin

package statestore

import "math"

// freeBytes cannot be told here.
func freeBytes(string) (uint64, error) { return math.MaxUint64 / 4, nil }
