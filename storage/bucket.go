package storage

import (
	"context"
	"encoding/json"
	"strings"

	"satchel/api"
	"satchel/storage/postgres"
)

// What the APIs of buckets keep; see package postgres.
type (
	BucketInfo = postgres.Bucket
	Rule       = postgres.Rule
)

// Bucket is a bucket as one caller may use it. Its drive is seen from the
// bucket's directory: paths start there and lead nowhere else.
type Bucket struct {
	*Drive
	Name string
	Own  bool // the caller's
}

// Bucket is a bucket with which the caller may do an action of S3 (such as
// s3:GetObject), with the object of a key if one is given. The database decides, by the bucket's
// policy, and only then is the owner's drive opened. A caller without a user is anyone. A
// missing bucket is [api.NotFound], a refused action [api.Permission].
func (s *Service) Bucket(ctx context.Context, c Caller, name, action, key string) (*Bucket, error) {
	var b postgres.Bucket
	err := s.db.AsReadOnly(ctx, c.User, func(ctx context.Context, tx *postgres.Tx) (err error) {
		b, err = tx.BucketFor(ctx, name, action, key)
		return err
	})
	if err != nil {
		return nil, err
	}
	own := b.Owner == c.User
	c.User, c.Admin = b.Owner, false
	d, err := s.Drive(ctx, c, b.Drive)
	if err != nil {
		return nil, err
	}
	d.root = b.Node
	return &Bucket{Drive: d, Name: name, Own: own}, nil
}

// Buckets lists the caller's own buckets by name.
func (s *Service) Buckets(ctx context.Context, c Caller) (buckets []BucketInfo, err error) {
	err = s.db.AsReadOnly(ctx, c.User, func(ctx context.Context, tx *postgres.Tx) error {
		buckets, err = tx.Buckets(ctx)
		return err
	})
	return buckets, err
}

// CreateBucket makes a bucket of the top-level directory of that name in the
// caller's home drive, and the directory if it is missing. A taken name is
// [api.Exists], one that breaks S3's rules [api.Invalid].
func (s *Service) CreateBucket(ctx context.Context, c Caller, name string) error {
	if err := CheckBucketName(name); err != nil {
		return err
	}
	d, err := s.Home(ctx, c)
	if err != nil {
		return err
	}
	path := []api.Name{api.Name(name)}
	return d.change(ctx, nil, func(ctx context.Context, tx *postgres.Tx) ([]api.Mutation, error) {
		var batch []api.Mutation
		node, err := d.lookup(ctx, tx, path)
		switch {
		case api.KindOf(err) == api.NotFound:
			node.Type = api.Directory
			node.ID, batch, err = d.mkdir(ctx, tx, path, false)
		case err == nil && node.Type != api.Directory:
			err = api.Errorf(api.Exists, "%q is a file in your drive", name)
		case err == nil:
			var binds []postgres.Bind
			if binds, err = tx.BindsAt(ctx, d.id, []api.ID{node.ID}); len(binds) > 0 {
				err = api.Errorf(api.Exists, "in %q another directory is shown: a bucket has its own", name)
			}
		}
		if err != nil {
			return nil, err
		}
		return batch, tx.AddBucket(ctx, postgres.Bucket{Name: name, Drive: d.id, Node: node.ID, Owner: d.owner})
	})
}

// CheckBucketName holds a name to S3's rules: 3 to 63 lower-case letters,
// digits, dots and hyphens, a letter or digit at both ends, no IP address, and none that S3
// keeps for itself.
func CheckBucketName(name string) error {
	ok := len(name) >= 3 && len(name) <= 63
	dots, letters := 0, false
	for i, c := range []byte(name) {
		alnum := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		switch {
		case alnum:
			letters = letters || c >= 'a'
		case c == '.' && i > 0 && name[i-1] != '.' && name[i-1] != '-':
			dots++
		case c == '-' && i > 0 && name[i-1] != '.':
		default:
			ok = false
		}
		if !alnum && i == len(name)-1 {
			ok = false
		}
	}
	if !ok || dots == 3 && !letters {
		return api.Errorf(api.Invalid, "%.70q can't be a bucket's name: 3 to 63 lower-case letters, digits, dots and hyphens", name)
	}
	for _, p := range []string{"xn--", "sthree-", "amzn-s3-demo-"} {
		ok = ok && !strings.HasPrefix(name, p)
	}
	for _, s := range []string{"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"} {
		ok = ok && !strings.HasSuffix(name, s)
	}
	if !ok {
		return api.Errorf(api.Invalid, "%.70q can't be a bucket's name: S3 keeps such names for itself", name)
	}
	return nil
}

// DeleteBucket removes an empty bucket of the caller's, with its directory.
// One that is not empty is [api.NotEmpty], another's or a missing one [api.NotFound].
func (s *Service) DeleteBucket(ctx context.Context, c Caller, name string) error {
	b, err := s.ownBucket(ctx, c, name)
	if err != nil {
		return err
	}
	node := b.root
	d, err := s.Drive(ctx, c, b.id)
	if err != nil {
		return err
	}
	return d.change(ctx, nil, func(ctx context.Context, tx *postgres.Tx) ([]api.Mutation, error) {
		names, err := tx.Names(ctx, d.id, node)
		if err == nil && len(names) > 0 {
			err = api.Errorf(api.NotEmpty, "the bucket %q is not empty", name)
		}
		if err == nil {
			err = tx.RemoveBucket(ctx, name)
		}
		if err != nil {
			return nil, err
		}
		path, err := tx.Path(ctx, d.id, node)
		if err != nil {
			return nil, err
		}
		e, err := d.entryAt(ctx, tx, path)
		if err != nil {
			return nil, err
		}
		batch, _, err := d.removal(ctx, tx, e)
		return batch, err
	})
}

// ownBucket is a bucket of the caller's; another's is [api.Permission].
func (s *Service) ownBucket(ctx context.Context, c Caller, name string) (*Bucket, error) {
	b, err := s.Bucket(ctx, c, name, "s3:ListBucket", "")
	if err == nil && !b.Own {
		err = api.Errorf(api.Permission, "the bucket is another user's")
	}
	return b, err
}

// BucketPolicy is the policy of a bucket, nil if it has none, for its owner and
// for admins; for all others it is [api.Permission], or [api.NotFound] if there is no such bucket.
func (s *Service) BucketPolicy(ctx context.Context, c Caller, name string) (policy json.RawMessage, err error) {
	if !c.Admin {
		if _, err := s.ownBucket(ctx, c, name); err != nil {
			return nil, err
		}
	}
	err = s.db.AsReadOnly(ctx, c.User, func(ctx context.Context, tx *postgres.Tx) error {
		policy, err = tx.BucketPolicy(ctx, name)
		return err
	})
	return policy, err
}

// SetBucketPolicy replaces the policy of a bucket of the caller's; nil removes
// it. What it says beyond what is enforced here, and a principal that is nobody, is [api.Invalid]; one that is somebody stays that account's.
func (s *Service) SetBucketPolicy(ctx context.Context, c Caller, name string, policy json.RawMessage) error {
	if _, err := s.ownBucket(ctx, c, name); err != nil {
		return err
	}
	var rules []Rule
	if policy != nil {
		var err error
		if rules, err = parsePolicy(policy, name); err != nil {
			return err
		}
	}
	return s.db.As(ctx, c.User, func(ctx context.Context, tx *postgres.Tx) error {
		return tx.SetBucketPolicy(ctx, name, policy, rules)
	})
}
