package main

import (
	"errors"
	"fmt"
	"os"
)

type umountCmd struct {
	Dir string `arg:"" help:"The mounted folder."`
	Now bool   `help:"Do not wait for unsent changes: they are sent when the drive is mounted again."`
}

func (cmd *umountCmd) Run(sh *shell) error {
	dir, err := resolve(cmd.Dir)
	if err != nil {
		return err
	}
	m, ok := sh.places.runningAt(dir)
	if !ok {
		return cmd.withoutDaemon(sh, dir)
	}
	ended := m.watch()
	bar := newPendingBar(sh.stderr, "sending")
	last, err := m.ask(sh.ctx, controlRequest{Op: opUmount, Wait: !cmd.Now}, bar.show)
	bar.close()
	if errors.Is(err, errEnded) { // killed, it seems: its mount is still there
		ended()
		return cmd.withoutDaemon(sh, dir)
	}
	if err != nil {
		return err
	}
	ended() // its cache is free from then on
	if !last.quiet() {
		fmt.Fprintf(sh.stdout, "unmounted %s; %s: kept on this machine, sent when the drive is mounted again\n", cmd.Dir, last.pending())
	}
	return nil
}

// withoutDaemon takes away what a daemon left that died, or that this user
// knows nothing of.
func (cmd *umountCmd) withoutDaemon(sh *shell, dir string) error {
	kind, err := mountedType(dir)
	if err != nil {
		return err
	}
	if kind != fsType {
		if _, err := os.Lstat(dir); errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%s does not exist", cmd.Dir)
		}
		return fmt.Errorf("no drive is mounted at %s", cmd.Dir)
	}
	if dead(dir) {
		if err := detach(dir); err != nil {
			return fmt.Errorf("%s has a dead mount that cannot be taken away: %w", cmd.Dir, err)
		}
		fmt.Fprintf(sh.stdout, "unmounted %s; its daemon had died: unsent changes are kept, and sent when the drive is mounted again\n", cmd.Dir)
		return nil
	}
	if err := unmount(dir); err != nil {
		return fmt.Errorf("%s cannot be unmounted: %w", cmd.Dir, err)
	}
	return nil
}
