package main

import "fmt"

type whoamiCmd struct{}

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
	fmt.Fprintf(sh.stdout, "email:  %s\n", who.Email)
	if who.Name != "" {
		fmt.Fprintf(sh.stdout, "name:   %s\n", who.Name)
	}
	fmt.Fprintf(sh.stdout, "role:   %s\nuser:   %s\nserver: %s\ndevice: %s\n", who.Role, who.User, l.Server, l.DeviceName)
	return nil
}
