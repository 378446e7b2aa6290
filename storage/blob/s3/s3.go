// Package s3 keeps blobs in a bucket of Amazon S3 or of anything that speaks
// its protocol. An object's name in the bucket is the prefix and the key.
//
// An object appears there when its bytes are all there: S3 itself sees to
// that, for one request as for an upload in parts. A Put that fails aborts its
// upload; what a killed process leaves is invisible, and aborted by a later
// [Open].
package s3

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	service "github.com/aws/aws-sdk-go-v2/service/s3"

	"satchel/api"
	"satchel/storage/blob"
)

// Store is a [blob.Store] in a bucket.
type Store struct {
	location Location
	client   *service.Client
	transfer *transfermanager.Client
	limits   limits
	log      *slog.Logger
}

var _ blob.Store = (*Store)(nil)

const (
	// single is the size from which an object is uploaded in parts. Most packs
	// are smaller, and one request is the cheapest.
	single = 16 << 20

	// partSize times 10,000 bounds an object at 80 GiB; a Put's memory is
	// 16 MiB, and with parts (parallel + 1) times partSize more.
	partSize = 8 << 20
	parallel = 3

	// abandoned is the age from which an upload in parts belongs to no running Put.
	abandoned = 24 * time.Hour
)

// limits are what tests shorten.
type limits struct {
	attempts int           // of each request
	backoff  time.Duration // longest pause between them
	stall    time.Duration // how long a connection may carry nothing while it should

	// wrap puts something between the SDK and the network; nil does not.
	wrap func(service.HTTPClient) service.HTTPClient
}

// Open looks into the bucket, so that a wrong location or wrong credentials
// are told at once, and aborts uploads that broken transfers left there. The
// credentials come from AWS's standard places: the environment, the shared
// configuration files, the machine's role.
func Open(ctx context.Context, l Location, log *slog.Logger) (*Store, error) {
	return open(ctx, l, log, limits{attempts: 5, backoff: 5 * time.Second, stall: 30 * time.Second})
}

func open(ctx context.Context, l Location, log *slog.Logger, limits limits) (*Store, error) {
	client, err := connect(ctx, l, limits)
	if err != nil {
		return nil, err
	}
	s := &Store{location: l, client: client, limits: limits, log: log}
	s.transfer = transfermanager.New(client, func(o *transfermanager.Options) {
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired // other makers' servers lack the newer ones
		o.MultipartUploadThreshold = single
		o.PartSizeBytes = partSize
		o.Concurrency = parallel
		o.FailTimeout = giveUp // aborts after the caller gave up, too
	})
	_, err = client.ListObjectsV2(ctx, &service.ListObjectsV2Input{Bucket: &l.Bucket, Prefix: &l.Prefix, MaxKeys: aws.Int32(1)})
	if err != nil {
		return nil, s.failed(ctx, "open the blob store", err)
	}
	if err := s.abort(ctx, abandoned); err != nil {
		// Some servers can't list uploads, some roles may not. It is no more than tidying.
		log.Warn("unfinished uploads can't be looked for in the blob store", "store", l.String(), "err", err)
	}
	return s, nil
}

// abort ends uploads in parts that are older than age.
func (s *Store) abort(ctx context.Context, age time.Duration) error {
	pages := service.NewListMultipartUploadsPaginator(s.client, &service.ListMultipartUploadsInput{Bucket: &s.location.Bucket, Prefix: &s.location.Prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, u := range page.Uploads {
			if time.Since(aws.ToTime(u.Initiated)) < age || !s.ours(aws.ToString(u.Key)) {
				continue
			}
			_, err := s.client.AbortMultipartUpload(ctx, &service.AbortMultipartUploadInput{Bucket: &s.location.Bucket, Key: u.Key, UploadId: u.UploadId})
			if err != nil && code(err) != noSuchUpload { // another process tidies too
				return err
			}
		}
	}
	return nil
}

// ours tells whether an object's name is one that Put gives.
func (s *Store) ours(name string) bool {
	key, ok := strings.CutPrefix(name, s.location.Prefix)
	return ok && blob.CheckKey(key) == nil
}

func (s *Store) name(key string) *string { return aws.String(s.location.Prefix + key) }

// giveUp bounds what is done after a failure, when the caller waits for nothing more.
const giveUp = 10 * time.Second

// Put is part of [blob.Store].
func (s *Store) Put(ctx context.Context, key string, r io.Reader) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	src := &source{r: blob.Until(ctx, r)}
	_, err := s.transfer.UploadObject(ctx, &transfermanager.UploadObjectInput{Bucket: &s.location.Bucket, Key: s.name(key), Body: src})
	if err == nil {
		return nil
	}
	if src.err == io.EOF {
		// The last request may have been carried out, and only its answer lost.
		s.takeBack(ctx, key)
	}
	if src.err != nil && src.err != io.EOF {
		return fmt.Errorf("put blob %s: %w", key, src.err)
	}
	return s.failed(ctx, "put blob "+key, err)
}

// takeBack removes what a failed Put may have made. It tries: an object that
// nothing refers to is garbage to be collected, no more.
func (s *Store) takeBack(ctx context.Context, key string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveUp)
	defer cancel()
	if err := s.Delete(ctx, key); err != nil {
		s.log.Debug("a failed upload can't be taken back", "key", key, "err", err)
	}
}

// source remembers how reading ended, which the transfer manager's errors mix
// with those of the network.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(b []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(b)
	s.err = err
	return n, err
}

// Delete is part of [blob.Store].
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	_, err := s.client.DeleteObject(ctx, &service.DeleteObjectInput{Bucket: &s.location.Bucket, Key: s.name(key)})
	if err = s.failed(ctx, "delete blob "+key, err); api.KindOf(err) == api.NotFound {
		return nil
	}
	return err
}

// List is part of [blob.Store]. Objects under the prefix whose names Put does
// not give are not the store's, and left out.
func (s *Store) List(ctx context.Context) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		pages := service.NewListObjectsV2Paginator(s.client, &service.ListObjectsV2Input{
			Bucket: &s.location.Bucket, Prefix: &s.location.Prefix, Delimiter: aws.String("/"),
		})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(blob.Info{}, s.failed(ctx, "list blobs", err))
				return
			}
			for _, o := range page.Contents {
				if name := aws.ToString(o.Key); s.ours(name) &&
					!yield(blob.Info{Key: strings.TrimPrefix(name, s.location.Prefix), Size: aws.ToInt64(o.Size), Modified: aws.ToTime(o.LastModified)}, nil) {
					return
				}
			}
		}
	}
}
