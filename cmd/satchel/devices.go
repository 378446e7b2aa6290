package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"satchel/api"
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
	w := tabwriter.NewWriter(sh.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tID\tLOGGED IN\tLAST SEEN\t")
	for _, d := range devices {
		note := ""
		if d.Current {
			note = "this device"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", printable(d.Name), d.ID, stamp(d.Created), stamp(d.Seen), note)
	}
	return w.Flush()
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04")
}

type devicesRevokeCmd struct {
	Name string `arg:"" help:"The device's name or id."`
}

func (cmd *devicesRevokeCmd) Run(sh *shell) error {
	c, _, err := sh.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	devices, err := c.Devices(sh.ctx)
	if err != nil {
		return err
	}
	var found []api.Device
	for _, d := range devices {
		if d.Name == cmd.Name || d.ID.String() == cmd.Name {
			found = append(found, d)
		}
	}
	switch len(found) {
	case 0:
		return fmt.Errorf("there is no device %q; see: satchel devices", cmd.Name)
	case 1:
	default:
		return fmt.Errorf("%d devices are called %q: name one by its id; see: satchel devices", len(found), cmd.Name)
	}
	if err := c.RevokeDevice(sh.ctx, found[0].ID); err != nil {
		return err
	}
	fmt.Fprintf(sh.stdout, "revoked %q\n", cmd.Name)
	return nil
}
