package main

import (
	"fmt"

	"satchel/api"
)

type whoamiCmd struct{}

// me is whoami's answer as JSON.
type me struct {
	Email      string `json:"email"`
	Name       string `json:"name"`
	Role       string `json:"role"`
	User       api.ID `json:"user"`
	Server     string `json:"server"`
	Device     api.ID `json:"device"`
	DeviceName string `json:"device_name"`
	Offline    bool   `json:"offline,omitempty"` // the server was not reached: this is what the login on this machine knows, which is no name
}

func (cmd *whoamiCmd) Run(sh *shell) error {
	c, l, err := sh.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	known := me{Email: l.Email, Role: l.Role, User: l.User, Server: l.Server, Device: l.Device, DeviceName: l.DeviceName}
	who, err := c.Whoami(sh.ctx)
	switch {
	case api.KindOf(err) == api.Unavailable:
		known.Offline = true
	case err != nil:
		return err
	default:
		known.Email, known.Name, known.Role, known.User, known.Device = who.Email, who.Name, who.Role, who.User, who.Device
	}
	if sh.json {
		return sh.printJSON(known)
	}
	fmt.Fprintf(sh.stdout, "email:  %s\n", known.Email)
	if known.Name != "" {
		fmt.Fprintf(sh.stdout, "name:   %s\n", known.Name)
	}
	fmt.Fprintf(sh.stdout, "role:   %s\nuser:   %s\nserver: %s\ndevice: %s\n", known.Role, known.User, known.Server, known.DeviceName)
	if known.Offline {
		fmt.Fprintf(sh.stderr, "note: %v\nthis is what the login on this machine says; whether it still holds only the server knows\n", err)
	}
	return nil
}
