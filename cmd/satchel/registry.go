package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"satchel/api"
)

// mounted is a running daemon as others find it: a file in places.mounts.
type mounted struct {
	PID        int    `json:"pid"`
	Mountpoint string `json:"mountpoint"` // absolute, without symlinks
	Socket     string `json:"socket"`     // of its control socket
	Profile    string `json:"profile"`
	CacheDir   string `json:"cache_dir"`
	Device     api.ID `json:"device_id,omitzero"` // of the login
}

func (p places) mountFile(mountpoint string) string {
	sum := sha256.Sum256([]byte(mountpoint))
	return filepath.Join(p.mounts(), hex.EncodeToString(sum[:8])+".json")
}

// register makes the daemon known.
func (p places) register(m mounted) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return writeFile(p.mountFile(m.Mountpoint), b)
}

// forget takes the daemon's file away, unless a later one put its own there.
func (p places) forget(m mounted) {
	if now, err := readMounted(p.mountFile(m.Mountpoint)); err == nil && now.PID == m.PID {
		os.Remove(p.mountFile(m.Mountpoint))
	}
}

func readMounted(path string) (mounted, error) {
	var m mounted
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	return m, err
}

// runningAt is the daemon that serves a mount point; ok is false when there is none.
func (p places) runningAt(mountpoint string) (m mounted, ok bool) {
	m, err := readMounted(p.mountFile(mountpoint))
	return m, err == nil && m.alive()
}

// runningOn is the daemon that has a cache open; ok is false when there is none.
func (p places) runningOn(cacheDir string) (mounted, bool) {
	for _, m := range p.registered() {
		if m.CacheDir == cacheDir && m.alive() {
			return m, true
		}
	}
	return mounted{}, false
}

// ending is how long a daemon may take to end once its drive is unmounted.
const ending = 20 * time.Second

// staysOn is runningOn, but waits for a daemon whose drive was just unmounted, by umount(8) for instance, which does not
// wait for the daemon, and for one that was killed and is not quite gone.
func (p places) staysOn(cacheDir string) (m mounted, ok bool) {
	for end := time.Now().Add(ending); ; time.Sleep(20 * time.Millisecond) {
		if m, ok = p.runningOn(cacheDir); !ok || time.Now().After(end) {
			return m, ok
		}
		if kind, err := mountedType(m.Mountpoint); err != nil || kind == fsType && !deadSoon(m.Mountpoint) {
			return m, ok
		}
	}
}

// registered is every daemon that made itself known, dead ones too.
func (p places) registered() []mounted {
	files, _ := filepath.Glob(filepath.Join(p.mounts(), "*.json"))
	var all []mounted
	for _, file := range files {
		if m, err := readMounted(file); err == nil {
			all = append(all, m)
		}
	}
	return all
}

// alive tells whether the daemon takes connections; files of dead ones stay
// when they were killed.
func (m mounted) alive() bool {
	if m.PID <= 0 || syscall.Kill(m.PID, 0) == syscall.ESRCH {
		return false
	}
	c, err := m.dial()
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// closing is how long a daemon may take to end after it unmounted.
const closing = 15 * time.Second

// running is the daemon of a mount point or, for an empty one, the profile's.
func (sh *shell) running(dir string) (mounted, error) {
	if dir != "" {
		mountpoint, err := resolve(dir)
		if err != nil {
			return mounted{}, err
		}
		if m, ok := sh.places.runningAt(mountpoint); ok {
			sh.profile = m.Profile // whose commands the messages name from now on
			return m, nil
		}
		return mounted{}, api.Errorf(api.NotFound, "no drive is mounted at %s\nmount it with: %s", dir, sh.command("mount", dir))
	}
	var found []mounted
	died := ""
	for _, m := range sh.places.registered() {
		if m.Profile != sh.profile {
			continue
		}
		if m.alive() {
			found = append(found, m)
		} else if kind, err := mountedType(m.Mountpoint); err == nil && kind == fsType && dead(m.Mountpoint) {
			died = m.Mountpoint
		} else {
			sh.places.forget(m) // it went with the machine, or was unmounted after it died
		}
	}
	switch {
	case len(found) == 0 && died != "":
		return mounted{}, api.Errorf(api.NotFound, "the daemon of %s has died; what was not sent is kept\nmount it again with: %s", died, sh.command("mount", died))
	case len(found) == 0:
		keeps := sh.keptHere()
		if keeps != "" {
			keeps = "; kept on this machine until it is: " + keeps
		}
		return mounted{}, api.Errorf(api.NotFound, "no drive is mounted%s\nmount it with: %s", keeps, sh.command("mount DIR"))
	case len(found) == 1:
		return found[0], nil
	}
	var dirs []string
	for _, m := range found {
		dirs = append(dirs, m.Mountpoint)
	}
	return mounted{}, api.Errorf(api.Invalid, "several drives are mounted: say which of %s", strings.Join(dirs, ", "))
}
