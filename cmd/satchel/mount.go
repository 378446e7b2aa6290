package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"satchel/api"
)

type mountCmd struct {
	Dir        string `arg:"" help:"An empty directory." complete:"dir"`
	Foreground bool   `help:"Stay, and unmount on Ctrl-C."`
	mountFlags

	Daemon bool `hidden:"" help:"Be the background process: tell the result on descriptor 3."`
	parent *parent
}

// mountFlags are how a drive is mounted.
type mountFlags struct {
	CacheDir      string `setting:"" placeholder:"DIR" complete:"dir" help:"Where to keep content on this machine; by default under XDG_CACHE_HOME."`
	CacheSize     size   `setting:"" default:"10GiB" help:"How much content to keep on this machine."`
	Memory        size   `setting:"" default:"256MiB" help:"How much memory to use for what may be dropped."`
	Fsync         string `setting:"" enum:"local,server" default:"local" help:"When fsync returns: local: this machine has the data; server: the server has."`
	Metered       string `setting:"" enum:"pause,ignore" default:"pause" help:"On a connection that is paid by the byte (NetworkManager knows): pause: send nothing, and fetch only what is read; ignore: as on any other."`
	ReadOnly      bool   `setting:"" help:"Refuse changes."`
	AllowOther    bool   `setting:"" help:"Let other users of this machine in, as far as modes allow."`
	NoPassthrough bool   `setting:"" help:"Do not let the kernel read and write local content itself."`
	Writeback     bool   `setting:"" help:"Where content goes through the daemon, let the kernel collect what programs write until they close the file: faster in small pieces. If the daemon is killed meanwhile, that is lost."`
	NoXattr       bool   `setting:"" help:"Leave extended attributes out: faster listings."`

	HelperSocket string `setting:"" default:"/run/satchel-helper.sock" placeholder:"PATH" complete:"file" help:"Where satchel-helper listens, which gives ordinary users passthrough (${default})."`
}

func (cmd *mountCmd) Run(sh *shell) error {
	if cmd.Daemon {
		cmd.parent = newParent()
		err := cmd.serve(sh)
		if err != nil {
			cmd.parent.tell(readiness{Kind: kindOf(err), Message: err.Error(), Usage: errors.As(err, new(usageError))})
		}
		return err
	}
	given := cmd.CacheDir != ""
	l, _, err := cmd.check(sh)
	if err != nil {
		return err
	}
	dir, from, err := sh.claim(l, cmd.CacheDir, given)
	if err != nil {
		return err
	}
	if from != "" {
		fmt.Fprintf(sh.stderr, "note: this is the drive that was used at %s until now: it goes on with what is kept in %s\n", from, dir)
	}
	if !given {
		cmd.CacheDir = "" // found again by whom it is noted for
	}
	if cmd.Foreground {
		return cmd.serve(sh)
	}
	if err := cmd.background(sh); err != nil {
		return err
	}
	return cmd.done(sh)
}

// done tells that the folder is usable.
func (cmd *mountCmd) done(sh *shell) error {
	m, err := sh.running(cmd.Dir)
	if sh.json {
		if err != nil {
			return err
		}
		return sh.printJSON(m)
	}
	more := ""
	if cmd.ReadOnly {
		more = ", read-only"
	}
	if err == nil {
		if now, err := m.ask(sh.ctx, controlRequest{Op: opStatus}, nil); err == nil {
			if now.Paused != "" {
				more += fmt.Sprintf("; nothing is sent: it is paused (%s)\ngo on with: %s", now.Paused, sh.command("resume"))
			}
			if now.DiskShort {
				more += "\nthe disk: " + now.diskShort()
			}
		}
	}
	return sh.answer(nil, "mounted at %s%s", cmd.Dir, more)
}

// check finds out what would keep the drive from being mounted here, as far as
// that can be told without a server.
func (cmd *mountCmd) check(sh *shell) (l login, dir string, err error) {
	if l, err = sh.login(); err != nil {
		return l, "", err
	}
	if l.Role == "admin" {
		return l, "", api.Errorf(api.Permission, "%s is an administrator, and those have no drive\nlog in as an editor, in a profile of its own: satchel --profile NAME login …", l.Email)
	}
	if dir, err = resolve(cmd.Dir); err != nil {
		return l, "", err
	}
	if err := checkMountpoint(dir); err != nil {
		return l, "", err
	}
	if err := checkFUSE(cmd.AllowOther); err != nil {
		return l, "", err
	}
	if cmd.CacheDir == "" {
		cmd.CacheDir = sh.cacheOf(l)
	}
	if cmd.CacheDir, err = filepath.Abs(cmd.CacheDir); err != nil {
		return l, "", err
	}
	if strings.HasPrefix(cmd.CacheDir+"/", dir+"/") {
		return l, "", api.Errorf(api.Invalid, "the cache %s lies within %s\nmount elsewhere, or choose another place with --cache-dir", cmd.CacheDir, dir)
	}
	if m, ok := sh.places.staysOn(cmd.CacheDir); ok {
		return l, "", api.Errorf(busy, "the drive is mounted at %s already\nunmount it with: %s, or use a login of its own: --profile NAME", m.Mountpoint, sh.command("umount", m.Mountpoint))
	}
	if cmd.CacheSize < 64<<20 || cmd.Memory < 8<<20 {
		return l, "", usageError{"--cache-size must be at least 64MiB and --memory at least 8MiB"}
	}
	return l, dir, nil
}
