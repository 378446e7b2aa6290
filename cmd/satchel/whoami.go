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
}

func (cmd *whoamiCmd) Run(sh *shell) error {
	c, l, err := sh.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	who, err := c.Whoami(sh.ctx)
	if err != nil {
		return err
	}
	if sh.json {
		return sh.printJSON(me{who.Email, who.Name, who.Role, who.User, l.Server, who.Device, l.DeviceName})
	}
	fmt.Fprintf(sh.stdout, "email:  %s\n", who.Email)
	if who.Name != "" {
		fmt.Fprintf(sh.stdout, "name:   %s\n", who.Name)
	}
	fmt.Fprintf(sh.stdout, "role:   %s\nuser:   %s\nserver: %s\ndevice: %s\n", who.Role, who.User, l.Server, l.DeviceName)
	return nil
}
