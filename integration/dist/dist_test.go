package dist

import (
	"debug/elf"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"satchel/integration/require"
)

// TestDist makes what is given to others for this machine, unpacks the Debian packages and runs what is in them.
func TestDist(t *testing.T) {
	dpkg := require.Tool(t, "dpkg-deb")
	dir := t.TempDir()
	dist := filepath.Join(dir, "dist")
	command := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "HOME="+dir, "GOPATH="+goEnv(t, "GOPATH"), "GOCACHE="+goEnv(t, "GOCACHE"), "GOMODCACHE="+goEnv(t, "GOMODCACHE"),
			"DIST="+dist, "VERSION=9.8.7", "SYSTEMS=linux", "ARCHES="+runtime.GOARCH, "COMPRESSION=gzip") // xz would take most of the time
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	here, err := os.Getwd()
	must(t, err)
	command("sh", filepath.Join(here, "..", "dist.sh"))
	command("sh", "-c", `cd "$DIST" && sha256sum --check --strict --quiet SHA256SUMS && test $(wc -l <SHA256SUMS) = 6`)

	root := filepath.Join(dir, "root")
	for _, p := range []struct{ name, depends, scripts string }{
		{"satcheld", "postgresql", "postinst prerm postrm conffiles"},
		{"satchel", "fuse3", "postinst prerm postrm"},
	} {
		file := filepath.Join(dist, p.name+"_9.8.7_"+runtime.GOARCH+".deb")
		for field, want := range map[string]string{"Package": p.name, "Version": "9.8.7", "Architecture": runtime.GOARCH, "Depends": p.depends} {
			if got := strings.TrimSpace(command(dpkg, "--field", file, field)); got != want && (field != "Depends" || !strings.Contains(got, want)) {
				t.Errorf("%s: %s is %q", file, field, got)
			}
		}
		for line := range strings.Lines(command(dpkg, "--contents", file)) {
			if f := strings.Fields(line); len(f) < 6 || f[1] != "root/root" || f[0][5] == 'w' || f[0][8] == 'w' {
				t.Errorf("%s has %s", p.name, line)
			}
		}
		command(dpkg, "--extract", file, root)
		control := filepath.Join(dir, p.name+".control")
		command(dpkg, "--control", file, control)
		for _, script := range strings.Fields(p.scripts) {
			if script == "conffiles" {
				b, err := os.ReadFile(filepath.Join(control, script))
				must(t, err)
				if string(b) != "/etc/satchel/satcheld.conf\n" {
					t.Errorf("conffiles has %q", b)
				}
				continue
			}
			command("sh", "-n", filepath.Join(control, script))
		}
	}
	unit, err := os.ReadFile(filepath.Join(root, "lib/systemd/system/satchel-helper.service"))
	must(t, err)
	socket, err := os.ReadFile(filepath.Join(root, "lib/systemd/system/satchel-helper.socket"))
	must(t, err)
	if !strings.Contains(string(unit), "\nExecStart=/usr/sbin/satchel-helper\n") || !strings.Contains(string(socket), "\nListenSequentialPacket=/run/satchel-helper.sock\n") {
		t.Errorf("the helper's units are\n%s%s", unit, socket)
	}
	helperScripts(t, filepath.Join(dir, "satchel.control"), root)
	for _, want := range []string{"lib/systemd/system/satcheld.service", "lib/systemd/system/satcheld.socket", "usr/lib/sysusers.d/satcheld.conf", "etc/satchel/satcheld.conf",
		"lib/systemd/system/satchel-helper.service", "lib/systemd/system/satchel-helper.socket", "usr/share/man/man8/satcheld.8.gz", "usr/share/man/man1/satchel.1.gz", "usr/share/man/man1/satchel-mount.1.gz", "usr/share/bash-completion/completions/satchel",
		"usr/share/zsh/vendor-completions/_satcheld", "usr/share/fish/vendor_completions.d/satchel.fish", "usr/share/doc/satchel/copyright"} {
		if info, err := os.Stat(filepath.Join(root, want)); err != nil || info.Size() == 0 {
			t.Errorf("the packages have no %s: %v", want, err)
		}
	}
	for _, program := range []string{"usr/bin/satchel", "usr/bin/satcheld", "usr/sbin/satchel-helper"} {
		path := filepath.Join(root, program)
		if said := command(path, "--help"); !strings.Contains(said, "Usage: "+filepath.Base(program)) {
			t.Errorf("%s --help says %s", program, said)
		}
		if program != "usr/sbin/satchel-helper" {
			if said, want := command(path, "--version"), filepath.Base(program)+" 9.8.7\n"; said != want {
				t.Errorf("%s --version says %q, not %q", program, said, want)
			}
		}
		f, err := elf.Open(path)
		must(t, err)
		if needs, err := f.ImportedLibraries(); err != nil || len(needs) > 0 {
			t.Errorf("%s is not static: it needs %q, %v", program, needs, err)
		}
		must(t, f.Close())
	}
}

