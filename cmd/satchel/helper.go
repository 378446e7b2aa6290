package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"satchel/api"
	"satchel/fusefs/backing"
)

type helperCmd struct {
	Install helperInstallCmd `cmd:"" help:"Install satchel-helper as a service of systemd, which starts when it is needed. Run it with sudo."`
	Remove  helperRemoveCmd  `cmd:"" help:"Take it away again. Run it with sudo."`
}

func (cmd *helperCmd) Help() string {
	return "satchel-helper gives ordinary users' folders the full speed: the kernel reads and writes local content itself (passthrough), which it lets only root arrange."
}

// helperPlace is where an installation is: the machine's, or for whoever makes
// packages a directory that becomes it.
type helperPlace struct {
	Root string `default:"/" placeholder:"DIR" help:"Install below this directory, as packages are made; nothing is started then." complete:"dir"`
}

// Where it is put, with the units that start it; and where a package of the system puts its own.
const (
	helperBinary    = "/usr/local/libexec/satchel-helper"
	unitDir         = "/etc/systemd/system"
	packagedBinary  = "/usr/sbin/satchel-helper"
	packagedUnitDir = "/lib/systemd/system"

	helperSocket  = "satchel-helper.socket"
	helperService = "satchel-helper.service"
)

//go:embed units/satchel-helper.socket
var helperSocketUnit string

//go:embed units/satchel-helper.service
var helperServiceUnit string

// units are the files of systemd, by name.
func helperUnits() map[string]string {
	fill := strings.NewReplacer("@SOCKET@", backing.DefaultSocket, "@BINARY@", helperBinary)
	return map[string]string{
		helperSocket:  fill.Replace(helperSocketUnit),
		helperService: fill.Replace(helperServiceUnit),
	}
}

type helperInstallCmd struct {
	helperPlace
	Binary string `placeholder:"FILE" help:"The program satchel-helper; by default the one beside this program." complete:"file"`
}

func (cmd *helperInstallCmd) Run(sh *shell) error {
	if err := cmd.check("install"); err != nil {
		return err
	}
	program, err := cmd.program()
	if err != nil {
		return err
	}
	live, binary := cmd.Root == "/" && systemdRuns(), helperBinary
	if cmd.packaged() && sameFile(program, cmd.path(packagedBinary)) {
		// A copy would go on as it is when the package gets another one.
		binary = packagedBinary
		if err := cmd.drop(live); err != nil {
			return err
		}
	} else if err := cmd.copy(program); err != nil {
		return err
	}
	if err := cmd.hideFromUpdatedb(); err != nil {
		fmt.Fprintf(sh.stderr, "updatedb goes on reading mounted drives: %v\n", err)
	}
	if cmd.Root != "/" {
		return sh.answer(map[string]string{"root": cmd.Root}, "installed below %s", cmd.Root)
	}
	if !live {
		return sh.answer(map[string]string{"binary": binary}, "installed; systemd does not run here, so start it in your own way: %s", binary)
	}
	// A helper that runs is the old program.
	if err := systemctl("daemon-reload"); err != nil {
		return err
	}
	if err := systemctl("enable", "--now", helperSocket); err != nil {
		return err
	}
	if err := systemctl("try-restart", helperService); err != nil {
		return err
	}
	return sh.answer(map[string]string{"socket": backing.DefaultSocket}, "satchel-helper starts when a drive is mounted; drives that are mounted now get it at their next mount")
}

