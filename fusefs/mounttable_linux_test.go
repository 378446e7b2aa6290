package fusefs

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"satchel/integration/require"
)

// What is mounted below the directory is noticed when it comes and when it goes, though the table is not read each time.
func TestMountTable(t *testing.T) {
	require.Root(t)
	top := t.TempDir()
	dir := filepath.Join(top, "with a\tblank", "in")
	beside := filepath.Join(top, "with a\tblank", "beside")
	for _, d := range []string{dir, beside} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var table mountTable
	defer table.close()
	expect := func(want bool, when string) {
		t.Helper()
		for range 2 {
			if got := table.mountedBelow(dir); got != want {
				t.Errorf("%s: %v", when, got)
			}
		}
	}
	mount := func(at string) {
		t.Helper()
		if err := unix.Mount("tmpfs", at, "tmpfs", 0, "size=4k"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Unmount(at, unix.MNT_DETACH) })
	}
	inner := filepath.Join(dir, "inner")
	if err := os.Mkdir(inner, 0o700); err != nil {
		t.Fatal(err)
	}
	expect(false, "at first")
	mount(beside)
	expect(false, "with a mount beside it")
	mount(inner)
	expect(true, "with a mount in it")
	if err := unix.Unmount(inner, 0); err != nil {
		t.Fatal(err)
	}
	expect(false, "without it again")
	table.close()
	mount(inner)
	expect(true, "after a close")
}
