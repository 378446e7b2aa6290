package main

import (
	"context"
	"fmt"
	"log/slog"
)

// A mount goes on with the login that it began with, until it is unmounted: its device is that of the batches on their way. This
// file is about a login that has ended meanwhile, or that another took the place of.

// loginCure is what to do about the ended login of a mounted folder; "" is nothing.
func (sh *shell) loginCure(r report) string {
	if !r.LoginEnded {
		return ""
	}
	again := fmt.Sprintf("%s && %s", sh.command("umount", r.Mountpoint), sh.command("mount", r.Mountpoint))
	if l, err := sh.login(); err == nil && l.Device != r.DeviceID {
		return "the folder goes on with a login that has ended; to use the new one: " + again
	}
	return fmt.Sprintf("%s, then %s; what was not sent is kept, and sent then", sh.command("login", r.Server), again)
}

// replaced ends the login that this one takes the place of. A mounted folder that still works with it does that itself when it is unmounted.
func (sh *shell) replaced(old login) {
	for _, m := range sh.mine() {
		if m.alive() {
			fmt.Fprintf(sh.stderr, "note: %s goes on with the login before; to use this one: %s && %s\n", m.Mountpoint, sh.command("umount", m.Mountpoint), sh.command("mount", m.Mountpoint))
			return
		}
	}
	if err := sh.endLogin(sh.ctx, old, nil); err != nil {
		fmt.Fprintf(sh.stderr, "note: the login before, %q, was not ended: %v\nend it with: %s\n", old.DeviceName, err, sh.command("devices revoke", old.Device.String()))
	}
	if old.Keyring {
		forgetKeyring(old)
	}
}

// leaveLogin ends the login of a folder that was just unmounted, if another took its place meanwhile and no other folder uses it.
func (sh *shell) leaveLogin(l login, self mounted, log *slog.Logger) {
	now, err := sh.login()
	if err != nil || now.User != l.User || now.Device == l.Device {
		return
	}
	for _, m := range sh.mine() {
		if m.PID != self.PID && m.alive() {
			return
		}
	}
	if err := sh.endLogin(context.WithoutCancel(sh.ctx), l, nil); err != nil {
		log.Warn("the login that another took the place of was not ended; satchel devices lists it", "device", l.Device, "err", err)
	}
	if l.Keyring {
		forgetKeyring(l)
	}
}
