package integration

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func s3Refusals(t *testing.T, b *buckets) {
	ctx, c, name := t.Context(), b.anna.client, b.anna.bucket(t)
	put := func(with func(*s3.PutObjectInput)) error {
		in := &s3.PutObjectInput{Bucket: &name, Key: aws.String("key"), Body: bytes.NewReader([]byte("content"))}
		with(in)
		return code1(c.PutObject(ctx, in))
	}
	for what, with := range map[string]func(*s3.PutObjectInput){
		"an ACL for everyone": func(in *s3.PutObjectInput) { in.ACL = types.ObjectCannedACLPublicRead },
		"a grant":             func(in *s3.PutObjectInput) { in.GrantRead = aws.String("id=" + b.boris.id) },
		"a tag":               func(in *s3.PutObjectInput) { in.Tagging = aws.String("a=b") },
		"the server's keys":   func(in *s3.PutObjectInput) { in.ServerSideEncryption = types.ServerSideEncryptionAes256 },
		"a lock":              func(in *s3.PutObjectInput) { in.ObjectLockLegalHoldStatus = types.ObjectLockLegalHoldStatusOn },
		"a website":           func(in *s3.PutObjectInput) { in.WebsiteRedirectLocation = aws.String("/x") },
		"the client's key": func(in *s3.PutObjectInput) {
			in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = aws.String("AES256"), aws.String("a2V5"), aws.String("bWQ1")
		},
	} {
		if err := put(with); code(err) != "NotImplemented" {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := b.anna.get(ctx, name, "key"); code(err) != "NoSuchKey" {
		t.Errorf("what was refused is there: %v", err)
	}
	for _, acl := range []types.ObjectCannedACL{types.ObjectCannedACLPrivate, types.ObjectCannedACLBucketOwnerFullControl} {
		must(t, put(func(in *s3.PutObjectInput) { in.ACL = acl }))
	}
	copying := &s3.CopyObjectInput{Bucket: &name, Key: aws.String("copy"), CopySource: aws.String(name + "/key"), ACL: types.ObjectCannedACLPublicRead}
	if err := code1(c.CopyObject(ctx, copying)); code(err) != "NotImplemented" {
		t.Errorf("a copy for everyone: %v", err)
	}
	if err := code1(c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &name, Key: aws.String("multi"), Tagging: aws.String("a=b")})); code(err) != "NotImplemented" {
		t.Errorf("a tag for an upload in parts: %v", err)
	}
	if err := code1(c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(name + "-open"), ACL: types.BucketCannedACLPublicRead})); code(err) != "NotImplemented" {
		t.Errorf("a bucket for everyone: %v", err)
	}
	// A presigned URL has some of the headers in its query.
	url, err := s3.NewPresignClient(c).PresignPutObject(ctx, &s3.PutObjectInput{Bucket: &name, Key: aws.String("key"), ACL: types.ObjectCannedACLPublicRead})
	must(t, err)
	req := newRequest(t, "PUT", url.URL, "", nil)
	req.Header = url.SignedHeader
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	res.Body.Close()
	if res.StatusCode != http.StatusNotImplemented {
		t.Errorf("a presigned URL that lets everyone in: %s", res.Status)
	}

	whose := func(of *types.Owner, grants []types.Grant) {
		t.Helper()
		if aws.ToString(of.ID) != b.anna.id || len(grants) != 1 || aws.ToString(grants[0].Grantee.ID) != b.anna.id || grants[0].Permission != types.PermissionFullControl {
			t.Errorf("the ACL: %+v %+v", of, grants)
		}
	}
	bucket, err := c.GetBucketAcl(ctx, &s3.GetBucketAclInput{Bucket: &name})
	must(t, err)
	whose(bucket.Owner, bucket.Grants)
	object, err := c.GetObjectAcl(ctx, &s3.GetObjectAclInput{Bucket: &name, Key: aws.String("key")})
	must(t, err)
	whose(object.Owner, object.Grants)
	if err := code1(c.GetObjectAcl(ctx, &s3.GetObjectAclInput{Bucket: &name, Key: aws.String("none")})); code(err) != "NoSuchKey" {
		t.Errorf("the ACL of nothing: %v", err)
	}
	if err := code1(b.boris.client.GetBucketAcl(ctx, &s3.GetBucketAclInput{Bucket: &name})); code(err) != "AccessDenied" {
		t.Errorf("the ACL of another's: %v", err)
	}
}

