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
	noted := sh.lastUsed(func(dir string) bool {
		w, noted := whoseIn(dir)
		return noted && w.same(l.whose(sh.profile))
	})
	return cmp.Or(noted, sh.ownPlace(l))
}

// ownPlace is where a login's cache is made. Its name tells whose it is, also when nobody is noted in it.
func (sh *shell) ownPlace(l login) string {
	return sh.places.cacheDir(l.Server, l.User, sh.profile)
}

// claimPatience is how long the server may take to say which drive is the login's.
const claimPatience = 15 * time.Second

// claim finds the cache that the login's drive has on this machine, also if it was used under another address of the server until now: then
// from is that address. A cache of which it had to be found out whose it is is noted as this login's from now on. dir is where it is looked for first; given tells
// that somebody wants that one and no other. The server is asked only where the files don't tell: its error is passed on
// when there is a cache that must not be used, or passed over, before it has answered.
func (sh *shell) claim(l login, dir string, given bool) (claimed, from string, err error) {
	was, noted := whoseIn(dir)
	filled := isFilled(dir)
	switch {
	case noted && was.User != l.User:
		return "", "", api.Errorf(api.Exists, "the cache %s is that of %s at %s\nlog in as that account to go on with it, or mount with another --cache-dir", dir, was.Email, was.Server)
	case noted && was.Server == l.Server, !filled && given:
		return dir, "", nil
	}
	drive, err := sh.homeOf(l)
	switch {
	case err != nil && filled && noted:
		return "", "", fmt.Errorf("%s was used with %s until now; whether %s is the same server it has to say itself: %w", dir, was.Server, l.Server, err)
	case err != nil && filled && dir != sh.ownPlace(l):
		return "", "", fmt.Errorf("the cache %s does not say whose it is; whether it is of the drive of %s the server has to say: %w", dir, l.Email, err)
	case err != nil && !filled:
		if other := sh.lastUsed(func(dir string) bool { return isFilled(dir) && sh.mayClaim(l, dir) }); other != "" {
			return "", "", fmt.Errorf("%s may be the cache of this drive, and whether it is the server has to say: %w", other, err)
		}
		return dir, "", nil // whoever opens it asks again
	case err != nil:
		return dir, "", nil
	case filled && !sameDrive(dir, drive):
		return "", "", api.Errorf(api.Exists, "the cache %s is that of another drive%s\nmount with another --cache-dir", dir, at(was.Server))
	case !filled:
		found := sh.lastUsed(func(dir string) bool {
			_, running := sh.places.runningOn(dir)
			return !running && sameDrive(dir, drive) && sh.mayClaim(l, dir)
		})
		if found == "" {
			return dir, "", nil
		}
		dir = found
		was, _ = whoseIn(dir)
		was.Server = cmp.Or(was.Server, "another address")
	}
	return dir, was.Server, l.whose(sh.profile).note(dir)
}

// at completes what was met at an address, if that is known.
func at(server string) string {
	if server == "" {
		return ""
	}
	return ", at " + server
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

// lastUsed is the cache that was used last of those that fit; "" is none.
func (sh *shell) lastUsed(fits func(dir string) bool) (dir string) {
	var last time.Time
	all, _ := filepath.Glob(filepath.Join(sh.places.cache, "*"))
	for _, in := range all {
		if !fits(in) {
			continue
		}
		var used time.Time
		if replica, err := os.Stat(filepath.Join(in, "replica")); err == nil {
			used = replica.ModTime()
		}
		if dir == "" || used.After(last) {
			dir, last = in, used
		}
	}
	return dir
}

// mayClaim tells whether a cache may be that of a login: it was made by no other account, and by no other profile, which is another
// device. One that tells neither is the default profile's, or has the name that its login gave it.
func (sh *shell) mayClaim(l login, dir string) bool {
	if w, noted := whoseIn(dir); noted {
		return w.User == l.User && w.Profile == sh.profile
	}
	var was left
	if b, err := os.ReadFile(sh.places.leftFile(dir)); err == nil && json.Unmarshal(b, &was) == nil {
		return was.Profile == sh.profile
	}
	return sh.profile == "default" || dir == sh.ownPlace(l)
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
