package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"satchel/api"
)

type serviceCmd struct {
	Install serviceInstallCmd `cmd:"" help:"Mount the drive at every login, and again after a crash: a service of the user's systemd."`
	Remove  serviceRemoveCmd  `cmd:"" help:"Unmount it, and mount it by itself no more."`
}

type serviceInstallCmd struct {
	Dir string `arg:"" help:"An empty directory." complete:"dir"`
	mountFlags
}

func (cmd *serviceInstallCmd) Help() string {
	return "The flags of satchel mount, --profile and the other settings of this command line, and those of the environment (SATCHEL_…), are kept for every start; the configuration file is read at each. A mount whose daemon has died is taken away before the next start; what was not sent is sent then."
}

func (cmd *serviceInstallCmd) Run(sh *shell) error {
	if err := serviceHere(); err != nil {
		return err
	}
	mount := mountCmd{Dir: cmd.Dir, mountFlags: cmd.mountFlags}
	dir, err := resolve(cmd.Dir)
	if err != nil {
		return err
	}
	_, mounted := sh.places.runningAt(dir)
	if !mounted { // else it is what all checks passed for
		if _, _, err := mount.check(sh); err != nil {
			return err
		}
	}
	unit, err := cmd.unit(sh, dir)
	if err != nil {
		return err
	}
	path, err := servicePath(dir)
	if err != nil {
		return err
	}
	if err := writeSystemFile(path, []byte(unit)); err != nil {
		return err
	}
	name := filepath.Base(path)
	if !userSystemdRuns() {
		return sh.answer(map[string]string{"unit": path}, "wrote %s\nsystemd does not run for this user now, so nothing is mounted yet\nat a login where it runs, type: systemctl --user enable --now %s\nuntil then: %s", path, quoted(name), sh.command("mount", cmd.Dir))
	}
	if err := systemctl("--user", "daemon-reload"); err != nil {
		return err
	}
	start := []string{"--user", "enable", "--now", name}
	if mounted { // it goes on; the service takes over at the next login
		start = []string{"--user", "enable", name}
	}
	if err := systemctl(start...); err != nil {
		return fmt.Errorf("%w\nsee why with: journalctl --user -u %s", err, name)
	}
	if mounted {
		return sh.answer(map[string]string{"unit": path}, "%s is mounted at every login from now on; what is mounted now goes on", cmd.Dir)
	}
	return sh.answer(map[string]string{"unit": path}, "%s is mounted now, at every login, and again after a crash", cmd.Dir)
}

// unit is the service's file. Its command is a mount that stays, with the settings of this command's line and of the environment,
// which the service does not have.
func (cmd *serviceInstallCmd) unit(sh *shell, dir string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	cwd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	args := append([]string{self}, sh.mounting("--foreground", dir)...)
	for i, arg := range args {
		args[i] = unitQuote(arg)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "[Unit]\nDescription=Satchel drive at %s\nDocumentation=man:satchel(1)\nStartLimitIntervalSec=0\n\n", strings.ReplaceAll(dir, "%", "%%"))
	fmt.Fprintf(&b, "[Service]\nType=notify\nExecStart=%s\n", strings.Join(args, " "))
	fmt.Fprintf(&b, "WorkingDirectory=%s\n", strings.ReplaceAll(cwd, "%", "%%"))
	for _, name := range []string{"XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"} {
		if value := os.Getenv(name); value != "" {
			fmt.Fprintf(&b, "Environment=%s\n", unitQuote(name+"="+value))
		}
	}
	// What is not sent waits for the next start, so stopping need not; wrong usage is no crash.
	b.WriteString("Restart=on-failure\nRestartSec=1\nRestartPreventExitStatus=2\nTimeoutStartSec=60\nTimeoutStopSec=30\n\n[Install]\nWantedBy=default.target\n")
	return b.String(), nil
}

type serviceRemoveCmd struct {
	Dir string `arg:"" help:"The mounted folder." complete:"mounted,dir"`
}

func (cmd *serviceRemoveCmd) Run(sh *shell) error {
	if err := serviceHere(); err != nil {
		return err
	}
	dir, err := resolve(cmd.Dir)
	if err != nil {
		return err
	}
	path, err := servicePath(dir)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return api.Errorf(api.NotFound, "no service mounts a drive at %s", cmd.Dir)
	}
	runs := userSystemdRuns()
	if runs {
		if err := systemctl("--user", "disable", "--now", filepath.Base(path)); err != nil {
			return err
		}
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	if runs {
		if err := systemctl("--user", "daemon-reload"); err != nil {
			return err
		}
	}
	return sh.answer(map[string]string{"removed": path}, "%s is not mounted by itself any more", cmd.Dir)
}

// servicePath is the unit's file of a mount point (systemd.unit(5)).
func servicePath(dir string) (string, error) {
	config, err := os.UserConfigDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(config, "systemd", "user", "satchel-"+unitEscape(dir)+".service"), nil
}

// unitEscape is systemd-escape --path.
func unitEscape(path string) string {
	path = strings.Trim(path, "/")
	if path == "" {
		return "-"
	}
	var b strings.Builder
	for i := range len(path) {
		switch c := path[i]; {
		case c == '/':
			b.WriteByte('-')
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == ':', c == '_', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}

// unitQuote is a word of a command line in a unit (systemd.service(5)).
func unitQuote(s string) string {
	s = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%", "$", "$$", "\n", `\n`).Replace(s)
	if s == "" || strings.ContainsAny(s, " \t'\";") {
		return `"` + s + `"`
	}
	return s
}

func userSystemdRuns() bool {
	dir := os.Getenv("XDG_RUNTIME_DIR")
	_, err := os.Stat(filepath.Join(dir, "systemd", "private"))
	return filepath.IsAbs(dir) && err == nil
}

// tellSystemd is sd_notify(3): whether it was heard is of no use to us.
func tellSystemd(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	if c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"}); err == nil {
		c.Write([]byte(state))
		c.Close()
	}
}
