package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"satchel/api"
	"satchel/cache"
	"satchel/cmd/internal/cli"
)

func TestSize(t *testing.T) {
	for in, want := range map[string]size{
		"0": 0, "1024": 1024, "10GiB": 10 << 30, "10g": 10 << 30, "1.5 MiB": 3 << 19, "2GB": 2e9, "512k": 512 << 10, "7B": 7,
	} {
		var s size
		if err := s.UnmarshalText([]byte(in)); err != nil || s != want {
			t.Errorf("%q: %d, %v; want %d", in, s, err, want)
		}
	}
	for _, in := range []string{"", "x", "-1", "10Q", "GiB", "1e40", "nan", "inf", "1 2"} {
		var s size
		if err := s.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("%q was taken for %d", in, s)
		}
	}
	for in, want := range map[size]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 10 << 30: "10.0 GiB", 300 << 20: "300 MiB", 2 << 40: "2.0 TiB"} {
		if in.String() != want {
			t.Errorf("%d is shown as %q, want %q", in, in, want)
		}
	}
}

func TestResolve(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		os.Mkdir(filepath.Join(dir, "real"), 0o700),
		os.Symlink("real", filepath.Join(dir, "relative")),
		os.Symlink(filepath.Join(dir, "relative"), filepath.Join(dir, "absolute")),
		os.Symlink("loop", filepath.Join(dir, "loop")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	real := filepath.Join(dir, "real")
	for in, want := range map[string]string{
		"real": real, "real/": real, "relative": real, "absolute": real, "real/../relative/.": real, "real/new": real + "/new", "absolute/new": real + "/new",
	} {
		if got, err := resolve(filepath.Join(dir) + "/" + in); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"loop", "missing/new"} {
		if got, err := resolve(filepath.Join(dir, in)); err == nil {
			t.Errorf("%s: %s, want an error", in, got)
		}
	}
}

func TestPlaces(t *testing.T) {
	t.Setenv("HOME", "/home/ada")
	for _, name := range []string{"XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"} {
		t.Setenv(name, "relative/is/ignored")
	}
	p, err := findPlaces()
	want := places{"/home/ada/.config/satchel", "/home/ada/.cache/satchel", "/home/ada/.local/state/satchel", ""}
	if err != nil || p != want {
		t.Errorf("%+v, %v", p, err)
	}
	t.Setenv("XDG_CACHE_HOME", "/big")
	p, _ = findPlaces()
	user := api.ID{1}
	dirs := map[string]bool{}
	for _, dir := range []string{
		p.cacheDir("https://a", user, "default"), p.cacheDir("https://b", user, "default"),
		p.cacheDir("https://a", api.ID{2}, "default"), p.cacheDir("https://a", user, "work"),
	} {
		if !strings.HasPrefix(dir, "/big/satchel/") {
			t.Errorf("a cache in %s", dir)
		}
		dirs[dir] = true
	}
	if len(dirs) != 4 {
		t.Errorf("caches are shared: %v", dirs)
	}
	t.Setenv("HOME", "")
	if _, err := findPlaces(); err == nil {
		t.Error("no home directory was taken for one")
	}
}

func TestLoginFile(t *testing.T) {
	sh := &shell{places: places{config: filepath.Join(t.TempDir(), "new")}, profile: "default"}
	want := login{Server: "https://a", User: api.ID{1}, Email: "a@b", Device: api.ID{2}, DeviceName: "x", Secret: "s"}
	for range 2 {
		if err := sh.saveLogin(want, false); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := sh.login(); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	files, _ := os.ReadDir(sh.places.config)
	info, err := os.Stat(sh.places.credentials("default"))
	if err != nil || info.Mode().Perm() != 0o600 || len(files) != 1 {
		t.Errorf("%v, %v, %d files", info, err, len(files))
	}
}

func TestReportWords(t *testing.T) {
	for want, s := range map[string]cache.Status{
		"everything is on the server":     {Connected: true},
		"1 change not sent yet":           {PendingMutations: 1},
		"2 changes, 1.0 KiB not sent yet": {PendingMutations: 2, PendingBytes: 1024},
		"1 change, 1 new name (the .satchelignore is not here yet) not sent yet": {PendingMutations: 1, LocalOnly: 3, Undecided: 1},
	} {
		if got := (report{Status: s}).pending(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	var told strings.Builder
	report{Status: cache.Status{DiskShort: true, DiskFreeBytes: 2 << 30}}.print(&told, "satchel resume")
	if !strings.Contains(told.String(), "disk:    2.0 GiB are free where content is kept, less than a twentieth: what the server has is fetched each time; make room there") {
		t.Errorf("a short disk is told as:\n%s", told.String())
	}
	told.Reset()
	report{Status: cache.Status{DiskFreeBytes: 2 << 30}}.print(&told, "satchel resume")
	if strings.Contains(told.String(), "disk:") {
		t.Errorf("a disk with room is told of:\n%s", told.String())
	}
	told.Reset()
	report{Status: cache.Status{PinnedMissing: 2}}.print(&told, "satchel resume")
	if !strings.Contains(told.String(), "pinned:  2 names can't be had now, and will not be here without the server\n") {
		t.Errorf("what is missing of what is pinned is told as:\n%s", told.String())
	}
	told.Reset()
	report{Status: cache.Status{LocalOnly: 2, Events: []cache.Event{{What: cache.EventRefused, Dir: api.NewID(), Now: "Recovered/a"}}}}.print(&told, "satchel resume")
	if !regexp.MustCompile(`(?m)^look at: .*\n         .* refused .*\nhere: `).MatchString(told.String()) {
		t.Errorf("what was refused is told elsewhere than below what to look at:\n%s", told.String())
	}
	if got := plural(3, "conflict copy"); got != "3 conflict copies" {
		t.Error(got)
	}
	if got := cli.Printable("a\x1b[31mb\nc\xffä😀"); got != "a?[31mb?c\uFFFDä😀" && got != "a?[31mb?c?ä😀" {
		t.Errorf("%q", got)
	}
	if got := permissions(0o4751); got != "rwxr-x--x" {
		t.Error(got)
	}
}

// A command in a message can be typed as it stands, whatever the names in it are.
func TestCommand(t *testing.T) {
	for want, line := range map[string]string{
		"satchel resume":                               (&shell{profile: "default"}).command("resume"),
		"satchel --profile work resume":                (&shell{profile: "work"}).command("resume"),
		"satchel --profile work rm -r Ärger/a_b-1.txt": (&shell{profile: "work"}).command("rm -r", "Ärger/a_b-1.txt"),
		`satchel umount '/mnt/my drive'`:               commandLine("", "umount", "/mnt/my drive"),
		`satchel mv 'satchel status' 'it'\''s; $HOME'`: commandLine("default", "mv", "satchel status", "it's; $HOME"),
		"satchel history ''":                           commandLine("default", "history", ""),
		`satchel history 'a?b'`:                        commandLine("default", "history", "a\nb"),
		`satchel rm -r -- a -rf '-v 2'`:                commandLine("", "rm -r", "a", "-rf", "-v 2"),
		`satchel devices revoke -- -phone`:             commandLine("", "devices revoke", "-phone"),
	} {
		if line != want {
			t.Errorf("%s, want %s", line, want)
		}
	}
}

// What the system's errors are is told to programs, too.
func TestErrorKind(t *testing.T) {
	_, gone := os.Stat(filepath.Join(t.TempDir(), "gone"))
	for _, c := range []struct {
		err  error
		want api.Kind
	}{
		{fmt.Errorf("gone: %w", cause(gone)), api.NotFound},
		{api.Errorf(api.Quota, "full: %w", gone), api.Quota},
		{fmt.Errorf("x: %w", syscall.EACCES), api.Permission},
		{fmt.Errorf("x: %w", syscall.EDQUOT), api.NoSpace},
		{errors.New("odd"), api.Internal},
		{context.Canceled, api.Cancelled},
		{nil, ""},
	} {
		if got := kindOf(c.err); got != c.want {
			t.Errorf("%v is %q, want %q", c.err, got, c.want)
		}
	}
}

// What to look at is what is still there.
func TestToLookAt(t *testing.T) {
	dir := api.NewID()
	copied, refused, news := cache.Event{What: cache.EventConflict, Dir: dir}, cache.Event{What: cache.EventRefused, Dir: dir}, cache.Event{What: cache.EventKept}
	for _, c := range []struct {
		events []cache.Event
		want   string
	}{
		{nil, ""},
		{[]cache.Event{news}, ""},
		{[]cache.Event{news, copied}, "1 conflict copy"},
		{[]cache.Event{copied, copied, refused}, "2 conflict copies, 1 refused file in Recovered"},
	} {
		if got := (report{Status: cache.Status{Conflicts: 9, Refused: 9, Events: c.events}}).toLookAt(); got != c.want {
			t.Errorf("%v: %q, want %q", c.events, got, c.want)
		}
	}
}

func TestWhyElsewhere(t *testing.T) {
	for _, test := range []struct{ was, is, want string }{
		{"a/b", "a/b (conflict, laptop, 2026-11-23 12.00)", "name is taken"},
		{"b", "b (conflict, laptop, 2026-11-23 12.00)", "name is taken"},
		{"a/b", "b", "shows another's"},
		{"a/b", "a (conflict, laptop, 2026-11-23 12.00)/b", "another name"},
	} {
		if why := whyElsewhere(test.was, test.is); !strings.Contains(why, test.want) {
			t.Errorf("%s is at %s since %q, want %q", test.was, test.is, why, test.want)
		}
	}
}

// The doctor says of a disk what a drive there does: of a large one a fiftieth is much.
func TestRoomWords(t *testing.T) {
	for want, room := range map[string]cache.Room{
		"ok 300 GiB of 4.0 TiB are free where content is kept":                                                        {Free: 300 << 30, Size: 4 << 40},
		"warning 60.0 GiB of 4.0 TiB are free where content is kept: what the server has is not kept on this machine": {Free: 60 << 30, Size: 4 << 40, Short: true},
		"failure 10.0 MiB of 1.0 GiB are free where content is kept: writers are refused":                             {Free: 10 << 20, Size: 1 << 30, Short: true, Full: true},
	} {
		if f := findRoom(room); string(f.State)+" "+f.Found != want {
			t.Errorf("%s %s, want %s", f.State, f.Found, want)
		}
	}
}
