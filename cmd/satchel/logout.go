package main

import (
	"errors"
	"fmt"
	"os"

	"satchel/api"
)

type logoutCmd struct{}

func (cmd *logoutCmd) Run(sh *shell) error {
	c, l, err := sh.connect()
	if errors.Is(err, errNobody) {
		return api.Errorf(api.NotFound, "%w: there is no login to end", err)
	}
	if err != nil {
		return err
	}
	defer c.Close()
	if m, err := sh.running(""); err == nil {
		return api.Errorf(busy, "%s is mounted with this login\nunmount it first with: %s", m.Mountpoint, sh.command("umount", m.Mountpoint))
	}
	// One that has ended already is as good as ended now.
	if err := c.Logout(sh.ctx); err != nil && api.KindOf(err) != api.Unauthenticated {
		return fmt.Errorf("still logged in: %w", err)
	}
	if err := os.Remove(sh.places.credentials(sh.profile)); err != nil {
		return fmt.Errorf("logged out, but the login stays on disk: %w", err)
	}
	if l.Keyring {
		forgetKeyring(l)
	}
	if keeps := sh.keptHere(); keeps != "" {
		fmt.Fprintf(sh.stderr, "note: kept on this machine: %s\nlog in as %s again and mount the drive to go on with it\n", keeps, l.Email)
	}
	return sh.answer(map[string]string{"server": l.Server, "email": l.Email}, "logged out of %s", l.Server)
}
