package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"satchel/integration/posix"
	"satchel/integration/require"
	"satchel/integration/rig"
)

// TestReadOnly: a drive that is mounted read-only answers each call as a read-only ext4 does, changes nothing,
// and shows what others change.
func TestReadOnly(t *testing.T) {
	me := posix.User{UID: os.Getuid(), GID: os.Getgid()}
	if me.UID == 0 {
		t.Run("plain folder", func(t *testing.T) { // proves the cases right
			dir := plainFolder(t, nil)
			must(t, os.Chmod(dir, 0o755))
			posix.Prepare(t, dir)
			must(t, unix.Mount(dir, dir, "", unix.MS_BIND, ""))
			t.Cleanup(func() { must(t, unix.Unmount(dir, 0)) })
			must(t, unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|unix.MS_NODEV|unix.MS_NOSUID, ""))
			posix.RunReadOnly(t, dir, me)
		})
	}
	for _, mode := range mountModes {
		t.Run(mode.name, func(t *testing.T) { readOnly(t, mode, nil, me) })
	}
	if me.UID != 0 {
		return // what follows is the same once more
	}
	require.Tool(t, "fusermount3")
	openFuse(t)
	cred := nobody(t)
	other := posix.User{UID: int(cred.Uid), GID: int(cred.Gid)}
	t.Run("ordinary user", func(t *testing.T) { readOnly(t, mountMode{}, cred, other) })
}

func readOnly(t *testing.T, mode mountMode, cred *syscall.Credential, me posix.User) {
	anna := newAccount(t, server(t), "anna")
	var laptop *rig.Device
	if cred == nil {
		laptop = mode.mountOf(t, anna)
	} else {
		laptop = anna.newDeviceAs(t, "posix", cred)
		mount(t, laptop)
	}
	desk := anna.mountNew(t, "desk")
	posix.Prepare(t, desk.Mount)
	syncAll(t, desk)
	eventually(t, 30*time.Second, func() error { _, err := laptop.Exec(t.Context(), "cat", "file"); return err })
	must(t, laptop.Unmount(t.Context()))
	laptop.Args = append(laptop.Args, "--read-only")
	mount(t, laptop)
	there := names(t, desk.Mount)
	posix.RunReadOnly(t, laptop.Mount, me)
	status, err := laptop.Status(t.Context())
	must(t, err)
	if status.PendingMutations != 0 {
		t.Errorf("%d changes are pending", status.PendingMutations)
	}
	must(t, has(filepath.Join(desk.Mount, "file"), "0123456789"))
	if got := names(t, desk.Mount); !slices.Equal(got, there) {
		t.Errorf("there is %q, and was %q", got, there)
	}

	write(t, filepath.Join(desk.Mount, "file"), "changed by another")
	eventually(t, 30*time.Second, func() error {
		out, err := laptop.Exec(t.Context(), "cat", "file")
		if err == nil && out != "changed by another" {
			err = fmt.Errorf("it still has %q", out)
		}
		return err
	})
}

func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}
