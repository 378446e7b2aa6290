package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"satchel/api"
)

// SealingKey seals the secrets that the database keeps (AES-256-GCM), so that
// who can read or write the database still can't forge a token. Servers that
// share a database must share it.
type SealingKey [32]byte

// LoadSealingKey is [ReadSealingKey] that makes the file if it is missing.
func LoadSealingKey(path string) (SealingKey, error) {
	key, err := ReadSealingKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	var fresh SealingKey
	rand.Read(fresh[:])
	if err := WriteSealingKey(path, fresh); err != nil && !errors.Is(err, fs.ErrExist) {
		return SealingKey{}, fmt.Errorf("make the key file: %w", err)
	}
	return ReadSealingKey(path)
}

// ReadSealingKey reads the key file. A missing one is fs.ErrNotExist; one that
// other users may read is refused ([api.Invalid]).
func ReadSealingKey(path string) (SealingKey, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return SealingKey{}, api.Errorf(api.Permission, "the key file can't be read: %w", err)
	}
	if err != nil {
		return SealingKey{}, fmt.Errorf("read the key file: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return SealingKey{}, fmt.Errorf("read the key file: %w", err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return SealingKey{}, api.Errorf(api.Invalid, "other users may read the key file %s: chmod 600 it", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return SealingKey{}, fmt.Errorf("read the key file: %w", err)
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(b) != len(SealingKey{}) {
		return SealingKey{}, api.Errorf(api.Invalid, "the key file %s does not hold 64 hexadecimal digits", path)
	}
	return SealingKey(b), nil
}

// WriteSealingKey makes the key file so that it is there whole or not at all,
// after a power loss too; of two processes the first wins (fs.ErrExist).
func WriteSealingKey(path string, key SealingKey) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".key-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = fmt.Fprintf(f, "%x\n", key[:])
	if st, statErr := os.Stat(dir); statErr == nil && os.Getuid() == 0 {
		// Made by root in an ordinary user's directory, it is that user's.
		sys := st.Sys().(*syscall.Stat_t)
		err = errors.Join(err, f.Chown(int(sys.Uid), int(sys.Gid)))
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (k SealingKey) aead() cipher.AEAD {
	block, err := aes.NewCipher(k[:])
	if err != nil {
		panic(err) // the key has the right size
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // AES has the right block size
	}
	return aead
}

// seal encrypts a secret for a purpose, with which alone it can be opened.
func (k SealingKey) seal(secret []byte, purpose string) []byte {
	return k.aead().Seal(nil, nil, secret, []byte(purpose))
}

func (k SealingKey) open(sealed []byte, purpose string) ([]byte, error) {
	return k.aead().Open(nil, nil, sealed, []byte(purpose))
}
