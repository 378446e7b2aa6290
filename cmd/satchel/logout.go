package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"satchel/api"
)

type logoutCmd struct {
	Local         bool `help:"Log out on this machine even if the server can't be told: it knows the device until somebody ends it there (exit code 3)."`
	RemoveCache   bool `help:"Remove what is kept of the drive on this machine, too; also after a logout."`
	DiscardUnsent bool `help:"With --remove-cache: also what the server does not have. It is lost."`
}

// loggedOut is logout's answer as JSON.
type loggedOut struct {
	Server  string      `json:"server,omitempty"`
	Email   string      `json:"email,omitempty"`
	Device  string      `json:"device,omitempty"`
	Revoked bool        `json:"revoked"` // the server knows that the login has ended
	Caches  []keptCache `json:"caches"`  // what was kept on this machine
}

func (cmd *logoutCmd) Run(sh *shell) error {
	if cmd.DiscardUnsent && !cmd.RemoveCache {
		return usageError{"--discard-unsent goes with --remove-cache"}
	}
	for _, m := range sh.places.registered() {
		if m.Profile == sh.profile && m.alive() {
			return api.Errorf(busy, "%s is mounted with this login\nunmount it first with: %s", m.Mountpoint, sh.command("umount", m.Mountpoint))
		}
	}
	l, err := sh.login()
	nobody := errors.Is(err, errNobody)
	switch {
	case nobody && !cmd.RemoveCache:
		return api.Errorf(api.NotFound, "%w: there is no login to end", err)
	case err != nil && !nobody && !cmd.Local:
		return fmt.Errorf("%w\nend the login on this machine all the same with: %s", err, sh.command("logout --local"))
	}
	done := loggedOut{Server: l.Server, Email: l.Email, Device: l.DeviceName, Caches: sh.keptCaches(l)}
	if cmd.RemoveCache && !cmd.DiscardUnsent { // before the login is gone, with which it could be sent
		if err := sh.lacking(done.Caches); err != nil {
			return err
		}
	}
	var untold error
	if !nobody {
		if untold = sh.endLogin(sh.ctx, l, err); untold != nil && !cmd.Local {
			return fmt.Errorf("still logged in: %w\nend it on this machine only with: %s", untold, sh.command("logout --local"))
		}
		if err := os.Remove(sh.places.credentials(sh.profile)); err != nil {
			return fmt.Errorf("the login stays on disk: %w", err)
		}
		if l.Keyring {
			forgetKeyring(l)
		}
		done.Revoked = untold == nil
	}
	return cmd.finish(sh, nobody, done, untold)
}

// endPatience is how long the server may take to hear of the end of a login.
const endPatience = 15 * time.Second

// endLogin tells the server that a login has ended, and returns why it could not be told. damaged is why the login
// could not be read.
func (sh *shell) endLogin(given context.Context, l login, damaged error) error {
	if damaged != nil {
		return damaged
	}
	c, err := sh.client(l)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeoutCause(given, endPatience, api.Errorf(api.Unavailable, "%s did not answer within %v", l.Server, endPatience))
	defer cancel()
	// One that has ended already is as good as ended now.
	err = c.Logout(ctx)
	switch {
	case api.KindOf(err) == api.Unauthenticated:
		return nil
	case err != nil && ctx.Err() != nil && given.Err() == nil:
		return context.Cause(ctx)
	}
	return err
}

// finish removes what is kept, or tells of it, and says what was done and what remains.
func (cmd *logoutCmd) finish(sh *shell, nobody bool, done loggedOut, untold error) error {
	var failed error
	var removed []string
	for i := range done.Caches {
		k := &done.Caches[i]
		if !cmd.RemoveCache {
			failed = errors.Join(failed, sh.rememberKept(k.Dir))
			continue
		}
		if err := sh.removeCache(k); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		removed = append(removed, fmt.Sprintf("removed %s with %s", k.Dir, size(k.Bytes)))
	}
	var said []string
	switch {
	case nobody && len(done.Caches) == 0:
		return api.Errorf(api.NotFound, "nothing is kept of this profile's drives on this machine")
	case nobody:
	case untold == nil:
		said = append(said, "logged out of "+done.Server)
	default:
		said = append(said, "logged out on this machine only")
	}
	if said = append(said, removed...); len(said) > 0 {
		if err := sh.answer(done, "%s", strings.Join(said, "\n")); err != nil {
			return err
		}
	}
	if failed != nil {
		return failed
	}
	if !cmd.RemoveCache && !sh.json {
		sh.noteKept(done)
	}
	if untold == nil {
		return nil
	}
	more := ""
	if done.Device != "" {
		more = fmt.Sprintf("\nit still knows the device %q: end it on the page %s/account, or on another device with: %s",
			done.Device, done.Server, sh.command("devices revoke", done.Device))
	}
	what, next, _ := strings.Cut(untold.Error(), "\n") // how to log in again is no help now
	if next != "" && more == "" {
		more = "\nif the server knows it still, end it on the server's page, under Account"
	}
	return remainsError{api.Errorf(kindOf(untold), "the server was not told: %s%s", what, more)}
}

// noteKept tells what stays on this machine after a logout.
func (sh *shell) noteKept(done loggedOut) {
	if keeps := sh.keptHere(); keeps != "" {
		fmt.Fprintf(sh.stderr, "note: kept on this machine: %s\nlog in as %s again, at %s or where that server is then, and mount the drive to go on with it\n", keeps, done.Email, done.Server)
	}
	for _, k := range done.Caches {
		fmt.Fprintf(sh.stderr, "note: the drive's cache stays on this machine, %s in %s\n", size(k.Bytes), k.Dir)
		if k.Unsent != "" {
			fmt.Fprintf(sh.stderr, "the server lacks of it: %s\ncopy that out with: %s\n", k.Unsent, sh.command("export-unsent DIR --cache-dir", k.Dir))
		} else {
			fmt.Fprintf(sh.stderr, "remove it with: %s\n", sh.command("logout --remove-cache"))
		}
	}
}

// lacking refuses to remove caches with what the server does not have.
func (sh *shell) lacking(caches []keptCache) error {
	for _, k := range caches {
		switch {
		case k.unknown != nil:
			return fmt.Errorf("it can't be told whether the server has all that is in %s: %w\nremove it all the same with: %s",
				k.Dir, k.unknown, sh.command("logout --remove-cache --discard-unsent"))
		case k.Unsent != "":
			return api.Errorf(busy, "the server lacks of %s: %s\nmount the drive to send it, or copy it out with: %s\nlose it with: %s",
				k.Dir, k.Unsent, sh.command("export-unsent DIR --cache-dir", k.Dir), sh.command("logout --remove-cache --discard-unsent"))
		}
	}
	return nil
}
