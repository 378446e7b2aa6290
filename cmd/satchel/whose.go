package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"satchel/api"
	"satchel/cache"
)

// A cache belongs to a drive, and not to the address under which its server was met: that has others (a name, a number, the
// one that it moves to), and what was not sent, pins and a pause are in the cache. So a login finds the cache of its drive
// again, whatever the address: this file in it says for whom it was used last, and a server at another address has to
// name the same drive and the same root directory.
const whoseFile = "account.json"

// whose is what it says.
type whose struct {
	Server  string `json:"server"`
	User    api.ID `json:"user"`
	Email   string `json:"email"`
	Profile string `json:"profile"`
}

func (l login) whose(profile string) whose { return whose{l.Server, l.User, l.Email, profile} }

// same tells whether two are the same account of one profile, met under one address.
func (w whose) same(o whose) bool {
	return w.Server == o.Server && w.User == o.User && w.Profile == o.Profile
}

// whoseIn reads the file in a cache. Caches of before have none.
func whoseIn(dir string) (w whose, noted bool) {
	b, err := os.ReadFile(filepath.Join(dir, whoseFile))
	return w, err == nil && json.Unmarshal(b, &w) == nil
}

// note writes it, if it says something else.
func (w whose) note(dir string) error {
	if was, noted := whoseIn(dir); noted && was == w {
		return nil
	}
	b, err := json.Marshal(w)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, whoseFile), b)
}

// cacheOf is the cache of a login's drive: the one that was last used with it, or else where a new one is made. It asks nobody.
func (sh *shell) cacheOf(l login) string {
	found, _ := filepath.Glob(filepath.Join(sh.places.cache, "*", whoseFile))
	for _, file := range found {
		if w, noted := whoseIn(filepath.Dir(file)); noted && w.same(l.whose(sh.profile)) {
			return filepath.Dir(file)
		}
	}
	return sh.places.cacheDir(l.Server, l.User, sh.profile)
}

// claimPatience is how long the server may take to say which drive is the login's.
const claimPatience = 15 * time.Second

// claim finds the cache that the login's drive has on this machine, also if it was used under another address of the server until now: then
// from is that address, and the cache is noted as this login's from now on. dir is where it is looked for first; given tells
// that somebody wants that one and no other. The server is asked only where the files don't tell: its error is of kind Unavailable
// when there is a cache that must not be used before it has answered.
func (sh *shell) claim(l login, dir string, given bool) (claimed, from string, err error) {
	was, noted := whoseIn(dir)
	_, filled := cache.DriveIn(dir)
	switch {
	case noted && was.User != l.User:
		return "", "", api.Errorf(api.Exists, "the cache %s is that of %s at %s\nlog in as that account to go on with it, or mount with another --cache-dir", dir, was.Email, was.Server)
	case !noted && filled, noted && was.Server == l.Server, !filled && given:
		return dir, "", nil
	}
	drive, err := sh.homeOf(l)
	switch {
	case err != nil && filled:
		return "", "", fmt.Errorf("%s was used with %s until now; whether %s is the same server it has to say itself: %w", dir, was.Server, l.Server, err)
	case err != nil:
		return dir, "", nil // whoever opens it asks again
	case filled && !sameDrive(dir, drive):
		return "", "", api.Errorf(api.Exists, "the cache %s is that of another drive, at %s\nmount with another --cache-dir", dir, was.Server)
	case !filled:
		if dir = cmp.Or(sh.lastUsed(drive), dir); !isFilled(dir) {
			return dir, "", nil
		}
		was, _ = whoseIn(dir)
	}
	return dir, cmp.Or(was.Server, "another address"), l.whose(sh.profile).note(dir)
}

// homeOf is a login's drive, as its server names it.
func (sh *shell) homeOf(l login) (api.DriveInfo, error) {
	c, err := sh.client(l)
	if err != nil {
		return api.DriveInfo{}, err
	}
	defer c.Close()
	ctx, cancel := withTimeout(sh.ctx, claimPatience)
	defer cancel()
	return c.Drive("home").Info(ctx)
}

func isFilled(dir string) bool {
	_, filled := cache.DriveIn(dir)
	return filled
}

// sameDrive tells whether a cache is of a drive. The id of its root is what nobody but its owner hears: the server of somebody else, to whom something
// in it is shared, could not name it, and does not get what is in the cache.
func sameDrive(dir string, drive api.DriveInfo) bool {
	in, filled := cache.DriveIn(dir)
	return filled && in.ID == drive.ID && in.Root == drive.Root
}

// lastUsed is the profile's cache of a drive under whatever address, the one that was used last; "" is none.
func (sh *shell) lastUsed(drive api.DriveInfo) (dir string) {
	var last time.Time
	all, _ := filepath.Glob(filepath.Join(sh.places.cache, "*"))
	for _, in := range all {
		used, err := os.Stat(filepath.Join(in, "replica"))
		if err != nil || !sameDrive(in, drive) || !sh.mayClaim(in) || used.ModTime().Before(last) {
			continue
		}
		if _, running := sh.places.runningOn(in); !running {
			dir, last = in, used.ModTime()
		}
	}
	return dir
}

// mayClaim tells whether a cache was not made by another profile, which is another device.
func (sh *shell) mayClaim(dir string) bool {
	if w, noted := whoseIn(dir); noted {
		return w.Profile == sh.profile
	}
	var l left
	if b, err := os.ReadFile(sh.places.leftFile(dir)); err == nil && json.Unmarshal(b, &l) == nil {
		return l.Profile == sh.profile
	}
	return true
}

// takeOver lets a new login go on with the cache of its drive, and says so. What can't be found out now the mount asks again.
func (sh *shell) takeOver(l login) {
	_, from, err := sh.claim(l, sh.cacheOf(l), false)
	if err != nil || from == "" {
		return
	}
	keeps := sh.keptHere()
	if keeps != "" {
		keeps = " (" + keeps + ")"
	}
	fmt.Fprintf(sh.stderr, "note: this is the drive that was used at %s until now: what is kept of it on this machine%s goes on here\n", from, keeps)
}
