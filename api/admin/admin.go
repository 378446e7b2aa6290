// Package admin is what an admin may see and do: accounts, logins, bans, upkeep,
// the audit log, metadata and figures. No way leads from here to content.
//
// A [Desk] is bound to an identity whose role is admin; the database asks again in
// each of its statements, so that a Desk in wrong hands lists nothing and changes nothing.
package admin

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"satchel/api"
	"satchel/api/auth"
	"satchel/storage/postgres"
)

// Office opens desks. It is safe for concurrent use.
type Office struct {
	DB   *postgres.DB
	Auth *auth.Auth

	// Upkeep runs gc and fsck in this process; nil where it can't.
	Upkeep Upkeep

	// Kinds says which kind of file ("Images", "Documents", …) an extension stands for.
	Kinds map[string]string
}

// Upkeep runs what keeps the store healthy, in the background.
type Upkeep interface {
	// Start begins a run and returns when it is known to all servers. One that can't
	// begin since another goes on is [api.Exists].
	Start(ctx context.Context, r postgres.Run) error
}

// Desk is what one admin may do. It is safe for concurrent use.
type Desk struct {
	office *Office
	id     auth.Identity
}

// For opens the desk of an admin. For anyone else it is [api.Permission].
func (o *Office) For(id auth.Identity) (*Desk, error) {
	if id.Role != auth.Admin {
		return nil, api.Errorf(api.Permission, "only an admin sees this")
	}
	return &Desk{o, id}, nil
}

func (d *Desk) read(ctx context.Context, fn func(context.Context, *postgres.Tx) error) error {
	return d.office.DB.AsReadOnly(ctx, d.id.User, fn)
}

func (d *Desk) write(ctx context.Context, fn func(context.Context, *postgres.Tx) error) error {
	return d.office.DB.As(ctx, d.id.User, fn)
}

// User is an account and how much it keeps.
type User struct {
	ID       api.ID    `json:"id"`
	Email    string    `json:"email"`
	Name     string    `json:"name"`
	Role     string    `json:"role"` // editor or admin
	Disabled bool      `json:"disabled"`
	Created  time.Time `json:"created"`
	Files    int64     `json:"files"`
	Bytes    int64     `json:"bytes"`  // of current files
	Stored   int64     `json:"stored"` // with history and trash
	Quota    int64     `json:"quota"`  // bytes; 0 = none
}

// Users lists all accounts by their addresses.
func (d *Desk) Users(ctx context.Context) (users []User, err error) {
	err = d.read(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		accounts, err := tx.Accounts(ctx)
		users = make([]User, len(accounts))
		for i, a := range accounts {
			users[i] = User{ID: a.ID, Email: a.Email, Name: a.Name, Role: a.Role, Disabled: a.Disabled, Created: a.Created,
				Files: a.Files, Bytes: a.Bytes, Stored: a.Stored, Quota: a.Quota}
		}
		return err
	})
	return users, err
}

// User is one of them. An unknown one is [api.NotFound].
func (d *Desk) User(ctx context.Context, id api.ID) (User, error) {
	users, err := d.Users(ctx)
	for _, u := range users {
		if u.ID == id {
			return u, nil
		}
	}
	if err == nil {
		err = api.Errorf(api.NotFound, "there is no such account")
	}
	return User{}, err
}

// NewUser is an account to be made.
type NewUser struct {
	Email    string `json:"email"`
	Name     string `json:"name,omitempty"`
	Role     string `json:"role,omitempty"`     // editor (also when empty) or admin
	Quota    int64  `json:"quota,omitempty"`    // bytes; 0 = none
	Password string `json:"password,omitempty"` // empty: one is made and returned
}

// AddUser makes an account and returns its password if that was made. A taken
// address is [api.Exists]; what can't be an address, a role, a quota or a password is [api.Invalid].
func (d *Desk) AddUser(ctx context.Context, n NewUser) (u User, password string, err error) {
	email := strings.ToLower(strings.TrimSpace(n.Email))
	if err := auth.CheckEmail(email); err != nil {
		return u, "", err
	}
	if n.Role == "" {
		n.Role = auth.Editor
	}
	if n.Name, err = auth.PersonName(n.Name); err == nil {
		err = checkRoleAndQuota(&n.Role, &n.Quota)
	}
	if err != nil {
		return u, "", err
	}
	hash, password, err := d.password(ctx, n.Password)
	if err != nil {
		return u, "", err
	}
	id := api.NewID()
	err = d.write(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		return tx.AdminAddUser(ctx, postgres.User{ID: id, Email: email, Name: n.Name, Role: n.Role, Quota: n.Quota}, hash)
	})
	if err != nil {
		return u, "", err
	}
	u, err = d.User(ctx, id)
	return u, password, err
}

// UserChange is what shall be another in an account; nil is as it was.
type UserChange struct {
	Name     *string `json:"name,omitempty"`
	Role     *string `json:"role,omitempty"`
	Quota    *int64  `json:"quota,omitempty"` // bytes; 0 = none
	Disabled *bool   `json:"disabled,omitempty"`
}

// ChangeUser changes an account, all of it or nothing. A disabled account's
// sessions end at once, and so do those of one that gets another role. An admin can't
// disable or demote himself, nor anyone the last admin: [api.Permission].
func (d *Desk) ChangeUser(ctx context.Context, user api.ID, c UserChange) error {
	if user == d.id.User && (c.Disabled != nil && *c.Disabled || c.Role != nil && *c.Role != auth.Admin) {
		return api.Errorf(api.Permission, "you would lock yourself out: ask another admin to do this")
	}
	if c.Name != nil {
		name, err := auth.PersonName(*c.Name)
		if err != nil {
			return err
		}
		c.Name = &name
	}
	if err := checkRoleAndQuota(c.Role, c.Quota); err != nil {
		return err
	}
	return d.write(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		return tx.AdminChangeUser(ctx, user, postgres.AccountChange{Name: c.Name, Role: c.Role, Quota: c.Quota, Disabled: c.Disabled})
	})
}

