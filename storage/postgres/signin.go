package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
)

// WaitingDevice is a device that waits for somebody to confirm it.
type WaitingDevice struct {
	Device  string // its name, for people
	Address string // where it asked from
	Created time.Time
}

// BeginDevice notes a device that wants to log in, by the SHA-256 of the code
// that it keeps and the one that it shows. False: that one is in use.
func (db *DB) BeginDevice(ctx context.Context, code api.Hash, shown, device, address string, lifetime time.Duration) (begun bool, err error) {
	err = db.pool.QueryRow(ctx, `SELECT satchel.begin_device($1, $2, $3, $4, $5)`, code[:], shown, device, address, lifetime).Scan(&begun)
	return begun, classify(err)
}

// PollDevice is what became of a device's wish: "pending", "slow" (it asked
// within the pause), "denied", "expired", or "allowed", with the account, which
// is told once, as it was when the code was good.
func (db *DB) PollDevice(ctx context.Context, code api.Hash, pause time.Duration) (state, device string, a Account, err error) {
	var id *api.ID
	var name, email, person, role *string
	var hash string
	err = db.pool.QueryRow(ctx, `
		SELECT p.state, p.device, p.id, p.email, p.name, p.role, coalesce(a.password_hash, '')
		FROM satchel.poll_device($1, $2) p LEFT JOIN LATERAL satchel.login_account(p.email) a ON true`, code[:], pause).
		Scan(&state, &name, &id, &email, &person, &role, &hash)
	if err == nil && state == api.DeviceAllowed {
		device, a = *name, Account{ID: *id, Email: *email, Name: *person, Role: *role, PasswordHash: hash}
	}
	return state, device, a, classify(err)
}

// WaitingDevice is the device that shows a code. A code that none shows, or
// not any more, is [api.NotFound].
func (tx *Tx) WaitingDevice(ctx context.Context, shown string) (d WaitingDevice, err error) {
	err = tx.conn.QueryRow(ctx, `SELECT device, address, created FROM satchel.waiting_device($1)`, shown).Scan(&d.Device, &d.Address, &d.Created)
	if errors.Is(err, pgx.ErrNoRows) {
		return d, errNoDevice()
	}
	return d, classify(err)
}

// AnswerDevice lets the device that shows a code log in as the transaction's
// user, or never, through a live session of his. The errors are those of WaitingDevice.
func (tx *Tx) AnswerDevice(ctx context.Context, shown string, allow bool, through api.ID) error {
	var answered bool
	err := tx.conn.QueryRow(ctx, `SELECT satchel.answer_device($1, $2, $3)`, shown, allow, through).Scan(&answered)
	if err == nil && !answered {
		return errNoDevice()
	}
	return classify(err)
}

func errNoDevice() error {
	return api.Errorf(api.NotFound, "no device shows this code, or not any more")
}

// SubjectAccount is the account that an identity provider's subject signs in
// to; [api.NotFound] when there is none, or it is disabled.
func (db *DB) SubjectAccount(ctx context.Context, s Subject) (a Account, err error) {
	err = db.pool.QueryRow(ctx, `
		SELECT a.id, a.email, a.name, a.role, a.password_hash
		FROM satchel.identity_account($1, $2) i, LATERAL satchel.login_account(i.email) a`, s.Issuer, s.ID).
		Scan(&a.ID, &a.Email, &a.Name, &a.Role, &a.PasswordHash)
	if errors.Is(err, pgx.ErrNoRows) || invalidText(err) {
		return Account{}, api.Errorf(api.NotFound, "there is no such account")
	}
	return a, classify(err)
}

// AddSubject lets an identity provider's subject sign in to the transaction's
// user from now on. It is [api.Permission] when the subject signs in to another account, or when
// the user signed up by himself: nobody vouches for the address by which the subject was led to him.
func (tx *Tx) AddSubject(ctx context.Context, s Subject) error {
	var added bool
	err := tx.conn.QueryRow(ctx, `SELECT satchel.link_identity($1, $2)`, s.Issuer, s.ID).Scan(&added)
	if err == nil && !added {
		return api.Errorf(api.Permission, "this identity can't sign in to the account")
	}
	return classify(err)
}
