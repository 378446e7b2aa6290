package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// UseBlobs makes the servers that the rig makes from now on keep their content
// in a store: "file" (as they do without), "postgres", or "s3", for which it
// runs an S3 server, versitygw, whose program is given.
func (r *Rig) UseBlobs(ctx context.Context, store, versitygw string) error {
	switch store {
	case "", "file", "postgres":
	case "s3":
		if r.s3 == nil {
			s, err := r.startS3(ctx, versitygw)
			if err != nil {
				return err
			}
			r.s3 = s
		}
	default:
		return fmt.Errorf("there is no store %q: file, s3 or postgres", store)
	}
	r.store = store
	return nil
}

// s3Server keeps buckets as directories below the rig's own.
type s3Server struct {
	addr    string
	buckets string
	proc    *Child
}

// Credentials of the one account.
const s3Access, s3Secret = "satchel-rig", "the secret of satchel-rig"

func (r *Rig) startS3(ctx context.Context, program string) (*s3Server, error) {
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(r.Dir, "s3")
	s := &s3Server{addr: addr, buckets: filepath.Join(dir, "buckets")}
	for _, sub := range []string{"buckets", "iam", "metadata"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command(program, "--port", addr, "--iam-dir", filepath.Join(dir, "iam"), "--quiet", "--keep-alive",
		"posix", "--sidecar", filepath.Join(dir, "metadata"), s.buckets)
	cmd.Env = []string{"ROOT_ACCESS_KEY=" + s3Access, "ROOT_SECRET_KEY=" + s3Secret, "PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	cmd.Dir = dir
	if s.proc, err = StartChild(cmd); err != nil {
		return nil, err
	}
	return s, s.proc.WaitReady(ctx, 20*time.Second, func() bool {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

func (s *s3Server) stop() error {
	if s == nil {
		return nil
	}
	return s.proc.End(syscall.SIGTERM)
}

// blobEnv is the environment that sends a server's content to the rig's store,
// each server to a bucket of its own.
func (r *Rig) blobEnv(name string) ([]string, error) {
	switch r.store {
	case "postgres":
		return []string{"SATCHELD_BLOBS=postgres:"}, nil
	case "s3":
		return r.bucketEnv(bucketName(name))
	}
	return nil, nil
}

// bucketEnv is the environment for a new bucket.
func (r *Rig) bucketEnv(bucket string) ([]string, error) {
	if err := os.Mkdir(filepath.Join(r.s3.buckets, bucket), 0o755); err != nil {
		return nil, err
	}
	return []string{
		"SATCHELD_BLOBS=s3://" + bucket + "/packs?endpoint=http://" + r.s3.addr + "&region=us-east-1",
		"AWS_ACCESS_KEY_ID=" + s3Access, "AWS_SECRET_ACCESS_KEY=" + s3Secret, "AWS_SESSION_TOKEN=", "AWS_EC2_METADATA_DISABLED=true",
	}, nil
}

// ShareBucket makes servers keep their content in one new bucket, whatever
// store the rig uses. It runs versitygw, whose program is given, if it does not run yet.
func (r *Rig) ShareBucket(ctx context.Context, versitygw, name string, servers ...*Server) error {
	if r.s3 == nil {
		s, err := r.startS3(ctx, versitygw)
		if err != nil {
			return err
		}
		r.s3 = s
	}
	env, err := r.bucketEnv(bucketName(name))
	for _, s := range servers {
		s.env = append(s.env, env...)
	}
	return err
}

// bucketName is a server's name in the letters that buckets may have.
func bucketName(name string) string {
	return "b-" + strings.Trim(strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, strings.ToLower(name)), "-")
}

// Objects is how many objects the server's blob store has, and their bytes. It
// looks behind the server's back.
func (s *Server) Objects(ctx context.Context) (n int, size int64, err error) {
	if s.rig.store == "postgres" {
		err = s.database(ctx, "satchel_app", func(db *pgx.Conn) error {
			return db.QueryRow(ctx, "SELECT count(*), coalesce(sum(size), 0)::bigint FROM satchel.list_blobs('', 1000000)").Scan(&n, &size)
		})
		return n, size, err
	}
	err = s.eachObject(func(path string) error {
		info, err := os.Stat(path)
		if err == nil {
			n++
			size += info.Size()
		}
		return err
	})
	return n, size, err
}

// Spoil changes a byte in the server's blob store, behind the server's back,
// wherever some bytes are. It is an error when they are in no object, or when an
// object of the "postgres" store has them on both sides of a part's end.
func (s *Server) Spoil(ctx context.Context, content []byte) error {
	done := false
	var err error
	if s.rig.store == "postgres" {
		err = s.database(ctx, "postgres", func(db *pgx.Conn) error {
			tag, err := db.Exec(ctx, `UPDATE satchel.blob_parts SET data = set_byte(data, position($1 IN data) - 1, 255 - get_byte(data, position($1 IN data) - 1))
			                          WHERE position($1 IN data) > 0`, content)
			done = tag.RowsAffected() > 0
			return err
		})
	} else {
		err = s.eachObject(func(path string) error {
			b, err := os.ReadFile(path)
			i := bytes.Index(b, content)
			if err != nil || i < 0 {
				return err
			}
			b[i] ^= 0xff
			done = true
			return os.WriteFile(path, b, 0o600)
		})
	}
	if err == nil && !done {
		err = errors.New("the content was not found in the blob store")
	}
	return err
}

// Lose removes all objects from the server's blob store but its mark, behind the server's back.
func (s *Server) Lose(ctx context.Context) error {
	if s.rig.store == "postgres" {
		return s.database(ctx, "postgres", func(db *pgx.Conn) error {
			_, err := db.Exec(ctx, `DELETE FROM satchel.blobs`)
			return err
		})
	}
	return s.eachObject(os.Remove)
}

// database runs fn with a connection to the server's private PostgreSQL.
func (s *Server) database(ctx context.Context, role string, fn func(*pgx.Conn) error) error {
	url, err := s.DatabaseURL(ctx, role)
	if err != nil {
		return err
	}
	db, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer db.Close(context.WithoutCancel(ctx))
	return fn(db)
}

// mark is the object that says whose a store is.
const mark = "satchel-installation"

// eachObject calls fn with the file of every object of a "file" or "s3" store but its mark.
func (s *Server) eachObject(fn func(path string) error) error {
	dir := filepath.Join(s.Data, "blobs", "objects")
	if s.rig.store == "s3" {
		dir = filepath.Join(s.rig.s3.buckets, bucketName(filepath.Base(filepath.Dir(s.Data))), "packs")
	}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || e.Name() == mark {
			return err
		}
		return fn(path)
	})
	if errors.Is(err, fs.ErrNotExist) { // nothing was stored yet
		err = nil
	}
	return err
}
