package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"satchel/integration/require"
)

// TestGio does what file managers of the desktop do, through the library that most of them are built on: copy, rename,
// move, look at attributes and free space. make desktop does it with a file manager and a screen.
func TestGio(t *testing.T) {
	tool := require.Tool(t, "gio")
	anna := newAccount(t, server(t), "anna")
	laptop := anna.mountNew(t, "laptop")
	home := t.TempDir()
	gio := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), tool, args...)
		cmd.Env = append(os.Environ(), "HOME="+home, "XDG_DATA_HOME="+home, "XDG_RUNTIME_DIR="+home, "GIO_USE_VFS=local", "LC_ALL=C.UTF-8")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("gio %q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	in := func(parts ...string) string { return filepath.Join(append([]string{laptop.Mount}, parts...)...) }
	outside := filepath.Join(home, "letter.txt")
	write(t, outside, "Dear Ada\n")

	gio("mkdir", in("Letters"))
	gio("copy", "--preserve", outside, in("Letters", "letter.txt"))
	gio("rename", in("Letters", "letter.txt"), "Ada.txt")
	gio("copy", "--backup", outside, in("Letters", "Ada.txt")) // what was there gets a ~
	gio("move", in("Letters", "Ada.txt"), in("Ada.txt"))
	must(t, has(in("Ada.txt"), "Dear Ada\n"))
	must(t, has(in("Letters", "Ada.txt~"), "Dear Ada\n"))
	gio("set", "--type", "uint32", in("Ada.txt"), "unix::mode", fmt.Sprint(0o100600))

	said := gio("info", "--attributes", "standard::content-type,standard::size,unix::mode,access::can-write", in("Ada.txt"))
	for _, want := range []string{"standard::content-type: text/plain", "standard::size: 9", fmt.Sprint("unix::mode: ", 0o100600), "access::can-write: TRUE"} {
		if !strings.Contains(said, want) {
			t.Errorf("gio info does not say %q:\n%s", want, said)
		}
	}
	// A file manager's status bar shows what statfs(2) says.
	var fs syscall.Statfs_t
	must(t, syscall.Statfs(laptop.Mount, &fs))
	said = gio("info", "--filesystem", laptop.Mount)
	for _, want := range []string{fmt.Sprint("filesystem::size: ", fs.Blocks*uint64(fs.Bsize)), "filesystem::type: fuse"} {
		if !strings.Contains(said, want) {
			t.Errorf("gio info does not say %q:\n%s", want, said)
		}
	}
	if list := gio("list", laptop.Mount); list != "Ada.txt\nLetters\n" && list != "Letters\nAda.txt\n" {
		t.Errorf("gio list says %q", list)
	}
	syncAll(t, laptop)
	must(t, anna.stored(t, "Ada.txt", []byte("Dear Ada\n")))
	must(t, anna.stored(t, "Letters/Ada.txt~", []byte("Dear Ada\n")))
}
