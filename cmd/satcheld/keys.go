package main

import (
	"errors"
	"io/fs"
	"strings"
	"time"

	"satchel/api"
	"satchel/api/auth"
	"satchel/storage/postgres"
)

type keysCmd struct {
	List   keysListCmd   `cmd:"" help:"List the keys that verify tokens."`
	Rotate keysRotateCmd `cmd:"" help:"Sign with a new key from now on. (Every 90 days the server does it by itself.)"`
}

type keysListCmd struct{}

// Run prints the keys, the newest first.
func (cmd *keysListCmd) Run(p *program) error {
	return p.operate(func(o *postgres.Operator) error {
		keys, err := o.SigningKeys(p.ctx)
		if err != nil {
			return err
		}
		shown := make([]keyShown, len(keys))
		for i, k := range keys {
			shown[i] = keyShown{k.ID, k.Created, k.Retired}
		}
		return list(p, shown, "KID\tCREATED\tSTATE", keyShown.row)
	})
}

// keyShown is a signing key as it is printed.
type keyShown struct {
	ID      string    `json:"kid"`
	Created time.Time `json:"created"`
	Retired time.Time `json:"retired,omitzero"` // its tokens are refused from then on; zero: it signs
}

func (k keyShown) row() string {
	state := "signs"
	if k.Retired.Year() > 1 {
		state = "verifies until " + k.Retired.Format(time.RFC3339)
	}
	return strings.Join([]string{k.ID, k.Created.Format(time.RFC3339), state}, "\t")
}

type keysRotateCmd struct {
	Now bool `help:"Refuse the old keys' tokens at once, as after a leak: people log in again."`
}

// Run replaces the signing key.
func (cmd *keysRotateCmd) Run(p *program) error {
	sealing, err := auth.ReadSealingKey(p.keyPath()) // one that is made here would be no server's
	if errors.Is(err, fs.ErrNotExist) {
		return api.Errorf(api.NotFound, "there is no key file %s: check --data, or --key-file", p.keyPath())
	}
	if err != nil {
		return err
	}
	overlap := auth.Overlap
	if cmd.Now {
		overlap = 0
	}
	return p.operate(func(o *postgres.Operator) error {
		kid, err := auth.Rotate(p.ctx, o, sealing, overlap)
		if err != nil {
			return err
		}
		return p.answer(keyShown{ID: kid, Created: time.Now()}, "%s signs from now on; running servers know within a minute", kid)
	})
}
