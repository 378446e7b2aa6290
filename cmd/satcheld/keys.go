package main

import (
	"fmt"
	"text/tabwriter"
	"time"

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
		w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "KID\tCREATED\tSTATE")
		for _, k := range keys {
			state := "signs"
			if k.Retired.Year() > 1 {
				state = "verifies until " + k.Retired.Format(time.RFC3339)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\n", k.ID, k.Created.Format(time.RFC3339), state)
		}
		return w.Flush()
	})
}

type keysRotateCmd struct {
	Now bool `help:"Refuse the old keys' tokens at once, as after a leak: people log in again."`
}

// Run replaces the signing key.
func (cmd *keysRotateCmd) Run(p *program) error {
	sealing, err := p.sealingKey()
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
		fmt.Fprintf(p.stdout, "%s signs from now on; running servers know within a minute\n", kid)
		return nil
	})
}
