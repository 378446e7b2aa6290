package main

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"satchel/api"
	"satchel/api/client"
)

type loginCmd struct {
	URL           string `arg:"" help:"The server's address, such as https://drive.example.org."`
	Email         string `setting:"" placeholder:"EMAIL" help:"The account, to log in with its password; without it you confirm on a page of the server's, on any device."`
	PasswordStdin bool   `help:"Read the password from standard input."`
	Device        string `setting:"" placeholder:"NAME" help:"What to call this machine; by default its host name, and the profile if that is not the default one."`
	Keyring       string `setting:"" enum:"auto,off" default:"auto" help:"Where to keep the login's secret: auto: in the system's keyring, where there is one, else in a file; off: in a file."`
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
	if cmd.Email == "" && cmd.PasswordStdin {
		return usageError{"--password-stdin goes with --email EMAIL"}
	}
	old, oldErr := sh.login()
	if oldErr == nil && (old.Server != server || cmd.Email != "" && !strings.EqualFold(old.Email, cmd.Email)) {
		return api.Errorf(api.Exists, "profile %q is logged in to %s as %s already\nlog out first with: %s, or use another one: --profile NAME", sh.profile, old.Server, old.Email, sh.command("logout"))
	}
	device := cmd.Device
	if device == "" {
		if device, err = os.Hostname(); err != nil {
			device = "unnamed"
		}
		if sh.profile != "default" {
			device += " " + sh.profile
		}
	}
	cred, err := cmd.credentials(sh, server, device)
	if err != nil {
		return err
	}
	if oldErr == nil && old.User != cred.User { // another one confirmed it
		if c, err := client.New(server, cred, nil); err == nil {
			_ = c.Logout(sh.ctx)
			c.Close()
		}
		return api.Errorf(api.Exists, "profile %q is logged in as %s, and %s confirmed this login: it was ended again\nuse another one: --profile NAME", sh.profile, old.Email, cred.Email)
	}
	l := login{
		Server: server, User: cred.User, Email: cred.Email, Role: cred.Role,
		Device: cred.Device, DeviceName: device, Secret: cred.Secret,
	}
	if err := sh.saveLogin(l, cmd.Keyring == "auto"); err != nil {
		return fmt.Errorf("keep the login: %w", err)
	}
	if oldErr == nil {
		defer sh.replaced(old)
	}
	sh.noteNamesake(server, cred, old.Device, device)
	if l.Role != "admin" {
		sh.takeOver(l)
	}
	return sh.answer(me{Email: cred.Email, Name: cred.Name, Role: cred.Role, User: cred.User, Server: server, Device: cred.Device, DeviceName: device},
		"logged in to %s as %s; this device is called %q", server, cred.Email, device)
}

// noteNamesake tells when another device of the account, but for one that this
// login takes the place of, has the same name: conflict copies and lists would
// not say which is meant.
func (sh *shell) noteNamesake(server string, cred api.Credentials, replaced api.ID, name string) {
	c, err := client.New(server, cred, nil)
	if err != nil {
		return
	}
	defer c.Close()
	all, err := c.Devices(sh.ctx)
	if err != nil {
		return // it is a note only
	}
	is := func(d api.Device) bool { return d.Name == name && d.ID != cred.Device && d.ID != replaced }
	if slices.ContainsFunc(all, is) {
		fmt.Fprintf(sh.stderr, "note: another device of this account is called %q too\nto tell them apart: %s --device NAME\n", name, sh.command("login", server))
	}
}

// credentials logs this machine in.
func (cmd *loginCmd) credentials(sh *shell, server, device string) (api.Credentials, error) {
	if cmd.Email == "" {
		return sh.confirmed(server, device)
	}
	password, err := cmd.password(sh)
	if err != nil {
		return api.Credentials{}, err
	}
	cred, err := client.Login(sh.ctx, server, cmd.Email, password, device)
	if api.KindOf(err) == api.Unauthenticated {
		err = loginError{fmt.Errorf("%w\ncheck both, and try again", err)}
	}
	return cred, err
}

// confirmed logs in by what somebody says on the server's page.
func (sh *shell) confirmed(server, device string) (api.Credentials, error) {
	code, err := client.BeginDevice(sh.ctx, server, device)
	if api.KindOf(err) == api.NotFound {
		return api.Credentials{}, api.Errorf(api.Invalid, "%s knows no login without a password\nlog in with: %s --email EMAIL", server, sh.command("login", server))
	}
	if err != nil {
		return api.Credentials{}, err
	}
	page := server + "/device?code=" + code.UserCode
	if sh.json {
		if err := sh.printJSON(map[string]string{"open": page, "code": code.UserCode}); err != nil {
			return api.Credentials{}, err
		}
	} else {
		fmt.Fprintf(sh.stderr, "open %s\nand confirm there that this device shows the code %s\n", page, code.UserCode)
	}
	pause := time.Duration(code.Interval) * time.Second
	for end := time.Now().Add(time.Duration(code.Expires) * time.Second); time.Now().Before(end); {
		select {
		case <-sh.ctx.Done():
			return api.Credentials{}, api.Errorf(api.Cancelled, "not confirmed")
		case <-time.After(pause):
		}
		answer, err := client.PollDevice(sh.ctx, server, code)
		switch {
		case api.KindOf(err) == api.Unavailable || api.KindOf(err) == api.RateLimited:
			continue // the network may be back before the code's end
		case err != nil:
			return api.Credentials{}, err
		}
		switch answer.State {
		case api.DeviceAllowed:
			if answer.Credentials == nil {
				return api.Credentials{}, fmt.Errorf("%s sent no login", server)
			}
			return *answer.Credentials, nil
		case api.DeviceDenied:
			return api.Credentials{}, loginError{api.Errorf(api.Unauthenticated, "the login was refused on the page")}
		case api.DeviceSlow:
			pause += time.Second
		case api.DeviceExpired:
			end = time.Time{}
		}
	}
	return api.Credentials{}, loginError{api.Errorf(api.Unauthenticated, "nobody confirmed the code %s in time\ntry again", code.UserCode)}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (cmd *loginCmd) password(sh *shell) (string, error) {
	if cmd.PasswordStdin {
		return readPassword(sh.stdin)
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
