package spool

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Key is a key of AES-256. Its bytes must be random: no password.
type Key [32]byte

// KeyID names a key in headers and messages; the key cannot be told from it. The zero id stands for no encryption.
type KeyID [8]byte

func (id KeyID) String() string { return hex.EncodeToString(id[:]) }

// ID is the first 8 bytes of a hash of the key.
func (k Key) ID() KeyID {
	sum := sha256.Sum256(append([]byte("spool key id\x00"), k[:]...))
	return KeyID(sum[:8])
}

const wantedKey = "32 bytes in hexadecimal or base64 are wanted, as of `openssl rand -hex 32`"

// ParseKeys reads a file of keys: one a line, 32 bytes in hexadecimal or base64; the first writes, the others are for
// what was written with them before. Empty lines and those that begin with # do not count. No key at all is an error.
// The error tells the line, and nothing of what stands there.
func ParseKeys(text []byte) ([]Key, error) {
	var keys []Key
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		b, err := hex.DecodeString(line)
		if err != nil {
			b, err = base64.StdEncoding.DecodeString(line)
		}
		if err != nil || len(b) != len(Key{}) {
			return nil, fmt.Errorf("line %d is no key: %s", i+1, wantedKey)
		}
		keys = append(keys, Key(b))
	}
	if len(keys) == 0 {
		return nil, errors.New("no key in it: " + wantedKey)
	}
	return keys, nil
}

// sealer is the cipher of one segment. HKDF makes its key out of the key given and the segment's salt, so that the
// numbers of records can be nonces: they never come twice in a segment.
func (k Key) sealer(s salt) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, k[:], s[:], "spool segment", len(Key{}))
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	return cipher.NewGCM(block)
}
