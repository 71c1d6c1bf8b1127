//go:build synctests

package cdr

// So few that worlds of some sessions come to rest, and come back, all the time.
const (
	maxDecoded        = 2
	maxDecodedHandles = 3
	fewDecoded        = 2
	maxKept           = 4 << 10
	decodedInFold     = maxDecoded
)
