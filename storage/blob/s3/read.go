package s3

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	service "github.com/aws/aws-sdk-go-v2/service/s3"

	"satchel/api"
	"satchel/storage/blob"
)

// Get is part of [blob.Store]. A body that is cut is asked for again from where
// it ended, a few times; then reading fails.
func (s *Store) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if err := blob.CheckKey(key); err != nil {
		return nil, err
	}
	if off < 0 {
		return nil, api.Errorf(api.NotFound, "the blob %s has no offset %d", key, off)
	}
	o := &object{ctx: ctx, s: s, key: key, at: off, left: resumes}
	if n == 0 { // which a Range can't say
		return o, o.empty()
	}
	size, err := o.open(n)
	if outOfRange(err) {
		return o, o.empty()
	}
	if err != nil {
		return nil, s.failed(ctx, "get blob "+key, err)
	}
	o.end = size
	if n > 0 {
		o.end = min(size, off+n)
	}
	return o, nil
}

// resumes is how often a reader's body is asked for again.
const resumes = 5

// object reads a range. It is not safe for concurrent use.
type object struct {
	ctx     context.Context
	s       *Store
	key     string
	at, end int64
	body    io.ReadCloser // from at on; nil when it has to be opened
	cut     error         // that ended the body; it is not read again
	left    int           // resumes
	closed  bool
}

// open asks for n bytes, or all for n < 0, from o.at on. It returns the whole
// object's size.
func (o *object) open(n int64) (size int64, err error) {
	in := &service.GetObjectInput{Bucket: &o.s.location.Bucket, Key: o.s.name(o.key)}
	ranged := n > 0 || o.at > 0
	if ranged {
		to := ""
		if n > 0 {
			to = strconv.FormatInt(o.at+n-1, 10)
		}
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%s", o.at, to))
	}
	out, err := o.s.client.GetObject(o.ctx, in)
	if err != nil {
		return 0, err
	}
	from, size, ok := int64(0), aws.ToInt64(out.ContentLength), out.ContentLength != nil
	if ranged {
		from, size, ok = contentRange(aws.ToString(out.ContentRange))
	}
	if !ok || from != o.at {
		out.Body.Close()
		return 0, api.Errorf(api.Internal, "the S3 server answers a request for %q with the range %q", aws.ToString(in.Range), aws.ToString(out.ContentRange))
	}
	o.body = out.Body
	return size, nil
}

// contentRange reads "bytes FROM-TO/SIZE".
func contentRange(s string) (from, size int64, ok bool) {
	s, bytes := strings.CutPrefix(s, "bytes ")
	span, total, slash := strings.Cut(s, "/")
	first, _, dash := strings.Cut(span, "-")
	from, err1 := strconv.ParseInt(first, 10, 64)
	size, err2 := strconv.ParseInt(total, 10, 64)
	return from, size, bytes && slash && dash && err1 == nil && err2 == nil
}

// empty checks that a range without bytes begins within the object.
func (o *object) empty() error {
	out, err := o.s.client.HeadObject(o.ctx, &service.HeadObjectInput{Bucket: &o.s.location.Bucket, Key: o.s.name(o.key)})
	if err != nil {
		return o.s.failed(o.ctx, "get blob "+o.key, err)
	}
	if o.at > aws.ToInt64(out.ContentLength) {
		return api.Errorf(api.NotFound, "the blob %s has no offset %d", o.key, o.at)
	}
	o.end = o.at
	return nil
}

func (o *object) Read(b []byte) (int, error) {
	if o.closed {
		return 0, io.ErrClosedPipe
	}
	if o.at == o.end {
		return 0, io.EOF
	}
	b = b[:min(int64(len(b)), o.end-o.at)]
	for {
		n, err := o.read(b)
		o.at += int64(n)
		if n > 0 {
			o.cut = err // for the next Read, if there is more to read
			return n, nil
		}
		if err == nil {
			return 0, nil
		}
		if !o.again(err) {
			return 0, o.s.failed(o.ctx, fmt.Sprintf("get blob %s, cut at offset %d of %d", o.key, o.at, o.end), err)
		}
	}
}

// read reads from the body, which it opens if there is none.
func (o *object) read(b []byte) (n int, err error) {
	if o.cut != nil {
		return 0, o.cut
	}
	if o.body == nil {
		if _, err := o.open(o.end - o.at); err != nil {
			o.left = 0 // the SDK has tried again already
			return 0, err
		}
	}
	n, err = o.body.Read(b)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF // since it is read no further than its end
	}
	return n, err
}

// again waits before the body is opened anew, and tells whether it should be.
func (o *object) again(err error) bool {
	if o.left == 0 || o.ctx.Err() != nil {
		return false
	}
	o.s.log.Debug("a blob's body was cut", "key", o.key, "offset", o.at, "err", err)
	o.body.Close()
	o.body, o.cut = nil, nil
	o.left--
	longest := o.s.limits.backoff >> o.left
	select {
	case <-time.After(rand.N(longest + 1)):
		return true
	case <-o.ctx.Done():
		return false
	}
}

// Close ends the transfer. Reading after it fails.
func (o *object) Close() error {
	if o.closed = true; o.body == nil {
		return nil
	}
	return o.body.Close()
}
