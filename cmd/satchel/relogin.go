package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"satchel/api"
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

// replacedLogin is a login that another of its account took the place of, in a file until the server has ended it: a folder may still be mounted with it,
// or the server be out of reach.
type replacedLogin struct {
	Profile string `json:"profile"`
	Login   login  `json:"login"` // without its secret
}

func (p places) replacedFile(device api.ID) string {
	return filepath.Join(p.state, "replaced", device.String()+".json")
}

// replaced ends the login that this one takes the place of. If a folder still works with it, that is done when it is unmounted.
func (sh *shell) replaced(old login) {
	old.Secret = ""
	b, err := json.Marshal(replacedLogin{sh.profile, old})
	if err == nil {
		err = writeFile(sh.places.replacedFile(old.Device), b)
	}
	if err == nil {
		if m, uses := sh.using(old.Device); uses {
			fmt.Fprintf(sh.stderr, "note: %s goes on with the login before; to use this one: %s && %s\n", m.Mountpoint, sh.command("umount", m.Mountpoint), sh.command("mount", m.Mountpoint))
			return
		}
		err = sh.endReplaced(endPatience)
	}
	if err != nil {
		fmt.Fprintf(sh.stderr, "note: the login before, %q, was not ended: %v\na later mount tries it again; or end it with: %s\n", old.DeviceName, err, sh.command("devices revoke", old.Device.String()))
	}
}

// using is another process's folder that is mounted with a login of the profile. A daemon of before does not say which it has.
func (sh *shell) using(device api.ID) (mounted, bool) {
	for _, m := range sh.mine() {
		if m.PID != os.Getpid() && (m.Device == device || m.Device.IsZero()) && m.alive() {
			return m, true
		}
	}
	return mounted{}, false
}

// endReplaced ends the logins whose place another took and with which nothing is mounted. The error is that some are left, for the next time.
func (sh *shell) endReplaced(patience time.Duration) (failed error) {
	files, _ := filepath.Glob(filepath.Join(sh.places.state, "replaced", "*.json"))
	if len(files) == 0 {
		return nil
	}
	now, err := sh.login()
	if err != nil {
		return err
	}
	c, err := sh.client(now)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(sh.ctx), patience)
	defer cancel()
	for _, file := range files {
		var r replacedLogin
		b, err := os.ReadFile(file)
		if err != nil || json.Unmarshal(b, &r) != nil || r.Profile != sh.profile || r.Login.User != now.User || r.Login.Device == now.Device {
			continue
		}
		if _, uses := sh.using(r.Login.Device); uses {
			continue
		}
		if err := c.RevokeDevice(ctx, r.Login.Device); err != nil && api.KindOf(err) != api.NotFound { // which has ended already
			failed = errors.Join(failed, err)
			continue
		}
		if r.Login.Keyring {
			forgetKeyring(r.Login)
		}
		failed = errors.Join(failed, os.Remove(file))
	}
	return failed
}
