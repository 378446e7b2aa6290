package main

import "fmt"

type pinCmd struct {
	Path string `arg:"" help:"A file or folder of the drive, or below the folder where it is mounted."`
	Dir  string `help:"Which mounted folder, when there are several." placeholder:"DIR"`
}

func (cmd *pinCmd) Run(sh *shell) error {
	m, err := sh.running(cmd.Dir)
	if err != nil {
		return err
	}
	if _, err := m.ask(sh.ctx, controlRequest{Op: opPin, Path: sh.drivePath(cmd.Path)}, nil); err != nil {
		return err
	}
	fmt.Fprintf(sh.stdout, "%s stays on this machine; all of it is here\n", printable(cmd.Path))
	return nil
}

type unpinCmd struct {
	Path string `arg:"" help:"What was pinned."`
	Dir  string `help:"Which mounted folder, when there are several." placeholder:"DIR"`
}

func (cmd *unpinCmd) Run(sh *shell) error {
	m, err := sh.running(cmd.Dir)
	if err != nil {
		return err
	}
	_, err = m.ask(sh.ctx, controlRequest{Op: opUnpin, Path: sh.drivePath(cmd.Path)}, nil)
	return err
}
