package main

import (
	"strings"
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
		shown := make([]banShown, len(bans))
		for i, b := range bans {
			shown[i] = banShown{b.Network.String(), b.Created, b.Until, b.Reason}
		}
		return list(p, shown, "NETWORK\tSINCE\tUNTIL\tREASON", banShown.row)
	})
}

// banShown is a ban as it is printed.
type banShown struct {
	Network string    `json:"network"`
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until"`
	Reason  string    `json:"reason"`
}

func (b banShown) row() string {
	return strings.Join([]string{b.Network, b.Since.Format(time.RFC3339), b.Until.Format(time.RFC3339), b.Reason}, "\t")
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
		return p.answer(map[string]string{"lifted": network.String()}, "lifted %s", network)
	})
}
