package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"satchel/api/admin"
	"satchel/storage/postgres"
)

type bansCmd struct {
	List bansListCmd `cmd:"" default:"1" help:"List the networks whose requests are refused."`
	Lift bansLiftCmd `cmd:"" help:"End a ban; running servers notice within seconds."`
}

type bansListCmd struct{}

// Run prints the bans.
func (cmd *bansListCmd) Run(p *program) error {
	return p.operate(func(o *postgres.Operator) error {
		bans, err := o.Bans(p.ctx)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NETWORK\tSINCE\tUNTIL\tREASON")
		for _, b := range bans {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", b.Network, b.Created.Format(time.RFC3339), b.Until.Format(time.RFC3339), b.Reason)
		}
		return w.Flush()
	})
}

type bansLiftCmd struct {
	Address string `arg:"" placeholder:"ADDR" help:"An address or a network, such as 192.0.2.1 or 2001:db8::/64."`
}

// Run ends the bans that concern the address.
func (cmd *bansLiftCmd) Run(p *program) error {
	network, err := admin.ParseNetwork(cmd.Address)
	if err != nil {
		return usageError{err.Error()}
	}
	return p.operate(func(o *postgres.Operator) error {
		if err := o.LiftBans(p.ctx, network); err != nil {
			return err
		}
		fmt.Fprintf(p.stdout, "lifted %s\n", network)
		return nil
	})
}
