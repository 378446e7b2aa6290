package main

import (
	"fmt"
	"strings"
	"time"

	"satchel/api"
	"satchel/cmd/internal/cli"
)

type devicesCmd struct {
	List   devicesListCmd   `cmd:"" default:"1" help:"List the account's devices."`
	Revoke devicesRevokeCmd `cmd:"" help:"End a device's login."`
}

type devicesListCmd struct{}

func (cmd *devicesListCmd) Run(sh *shell) error {
	c, _, err := sh.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	devices, err := c.Devices(sh.ctx)
	if err != nil {
		return err
	}
	return list(sh, devices, "NAME\tID\tLOGGED IN\tLAST SEEN\t", func(d api.Device) string {
		note := ""
		if d.Current {
			note = "this device"
		}
		return strings.Join([]string{cli.Printable(d.Name), d.ID.String(), stamp(d.Created), stamp(d.Seen), note}, "\t")
	})
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04")
}

// everSeen is stamp of when something was last used.
func everSeen(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return stamp(t)
}

type devicesRevokeCmd struct {
	Name string `arg:"" help:"The device's name or id." complete:"device"`
	Yes  bool   `help:"Do not ask when it is this machine's own login; needed where there is no terminal."`
}

func (cmd *devicesRevokeCmd) Run(sh *shell) error {
	c, l, err := sh.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	devices, err := c.Devices(sh.ctx)
	if err != nil {
		return err
	}
	is := func(d api.Device) bool { return d.Name == cmd.Name || d.ID.String() == cmd.Name }
	found, err := one(devices, is, "device", cmd.Name, sh.command("devices"))
	if err != nil {
		return err
	}
	if found.Current {
		fmt.Fprintf(sh.stderr, "%s is this machine's own login: it can neither read nor send any more without it\n", quoted(found.Name))
		if err := sh.confirm(cmd.Yes, "end it?"); err != nil {
			return err
		}
	}
	if err := c.RevokeDevice(sh.ctx, found.ID); err != nil {
		return err
	}
	if found.Current {
		return sh.answer(map[string]string{"revoked": found.ID.String()}, "revoked %q: this machine is logged out\nlog in again with: %s", cmd.Name, sh.command("login", l.Server))
	}
	return sh.answer(map[string]string{"revoked": found.ID.String()}, "revoked %q", cmd.Name)
}
