package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A program that opens more files than the daemon may have descriptors gets ENFILE, and takes none of those that the replica
// needs: meanwhile others go on, and with some of the files closed it may open others.
func TestMoreFilesThanDescriptors(t *testing.T) {
	for _, mode := range mountModes[:2] {
		t.Run(mode.name, func(t *testing.T) {
			d := newAccount(t, server(t), "anna").newDevice(t, "few")
			_, err := d.Exec(t.Context(), append([]string{"sh", "-c", `cd / && ulimit -n 512 && exec "$@"`, "sh",
				filepath.Join(parts.Bin, "satchel"), "mount", d.Mount}, mode.args...)...)
			must(t, err)
			t.Cleanup(func() { d.Unmount(t.Context()) })

			var open []*os.File
			defer func() {
				for _, f := range open {
					f.Close()
				}
			}()
			for len(open) < 1000 && err == nil {
				var f *os.File
				if f, err = os.Create(filepath.Join(d.Mount, fmt.Sprint("open ", len(open)))); err == nil {
					open = append(open, f)
				}
			}
			if !errors.Is(err, unix.ENFILE) || len(open) < 64 {
				t.Fatalf("after %d files: %v, want ENFILE", len(open), err)
			}
			if _, err := os.Stat(filepath.Join(d.Mount, fmt.Sprint("open ", len(open)))); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("what was refused is there: %v", err)
			}
			target := strings.Repeat("x", 4000) // so much that the replica writes tables and begins logs anew
			for i := range 2500 {
				must(t, os.Symlink(target, filepath.Join(d.Mount, fmt.Sprint("link ", i))))
			}
			for _, f := range open[:40] {
				must(t, f.Close())
			}
			open = open[40:]
			eventually(t, time.Minute, func() error { // a close comes to the daemon behind
				return os.WriteFile(filepath.Join(d.Mount, "again"), []byte("x"), 0o600)
			})
		})
	}
}
