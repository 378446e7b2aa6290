package storage

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"sync"

	"satchel/api"
	"satchel/storage/postgres"
)

// Mount is a named system drive. One of type local was filled from a directory
// of the server's, whose files it keeps copies of.
type Mount struct {
	Name string `json:"name"`
	Type string `json:"type"` // local, or empty: begins empty
	Path string `json:"path"` // of a local one's directory
}

// Local is the type of mounts that are imported from a directory.
const Local = "local"

// ParseMounts reads a list of mounts as JSON. Relative paths are below dir.
// What can't be is [api.Invalid], and says why.
func ParseMounts(text []byte, dir string) ([]Mount, error) {
	var mounts []Mount
	if err := json.Unmarshal(text, &mounts); err != nil {
		return nil, api.Errorf(api.Invalid, "the mounts are not a JSON list of {name, type, path}: %w", err)
	}
	seen := map[string]bool{}
	for i, m := range mounts {
		if err := checkMount(m); err != nil {
			return nil, err
		}
		if seen[m.Name] {
			return nil, api.Errorf(api.Invalid, "two mounts are called %q", m.Name)
		}
		seen[m.Name] = true
		if m.Type == Local && !filepath.IsAbs(m.Path) {
			mounts[i].Path = filepath.Join(dir, m.Path)
		}
	}
	return mounts, nil
}

func checkMount(m Mount) error {
	if err := api.Name(m.Name).Check(); err != nil {
		return api.Errorf(api.Invalid, "a mount's name: %w", err)
	}
	_, idErr := api.ParseID(m.Name)
	if m.Name == postgres.HomeName || idErr == nil || strings.HasPrefix(m.Name, "user:") {
		return api.Errorf(api.Invalid, "a mount can't be called %q: the name means a user's drive", m.Name)
	}
	switch {
	case m.Type == Local && m.Path == "":
		return api.Errorf(api.Invalid, "the mount %q is local and has no path", m.Name)
	case m.Type != Local && m.Type != "":
		return api.Errorf(api.Invalid, "the mount %q has the type %q: there is %q, or none for a drive that begins empty", m.Name, m.Type, Local)
	}
	return nil
}

// mounts is the named system drives. It is safe for concurrent use.
type mounts struct {
	list   []Mount
	mu     sync.Mutex
	opened map[string]*opening // by name
}

// opening is the first use of a mount by this process.
type opening struct {
	once sync.Mutex // held while it is being imported
	done bool
}

// UseMounts names the system drives; it is for before the service is used.
func (s *Service) UseMounts(list []Mount) {
	s.mounts = mounts{list: list, opened: map[string]*opening{}}
}

// Mounts lists the system drives.
func (s *Service) Mounts() []Mount { return s.mounts.list }

// MountOf is the named system drive's mount.
func (s *Service) MountOf(name string) (Mount, bool) {
	for _, m := range s.mounts.list {
		if m.Name == name {
			return m, true
		}
	}
	return Mount{}, false
}

// Mounted opens what the APIs call a mount: home is the caller's own drive,
// user:ID and a bare ID are that user's, and all others are system drives.
// The zero caller is a stranger. One in which the caller holds nothing is
// [api.NotFound], as is a missing one.
func (s *Service) Mounted(ctx context.Context, c Caller, name string) (*Drive, error) {
	if name == postgres.HomeName {
		if c.User.IsZero() {
			return nil, api.Errorf(api.Unauthenticated, "log in first: home is the drive of whoever asks")
		}
		return s.Home(ctx, c)
	}
	if user, err := api.ParseID(strings.TrimPrefix(name, "user:")); err == nil {
		if user == c.User && !c.Admin {
			return s.Home(ctx, c)
		}
		return s.sharedDrive(ctx, c, user, postgres.HomeName)
	}
	m, ok := s.MountOf(name)
	if !ok {
		return nil, errNoMount()
	}
	if err := s.firstUse(ctx, m); err != nil {
		return nil, err
	}
	return s.sharedDrive(ctx, c, api.SystemOwner, name)
}

func errNoMount() error { return api.Errorf(api.NotFound, "there is no such mount") }

func (s *Service) sharedDrive(ctx context.Context, c Caller, owner api.ID, name string) (*Drive, error) {
	var drive postgres.Drive
	err := s.db.AsReadOnly(ctx, c.User, func(ctx context.Context, tx *postgres.Tx) (err error) {
		drive, err = tx.SharedDriveOf(ctx, owner, name)
		return err
	})
	if api.KindOf(err) == api.NotFound {
		err = errNoMount()
	}
	if err != nil {
		return nil, err
	}
	return s.open(c, drive), nil
}

// firstUse makes a system drive, and fills a local one from its directory,
// unless that was done. Whoever comes meanwhile waits.
func (s *Service) firstUse(ctx context.Context, m Mount) error {
	s.mounts.mu.Lock()
	o := s.mounts.opened[m.Name]
	if o == nil {
		o = &opening{}
		s.mounts.opened[m.Name] = o
	}
	s.mounts.mu.Unlock()
	o.once.Lock()
	defer o.once.Unlock()
	if o.done {
		return nil
	}
	// The import shall be whole even if whoever began it goes away.
	ctx = context.WithoutCancel(ctx)
	d, err := s.SystemDrive(ctx, m.Name)
	if err != nil {
		return err
	}
	imported, err := d.imported(ctx)
	if err != nil {
		return err
	}
	if m.Type == Local && !imported {
		if _, err := s.importDir(ctx, d, m); err != nil {
			return err
		}
	}
	o.done = true
	return nil
}
