package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"satchel/api"
	"satchel/api/auth"
	"satchel/cmd/internal/cli"
	"satchel/storage/postgres"
)

type userCmd struct {
	Add     userAddCmd     `cmd:"" help:"Make an account."`
	List    userListCmd    `cmd:"" help:"List the accounts."`
	Disable userDisableCmd `cmd:"" help:"End an account's sessions and let it log in no more; its files stay."`
	Enable  userEnableCmd  `cmd:"" help:"Let a disabled account log in again, with the password it had."`
	Role    userRoleCmd    `cmd:"" help:"Make an account an editor's or an admin's; its sessions end."`
	Quota   userQuotaCmd   `cmd:"" help:"Change how much an account may store; what is there stays, even if it is more."`
	Passwd  userPasswdCmd  `cmd:"" help:"Change an account's password and end its sessions; a disabled one is enabled."`
}

type userAddCmd struct {
	Email         string `arg:"" help:"The address to log in with."`
	Role          string `default:"editor" enum:"editor,admin" help:"editor: has a drive; admin: sees everyone's metadata."`
	Name          string `help:"The person's name."`
	Quota         size   `default:"0" placeholder:"SIZE" help:"Most bytes to store, such as 500M or 20G; 0 = no limit."`
	PasswordStdin bool   `required:"" help:"Read the password from standard input (one line)."`
}

// Run makes the account.
func (cmd *userAddCmd) Run(p *program) error {
	if err := auth.CheckEmail(cmd.Email); err != nil {
		return usageError{err.Error()}
	}
	name, err := auth.PersonName(cmd.Name)
	if err != nil {
		return usageError{err.Error()}
	}
	hash, err := p.readPassword()
	if err != nil {
		return err
	}
	return p.operateOn(p.openOrMakeDatabase, func(o *postgres.Operator) error {
		user := postgres.User{ID: api.NewID(), Email: cmd.Email, Name: name, Role: cmd.Role, Quota: int64(cmd.Quota)}
		if err := o.AddUser(p.ctx, user, hash); err != nil {
			return err
		}
		user.Email, user.Created = strings.ToLower(cmd.Email), time.Now()
		return p.answer(accountShown{user.ID, user.Email, user.Name, user.Role, user.Quota, false, user.Created, false}, "added %s %s", cmd.Role, user.Email)
	})
}

type userListCmd struct{}

// Run prints the accounts.
func (cmd *userListCmd) Run(p *program) error {
	return p.operate(func(o *postgres.Operator) error {
		users, err := o.Users(p.ctx)
		if err != nil {
			return err
		}
		shown := make([]accountShown, len(users))
		for i, u := range users {
			shown[i] = accountShown{u.ID, u.Email, u.Name, u.Role, u.Quota, u.Disabled, u.Created, u.SignedUp}
		}
		return list(p, shown, "EMAIL\tNAME\tROLE\tQUOTA\tSTATE\tSIGNED UP\tCREATED\tID", accountShown.row)
	})
}

// accountShown is an account as it is printed.
type accountShown struct {
	ID       api.ID    `json:"id"`
	Email    string    `json:"email"`
	Name     string    `json:"name"`
	Role     string    `json:"role"`
	Quota    int64     `json:"quota"` // bytes; 0 = none
	Disabled bool      `json:"disabled"`
	Created  time.Time `json:"created"`
	SignedUp bool      `json:"signed_up"` // nobody vouches for the address
}

func (a accountShown) row() string {
	state, signedUp := "active", "no"
	if a.Disabled {
		state = "disabled"
	}
	if a.SignedUp {
		signedUp = "yes"
	}
	return strings.Join([]string{a.Email, cli.Printable(a.Name), a.Role, size(a.Quota).String(), state, signedUp, a.Created.Format(time.DateOnly), a.ID.String()}, "\t")
}

// changed is what a command did to an account.
type changed struct {
	Email   string `json:"email"`
	Changed string `json:"changed"`
}

// change runs what changes one account, and says what is true of it then.
func (p *program) change(email, what, now string, do func(*postgres.Operator) error) error {
	return p.operate(func(o *postgres.Operator) error {
		if err := do(o); err != nil {
			return err
		}
		email = strings.ToLower(email)
		return p.answer(changed{email, what}, "%s %s", email, now)
	})
}

type userDisableCmd struct {
	Email string `arg:"" help:"The account's address."`
}

// Run disables the account.
func (cmd *userDisableCmd) Run(p *program) error {
	return p.change(cmd.Email, "disabled", "can't log in any more, and its sessions have ended; its files stay", func(o *postgres.Operator) error { return o.DisableUser(p.ctx, cmd.Email) })
}

type userEnableCmd struct {
	Email string `arg:"" help:"The account's address."`
}

