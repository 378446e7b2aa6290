package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/zalando/go-keyring"
)

// The system's keyring (the desktop's secret service, on D-Bus) keeps the
// secrets of logins apart from the files that backups copy. A session without one has
// files that only their owner reads.
const (
	keyringService = "satchel"
	// keyringPatience is how long somebody may take to unlock it.
	keyringPatience = 2 * time.Minute
)

// name is the login's in the keyring: a device's id, which no other has.
func (l login) name() string { return l.Email + " " + l.Device.String() }

// patientKeyring asks the keyring, which may ask a person.
func patientKeyring[T any](ask func() (T, error)) (T, error) {
	type answer struct {
		v   T
		err error
	}
	if !hasSessionBus() {
		var none T
		return none, errors.New("this session has none")
	}
	got := make(chan answer, 1)
	go func() {
		v, err := ask()
		got <- answer{v, err}
	}()
	select {
	case a := <-got:
		return a.v, a.err
	case <-time.After(keyringPatience):
		var none T
		return none, errors.New("it does not answer")
	}
}

// writeKeyring tells whether the keyring has the login's secret now.
func writeKeyring(l login) bool {
	_, err := patientKeyring(func() (struct{}, error) { return struct{}{}, keyring.Set(keyringService, l.name(), l.Secret) })
	return err == nil
}

// readKeyring is the secret of a profile's login.
func (sh *shell) readKeyring(l login) (string, error) {
	secret, err := patientKeyring(func() (string, error) { return keyring.Get(keyringService, l.name()) })
	if err != nil {
		return "", fmt.Errorf("the system's keyring does not give the login's secret: %w\nunlock it and try again, or log in again without it: %s --keyring off", err, sh.command("login", l.Server))
	}
	return secret, nil
}

// forgetKeyring removes what has no worth any more; that it stays is no failure.
func forgetKeyring(l login) {
	_, _ = patientKeyring(func() (struct{}, error) { return struct{}{}, keyring.Delete(keyringService, l.name()) })
}
