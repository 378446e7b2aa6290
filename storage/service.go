// Package storage is the drive service: it knows who may do what to a drive,
// applies mutations in order, stores content and tells devices what changed.
//
// Metadata lives in PostgreSQL (package postgres, where all SQL is), packs of
// chunks in a blob store (package blob), and the rules by which mutations and
// conflicts become rows in package tree, which is pure. A [Drive] binds the
// caller, so that no query can run without one; row-level security decides
// below it who sees what.
package storage

import (
	"context"
	"log/slog"
	"sync"

	"satchel/api"
	"satchel/storage/blob"
	"satchel/storage/extract"
	"satchel/storage/postgres"
	"satchel/storage/thumbnail"
)

// Caller is who acts, as authenticated by the server's edge. Device is the
// session's id; it labels changes and keeps a device's batches apart from another's.
type Caller struct {
	User       api.ID
	Device     api.ID
	DeviceName string // for people: part of a conflict copy's name
	Admin      bool
}

// Service gives access to drives. It is safe for concurrent use.
type Service struct {
	db    *postgres.DB
	blobs blob.Store
	log   *slog.Logger
	feeds *feeds
	lines *lines

	mounts mounts
	index  *indexing
	over   *overQuota

	extract func(ctx context.Context, name string, content []byte) (string, error)

	copying sync.Map // by drive and id, the uploads whose bytes this server stores in another drive

	thumbnail    func(ctx context.Context, image []byte) ([]byte, error)
	thumbnailing chan struct{} // holds one for each that is made
}

// New makes a service over a database and a blob store, neither of which it closes.
func New(db *postgres.DB, blobs blob.Store, log *slog.Logger) *Service {
	return &Service{db: db, blobs: blobs, log: log, feeds: newFeeds(), lines: newLines(), index: newIndexing(), over: newOverQuota(), extract: extract.Text,
		thumbnail: func(_ context.Context, image []byte) ([]byte, error) { return thumbnail.Make(image) }, thumbnailing: make(chan struct{}, thumbnailsAtOnce)}
}

// Close breaks off the writes that are being done, so that they need the database no more. It is for when no more requests come; those
// whose clients have gone, too, are under way until then.
func (s *Service) Close() { s.lines.end() }

// ExtractWith has another function find the text in documents, such as one that
// does it in a process of its own. It is for before the service is used.
func (s *Service) ExtractWith(f func(ctx context.Context, name string, content []byte) (string, error)) {
	s.extract = f
}

// EnsureHome makes the user's home drive with an empty root directory, if it
// does not exist yet. Any number of calls at once make one.
func (s *Service) EnsureHome(ctx context.Context, user api.ID) (api.DriveInfo, error) {
	home, err := s.home(ctx, user)
	return home.DriveInfo, err
}

func (s *Service) home(ctx context.Context, user api.ID) (home postgres.Drive, err error) {
	err = s.db.AsReadOnly(ctx, user, func(ctx context.Context, tx *postgres.Tx) error {
		tx.Last()
		home, err = tx.Home(ctx)
		return err
	})
	if api.KindOf(err) != api.NotFound {
		return home, err
	}
	err = s.db.As(ctx, user, func(ctx context.Context, tx *postgres.Tx) error {
		home, err = tx.Home(ctx)
		if api.KindOf(err) != api.NotFound {
			return err
		}
		if err = tx.EnsureHome(ctx); err == nil {
			home, err = tx.Home(ctx)
		}
		return err
	})
	return home, err
}

// Drives lists the drives that the caller may see, by name.
func (s *Service) Drives(ctx context.Context, c Caller) (infos []api.DriveInfo, err error) {
	err = s.db.AsReadOnly(ctx, c.User, func(ctx context.Context, tx *postgres.Tx) error {
		drives, err := tx.Drives(ctx)
		infos = make([]api.DriveInfo, len(drives))
		for i, d := range drives {
			infos[i] = d.DriveInfo
		}
		return err
	})
	return infos, err
}

// Home is the caller's home drive, made on first use. Admins have none: the
// error is of kind [api.Permission].
func (s *Service) Home(ctx context.Context, c Caller) (*Drive, error) {
	if c.Admin {
		return nil, errHomeless()
	}
	home, err := s.home(ctx, c.User)
	if err != nil {
		return nil, err
	}
	return s.open(c, home), nil
}

func errHomeless() error {
	return api.Errorf(api.Permission, "an admin has no drive of his own")
}

// Drive is a drive by its id, the caller's own or one of which something is
// shared with him. A hidden one is [api.NotFound], as is a missing one.
func (s *Service) Drive(ctx context.Context, c Caller, id api.ID) (*Drive, error) {
	var drive postgres.Drive
	look := func(ask func(*postgres.Tx, context.Context, api.ID) (postgres.Drive, error)) error {
		return s.db.AsReadOnly(ctx, c.User, func(ctx context.Context, tx *postgres.Tx) (err error) {
			tx.Last()
			drive, err = ask(tx, ctx, id)
			return err
		})
	}
	err := look((*postgres.Tx).Drive)
	if api.KindOf(err) == api.NotFound {
		err = look((*postgres.Tx).SharedDrive)
	}
	if err != nil {
		return nil, err
	}
	return s.open(c, drive), nil
}

// SystemDrive is a named drive of the system, made on first use, for the
// server's own work: it acts as the drive's owner, so it must not be handed to a
// request.
func (s *Service) SystemDrive(ctx context.Context, name string) (*Drive, error) {
	var drive postgres.Drive
	err := s.db.As(ctx, api.SystemOwner, func(ctx context.Context, tx *postgres.Tx) (err error) {
		drive, err = tx.EnsureSystemDrive(ctx, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.open(Caller{User: api.SystemOwner}, drive), nil
}

func (s *Service) open(c Caller, d postgres.Drive) *Drive {
	return &Drive{s: s, caller: c, id: d.ID, root: d.Root, owner: d.Owner}
}