// Run enables the account.
func (cmd *userEnableCmd) Run(p *program) error {
	return p.change(cmd.Email, "enabled", "can log in again", func(o *postgres.Operator) error { return o.EnableUser(p.ctx, cmd.Email) })
}

type userRoleCmd struct {
	Email string `arg:"" help:"The account's address."`
	Role  string `arg:"" enum:"editor,admin" help:"editor: has a drive; admin: sees everyone's metadata, and reaches no drive."`
	Leave bool   `name:"leave-drive" help:"Also if it has files: they stay, and nobody reaches them until the account is an editor's again."`
}

// Run changes the role.
func (cmd *userRoleCmd) Run(p *program) error {
	now := "has the role " + cmd.Role + " now, and its sessions have ended"
	if cmd.Leave && cmd.Role == auth.Admin {
		now += "; its files stay, and are reached when it is an editor's again"
	}
	return p.change(cmd.Email, "role", now, func(o *postgres.Operator) error {
		if cmd.Role == auth.Admin && !cmd.Leave {
			if err := p.driveless(o, cmd.Email); err != nil {
				return err
			}
		}
		return o.SetRole(p.ctx, cmd.Email, cmd.Role)
	})
}

// driveless refuses to take the way to his files from somebody who has some.
func (p *program) driveless(o *postgres.Operator, email string) error {
	files, stored, err := o.Stored(p.ctx, email)
	if err != nil || files == 0 && stored == 0 {
		return err
	}
	email = strings.ToLower(email)
	return api.Errorf(api.NotEmpty, "%s has files on its drive (%d now, %d bytes with their history and the trash), and an admin has no drive: nobody would reach them until it is an editor's again, and devices would keep what they have not sent\n"+
		"make an account of its own for the admin: satcheld user add EMAIL --role admin --password-stdin\nor do it all the same: satcheld user role %s admin --leave-drive", email, files, stored, email)
}

type userQuotaCmd struct {
	Email string `arg:"" help:"The account's address."`
	Quota size   `arg:"" name:"size" help:"Most bytes to store, such as 500M or 20G; none = no limit."`
}

// Run changes the quota.
func (cmd *userQuotaCmd) Run(p *program) error {
	now := "may store " + cmd.Quota.String() + " now"
	if cmd.Quota == 0 {
		now = "may store any amount now"
	}
	return p.change(cmd.Email, "quota", now, func(o *postgres.Operator) error { return o.SetQuota(p.ctx, cmd.Email, int64(cmd.Quota)) })
}

type userPasswdCmd struct {
	Email         string `arg:"" help:"The account's address."`
	PasswordStdin bool   `required:"" help:"Read the password from standard input (one line)."`
}

// Run changes the password.
func (cmd *userPasswdCmd) Run(p *program) error {
	hash, err := p.readPassword()
	if err != nil {
		return err
	}
	return p.change(cmd.Email, "password", "has a new password, and its sessions have ended", func(o *postgres.Operator) error { return o.SetPassword(p.ctx, cmd.Email, hash) })
}

// operate opens the database, a running server's if there is one, for an
// operator's command.
func (p *program) operate(command func(*postgres.Operator) error) error {
	return p.operateOn(p.openDatabase, command)
}

func (p *program) operateOn(open func(context.Context) (*database, error), command func(*postgres.Operator) error) error {
	db, err := open(p.ctx)
	if err != nil {
		return err
	}
	defer db.close()
	o, err := postgres.OpenOperator(p.ctx, db.owner)
	if err != nil {
		return err
	}
	defer o.Close()
	return command(o)
}

// readPassword reads one line and returns its hash.
func (p *program) readPassword() (string, error) {
	line, err := bufio.NewReader(io.LimitReader(p.stdin, 1<<16)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return auth.HashPassword(strings.TrimRight(line, "\r\n"))
}

// size is a number of bytes, written with a binary unit: 20G is 20·2³⁰.
type size int64

const units = "KMGTP"

// UnmarshalText reads a size; "none" is 0.
func (s *size) UnmarshalText(b []byte) error {
	if string(b) == "none" {
		*s = 0
		return nil
	}
	text := strings.ToUpper(strings.TrimSuffix(strings.TrimSuffix(string(b), "B"), "i"))
	shift := 0
	if text != "" {
		if i := strings.IndexByte(units, text[len(text)-1]); i >= 0 {
			shift = 10 * (i + 1)
			text = text[:len(text)-1]
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64>>shift {
		return fmt.Errorf("%q is not a size: use a number of bytes, or one with K, M, G or T", b)
	}
	*s = size(n << shift)
	return nil
}

// String writes the size as it may be given.
func (s size) String() string {
	if s == 0 {
		return "none"
	}
	n, unit := int64(s), ""
	for i := 0; i < len(units) && n%1024 == 0; i++ {
		n /= 1024
		unit = units[i : i+1]
	}
	return strconv.FormatInt(n, 10) + unit
}
