package integration

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"satchel/integration/posix"
	"satchel/integration/require"
	"satchel/integration/rig"
)

// TestPosixCases holds a plain folder and mounts of every kind to the same expectations: the folder
// proves the cases right.
func TestPosixCases(t *testing.T) {
	posix.Child = filepath.Join(parts.Bin, "posix-child")
	must(t, parts.Build(t.Context(), posix.Child, "./integration/posix/child"))
	me := posix.User{UID: os.Getuid(), GID: os.Getgid()}
	t.Run("plain folder", func(t *testing.T) { posixCases(t, plainFolder(t, nil), me) })
	for _, mode := range mountModes {
		t.Run(mode.name, func(t *testing.T) { posixCases(t, mode.mount(t).Mount, me) })
	}
	if me.UID != 0 {
		return // what follows is the same once more
	}
	require.Tool(t, "fusermount3")
	openFuse(t)
	cred := nobody(t)
	other := posix.User{UID: int(cred.Uid), GID: int(cred.Gid)}
	t.Run("ordinary user, plain folder", func(t *testing.T) { posixCases(t, plainFolder(t, cred), other) })
	t.Run("ordinary user", func(t *testing.T) {
		posixCases(t, mountAs(t, cred, filepath.Join(t.TempDir(), "no-helper")).Mount, other)
	})
	t.Run("ordinary user with satchel-helper", func(t *testing.T) {
		posixCases(t, mountAs(t, cred, startHelper(t)).Mount, other)
	})
	t.Run("ordinary user, evicting", func(t *testing.T) { posixCases(t, evictingAs(t, cred), other) })
}

// posixCases runs the cases in a folder of dir that other users can enter.
func posixCases(t *testing.T, dir string, me posix.User) {
	if err := os.Chmod(dir, 0o755); err != nil && me.UID == os.Getuid() {
		t.Fatal(err)
	}
	posix.Run(t, dir, me)
}

// mountMode is a way to mount.
type mountMode struct {
	name     string
	args     []string
	evicting bool // content leaves the cache as soon as it may
}

var mountModes = []mountMode{
	{name: "passthrough"},
	{name: "without passthrough", args: []string{"--no-passthrough"}},
	{name: "evicting", evicting: true},
	{name: "evicting without passthrough", args: []string{"--no-passthrough"}, evicting: true},
}

// mount mounts a new account's drive in a place that other users can enter.
func (m mountMode) mount(t *testing.T) *rig.Device {
	t.Helper()
	return m.mountOf(t, newAccount(t, server(t), "anna"))
}

// mountOf is mount of an account's drive.
func (m mountMode) mountOf(t *testing.T, a *account) *rig.Device {
	t.Helper()
	d := a.newDevice(t, "posix")
	d.Args = append(d.Args, m.args...)
	if m.evicting {
		d.Args = append(d.Args, "--cache-size", smallCache)
	}
	if os.Getuid() == 0 {
		d.Args = append(d.Args, "--allow-other")
		must(t, os.Chmod(d.Home, 0o711))
	}
	mount(t, d)
	if m.evicting {
		fillCache(t, d)
	}
	return d
}

// smallCache is the smallest that satchel takes, filler what is too large for it.
const smallCache, filler = "64MiB", 66 << 20

// fillCache makes a device with smallCache evict all content that is sent and that nobody has open, at
// any time: a pinned file takes up the whole cache.
func fillCache(t *testing.T, d *rig.Device) {
	t.Helper()
	_, err := d.Exec(t.Context(), "sh", "-ec", `yes | head -c "$1" >filler`, "sh", strconv.Itoa(filler))
	must(t, err)
	syncAll(t, d)
	_, err = d.Satchel(t.Context(), "", "pin", filepath.Join(d.Mount, "filler"))
	must(t, err)
}

// mountAs mounts as an ordinary user.
func mountAs(t *testing.T, cred *syscall.Credential, helper string, args ...string) *rig.Device {
	t.Helper()
	d := newAccount(t, server(t), "anna").newDeviceAs(t, "posix", cred)
	d.Args = append(d.Args, args...)
	d.Setenv("SATCHEL_HELPER_SOCKET", helper)
	mount(t, d)
	return d
}

// evictingAs is the drive of an ordinary user without satchel-helper, whose content leaves the cache as soon as it may.
func evictingAs(t *testing.T, cred *syscall.Credential) string {
	t.Helper()
	d := mountAs(t, cred, filepath.Join(t.TempDir(), "no-helper"), "--cache-size", smallCache)
	fillCache(t, d)
	return d.Mount
}

// plainFolder is one on the disk under the caches, which belongs to cred.
func plainFolder(t *testing.T, cred *syscall.Credential) string {
	t.Helper()
	dir, err := os.MkdirTemp(parts.Dir, "plain-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	if cred != nil {
		must(t, os.Chown(dir, int(cred.Uid), int(cred.Gid)))
	}
	return dir
}
