package auth

import (
	"context"
	"crypto/rand"
	"net/netip"
	"strings"
	"time"

	"satchel/api"
	"satchel/storage/postgres"
)

// A device that has no browser of its own logs in as in RFC 8628: it shows a
// code, somebody who is signed in on a page confirms it, and meanwhile it asks
// again and again whether that has happened.
const (
	deviceCodeTTL   = 10 * time.Minute
	devicePause     = 3 * time.Second        // between two questions of a device; it is told to wait longer
	userCodeLetters = "BCDFGHJKLMNPQRSTVWXZ" // RFC 8628 section 6.1: no vowels, so no words
	userCodeLength  = 8                      // 34 bits, against which guesses are limited
)

// BeginDevice notes that a device wants to log in. Too many of one network are
// [api.RateLimited].
func (a *Auth) BeginDevice(ctx context.Context, from netip.Addr, device string) (api.DeviceCode, error) {
	if err := a.devices.Take(api.ID{}, from); err != nil {
		return api.DeviceCode{}, err
	}
	c := api.DeviceCode{Secret: newSecret(), Expires: int(deviceCodeTTL.Seconds()), Interval: int(devicePause.Seconds()) + 1}
	for {
		shown := newUserCode()
		begun, err := a.db.BeginDevice(ctx, hashSecret(c.Secret), shown, deviceName(device), from.Unmap().String(), deviceCodeTTL)
		if err != nil {
			return api.DeviceCode{}, err
		}
		if begun {
			c.UserCode = shown[:userCodeLength/2] + "-" + shown[userCodeLength/2:]
			return c, nil
		}
	}
}

func newUserCode() string {
	code := make([]byte, userCodeLength)
	for i := range code {
		for { // each letter equally often
			rand.Read(code[i : i+1])
			if n := 256 / len(userCodeLetters) * len(userCodeLetters); int(code[i]) < n {
				code[i] = userCodeLetters[int(code[i])%len(userCodeLetters)]
				break
			}
		}
	}
	return string(code)
}

// cleanUserCode is a code as it is kept, however a person writes it.
func cleanUserCode(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(userCodeLetters, r) {
			return r
		}
		return -1
	}, strings.ToUpper(s[:min(len(s), 64)]))
}

// WaitingDevice is the device that shows a code, for the identity to decide
// about. A wrong code is [api.NotFound], too many are [api.RateLimited].
func (a *Auth) WaitingDevice(ctx context.Context, from netip.Addr, id Identity, code string) (d postgres.WaitingDevice, err error) {
	if err := a.confirmations.Take(id.User, from); err != nil {
		return d, err
	}
	err = a.db.AsReadOnly(ctx, id.User, func(ctx context.Context, tx *postgres.Tx) error {
		d, err = tx.WaitingDevice(ctx, cleanUserCode(code))
		return err
	})
	return d, err
}

// AnswerDevice lets the device that shows a code log in as the identity, or
// never. The errors are those of WaitingDevice. An app's password may not.
func (a *Auth) AnswerDevice(ctx context.Context, from netip.Addr, id Identity, code string, allow bool) error {
	if id.Kind == postgres.AppSession {
		return api.Errorf(api.Permission, "an app password can't log devices in")
	}
	if err := a.confirmations.Take(id.User, from); err != nil {
		return err
	}
	return a.db.As(ctx, id.User, func(ctx context.Context, tx *postgres.Tx) error {
		return tx.AnswerDevice(ctx, cleanUserCode(code), allow, id.Session)
	})
}

// PollDevice is what became of a device's wish, by the secret that it got.
// When it is allowed it is a device of the account from then on.
func (a *Auth) PollDevice(ctx context.Context, secret string) (api.DeviceAnswer, error) {
	state, device, account, err := a.db.PollDevice(ctx, hashSecret(secret), devicePause)
	if err != nil || state != api.DeviceAllowed {
		return api.DeviceAnswer{State: state}, err
	}
	cred, err := a.newDevice(ctx, account, device)
	if api.KindOf(err) == api.Unauthenticated { // the account's sessions have ended meanwhile, as its codes have
		return api.DeviceAnswer{State: api.DeviceExpired}, nil
	}
	return api.DeviceAnswer{State: state, Credentials: &cred}, err
}
