package main

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"

	"golang.org/x/term"

	"satchel/api"
	"satchel/api/client"
)

type loginCmd struct {
	URL           string `arg:"" help:"The server's address, such as https://drive.example.org."`
	Email         string `required:"" placeholder:"EMAIL" help:"The account."`
	PasswordStdin bool   `help:"Read the password from standard input."`
	Device        string `placeholder:"NAME" help:"What to call this machine; by default its host name."`
}

// loginError is a login that was refused, as opposed to one that has ended.
type loginError struct{ error }

func (e loginError) Unwrap() error { return e.error }

func (cmd *loginCmd) Run(sh *shell) error {
	server, err := client.ParseServer(cmd.URL)
	if err != nil {
		return usageError{err.Error()}
	}
	if u, err := url.Parse(server); err == nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
		fmt.Fprintln(sh.stderr, "warning: http:// sends the password and all files unencrypted; use https:// where the server has it")
	}
	old, oldErr := sh.login()
	if oldErr == nil && (old.Server != server || !strings.EqualFold(old.Email, cmd.Email)) {
		return fmt.Errorf("profile %q is logged in to %s as %s already\nlog out first with: satchel logout, or use another one: --profile NAME", sh.profile, old.Server, old.Email)
	}
	password, err := cmd.password(sh)
	if err != nil {
		return err
	}
	device := cmd.Device
	if device == "" {
		if device, err = os.Hostname(); err != nil {
			device = "unnamed"
		}
	}
	cred, err := client.Login(sh.ctx, server, cmd.Email, password, device)
	if api.KindOf(err) == api.Unauthenticated {
		return loginError{fmt.Errorf("%w\ncheck both, and try again", err)}
	}
	if err != nil {
		return err
	}
	if err := sh.saveLogin(login{
		Server: server, User: cred.User, Email: cred.Email, Role: cred.Role,
		Device: cred.Device, DeviceName: device, Secret: cred.Secret,
	}); err != nil {
		return fmt.Errorf("keep the login: %w", err)
	}
	fmt.Fprintf(sh.stdout, "logged in to %s as %s; this device is called %q\n", server, cred.Email, device)
	if oldErr == nil {
		sh.replaced(old)
	}
	return nil
}

// replaced ends the login that this one takes the place of, unless a mounted
// drive still works with it.
func (sh *shell) replaced(old login) {
	if m, err := sh.running(""); err == nil {
		fmt.Fprintf(sh.stdout, "%s goes on with the login before; unmount and mount it to use this one\n", m.Mountpoint)
		return
	}
	if c, err := old.client(); err == nil {
		_ = c.Logout(sh.ctx) // it has ended already, or is listed by `satchel devices`
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (cmd *loginCmd) password(sh *shell) (string, error) {
	if cmd.PasswordStdin {
		b, err := io.ReadAll(io.LimitReader(sh.stdin, 64<<10))
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		password := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
		if password == "" {
			return "", usageError{"there is no password on standard input"}
		}
		return password, nil
	}
	f, ok := sh.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return "", usageError{"no terminal to ask for the password: give it on standard input with --password-stdin"}
	}
	fmt.Fprintf(sh.stderr, "password of %s: ", cmd.Email)
	b, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(sh.stderr)
	if err != nil {
		return "", api.Errorf(api.Cancelled, "no password given")
	}
	return string(b), nil
}
