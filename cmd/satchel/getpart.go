package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// partFile is a file on its way here. When the transfer is broken off it stays,
// beside the name it is for, and the next one goes on where it ends.
type partFile struct {
	*os.File
	done bool // it has its own name now
	lost bool // it is of no use to a later transfer
}

// openPart opens what is there of a file's content. Two that fetch the same
// to one place at once do not share it: the second has a part of its own.
func openPart(to string, n api.Node) (*partFile, error) {
	sum := sha256.Sum256([]byte(n.Version.String() + filepath.Base(to)))
	name := filepath.Join(filepath.Dir(to), partPrefix+hex.EncodeToString(sum[:10]))
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	p := &partFile{File: f}
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil && p.named() {
		return p, nil
	}
	f.Close()
	if f, err = os.CreateTemp(filepath.Dir(to), partPrefix+"*"); err != nil {
		return nil, err
	}
	unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) // it is in use
	return &partFile{File: f, lost: true}, nil
}

// named tells whether the name is still this file's: who held the lock before
// may have given it its own name meanwhile.
func (p *partFile) named() bool {
	mine, err := p.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(p.Name())
	return err == nil && os.SameFile(mine, there)
}

// holeSize is from how many zeros on a hole is left.
const holeSize = 4096

// Write leaves holes where there are zeros. Those at the end are part of the file only once it has its size.
func (p *partFile) Write(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		end := min(n+holeSize, len(b))
		if isZero(b[n:end]) {
			_, err = p.Seek(int64(end-n), io.SeekCurrent)
		} else {
			for end < len(b) && !isZero(b[end:min(end+holeSize, len(b))]) {
				end = min(end+holeSize, len(b))
			}
			_, err = p.File.Write(b[n:end])
		}
		if err == nil {
			n = end
		}
	}
	return n, err
}

var zeros [holeSize]byte

// isZero tells whether there are zeros only, of holeSize bytes at most.
func isZero(b []byte) bool { return bytes.Equal(b, zeros[:len(b)]) }

func (p *partFile) close() {
	if info, err := p.Stat(); !p.done && (p.lost || err == nil && info.Size() == 0) {
		os.Remove(p.Name())
	}
	p.Close()
}

// copy writes a file's content and checks it. After a broken connection it
// goes on where that ended, and in a part where an earlier command did.
func (g *getter) copy(ctx context.Context, w io.Writer, n api.Node) error {
	sum := sha256.New()
	var done int64
	p, resumes := w.(*partFile)
	if resumes {
		info, err := p.Stat()
		if err == nil && info.Size() > n.Size {
			err = p.Truncate(0)
		}
		if err == nil {
			done, err = io.Copy(sum, p)
		}
		if err != nil {
			return err
		}
		g.bar.add(done)
	}
	_, err := patiently(ctx, func() (struct{}, error) {
		if done == n.Size {
			return struct{}{}, nil
		}
		r, err := g.tree.Content(ctx, n.ID, n.Version, done, n.Size-done)
		if err != nil {
			return struct{}{}, err
		}
		defer r.Close()
		got, err := io.Copy(io.MultiWriter(w, sum, g.bar), r)
		done += got
		g.bytes.Add(got)
		if err == nil && done < n.Size {
			err = api.Errorf(api.Unavailable, "the server sent %d of %d bytes", done, n.Size)
		}
		return struct{}{}, err
	})
	if err != nil {
		return err
	}
	if got := api.Hash(sum.Sum(nil)); got != n.SHA256 {
		if resumes {
			p.lost = true
		}
		return errors.New("the content arrived damaged: try again; if it stays so, tell the server's administrator")
	}
	return nil
}
