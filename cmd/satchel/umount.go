package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"satchel/api"
)

type umountCmd struct {
	Dir string `arg:"" help:"The mounted folder." complete:"mounted,dir"`
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
	if err := os.Chdir("/"); err != nil { // not to be who keeps it in use
		return err
	}
	sh.profile = m.Profile // whose commands the messages name
	ended := m.watch()
	bar := newProgress(sh.stderr, "sending", 0)
	last, err := m.ask(sh.ctx, controlRequest{Op: opUmount, Wait: !cmd.Now}, func(now report) { bar.remain(unsent(now)) })
	bar.close()
	if errors.Is(err, errEnded) { // killed, it seems: its mount is still there
		ended()
		return cmd.withoutDaemon(sh, dir)
	}
	if err != nil {
		return err
	}
	ended() // its cache is free from then on
	if sh.json {
		return sh.printJSON(last)
	}
	if !last.quiet() {
		when := "when the drive is mounted again"
		if last.Paused != "" {
			when += " and the pause is over"
		}
		fmt.Fprintf(sh.stdout, "unmounted %s; %s: kept on this machine, sent %s\n", cmd.Dir, last.pending(), when)
	}
	return nil
}

// unmounted is a mount without a daemon that was taken away.
type unmounted struct {
	Mountpoint string `json:"mountpoint"`
	Died       bool   `json:"died"` // its daemon had died
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
			return api.Errorf(api.NotFound, "%s does not exist", cmd.Dir)
		}
		return api.Errorf(api.NotFound, "no drive is mounted at %s", cmd.Dir)
	}
	if dead(dir) {
		if err := detach(dir); err != nil {
			return fmt.Errorf("%s has a dead mount that cannot be taken away: %w", cmd.Dir, err)
		}
		return sh.answer(unmounted{dir, true}, "unmounted %s; its daemon had died: unsent changes are kept, and sent when the drive is mounted again", cmd.Dir)
	}
	if err := unmount(dir); err != nil {
		return fmt.Errorf("%s cannot be unmounted: %w", cmd.Dir, err)
	}
	if sh.json {
		return sh.printJSON(unmounted{Mountpoint: dir})
	}
	return nil
}

// toldHolders is how many programs are named that use a folder.
const toldHolders = 8

// inUse is that programs work in a mounted folder.
func inUse(dir string, by []string) error {
	if len(by) == 0 {
		return api.Errorf(busy, "%s is in use\nclose the programs and shells that work in it (see: fuser -vm %s), then try again", dir, quoted(dir))
	}
	more := ""
	if n := len(by) - toldHolders; n > 0 {
		by, more = by[:toldHolders], fmt.Sprintf(" and %d more", n)
	}
	return api.Errorf(busy, "%s is in use by %s%s\nclose them, or leave the folder in them, then try again", dir, strings.Join(by, ", "), more)
}
