package integration

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	managed "github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager/types"
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

// s3Parts shows that a part is never taken for the whole.
func s3Parts(t *testing.T, b *buckets) {
	ctx, c, name := t.Context(), b.anna.client, b.anna.bucket(t)
	must(t, b.anna.put(ctx, name, "whole", []byte("content")))
	must(t, b.anna.put(ctx, name, "empty", nil))
	b.anna.store(t, name+"/not by S3", []byte("content"))
	must(t, code1(c.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: &name, Policy: aws.String(
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::` + name + `/*"}}`)})))
	for _, key := range []string{"parts", "written over"} {
		sendInParts(t, c, name, key, "content", "", "end")
	}
	sendInParts(t, c, name, "one", "content")
	b.anna.store(t, name+"/written over", []byte("another"))
	must(t, code1(c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &name, Key: aws.String("copy"), CopySource: aws.String(name + "/parts")})))
	must(t, code1(c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &name, Key: aws.String("copy of a copy"), CopySource: aws.String(name + "/copy"), MetadataDirective: types.MetadataDirectiveReplace})))
	for _, tc := range []struct {
		key, part, header string
		status            int
		says              string // the range, or an error's code
	}{
		{"whole", "1", "", 206, "bytes 0-6/7"},
		{"whole", "1", "If-Range", 206, "bytes 0-6/7"},
		{"whole", "1", "Range", 400, "InvalidRequest"},
		{"whole", "2", "", 416, "InvalidPartNumber"},
		{"whole", "0", "", 400, "InvalidArgument"},
		{"whole", "10001", "", 400, "InvalidArgument"},
		{"whole", "one", "", 400, "InvalidArgument"},
		{"whole", "", "", 400, "InvalidArgument"},
		{"empty", "1", "", 200, ""},
		{"not by S3", "1", "", 206, "bytes 0-6/7"},
		{"parts", "1", "", 206, "bytes 0-6/10"},
		{"parts", "1", "If-Range", 206, "bytes 0-6/10"},
		{"parts", "1", "Range", 400, "InvalidRequest"},
		{"parts", "2", "", 200, ""},
		{"parts", "3", "", 206, "bytes 7-9/10"},
		{"parts", "4", "", 416, "InvalidPartNumber"},
		{"one", "1", "", 206, "bytes 0-6/7"},
		{"one", "2", "", 416, "InvalidPartNumber"},
		{"copy", "3", "", 206, "bytes 7-9/10"},
		{"copy of a copy", "3", "", 206, "bytes 7-9/10"},
		{"written over", "1", "", 206, "bytes 0-6/7"},
		{"written over", "2", "", 416, "InvalidPartNumber"},
		{"none", "1", "", 404, "NoSuchKey"},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			req := newRequest(t, method, b.endpoint+"/"+name+"/"+url.PathEscape(tc.key)+"?partNumber="+tc.part, "", nil)
			if tc.header != "" {
				req.Header.Set(tc.header, "bytes=0-")
			}
			res, err := http.DefaultClient.Do(req)
			must(t, err)
			body, err := io.ReadAll(res.Body)
			must(t, err)
			res.Body.Close()
			said := res.Header.Get("Content-Range")
			if res.StatusCode >= 400 && method == "GET" {
				said = string(body)
			}
			if res.StatusCode != tc.status || (method == "GET" || res.StatusCode < 400) && !strings.Contains(said, tc.says) || res.StatusCode == 416 && res.Header.Get("X-Amz-Mp-Parts-Count") != "" || method == "GET" && res.StatusCode < 300 && int64(len(body)) != res.ContentLength {
				t.Errorf("%s of part %q of %s with %q: %s, %s", method, tc.part, tc.key, tc.header, res.Status, said)
			}
		}
	}
}

// sendInParts makes an object of parts.
func sendInParts(t *testing.T, c *s3.Client, bucket, key string, parts ...string) {
	t.Helper()
	up, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
	must(t, err)
	var sent []types.CompletedPart
	for i, content := range parts {
		number := aws.Int32(int32(i + 1))
		part, err := c.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: &bucket, Key: &key, UploadId: up.UploadId, PartNumber: number, Body: strings.NewReader(content)})
		must(t, err)
		sent = append(sent, types.CompletedPart{PartNumber: number, ETag: part.ETag})
	}
	must(t, code1(c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{Bucket: &bucket, Key: &key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: sent}})))
}

// s3DownloadInParts shows that objects are fetched by the parts that they were sent in, as transfer managers do.
func s3DownloadInParts(t *testing.T, b *buckets) {
	ctx, c, name := t.Context(), b.anna.client, b.anna.bucket(t)
	sendInParts(t, c, name, "parts", "one", "", "three", "four")
	sendInParts(t, c, name, "one", "one")
	must(t, b.anna.put(ctx, name, "whole", []byte("whole")))
	must(t, b.anna.put(ctx, name, "empty", nil))
	b.anna.store(t, name+"/not by S3", []byte("other"))
	manager := transfermanager.New(c, func(o *transfermanager.Options) { o.GetObjectType = managed.GetObjectParts })
	for key, want := range map[string][]string{"parts": {"one", "", "three", "four"}, "one": {"one"}, "whole": nil, "empty": nil, "not by S3": nil} {
		all, err := b.anna.get(ctx, name, key)
		must(t, err)
		whole, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &name, Key: &key})
		must(t, err)
		if whole.PartsCount != nil {
			t.Errorf("%s as a whole has %d parts", key, *whole.PartsCount)
		}
		var count *int32
		if want != nil {
			count = aws.Int32(int32(len(want)))
		} else {
			want = []string{string(all)}
		}
		for i, content := range want {
			number := aws.Int32(int32(i + 1))
			get, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: &name, Key: &key, PartNumber: number})
			must(t, err)
			body, err := io.ReadAll(get.Body)
			must(t, err)
			head, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &name, Key: &key, PartNumber: number})
			must(t, err)
			if string(body) != content || *head.ContentLength != int64(len(content)) || *get.ETag != *whole.ETag || *head.ETag != *whole.ETag ||
				aws.ToInt32(get.PartsCount) != aws.ToInt32(count) || aws.ToInt32(head.PartsCount) != aws.ToInt32(count) || (get.PartsCount == nil) != (count == nil) {
				t.Errorf("part %d of %s: %q, %s of %v parts", i+1, key, body, *get.ETag, get.PartsCount)
			}
		}
		into := managed.NewWriteAtBuffer(nil)
		_, err = manager.DownloadObject(ctx, &transfermanager.DownloadObjectInput{Bucket: &name, Key: &key, WriterAt: into})
		if err != nil || !bytes.Equal(into.Bytes(), all) {
			t.Errorf("the transfer manager downloads of %s %q, not %q: %v", key, into.Bytes(), all, err)
		}
	}
}

// s3Uploads shows that all uploads under way are listed, in pages.
func s3Uploads(t *testing.T, b *buckets) {
	ctx, c, name := t.Context(), b.anna.client, b.anna.bucket(t)
	var all []string
	for _, key := range []string{"a", "a", "b/1", "b/1", "b/2", "c d", "é/x"} { // in the order of keys, and then of ages
		up, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &name, Key: &key})
		must(t, err)
		all = append(all, key+"="+*up.UploadId)
	}
	for _, tc := range []struct{ prefix, delimiter, after, want string }{
		{"", "", "", strings.Join(all, " ")},
		{"b/", "", "", strings.Join(all[2:5], " ")},
		{"", "", "b/1", strings.Join(all[4:], " ")},
		{"", "/", "", strings.Join(all[:2], " ") + " [b/] " + all[5] + " [é/]"},
		{"", "/", "b/1", "[b/] " + all[5] + " [é/]"},
		{"b/", "/", "", strings.Join(all[2:5], " ")},
		{"no/such", "", "", ""},
	} {
		for _, page := range []int32{1, 2, 1000} {
			for _, encoding := range []types.EncodingType{"", types.EncodingTypeUrl} {
				var got []string
				in := &s3.ListMultipartUploadsInput{Bucket: &name, Prefix: &tc.prefix, Delimiter: &tc.delimiter, MaxUploads: &page, EncodingType: encoding}
				if tc.after != "" {
					in.KeyMarker = &tc.after
				}
				decoded := func(s *string) string {
					text := aws.ToString(s)
					if encoding != "" {
						var err error
						text, err = url.QueryUnescape(text)
						must(t, err)
					}
					return text
				}
				for more := true; more && len(got) < 50; {
					out, err := c.ListMultipartUploads(ctx, in)
					must(t, err)
					if n := len(out.Uploads) + len(out.CommonPrefixes); n > int(page) || *out.MaxUploads != page {
						t.Errorf("%+v by %d: %d in a page of %d", tc, page, n, *out.MaxUploads)
					}
					for _, u := range out.Uploads {
						got = append(got, decoded(u.Key)+"="+*u.UploadId)
					}
					for _, p := range out.CommonPrefixes {
						got = append(got, "["+decoded(p.Prefix)+"]")
					}
					more = *out.IsTruncated
					next := decoded(out.NextKeyMarker)
					in.KeyMarker, in.UploadIdMarker = &next, out.NextUploadIdMarker
				}
				if !sameWords(strings.Join(got, " "), tc.want) {
					t.Errorf("%+v by %d, %q: %s", tc, page, encoding, strings.Join(got, " "))
				}
			}
		}
	}
	if out, err := c.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &name, MaxUploads: aws.Int32(0)}); err != nil || *out.IsTruncated || len(out.Uploads) != 0 {
		t.Errorf("none of them: %+v %v", out, err)
	}
	if _, err := c.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &name, KeyMarker: aws.String("a"), UploadIdMarker: aws.String("x")}); code(err) != "InvalidArgument" {
		t.Errorf("after what is no upload: %v", err)
	}
	for _, text := range []string{"\x00", "\xff", "b/\x00", "b/\xff"} {
		if out, err := c.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &name, Prefix: &text}); err != nil || len(out.Uploads) != 0 {
			t.Errorf("with the prefix %q, which no key has: %+v %v", text, out, err)
		}
		if out, err := c.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &name, Delimiter: &text}); err != nil || len(out.Uploads) != len(all) {
			t.Errorf("by %q, which no key has: %+v %v", text, out, err)
		}
		if _, err := c.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &name, KeyMarker: &text}); code(err) != "InvalidArgument" {
			t.Errorf("after %q, which no key is: %v", text, err)
		}
	}
	// A byte of é does not make groups.
	if out, err := c.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &name, Delimiter: aws.String("\xa9")}); err != nil || len(out.Uploads) != len(all) {
		t.Errorf("by half a letter: %+v %v", out, err)
	}
	log, err := os.ReadFile(b.Log)
	must(t, err)
	if i := bytes.Index(log, []byte("22021")); i >= 0 {
		t.Errorf("PostgreSQL was asked for such texts: %s", log[i:])
	}
}

// s3Owners shows that a bucket is told to be its owner's, and used by those who expect that.
func s3Owners(t *testing.T, b *buckets) {
	ctx, c, name := t.Context(), b.anna.client, b.anna.bucket(t)
	must(t, b.anna.put(ctx, name, "key", []byte("content")))
	v1, err := c.ListObjects(ctx, &s3.ListObjectsInput{Bucket: &name})
	must(t, err)
	v2, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &name, FetchOwner: aws.Bool(true)})
	must(t, err)
	for _, o := range append(v1.Contents, v2.Contents...) {
		if o.Owner == nil || aws.ToString(o.Owner.ID) != b.anna.id {
			t.Errorf("the object's owner: %+v", o.Owner)
		}
	}
	if plain, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &name}); err != nil || len(plain.Contents) != 1 || plain.Contents[0].Owner != nil {
		t.Errorf("not asked for: %+v %v", plain, err)
	}

	policy := aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::` + name + `/*"}]}`)
	source := aws.String(name + "/key")
	for _, tc := range []struct{ owner, want string }{{b.boris.id, "AccessDenied"}, {"123456789012", "AccessDenied"}, {b.anna.id, ""}} {
		expected := &tc.owner
		for _, step := range []struct {
			what string
			err  error
		}{
			{"HeadBucket", code1(c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &name, ExpectedBucketOwner: expected}))},
			{"ListObjectsV2", code1(c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &name, ExpectedBucketOwner: expected}))},
			{"PutObject", code1(c.PutObject(ctx, &s3.PutObjectInput{Bucket: &name, Key: aws.String("other"), ExpectedBucketOwner: expected}))},
			{"GetObject", code1(c.GetObject(ctx, &s3.GetObjectInput{Bucket: &name, Key: aws.String("key"), ExpectedBucketOwner: expected}))},
			{"CopyObject", code1(c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &name, Key: aws.String("copy"), CopySource: source, ExpectedBucketOwner: expected}))},
			{"its source", code1(c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &name, Key: aws.String("copy"), CopySource: source, ExpectedSourceBucketOwner: expected}))},
			{"PutBucketPolicy", code1(c.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: &name, Policy: policy, ExpectedBucketOwner: expected}))},
			{"DeleteBucketPolicy", code1(c.DeleteBucketPolicy(ctx, &s3.DeleteBucketPolicyInput{Bucket: &name, ExpectedBucketOwner: expected}))},
		} {
			// HEAD has no body that could say a code.
			if got := code(step.err); got != tc.want && (step.what != "HeadBucket" || (got == "") != (tc.want == "")) {
				t.Errorf("%s of a bucket of %s: %v, want %q", step.what, tc.owner, step.err, tc.want)
			}
		}
	}
	presigned, err := s3.NewPresignClient(c).PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &name, Key: aws.String("key"), ExpectedBucketOwner: &b.boris.id})
	must(t, err)
	req := newRequest(t, "GET", presigned.URL, "", nil)
	req.Header = presigned.SignedHeader
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("a presigned URL of another's bucket: %s", res.Status)
	}
	for _, key := range []string{"key", "other", "copy"} {
		must(t, code1(c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &name, Key: &key})))
	}
	if _, err := c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &name, ExpectedBucketOwner: &b.boris.id}); code(err) != "AccessDenied" {
		t.Errorf("DeleteBucket of another's: %v", err)
	}
	must(t, code1(c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &name, ExpectedBucketOwner: &b.anna.id})))
}