// copy puts a helper, and the units that start it, where no package is.
func (p helperPlace) copy(program string) error {
	if err := copyProgram(program, p.path(helperBinary)); err != nil {
		return err
	}
	for name, text := range helperUnits() {
		if err := writeSystemFile(p.path(unitDir, name), []byte(text)); err != nil {
			return err
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func sameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// copied tells whether there is what copy makes, and packaged what a package brings.
func (p helperPlace) copied() bool   { return exists(p.path(unitDir, helperSocket)) }
func (p helperPlace) packaged() bool { return exists(p.path(packagedUnitDir, helperSocket)) }

// drop removes what copy has made; the links to it first (live), which would be left.
func (p helperPlace) drop(live bool) error {
	if live && p.copied() {
		if err := systemctl("disable", helperSocket); err != nil {
			return err
		}
	}
	paths := []string{p.path(helperBinary)}
	for name := range helperUnits() {
		paths = append(paths, p.path(unitDir, name))
	}
	for _, path := range paths {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// program is the helper that is to be installed.
func (cmd *helperInstallCmd) program() (string, error) {
	if cmd.Binary != "" {
		return cmd.Binary, nil
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	beside := filepath.Join(filepath.Dir(self), "satchel-helper")
	for _, file := range []string{beside, filepath.Join(filepath.Dir(self), "..", "sbin", "satchel-helper")} { // packages put it there
		if _, err := os.Stat(file); err == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("there is no %s\nname the program with --binary FILE", beside)
}

type helperRemoveCmd struct{ helperPlace }

func (cmd *helperRemoveCmd) Run(sh *shell) error {
	if err := cmd.check("remove"); err != nil {
		return err
	}
	if !cmd.copied() && !cmd.packaged() {
		return api.Errorf(api.NotFound, "satchel-helper is not installed")
	}
	live := cmd.Root == "/" && systemdRuns()
	if live {
		if err := systemctl("disable", "--now", helperSocket, helperService); err != nil {
			return err
		}
	}
	if err := cmd.drop(false); err != nil {
		return err
	}
	if live {
		if err := systemctl("daemon-reload"); err != nil {
			return err
		}
	}
	if cmd.packaged() {
		return sh.answer(map[string]string{"stopped": packagedBinary}, "satchel-helper starts no more, and goes with its package; mounted drives go on through their daemons")
	}
	return sh.answer(map[string]string{"removed": helperBinary}, "satchel-helper is removed; mounted drives go on through their daemons")
}

func (p helperPlace) check(what string) error {
	if err := helperHere(); err != nil {
		return err
	}
	if p.Root == "/" && os.Geteuid() != 0 {
		return api.Errorf(api.Permission, "only root can do that\nrun: sudo satchel helper %s", what)
	}
	return nil
}

func (p helperPlace) path(parts ...string) string {
	return filepath.Join(append([]string{p.Root}, parts...)...)
}

// updatedbConf says which file systems locate(1)'s index leaves out.
const updatedbConf = "/etc/updatedb.conf"

// hideFromUpdatedb keeps locate(1)'s nightly walk out of mounted drives, where
// it would fetch every directory.
func (p helperPlace) hideFromUpdatedb() error {
	path := p.path(updatedbConf)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // there is no updatedb
	}
	if err != nil || strings.Contains(string(b), fsType) {
		return err
	}
	var out strings.Builder
	done := false
	for line := range strings.Lines(string(b)) {
		name, value, ok := strings.Cut(line, "=")
		if rest := strings.TrimSpace(value); ok && strings.TrimSpace(name) == "PRUNEFS" && strings.HasPrefix(rest, `"`) && len(rest) > 1 {
			line = name + `="` + fsType + " " + rest[1:] + "\n"
			done = true
		}
		out.WriteString(line)
	}
	if !done {
		fmt.Fprintf(&out, "PRUNEFS=%q\n", fsType)
	}
	return writeSystemFile(path, []byte(out.String()))
}

// writeSystemFile replaces a file that everybody may read.
func writeSystemFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := writeFile(path, data); err != nil {
		return err
	}
	return os.Chmod(path, 0o644)
}

func copyProgram(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("%s: %w", from, cause(err))
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if err := writeFile(to, b); err != nil { // by rename: one that runs may not be written to
		return err
	}
	return os.Chmod(to, 0o755)
}

// systemdRuns is sd_booted(3).
func systemdRuns() bool {
	info, err := os.Lstat("/run/systemd/system")
	return err == nil && info.IsDir()
}

func systemctl(args ...string) error {
	out, err := exec.Command("systemctl", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("systemctl %s: %w\n%s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
