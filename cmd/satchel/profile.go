package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"satchel/api"
	"satchel/api/client"
)

// login is a profile's login as it is kept on disk, readable by its owner only.
type login struct {
	Server     string `json:"server"`
	User       api.ID `json:"user"`
	Email      string `json:"email"`
	Role       string `json:"role"`
	Device     api.ID `json:"device"`
	DeviceName string `json:"device_name"`
	Secret     string `json:"secret,omitempty"` // "" when the keyring has it
	Keyring    bool   `json:"keyring,omitempty"`
}

func checkProfileName(name string) error {
	ok := name != "" && name[0] != '.' && len(name) <= 64
	for _, c := range name {
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("._-@", c))
	}
	if !ok {
		return usageError{fmt.Sprintf("the profile's name %q may have letters, digits and . _ - @ only", name)}
	}
	return nil
}

// errNobody is that a profile has no login.
var errNobody = errors.New("nobody is logged in")

// login reads the profile's login.
func (sh *shell) login() (login, error) {
	path := sh.places.credentials(sh.profile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		in := ""
		if sh.profile != "default" {
			in = fmt.Sprintf(" in profile %q", sh.profile)
		}
		return login{}, api.Errorf(api.Unauthenticated, "%w%s", errNobody, in)
	}
	if err != nil {
		return login{}, fmt.Errorf("read the login: %w", err)
	}
	var l login
	if err := json.Unmarshal(b, &l); err != nil || l.Server == "" || l.Secret == "" && !l.Keyring || l.User.IsZero() {
		return login{}, fmt.Errorf("the login in %s is damaged: log in again", path)
	}
	if l.Keyring {
		l.Secret, err = sh.readKeyring(l)
	}
	return l, err
}

// saveLogin keeps a login, whole or not at all: its secret in the system's
// keyring, if that is wanted and there is one, else with the rest in a file.
func (sh *shell) saveLogin(l login, keyring bool) error {
	if keyring {
		if l.Keyring = writeKeyring(l); l.Keyring {
			l.Secret = ""
		}
	}
	b, err := json.MarshalIndent(l, "", "\t")
	if err != nil {
		return err
	}
	return writeFile(sh.places.credentials(sh.profile), append(b, '\n'))
}

// writeFile replaces a file that only its owner may read, durably and at once.
func writeFile(path string, data []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".new-*") // made with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}

// client is a client of the login's server as its device.
func (sh *shell) client(l login) (*client.Client, error) {
	var pool *http.Client
	if sh.rates != (client.Rates{}) {
		pool = client.NewHTTPClient(sh.rates)
	}
	return client.New(l.Server, api.Credentials{Secret: l.Secret}, pool)
}

// connect reads the login and makes its client.
func (sh *shell) connect() (*client.Client, login, error) {
	l, err := sh.login()
	if err != nil {
		return nil, l, err
	}
	c, err := sh.client(l)
	return c, l, err
}
