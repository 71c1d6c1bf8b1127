//go:build !synctests

package cdr

const (
	maxDecoded        = 4096    // sessions of a partition that are decoded
	maxDecodedHandles = 4096    // and handles
	maxKept           = 8 << 20 // bytes of states in memory beyond which those that are in the store, too, are let go
)
