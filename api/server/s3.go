package server

import (
	"context"
	"net/http"
	"time"

	"satchel/api/s3"
	"satchel/storage"
)

// NewS3 makes the handler of the S3 API, which has an address of its own: its
// clients take the first name of a path for a bucket.
func NewS3(c Config) http.Handler {
	s := newServer(c)
	h := &s3.Handler{
		Drives: c.Drives, Log: c.Log, Now: time.Now,
		Signer: func(ctx context.Context, key string) (storage.Caller, string, error) {
			id, secret, err := c.Auth.ByAccessKey(ctx, key)
			return caller(id), secret, err
		},
		Fault: func(err error) s3.Fault {
			f := faultOf(c.Log, err)
			return s3.Fault{Status: f.status, Message: f.message, Header: f.header}
		},
	}
	b := &bans{config: c.Bans}
	return s.guarded(newCrowd(c.Limits, b.address).admit(noteOrigin(h), h.Refuse))
}
