package fusefs_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"satchel/cache"
	"satchel/fusefs"
)

// The kernel remembers what programs met, and each node that it remembers costs memory here. A walk through a drive with
// many more than there is memory for leaves no more than that, and what is in use keeps its names.
func TestKernelForgetsWhatMemoryHasNoRoomFor(t *testing.T) {
	t.Run("the kernel is asked to forget nodes", forgets)
	t.Run("names are dropped", func(t *testing.T) {
		fusefs.WithoutPrune(t)
		forgets(t)
	})
}

func forgets(t *testing.T) {
	const memory, dirs, each = 1 << 20, 30, 100
	cacheDir, server := t.TempDir(), newSoleServer()
	d, dir, unmount := mountWith(t, cache.Config{Dir: cacheDir, Remote: server}, fusefs.Options{})
	name := func(i, k int) string { return filepath.Join(dir, fmt.Sprint("d", i), fmt.Sprint("f", k)) }
	for i := range dirs {
		must(t, os.Mkdir(filepath.Join(dir, fmt.Sprint("d", i)), 0o755))
		for k := range each {
			must(t, os.WriteFile(name(i, k), []byte(fmt.Sprint(i, k)), 0o600))
		}
	}
	must(t, d.Sync(t.Context(), true, nil))
	unmount()

	d, dir, _ = mountWith(t, cache.Config{Dir: cacheDir, Remote: server, Memory: memory}, fusefs.Options{})
	open, err := os.Open(name(0, 0))
	must(t, err)
	defer open.Close()
	folder := filepath.Join(dir, "d0")
	// It goes there by itself: a child of this process that did so before it is another program might wait for this one.
	inside := exec.Command("/bin/sh", "-c", `cd "$0" && read line; /bin/pwd`, folder)
	stdin, err := inside.StdinPipe()
	must(t, err)
	var out strings.Builder
	inside.Stdout = &out
	must(t, inside.Start())

	for range 2 { // what was forgotten is found again
		files := 0
		must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			files++
			_, err = os.Lstat(path)
			return err
		}))
		if files != dirs*each {
			t.Fatalf("a walk met %d files of %d", files, dirs*each)
		}
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if used := d.Status().MemoryBytes; used <= memory {
			break
		} else if time.Now().After(end) {
			t.Fatalf("%d bytes of memory are used, where %d may be", used, memory)
		}
	}
	// Something is mounted over a file: it stays, whatever else there is no room for.
	if os.Getuid() == 0 {
		over := filepath.Join(t.TempDir(), "over")
		must(t, os.WriteFile(over, []byte("mounted over it"), 0o600))
		must(t, syscall.Mount(over, name(1, 1), "", syscall.MS_BIND, ""))
		defer syscall.Unmount(name(1, 1), syscall.MNT_DETACH)
		must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err == nil {
				_, err = os.Lstat(path)
			}
			return err
		}))
		time.Sleep(100 * time.Millisecond) // what was asked of the kernel is done
		if b, err := os.ReadFile(name(1, 1)); err != nil || string(b) != "mounted over it" {
			t.Errorf("what is mounted over a file is %q now (%v)", b, err)
		}
	}
	if now, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", open.Fd())); err != nil || now != name(0, 0) {
		t.Errorf("an open file is %q now (%v)", now, err)
	}
	stdin.Close()
	if err := inside.Wait(); err != nil || strings.TrimSpace(out.String()) != folder {
		t.Errorf("a program's folder is %q now (%v)", out.String(), err)
	}
	if b, err := os.ReadFile(name(dirs-1, each-1)); err != nil || string(b) != fmt.Sprint(dirs-1, each-1) {
		t.Errorf("a file reads as %q (%v)", b, err)
	}
}
