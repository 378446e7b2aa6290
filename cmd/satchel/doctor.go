package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"satchel/api"
	"satchel/cache"
	"satchel/cmd/internal/cli"
)

type doctorCmd struct {
	HelperSocket string `setting:"" default:"/run/satchel-helper.sock" placeholder:"PATH" help:"Where satchel-helper listens (${default})." complete:"file"`
}

func (cmd *doctorCmd) Help() string {
	return "Each line is ok, a warning (it works, but not as well as it could) or a failure; what to do stands below. The exit code is 1 if there is a failure."
}

// finding is what one look found.
type finding struct {
	Check string `json:"check"`
	State state  `json:"state"`
	Found string `json:"found"`
	Do    string `json:"do,omitempty"` // how to mend it
}

type state string

const (
	ok     state = "ok"
	warned state = "warning"
	failed state = "failure"
)

func (cmd *doctorCmd) Run(sh *shell) error {
	var all []finding
	for _, look := range []struct {
		check string
		at    func(*shell) finding
	}{
		{"login", lookAtLogin},
		{"server", lookAtServer},
		{"fuse", lookAtFUSE},
		{"mounts", lookAtMounts},
		{"passthrough", cmd.lookAtPassthrough},
		{"disk", lookAtDisk},
		{"search", lookAtSearch},
	} {
		f := look.at(sh)
		f.Check = look.check
		all = append(all, f)
	}
	if sh.json {
		if err := sh.printJSON(all); err != nil {
			return err
		}
	} else {
		style := map[state]cli.Style{ok: cli.Good, warned: cli.Warn, failed: cli.Bad}
		for _, f := range all {
			fmt.Fprintf(sh.stdout, "%s %-12s %s\n", cli.Paint(sh.stdout, style[f.State], fmt.Sprintf("%-8s", f.State)), f.Check, f.Found)
			for line := range strings.SplitSeq(f.Do, "\n") {
				if line != "" {
					fmt.Fprintf(sh.stdout, "%21s  %s\n", "→", line)
				}
			}
		}
	}
	if slices.ContainsFunc(all, func(f finding) bool { return f.State == failed }) {
		return silentError{}
	}
	return nil
}

// because is a finding of an error, whose lines after the first say what to do.
func because(s state, err error, do string) finding {
	what, next, _ := strings.Cut(err.Error(), "\n")
	return finding{State: s, Found: what, Do: cmp.Or(next, do)}
}

func lookAtLogin(sh *shell) finding {
	l, err := sh.login()
	if err != nil {
		return because(failed, err, sh.nextStep(err))
	}
	return finding{State: ok, Found: fmt.Sprintf("%s at %s, device %q", l.Email, l.Server, l.DeviceName)}
}

// doctorPatience is how long the doctor waits for somebody's answer.
const doctorPatience = 10 * time.Second

func lookAtServer(sh *shell) finding {
	c, l, err := sh.connect()
	if err != nil {
		return finding{State: warned, Found: "not asked: there is no login"}
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(sh.ctx, doctorPatience)
	defer cancel()
	start := time.Now()
	_, err = c.Whoami(ctx)
	switch {
	case api.KindOf(err) == api.Unavailable || errors.Is(err, context.DeadlineExceeded):
		f := because(warned, err, sh.nextStep(err))
		if len(sh.mine()) > 0 {
			f.Do = "the folder goes on working; changes are sent when the server can be reached\n" + f.Do
		}
		return f
	case err != nil:
		return because(failed, err, sh.nextStep(err))
	}
	return finding{State: ok, Found: fmt.Sprintf("%s answers and takes the login (%d ms)", l.Server, time.Since(start).Milliseconds())}
}

func lookAtFUSE(*shell) finding {
	if err := checkFUSE(false); err != nil {
		return because(failed, err, "")
	}
	return finding{State: ok, Found: "this user can mount folders"}
}

// mine is every mount of this profile that made itself known, dead ones too.
func (sh *shell) mine() (all []mounted) {
	for _, m := range sh.places.registered() {
		if m.Profile == sh.profile {
			all = append(all, m)
		}
	}
	return all
}

func lookAtMounts(sh *shell) finding {
	var works []string
	for _, m := range sh.mine() {
		kind, err := mountedType(m.Mountpoint)
		switch {
		case err != nil || kind != fsType:
		case !m.alive() && dead(m.Mountpoint):
			return finding{State: failed, Found: fmt.Sprintf("the daemon of %s has died; what was not sent is kept", m.Mountpoint),
				Do: "mount it again with: " + sh.command("mount", m.Mountpoint) + "\nso that it comes back by itself: " + sh.command("service install", m.Mountpoint)}
		case m.alive():
			if f := lookAtMount(sh, m); f.State != ok {
				return f
			}
			works = append(works, m.Mountpoint)
		}
	}
	if len(works) == 0 {
		found := "no drive is mounted"
		if keeps := sh.keptHere(); keeps != "" {
			found += "; kept on this machine until it is: " + keeps
		}
		return finding{State: ok, Found: found, Do: "mount it with: " + sh.command("mount DIR")}
	}
	found := "mounted at " + strings.Join(works, ", ")
	if kept := sh.unsentElsewhere(); len(kept) > 0 {
		what, do := kept[0].tell(sh, works[0])
		return finding{State: warned, Found: found + "; " + what, Do: do}
	}
	return finding{State: ok, Found: found}
}

// lookAtMount asks the daemon of a folder.
func lookAtMount(sh *shell, m mounted) finding {
	ctx, cancel := context.WithTimeout(sh.ctx, doctorPatience)
	defer cancel()
	r, err := m.ask(ctx, controlRequest{Op: opStatus}, nil)
	switch {
	case err != nil:
		return finding{State: failed, Found: fmt.Sprintf("the daemon of %s (pid %d) does not answer: %v", m.Mountpoint, m.PID, err), Do: "see what it does in " + sh.places.log(m.Profile)}
	case r.LoginEnded:
		return finding{State: failed, Found: fmt.Sprintf("the server does not accept the login of %s any more: the folder works on this machine alone; %s", m.Mountpoint, r.pending()), Do: sh.loginCure(r)}
	}
	return finding{State: ok}
}

// lookAtDisk uses the daemon's own measure.
func lookAtDisk(sh *shell) finding {
	dir := sh.places.cache
	for _, m := range sh.mine() {
		if m.alive() {
			dir = m.CacheDir
		}
	}
	if _, err := os.Stat(dir); err != nil {
		return finding{State: ok, Found: "nothing is cached yet"}
	}
	return findRoom(cache.RoomOf(dir))
}

func findRoom(r cache.Room) finding {
	found := fmt.Sprintf("%s of %s are free where content is kept", size(r.Free), size(r.Size))
	do := "make room on the disk, or mount with --cache-dir on another one"
	switch {
	case r.Full:
		return finding{State: failed, Found: found + ": writers are refused", Do: do}
	case r.Short:
		return finding{State: warned, Found: found + ": what the server has is not kept on this machine", Do: do}
	}
	return finding{State: ok, Found: found}
}
