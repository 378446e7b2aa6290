package storage

import (
	"context"
	"io"
	"time"

	"satchel/api"
	"satchel/storage/postgres"
	"satchel/storage/thumbnail"
)

const (
	thumbnailsAtOnce = 2
	thumbnailAge     = 90 * day
)

// pictured are the media types that thumbnails are made of.
var pictured = map[string]bool{"image/png": true, "image/jpeg": true, "image/gif": true, "image/webp": true, "image/bmp": true, "image/tiff": true}

// Pictured tells whether there can be a thumbnail of a file.
func Pictured(name string, size int64) bool {
	return pictured[ContentType(name)] && size > 0 && size <= thumbnail.MaxBytes
}

// ThumbnailWith has another function make thumbnails, such as one that does it
// in a process of its own. That an image has no picture is remembered, unless f's error is [api.Unavailable]. It is
// for before the service is used.
func (s *Service) ThumbnailWith(f func(ctx context.Context, image []byte) ([]byte, error)) {
	s.thumbnail = f
}

// Thumbnail is a small JPEG picture of an image. It is made once for each who
// looks at it, a few at a time, and kept. What no picture can be made of is [api.NotFound].
func (c *Content) Thumbnail(ctx context.Context) ([]byte, error) {
	d := c.drive
	var picture []byte
	found := false
	if err := d.s.db.AsReadOnly(ctx, d.caller.User, func(ctx context.Context, tx *postgres.Tx) (err error) {
		picture, found, err = tx.Thumbnail(ctx, c.SHA256)
		return err
	}); err != nil {
		return nil, err
	}
	if !found {
		var err error
		if picture, err = c.makeThumbnail(ctx); err != nil {
			return nil, err
		}
	}
	if len(picture) == 0 {
		return nil, api.Errorf(api.NotFound, "there is no picture of this")
	}
	return picture, nil
}

func (c *Content) makeThumbnail(ctx context.Context) ([]byte, error) {
	if c.Size > thumbnail.MaxBytes {
		return nil, nil
	}
	s := c.drive.s
	select {
	case s.thumbnailing <- struct{}{}:
		defer func() { <-s.thumbnailing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	r, err := c.Open(ctx, 0, -1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	image, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	picture, err := s.thumbnail(ctx, image)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if api.KindOf(err) == api.Unavailable { // it says nothing of the image
		return nil, err
	}
	if err != nil {
		s.log.Debug("there is no picture of an image", "version", c.Version, "err", err)
		picture = []byte{}
	}
	return picture, s.db.As(ctx, c.drive.caller.User, func(ctx context.Context, tx *postgres.Tx) error {
		return tx.AddThumbnail(ctx, c.SHA256, picture)
	})
}

// expireThumbnails forgets pictures that are old, or of what is not there any more.
func expireThumbnails(ctx context.Context, tx *postgres.Tx, now time.Time) error {
	return tx.ExpireThumbnails(ctx, now.Add(-thumbnailAge))
}
