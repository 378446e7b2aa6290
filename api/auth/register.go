package auth

import (
	"context"
	"net/mail"
	"net/netip"
	"strings"
	"unicode/utf8"

	"satchel/api"
	"satchel/storage/postgres"
)

// The shortest passwords in characters: that programs may set by the APIs, some of which are
// older than Satchel and have no rule of their own (NIST SP 800-63B section 5.1.1.2), and that a person may choose
// (OWASP ASVS 4.0.3, 2.1.1). An operator may set any, and no password that is in use has to change.
const (
	minPassword = 8
	minChosen   = 12
)

// Registration asks for an account.
type Registration struct {
	Email    string
	Name     string
	Password string
	// By vouches for the address, and signs in to the account from then on; nil: nobody does.
	By *postgres.Subject
	// Unlimited is of one for which the limit of new accounts is not.
	Unlimited bool
}

// Register makes an editor's account. A taken address is [api.Exists], an
// address or password that can't be one [api.Invalid], and too many from one
// network [api.RateLimited]. Whether anyone may register is the caller's to say.
func (a *Auth) Register(ctx context.Context, from netip.Addr, r Registration) (postgres.Account, error) {
	email := strings.ToLower(strings.TrimSpace(r.Email))
	if err := CheckEmail(email); err != nil {
		return postgres.Account{}, err
	}
	name, err := PersonName(r.Name)
	if err != nil {
		return postgres.Account{}, err
	}
	if !r.Unlimited {
		if err := a.registrations.Take(api.ID{}, from); err != nil {
			return postgres.Account{}, err
		}
	}
	release, err := a.throttle.strangersTurn(ctx, Network(from))
	if err != nil {
		return postgres.Account{}, err
	}
	hash, err := hashSet(r.Password)
	release()
	if err != nil {
		return postgres.Account{}, err
	}
	account := postgres.Account{ID: api.NewID(), Email: email, Name: name, Role: Editor, PasswordHash: hash}
	if err := a.db.SignUp(ctx, account.ID, email, name, hash, r.By); err != nil {
		return postgres.Account{}, err
	}
	a.log.Info("account made by signing up", "user", account.ID, "from", from)
	return account, nil
}

// CheckEmail tells whether an address can be an account's; the error is [api.Invalid].
func CheckEmail(email string) error {
	address, err := mail.ParseAddress(email)
	if err != nil || address.Address != email || len(email) > maxEmail || strings.ContainsRune(email, 0) || !utf8.ValidString(email) {
		return api.Errorf(api.Invalid, "%.260q is not an e-mail address", email)
	}
	return nil
}

// PersonName cleans a name that others will read; one that [api.CheckPersonName] does not take is [api.Invalid].
func PersonName(name string) (string, error) {
	name = strings.TrimSpace(name)
	return name, api.CheckPersonName(name)
}

// CheckChosen tells whether a password that a person chose on a page is long enough, where several spaces
// count as one; the error is [api.Invalid].
func CheckChosen(password string) error {
	n, space := 0, false
	for _, r := range password {
		if r != ' ' || !space {
			n++
		}
		space = r == ' '
	}
	if n < minChosen {
		return api.Errorf(api.Invalid, "the password has fewer than %d characters: take a few words", minChosen)
	}
	return nil
}

// Hash hashes a password that somebody who is signed in set; one of fewer than 8 characters is [api.Invalid].
// It takes a log-in's turn, since it costs as much.
func (a *Auth) Hash(ctx context.Context, password string) (string, error) {
	release, err := a.throttle.turn(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	return hashSet(password)
}

// hashSet is HashPassword for one that no operator set.
func hashSet(password string) (string, error) {
	if utf8.RuneCountInString(password) < minPassword {
		return "", api.Errorf(api.Invalid, "the password has fewer than %d characters", minPassword)
	}
	return HashPassword(password)
}

// Rename changes the identity's own name. Another's account is left as it is,
// and the result is false.
func (a *Auth) Rename(ctx context.Context, id Identity, user api.ID, name string) (renamed bool, err error) {
	if name, err = PersonName(name); err != nil {
		return false, err
	}
	err = a.db.As(ctx, id.User, func(ctx context.Context, tx *postgres.Tx) error {
		renamed, err = tx.Rename(ctx, user, name)
		return err
	})
	return renamed, err
}

// People lists the accounts, as the identity may see them.
func (a *Auth) People(ctx context.Context, id Identity, q postgres.FileQuery) (people []postgres.Person, err error) {
	err = a.db.AsReadOnly(ctx, id.User, func(ctx context.Context, tx *postgres.Tx) error {
		people, err = tx.People(ctx, q)
		return err
	})
	return people, err
}

// ChangePassword changes the identity's password, which must be the one that
// it says, and ends its other sessions. A wrong one is [api.Unauthenticated], and
// counts as a wrong log-in; if it was changed meanwhile, or the session has ended, it is [ErrChanged].
func (a *Auth) ChangePassword(ctx context.Context, from netip.Addr, id Identity, current, password string) error {
	account, err := a.check(ctx, from, id.Email, current)
	if err != nil {
		return err
	}
	hash, err := a.Hash(ctx, password)
	if err != nil {
		return err
	}
	err = a.db.As(ctx, id.User, func(ctx context.Context, tx *postgres.Tx) error {
		ended, err := tx.ChangePassword(ctx, account.PasswordHash, hash, id.Session)
		if err == nil {
			a.log.Info("password changed", "user", id.User, "sessions_ended", ended)
		}
		return err
	})
	if api.KindOf(err) == api.Unauthenticated {
		err = ErrChanged
	}
	return err
}

// ErrChanged is an error of [Auth.ChangePassword], of the kind [api.Unauthenticated]: the current password was right.
var ErrChanged = api.Errorf(api.Unauthenticated, "your password was changed meanwhile, or this login has ended: log in again")

// Refresh lets the identity's session begin its time without use anew, and
// sells a new token of it. If that time is over, it is [api.Unauthenticated].
func (a *Auth) Refresh(ctx context.Context, id Identity) (api.Token, error) {
	err := a.db.As(ctx, id.User, func(ctx context.Context, tx *postgres.Tx) error {
		return tx.TouchSession(ctx, id.Session)
	})
	if err != nil {
		return api.Token{}, err
	}
	ttl := BrowserTokenTTL
	if id.Kind == postgres.DeviceSession {
		ttl = DeviceTokenTTL
	}
	return a.keys.sign(id.Session, id.User, id.Role, ttl)
}
