package local

import (
	"context"
	"io"
	"os"

	"satchel/api"
	"satchel/storage/blob"
)

// Get is part of [blob.Store].
func (s *Store) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if err := blob.CheckKey(key); err != nil {
		return nil, err
	}
	if err := s.at("open"); err != nil {
		return nil, failed("get", key, err)
	}
	f, err := os.Open(s.path(key))
	if err != nil {
		return nil, failed("get", key, err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, failed("get", key, err)
	}
	if off < 0 || off > info.Size() {
		f.Close()
		return nil, api.Errorf(api.NotFound, "the blob %s has no offset %d", key, off)
	}
	if n < 0 || n > info.Size()-off {
		n = info.Size() - off
	}
	return &object{s: s, ctx: ctx, key: key, f: f, at: off, end: off + n}, nil
}

// object reads a range of a file.
type object struct {
	s       *Store
	ctx     context.Context
	key     string
	f       *os.File
	at, end int64
}

func (o *object) Read(b []byte) (int, error) {
	if err := o.ctx.Err(); err != nil {
		return 0, err
	}
	if o.at == o.end {
		return 0, io.EOF
	}
	if err := o.s.at("read"); err != nil {
		return 0, failed("get", o.key, err)
	}
	n, err := o.f.ReadAt(b[:min(int64(len(b)), o.end-o.at)], o.at)
	o.at += int64(n)
	switch {
	case n > 0:
		err = nil // it shows again, if there is more to read
	case err == io.EOF:
		err = io.ErrUnexpectedEOF // somebody cut the file
	}
	return n, failed("get", o.key, err)
}

// SendTo is part of [blob.Sender].
func (o *object) SendTo(w io.Writer, n int64) (int64, error) {
	if err := o.ctx.Err(); err != nil {
		return 0, err
	}
	if err := o.s.at("read"); err != nil {
		return 0, failed("get", o.key, err)
	}
	if _, err := o.f.Seek(o.at, io.SeekStart); err != nil { // Read does not move the file's own offset
		return 0, failed("get", o.key, err)
	}
	sent, err := io.Copy(w, &io.LimitedReader{R: o.f, N: min(n, o.end-o.at)})
	o.at += sent
	if err == nil && sent < n {
		err = io.ErrUnexpectedEOF // somebody cut the file, now or before it was opened
	}
	return sent, failed("get", o.key, err)
}

func (o *object) Close() error { return o.f.Close() }
