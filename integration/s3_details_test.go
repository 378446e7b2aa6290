package integration

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
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
	copying = &s3.CopyObjectInput{Bucket: &name, Key: aws.String("copy"), CopySource: aws.String(name + "/key?versionId=1")}
	if err := code1(c.CopyObject(ctx, copying)); code(err) != "NotImplemented" {
		t.Errorf("a copy of a version: %v", err)
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
