package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// mounted is a running daemon as others find it: a file in places.mounts.
type mounted struct {
	PID        int    `json:"pid"`
	Mountpoint string `json:"mountpoint"` // absolute, without symlinks
	Socket     string `json:"socket"`     // of its control socket
	Profile    string `json:"profile"`
	CacheDir   string `json:"cache_dir"`
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

// alive tells whether the daemon takes connections; files of dead ones stay
// when they were killed.
func (m mounted) alive() bool {
	if m.PID <= 0 || syscall.Kill(m.PID, 0) == syscall.ESRCH {
		return false
	}
	c, err := dialControl(m.Socket)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// running is the daemon of a mount point or, for an empty one, the profile's.
func (sh *shell) running(dir string) (mounted, error) {
	if dir != "" {
		mountpoint, err := resolve(dir)
		if err != nil {
			return mounted{}, err
		}
		if m, ok := sh.places.runningAt(mountpoint); ok {
			return m, nil
		}
		return mounted{}, fmt.Errorf("no drive is mounted at %s\nmount it with: satchel mount %[1]s", dir)
	}
	files, _ := filepath.Glob(filepath.Join(sh.places.mounts(), "*.json"))
	var found []mounted
	for _, file := range files {
		if m, err := readMounted(file); err == nil && m.Profile == sh.profile && m.alive() {
			found = append(found, m)
		}
	}
	switch len(found) {
	case 0:
		in := ""
		if sh.profile != "default" {
			in = "--profile " + sh.profile + " "
		}
		return mounted{}, fmt.Errorf("no drive is mounted\nmount it with: satchel %smount DIR", in)
	case 1:
		return found[0], nil
	}
	var dirs []string
	for _, m := range found {
		dirs = append(dirs, m.Mountpoint)
	}
	return mounted{}, fmt.Errorf("several drives are mounted: say which of %s", strings.Join(dirs, ", "))
}