// helperScripts: a package with the helper takes the place of what satchel helper install copied before there was one,
// where it was to be started as where not, and goes whole.
func helperScripts(t *testing.T, scripts, packaged string) {
	t.Helper()
	const copied, copiedUnit = "usr/local/libexec/satchel-helper", "etc/systemd/system/satchel-helper.service"
	for _, enabled := range []bool{true, false} {
		root := t.TempDir()
		link := filepath.Join(root, "etc/systemd/system/sockets.target.wants/satchel-helper.socket")
		write := func(name, text string) {
			t.Helper()
			must(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755))
			must(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o755))
		}
		run := func(script string, args ...string) {
			t.Helper()
			cmd := exec.CommandContext(t.Context(), filepath.Join(scripts, script), args...)
			cmd.Env = append(os.Environ(), "DPKG_ROOT="+root)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s %q: %v\n%s", script, args, err, out)
			}
		}
		leadsTo := func(want string) {
			t.Helper()
			if to, _ := os.Readlink(link); strings.TrimPrefix(to, root) != want {
				t.Errorf("enabled before: %t; now the socket's link leads to %q, not to %q", enabled, to, want)
			}
		}
		write(copied, "old")
		write(copiedUnit, "[Service]\nExecStart=/"+copied+"\n")
		write("etc/systemd/system/satchel-helper.socket", "[Install]\nWantedBy=sockets.target\n")
		if enabled {
			must(t, os.MkdirAll(filepath.Dir(link), 0o755))
			must(t, os.Symlink("/etc/systemd/system/satchel-helper.socket", link))
		}
		for _, unit := range []string{"satchel-helper.service", "satchel-helper.socket"} { // dpkg unpacks before postinst
			text, err := os.ReadFile(filepath.Join(packaged, "lib/systemd/system", unit))
			must(t, err)
			write("usr/lib/systemd/system/"+unit, string(text))
		}
		must(t, os.Symlink("usr/lib", filepath.Join(root, "lib")))
		for range 2 {
			run("postinst", "configure", "1.2.3")
			for _, name := range []string{copied, copiedUnit, "etc/systemd/system/satchel-helper.socket"} {
				if _, err := os.Lstat(filepath.Join(root, name)); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s is there yet: %v", name, err)
				}
			}
			if enabled {
				leadsTo("/lib/systemd/system/satchel-helper.socket")
			} else {
				leadsTo("")
			}
		}
		run("prerm", "upgrade", "1.2.4")
		if enabled {
			leadsTo("/lib/systemd/system/satchel-helper.socket")
		}
		run("prerm", "remove")
		leadsTo("")
		run("postrm", "remove")

		// Units of somebody's own are not this package's to remove.
		write(copiedUnit, "[Service]\nExecStart=/opt/satchel-helper\n")
		run("postinst", "configure", "1.2.3")
		if _, err := os.Stat(filepath.Join(root, copiedUnit)); err != nil {
			t.Errorf("a unit of somebody's own: %v", err)
		}
	}
}

// goEnv is one of Go's settings, which a home of one's own would change.
func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	must(t, err)
	return strings.TrimSpace(string(out))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
