package auth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"satchel/api"
	"satchel/storage/postgres"
)

// An access key has the form that S3 clients expect: twenty capital letters and
// digits, and a secret of forty characters.
const (
	accessKeyBytes = 10
	secretKeyBytes = 30
)

// AddAccessKey makes a pair for an S3 client of the user's. The secret is in
// the answer, this once.
func (a *Auth) AddAccessKey(ctx context.Context, id Identity, name string) (api.AccessKey, error) {
	return a.addAccessKey(ctx, id.User, postgres.Proof{Session: id.Session}, name)
}

// FirstAccessKey is AddAccessKey for an account that was just made.
func (a *Auth) FirstAccessKey(ctx context.Context, account postgres.Account, name string) (api.AccessKey, error) {
	return a.addAccessKey(ctx, account.ID, postgres.Proof{PasswordHash: account.PasswordHash}, name)
}

func (a *Auth) addAccessKey(ctx context.Context, user api.ID, by postgres.Proof, name string) (k api.AccessKey, err error) {
	err = a.db.As(ctx, user, func(ctx context.Context, tx *postgres.Tx) error {
		k, err = a.newAccessKey(ctx, tx, by, name)
		return err
	})
	return k, err
}

func (a *Auth) newAccessKey(ctx context.Context, tx *postgres.Tx, by postgres.Proof, name string) (api.AccessKey, error) {
	var b [accessKeyBytes]byte
	rand.Read(b[:])
	k := api.AccessKey{Key: "SATC" + appLetters.EncodeToString(b[:]), Name: deviceName(name), Secret: newSecretKey()}
	// The session's own secret is nobody's: signatures prove this one.
	session := postgres.NewSession{ID: api.NewID(), Kind: postgres.KeySession, Name: k.Name, Secret: hashSecret(newSecret())}
	if err := tx.AddSession(ctx, session, by); err != nil {
		return k, err
	}
	if err := tx.AddAccessKey(ctx, k.Key, session.ID, a.keys.sealing.seal([]byte(k.Secret), accessKeyPurpose(k.Key))); err != nil {
		return k, err
	}
	all, err := tx.AccessKeys(ctx)
	for _, other := range all {
		if other.Key == k.Key {
			k.Created, k.Rotated, k.Seen = other.Created, other.Rotated, other.Seen
		}
	}
	return k, err
}

func newSecretKey() string {
	var b [secretKeyBytes]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// accessKeyPurpose binds a sealed secret to its key, so that rows can't be swapped.
func accessKeyPurpose(key string) string { return "satchel access key " + key }

// AccessKeys lists the user's access keys, without their secrets.
func (a *Auth) AccessKeys(ctx context.Context, id Identity) (keys []api.AccessKey, err error) {
	err = a.db.AsReadOnly(ctx, id.User, func(ctx context.Context, tx *postgres.Tx) error {
		keys, err = tx.AccessKeys(ctx)
		return err
	})
	return keys, err
}

// RotateAccessKey replaces the secret of one of the user's keys at once; the
// new one is in the answer, this once. Another key is [api.NotFound].
func (a *Auth) RotateAccessKey(ctx context.Context, id Identity, key string) (k api.AccessKey, err error) {
	if err := checkKey(key); err != nil {
		return k, err
	}
	err = a.db.As(ctx, id.User, func(ctx context.Context, tx *postgres.Tx) error {
		secret := newSecretKey()
		if err := tx.RotateAccessKey(ctx, key, a.keys.sealing.seal([]byte(secret), accessKeyPurpose(key))); err != nil {
			return err
		}
		all, err := tx.AccessKeys(ctx)
		for _, other := range all {
			if other.Key == key {
				k = other
				k.Secret = secret
			}
		}
		return err
	})
	return k, err
}

// RevokeAccessKey ends one of the user's keys. Another is [api.NotFound].
func (a *Auth) RevokeAccessKey(ctx context.Context, id Identity, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	return a.db.As(ctx, id.User, func(ctx context.Context, tx *postgres.Tx) error {
		return tx.RevokeAccessKey(ctx, key)
	})
}

// checkKey says of what can't be a key, since the database takes only text, that there is none.
func checkKey(key string) error {
	if !utf8.ValidString(key) || strings.ContainsRune(key, 0) {
		return api.Errorf(api.NotFound, "there is no such access key")
	}
	return nil
}

// ByAccessKey is whose an access key is, and the secret with which to check
// that it signed. A key that has ended, or whose secret is sealed under another
// key file, is [api.Unauthenticated].
func (a *Auth) ByAccessKey(ctx context.Context, key string) (id Identity, secret string, err error) {
	s, sealed, err := a.db.AccessKey(ctx, key)
	if err != nil {
		return Identity{}, "", err
	}
	b, err := a.keys.sealing.open(sealed, accessKeyPurpose(key))
	if err != nil {
		a.log.Warn("an access key's secret is sealed under another key file: its user must rotate it", "key", key)
		return Identity{}, "", api.Errorf(api.Unauthenticated, "this access key can't be checked any more: rotate it")
	}
	return identity(s), string(b), nil
}
