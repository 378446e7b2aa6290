package integration

import (
	"errors"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"satchel/integration/require"
	"satchel/integration/rig"
)

// TestOrdinaryUser: without any privilege the drive mounts through
// fusermount3 and works; with satchel-helper it gets passthrough too.
func TestOrdinaryUser(t *testing.T) {
	require.Root(t) // to become someone else; started by an ordinary user, every test shows this
	require.Tool(t, "fusermount3")
	openFuse(t)
	t.Run("alone", func(t *testing.T) { ordinaryUser(t, filepath.Join(t.TempDir(), "no-helper"), false) })
	t.Run("with satchel-helper", func(t *testing.T) { ordinaryUser(t, startHelper(t), true) })
}

// startHelper starts satchel-helper and returns its socket.
func startHelper(t *testing.T) string {
	t.Helper()
	socket := filepath.Join(parts.Dir, "helper.sock")
	cmd := exec.Command(filepath.Join(parts.Bin, "satchel-helper"), "--socket", socket)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	must(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("satchel-helper: %v", err)
		}
	})
	eventually(t, 5*time.Second, func() error {
		_, err := os.Stat(socket)
		return err
	})
	return socket
}

func ordinaryUser(t *testing.T, helper string, passthrough bool) {
	anna := newAccount(t, server(t), "anna")
	cred := nobody(t)
	d := anna.newDeviceAs(t, "ordinary", cred)
	d.Setenv("SATCHEL_HELPER_SOCKET", helper)
	mount(t, d)
	status, err := d.Status(t.Context())
	must(t, err)
	if status.Passthrough != passthrough {
		t.Errorf("passthrough: %v", status.Passthrough)
	}

	script := `set -e
		[ "$(stat -c %U .)" = nobody ]
		mkdir -p a/b && echo "Dear Anna" >a/b/letter
		[ "$(stat -c %U a/b/letter)" = nobody ]
		echo more >>a/b/letter
		cp a/b/letter copy && mv copy a/moved && ln a/moved hard && ln -s hard soft
		chmod 600 a/moved && touch -d @1000000000 a/moved
		[ "$(stat -c %a,%Y,%h a/moved)" = 600,1000000000,2 ]
		dd if=/dev/urandom of=big bs=1M count=8 status=none
		truncate -s 5000000 big && rm hard
		! cat soft 2>/dev/null
		cmp a/moved a/b/letter`
	if out, err := d.Exec(t.Context(), "sh", "-c", script); err != nil {
		t.Fatalf("%s %v", out, err)
	}
	syncAll(t, d)
	must(t, anna.stored(t, "a/b/letter", []byte("Dear Anna\nmore\n")))
	sum, err := d.Exec(t.Context(), "sha256sum", "big")
	must(t, err)
	if all := anna.files(t, "file_path=eq.big"); len(all) != 1 || all[0].Size != 5_000_000 || all[0].Hash != sum[:64] {
		t.Errorf("big: %+v, not %s", all, sum)
	}

	// On root's machine the files are root's: they belong to whoever mounts.
	desk := anna.mountNew(t, "desk")
	info, err := os.Stat(desk.Mount + "/a/moved")
	must(t, err)
	if st := info.Sys().(*syscall.Stat_t); st.Uid != 0 || info.ModTime().Unix() != 1_000_000_000 {
		t.Errorf("on the other device: uid %d, mtime %v", st.Uid, info.ModTime())
	}
	// What came from there is seen here, through the kernel's caches.
	write(t, desk.Mount+"/copy", "from the desk")
	must(t, os.Remove(desk.Mount+"/a/moved"))
	syncAll(t, desk)
	eventually(t, 5*time.Second, func() error {
		_, err := d.Exec(t.Context(), "sh", "-c", `[ "$(cat copy)" = "from the desk" ] && ! [ -e a/moved ]`)
		return err
	})
	must(t, d.Unmount(t.Context()))
}

// nobody is the ordinary user that every system has; fusermount3 wants one
// with a name.
func nobody(t *testing.T) *syscall.Credential {
	t.Helper()
	u, err := user.Lookup("nobody")
	must(t, err)
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	must(t, errors.Join(err1, err2))
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: []uint32{}}
}

// openFuse lets ordinary users open /dev/fuse until the test ends: some bare
// machines have it 0600.
func openFuse(t *testing.T) {
	t.Helper()
	done, err := rig.OpenFuse()
	must(t, err)
	t.Cleanup(func() { must(t, done()) })
}
