package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"satchel/api"
	"satchel/storage/postgres"
)

// Overlap is how long a replaced key's tokens are good: longer than any token
// lives, and than a running server takes to learn of the new key.
const Overlap = 2 * time.Hour

// Rotate makes a new signing key, sealed, and retires the others after the
// overlap; 0 ends all tokens, as after a leak (devices buy new ones by
// themselves, people log in again). The result is the new key's id. Running servers learn of it
// within keyReload. A sealing key that opens none of those that are there is another one than the
// servers': [api.Invalid].
func Rotate(ctx context.Context, o *postgres.Operator, sealing SealingKey, overlap time.Duration) (kid string, err error) {
	keys, err := o.SigningKeys(ctx)
	if err != nil {
		return "", err
	}
	opens := func(k postgres.SigningKey) bool {
		_, err := sealing.open(k.Sealed, keyPurpose(k.ID))
		return err == nil
	}
	if len(keys) > 0 && !slices.ContainsFunc(keys, opens) {
		return "", api.Errorf(api.Invalid, "the key file opens none of the signing keys in the database: it is not the servers', who could not use a key that is sealed under it")
	}
	kid, sealed, err := newSigningKey(sealing)
	if err != nil {
		return "", err
	}
	return kid, o.ReplaceSigningKey(ctx, kid, sealed, overlap)
}

func newSigningKey(sealing SealingKey) (id string, sealed []byte, err error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", nil, fmt.Errorf("make a signing key: %w", err)
	}
	var b [8]byte
	rand.Read(b[:])
	id = hex.EncodeToString(b[:])
	return id, sealing.seal(private.Seed(), keyPurpose(id)), nil
}
