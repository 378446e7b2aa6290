package auth

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"satchel/api"
	"satchel/storage/postgres"
)

// keyAge is how long a key signs before the next one replaces it.
const keyAge = 90 * 24 * time.Hour

// keyReload is how soon a server knows what became of the keys.
const keyReload = time.Minute

// reloadPause bounds how often a token with an unknown key makes us look for
// the key in the database.
const reloadPause = 5 * time.Second

// Keyring holds the keys that sign and verify tokens. It is safe for concurrent use.
type Keyring struct {
	db      *postgres.DB
	sealing SealingKey
	log     *slog.Logger

	mu      sync.RWMutex
	keys    map[string]signingKey
	signing string // the id of the newest key
	loaded  time.Time

	looking sync.Mutex // held by the one who looks for an unknown key
}

type signingKey struct {
	private ed25519.PrivateKey
	retired time.Time // zero = still signing
}

// refresh reads the keys, after adding a new one if the newest is too old or
// can't be opened. The latter only when the server starts and no other runs: with
// two key files, servers would retire each other's keys for ever.
func (k *Keyring) refresh(ctx context.Context) error {
	for try := range 2 {
		keys, newest, sealed, err := k.load(ctx)
		if err == nil && newest == nil && sealed {
			err = k.alone(ctx)
		}
		if err != nil {
			return err
		}
		if newest != nil && time.Since(newest.Created) < keyAge || try > 0 && newest != nil {
			k.mu.Lock()
			k.keys, k.signing, k.loaded = keys, newest.ID, time.Now()
			k.mu.Unlock()
			return nil
		}
		maxAge := keyAge
		if newest == nil {
			maxAge = 0 // those that are there are sealed under another key
		}
		if err := k.add(ctx, maxAge); err != nil {
			return err
		}
	}
	return fmt.Errorf("the signing key that was just made is not in the database")
}

// alone is an error if another server uses keys that this one can't open.
func (k *Keyring) alone(ctx context.Context) (err error) {
	k.mu.RLock()
	others := k.signing != "" // it had a key of its own, which another one has replaced
	k.mu.RUnlock()
	if !others {
		others, err = k.db.Served(ctx)
	}
	if err == nil && others {
		err = api.Errorf(api.Invalid, "the signing keys in the database are sealed under another key file, and another server uses them: give all servers of a database the same one (--key-file)")
	}
	return err
}

// load opens the keys in the database. newest is the newest that signs, nil if
// there is none; sealed tells that there are such that can't be opened.
func (k *Keyring) load(ctx context.Context) (keys map[string]signingKey, newest *postgres.SigningKey, sealed bool, err error) {
	stored, err := k.db.SigningKeys(ctx)
	if err != nil {
		return nil, nil, false, fmt.Errorf("read the signing keys: %w", err)
	}
	keys = make(map[string]signingKey, len(stored))
	for i, s := range stored {
		signs := s.Retired.Year() <= 1
		seed, err := k.sealing.open(s.Sealed, keyPurpose(s.ID))
		if err != nil || len(seed) != ed25519.SeedSize {
			k.log.Warn("a signing key was sealed under another key file; its tokens are refused", "kid", s.ID)
			sealed = sealed || signs
			continue
		}
		if signs {
			s.Retired = time.Time{}
			if newest == nil {
				newest = &stored[i]
			}
		}
		keys[s.ID] = signingKey{private: ed25519.NewKeyFromSeed(seed), retired: s.Retired}
	}
	return keys, newest, sealed, nil
}

func (k *Keyring) add(ctx context.Context, maxAge time.Duration) error {
	id, sealed, err := newSigningKey(k.sealing)
	if err != nil {
		return err
	}
	if err := k.db.AddSigningKey(ctx, id, sealed, maxAge); err != nil {
		return fmt.Errorf("store a signing key: %w", err)
	}
	return nil
}

// keyPurpose binds a sealed key to its id, so that rows can't be swapped.
func keyPurpose(id string) string { return "satchel signing key " + id }

// signer is the key that signs now.
func (k *Keyring) signer() (id string, key ed25519.PrivateKey) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.signing, k.keys[k.signing].private
}

// verifier is the public key of an id, nil if there is none. Another server
// may just have made it, so an unknown one is looked for in the database, but
// not more often than every reloadPause.
func (k *Keyring) verifier(ctx context.Context, id string) ed25519.PublicKey {
	k.mu.RLock()
	key, ok := k.keys[id]
	stale := time.Since(k.loaded) > reloadPause
	k.mu.RUnlock()
	if !ok && stale && k.db != nil {
		k.look(ctx)
		k.mu.RLock()
		key, ok = k.keys[id]
		k.mu.RUnlock()
	}
	if !ok || !key.retired.IsZero() && time.Now().After(key.retired) {
		return nil
	}
	return key.private.Public().(ed25519.PublicKey)
}

// look reads the keys for all who found one unknown at this moment.
func (k *Keyring) look(ctx context.Context) {
	k.looking.Lock()
	defer k.looking.Unlock()
	k.mu.RLock()
	stale := time.Since(k.loaded) > reloadPause
	k.mu.RUnlock()
	if !stale {
		return
	}
	if err := k.refresh(ctx); err != nil {
		k.log.Error("signing keys were not read", "err", err)
		k.mu.Lock()
		k.loaded = time.Now() // a database in trouble is not asked for each forged token
		k.mu.Unlock()
	}
}