func s3Headers(t *testing.T, b *buckets) {
	ctx, name := t.Context(), b.anna.bucket(t)
	must(t, code1(b.anna.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &name, Key: aws.String("key"), Metadata: map[string]string{"lower-case": "v"}})))
	b.anna.store(t, name+"/not by S3", []byte("x"))
	for key, meta := range map[string]string{"key": "x-amz-meta-lower-case", "not by S3": "x-amz-meta-mtime"} {
		get, err := s3.NewPresignClient(b.anna.client).PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &name, Key: &key})
		must(t, err)
		at, err := url.Parse(get.URL)
		must(t, err)
		conn, err := net.Dial("tcp", at.Host) // net/http's client would give the names its own case
		must(t, err)
		defer conn.Close()
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", at.RequestURI(), at.Host)
		out, err := io.ReadAll(conn)
		must(t, err)
		if !bytes.Contains(out, []byte("\r\n"+meta+": ")) || bytes.Contains(out, []byte("Cross-Origin-Resource-Policy")) {
			t.Errorf("the headers of %s: %s", key, out)
		}
	}
}

// s3HeadersOfErrors shows that an error has nothing of the object that it is about.
func s3HeadersOfErrors(t *testing.T, b *buckets) {
	ctx, name := t.Context(), b.anna.bucket(t)
	must(t, code1(b.anna.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &name, Key: aws.String("key"), Body: bytes.NewReader([]byte("x")), CacheControl: aws.String("public"), ContentEncoding: aws.String("gzip"), Metadata: map[string]string{"mine": "v"}})))
	get, err := s3.NewPresignClient(b.anna.client).PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &name, Key: aws.String("key")})
	must(t, err)
	req := newRequest(t, "GET", get.URL, "", nil)
	req.Header.Set("Range", "bytes=5-")
	res, err := http.DefaultTransport.RoundTrip(req)
	must(t, err)
	defer res.Body.Close()
	h := res.Header
	if res.StatusCode != 416 || h.Get("Content-Range") != "bytes */1" || h.Get("Content-Encoding") != "" || h.Get("Cache-Control") != "" || h.Get("X-Amz-Meta-Mine") != "" || h.Get("Content-Type") != "application/xml" {
		t.Errorf("a range that there is not: %s %v", res.Status, h)
	}
}

func s3CompletesTwice(t *testing.T, b *buckets) {
	for what, none := range map[string]*string{"": nil, ", where there was none": aws.String("*")} {
		t.Run("an object"+what, func(t *testing.T) { s3CompletesAtOnce(t, b, none) })
	}
}

// s3CompletesAtOnce completes an upload several times at once and once more; none is its If-None-Match.
func s3CompletesAtOnce(t *testing.T, b *buckets, none *string) {
	ctx, c, name, key := t.Context(), b.anna.client, b.anna.bucket(t), "key"
	up, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &name, Key: &key})
	must(t, err)
	var done []types.CompletedPart
	for i := range int32(2) {
		part, err := c.UploadPart(ctx, &s3.UploadPartInput{Bucket: &name, Key: &key, UploadId: up.UploadId, PartNumber: aws.Int32(i + 1), Body: bytes.NewReader([]byte{'a' + byte(i)})})
		must(t, err)
		done = append(done, types.CompletedPart{PartNumber: aws.Int32(i + 1), ETag: part.ETag})
	}
	complete := func(parts []types.CompletedPart) (string, error) {
		out, err := c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: &name, Key: &key, UploadId: up.UploadId, IfNoneMatch: none, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
		if err != nil {
			return "", err
		}
		return aws.ToString(out.ETag), nil
	}
	type answer struct {
		tag string
		err error
	}
	answers := make(chan answer, 8) // who asks again does not always wait until the first answer is made
	for range cap(answers) {
		go func() {
			tag, err := complete(done)
			answers <- answer{tag, err}
		}()
	}
	var first string
	for range cap(answers) {
		a := <-answers
		if first = cmp.Or(first, a.tag); a.err != nil || a.tag != first {
			t.Errorf("of several at once: %q %v, and another %q", a.tag, a.err, first)
		}
	}
	if again, err := complete(done); err != nil || again != first {
		t.Errorf("again: %s %v, and at first %s", again, err, first)
	}
	other := slices.Clone(done)
	slices.Reverse(other)
	if _, err := complete(other); code(err) != "NoSuchUpload" {
		t.Errorf("of other parts: %v", err)
	}
	must(t, b.anna.put(ctx, name, key, []byte("by now")))
	if _, err := complete(done); code(err) != "NoSuchUpload" {
		t.Errorf("when the key has another object: %v", err)
	}
}
