//go:build !synctests

package cdr

const (
	maxDecoded        = 16384   // sessions of a partition that are decoded, if no more are open
	maxDecodedHandles = 4096    // and handles, if no more are known
	fewDecoded        = 256     // of each else
	maxKept           = 8 << 20 // bytes of states in memory beyond which those that are in the store, too, are let go
	decodedInFold     = 65536   // of each in a Fold, whose states are in memory anyhow
)
