package s3

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// What x-amz-content-sha256 says of bodies that come in signed or checked chunks.
const (
	streamSigned          = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	streamSignedTrailer   = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	streamUnsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

// payload is what a request says about its body.
func payload(r *http.Request) string {
	if p := r.Header.Get("X-Amz-Content-Sha256"); p != "" {
		return p
	}
	return unsigned // presigned, or anyone's; a signed request without the header fails to match otherwise
}

// codings is what the request says of its content's encoding, but for aws-chunked: that is
// of the transfer, and not of the object.
func codings(r *http.Request) (own string, chunked bool) {
	var kept []string
	for c := range strings.SplitSeq(strings.Join(r.Header.Values("Content-Encoding"), ","), ",") {
		if c = strings.TrimSpace(c); strings.EqualFold(c, "aws-chunked") {
			chunked = true
		} else if c != "" {
			kept = append(kept, c)
		}
	}
	return strings.Join(kept, ","), chunked
}

// body is a request's content, checked against all that the request says of
// it: signatures, lengths and sums. It is io.EOF only if all hold; a wrong sum is an
// error in its place, so whoever reads to the end stores nothing false.
type body struct {
	r       io.Reader
	trailer http.Header // of a chunked body; complete at its end
	md5     hash.Hash
	sha256  hash.Hash // nil: nobody asks
	checks  []check
	length  int64 // bytes that it must have; negative: not said
	n       int64
	done    bool
}

// check is a sum that must come out.
type check struct {
	name string // the header
	sum  hash.Hash
	want string // base64; "": it comes in the trailer
}

// crc64NVME is the polynomial of x-amz-checksum-crc64nvme, reversed.
var crc64NVME = crc64.MakeTable(0x9a6c9329ac4bc9b5)

var sums = map[string]func() hash.Hash{
	"x-amz-checksum-crc32":     func() hash.Hash { return crc32.NewIEEE() },
	"x-amz-checksum-crc32c":    func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) },
	"x-amz-checksum-crc64nvme": func() hash.Hash { return crc64.New(crc64NVME) },
	"x-amz-checksum-sha1":      sha1.New,
	"x-amz-checksum-sha256":    sha256.New,
}

// newBody is the body of a request that has been verified; key is the key
// with which its chunks are signed, nil if the request is not.
func newBody(r *http.Request, s signature, key []byte) (*body, error) {
	b := &body{r: r.Body, md5: md5.New(), length: r.ContentLength}
	switch payload := payload(r); payload {
	case unsigned:
	case streamSigned, streamSignedTrailer, streamUnsignedTrailer:
		n, err := strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64)
		if err != nil || n < 0 {
			return nil, refuse(http.StatusLengthRequired, "MissingContentLength", "X-Amz-Decoded-Content-Length is missing")
		}
		c := newChunks(r.Body, payload)
		if payload != streamUnsignedTrailer {
			if key == nil {
				return nil, refuse(http.StatusBadRequest, "InvalidRequest", "the chunks of a body are signed only where the request is")
			}
			c.sign(s, key)
		}
		b.r, b.length, b.trailer = c, n, c.trailer
	default:
		if len(payload) != hex.EncodedLen(sha256.Size) {
			return nil, refuse(http.StatusBadRequest, "InvalidRequest", "X-Amz-Content-Sha256 is neither a SHA-256 nor a form of streaming")
		}
		b.sha256 = sha256.New()
		b.checks = append(b.checks, check{"x-amz-content-sha256", b.sha256, payload})
	}
	if _, chunked := codings(r); chunked && b.trailer == nil && r.ContentLength != 0 {
		return nil, refuse(http.StatusBadRequest, "InvalidRequest", "the body is said to be aws-chunked, but X-Amz-Content-Sha256 names no form of streaming")
	}
	if want := r.Header.Get("Content-Md5"); want != "" {
		b.checks = append(b.checks, check{"content-md5", b.md5, want})
	}
	var trailers []string
	for _, name := range strings.Split(r.Header.Get("X-Amz-Trailer"), ",") {
		trailers = append(trailers, strings.ToLower(strings.TrimSpace(name)))
	}
	completes := r.Method == http.MethodPost && r.URL.Query().Has("uploadId") // sums in its header are the object's
	for name, sum := range sums {
		if want := r.Header.Get(name); want != "" && !completes {
			b.checks = append(b.checks, check{name, sum(), want})
		} else if b.trailer != nil && slices.Contains(trailers, name) {
			b.checks = append(b.checks, check{name, sum(), ""})
		}
	}
	return b, nil
}

func (b *body) Read(p []byte) (int, error) {
	if b.done {
		return 0, io.EOF
	}
	n, err := b.r.Read(p)
	b.n += int64(n)
	b.md5.Write(p[:n])
	for _, c := range b.checks {
		if c.sum != b.md5 {
			c.sum.Write(p[:n])
		}
	}
	if err == io.EOF {
		if err := b.finish(); err != nil {
			return n, err
		}
		b.done = true
	}
	return n, err
}

// finish holds the content to what was said of it.
func (b *body) finish() error {
	if b.length >= 0 && b.n != b.length {
		return refuse(http.StatusBadRequest, "IncompleteBody", "the body has %d bytes, not the %d that were announced", b.n, b.length)
	}
	for _, c := range b.checks {
		got, want := c.sum.Sum(nil), c.want
		if c.name == "x-amz-content-sha256" {
			if w, err := hex.DecodeString(want); err != nil || !bytes.Equal(got, w) {
				return refuse(http.StatusBadRequest, "XAmzContentSHA256Mismatch", "the body has another SHA-256 than was announced")
			}
			continue
		}
		if want == "" {
			want = b.trailer.Get(c.name)
		}
		if w, err := base64.StdEncoding.DecodeString(want); err != nil || !bytes.Equal(got, w) {
			return refuse(http.StatusBadRequest, "BadDigest", "the body's %s is not the one that was announced", c.name)
		}
	}
	return nil
}

// sum is the content's MD5, once it was read to its end.
func (b *body) sum() [16]byte { return [16]byte(b.md5.Sum(nil)) }