// ResetPassword gives an account another password, ends its sessions, and
// enables it if it was disabled. With none given, one is made and returned.
func (d *Desk) ResetPassword(ctx context.Context, user api.ID, given string) (password string, err error) {
	hash, password, err := d.password(ctx, given)
	if err != nil {
		return "", err
	}
	err = d.write(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		return tx.AdminChangeUser(ctx, user, postgres.AccountChange{PasswordHash: &hash})
	})
	if err != nil {
		return "", err
	}
	return password, nil
}

// password hashes one that was given, or one that it makes and returns.
func (d *Desk) password(ctx context.Context, given string) (hash, made string, err error) {
	if given == "" {
		made = auth.RandomPassword()
		given = made
	}
	if err := auth.CheckChosen(given); err != nil {
		return "", "", err
	}
	hash, err = d.office.Auth.Hash(ctx, given)
	return hash, made, err
}

func checkRoleAndQuota(role *string, quota *int64) error {
	if role != nil && *role != auth.Editor && *role != auth.Admin {
		return api.Errorf(api.Invalid, "the role must be %s or %s", auth.Editor, auth.Admin)
	}
	if quota != nil && *quota < 0 {
		return api.Errorf(api.Invalid, "the quota can't be negative; 0 is none")
	}
	return nil
}

// Logins lists the live sessions of everybody, the last seen first.
func (d *Desk) Logins(ctx context.Context, user api.ID, kind string, limit, offset int) (logins []postgres.LiveSession, err error) {
	err = d.read(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		logins, err = tx.Logins(ctx, user, kind, limit, offset)
		return err
	})
	return logins, err
}

// EndLogin ends anybody's session at once. One that is not live is [api.NotFound].
func (d *Desk) EndLogin(ctx context.Context, session api.ID) error {
	return d.write(ctx, func(ctx context.Context, tx *postgres.Tx) error { return tx.AdminEndSession(ctx, session) })
}

// Bans lists the networks that are refused now, the oldest first.
func (d *Desk) Bans(ctx context.Context) ([]postgres.Ban, error) { return d.office.DB.Bans(ctx) }

// LiftBans ends the bans that concern an address or a network. Without any it
// is [api.NotFound].
func (d *Desk) LiftBans(ctx context.Context, network string) error {
	n, err := ParseNetwork(network)
	if err != nil {
		return err
	}
	return d.write(ctx, func(ctx context.Context, tx *postgres.Tx) error { return tx.AdminLiftBans(ctx, n) })
}

// ParseNetwork reads an address or a network, such as 192.0.2.1 or 2001:db8::/64.
func ParseNetwork(text string) (netip.Prefix, error) {
	network, err := netip.ParsePrefix(text)
	if err != nil {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return network, api.Errorf(api.Invalid, "%.100q is neither an address nor a network", text)
		}
		addr = addr.Unmap().WithZone("")
		network = netip.PrefixFrom(addr, addr.BitLen())
	}
	return network.Masked(), nil
}

// Events lists the audit log, the newest first.
func (d *Desk) Events(ctx context.Context, q postgres.EventQuery) (events []postgres.Event, err error) {
	err = d.read(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		events, err = tx.Events(ctx, q)
		return err
	})
	return events, err
}

// Actions lists what there are events of.
func (d *Desk) Actions(ctx context.Context) (actions []string, err error) {
	err = d.read(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		actions, err = tx.Actions(ctx)
		return err
	})
	return actions, err
}

// Metadata lists files of all drives, without a way to their content.
func (d *Desk) Metadata(ctx context.Context, q postgres.MetadataQuery) (files []postgres.Metadata, err error) {
	err = d.read(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		files, err = tx.Metadata(ctx, q)
		return err
	})
	return files, err
}

// Runs lists runs of gc and fsck, the newest first.
func (d *Desk) Runs(ctx context.Context, limit, offset int) (runs []postgres.Run, err error) {
	err = d.read(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		runs, err = tx.Runs(ctx, limit, offset)
		return err
	})
	return runs, err
}

// Retentions is what the servers were told to keep of the past, as far as it counts.
func (d *Desk) Retentions(ctx context.Context) (told []postgres.ToldRetention, err error) {
	err = d.read(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		told, err = tx.Retentions(ctx)
		return err
	})
	return told, err
}

// Kinds of runs.
const (
	GC   = "gc"
	Fsck = "fsck"
)

// Run starts gc, or fsck without repairs, and returns its id. While one is at
// work anywhere it is [api.Exists].
func (d *Desk) Run(ctx context.Context, kind string, deep bool) (api.ID, error) {
	switch {
	case kind != GC && kind != Fsck, deep && kind == GC:
		return api.ID{}, api.Errorf(api.Invalid, "a run is gc, or fsck, which may be deep")
	case d.office.Upkeep == nil:
		return api.ID{}, api.Errorf(api.Unavailable, "this server does no upkeep: use satcheld %s", kind)
	}
	r := postgres.Run{ID: api.NewID(), Kind: kind, Deep: deep, Via: "request", User: d.id.User}
	return r.ID, d.office.Upkeep.Start(ctx, r)
}
