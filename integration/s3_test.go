package integration

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"satchel/integration/rig"
)

// buckets is a server with an S3 endpoint, and two accounts with keys.
type buckets struct {
	*rig.Server
	endpoint    string
	anna, boris *s3User
}

// s3User is an account that has an access key.
type s3User struct {
	*account
	id       string
	key      accessKey
	client   *s3.Client
	endpoint string
}

type accessKey struct{ Key, Secret string }

func newBuckets(t *testing.T) *buckets {
	t.Helper()
	addr, err := rig.FreeAddr()
	must(t, err)
	b := &buckets{Server: ownServer(t, "--s3-listen", addr, "--open-signup"), endpoint: "http://" + addr}
	b.anna, b.boris = b.user(t, "anna"), b.user(t, "boris")
	return b
}

// TestSection5 shows the contract's lines about buckets and access keys.
func TestSection5(t *testing.T) {
	showLines(t, newBuckets(t), []line[*buckets]{
		{"`GET /health`, `GET /` (API info for JSON clients, the web page for browsers)", apiInfo},
		{"`POST /api/users/signup {email,password}` (with `--open-signup`, else 403) → 201 `{success,message:\"User created successfully\",data:{id,email,minioAccessKey,createdAt}}`; 409 taken; 400 invalid. `POST /api/users/login` → 200 `{success,message:\"Login successful\",data:{user,token}}`; wrong → 401", apiUsers},
		{"No token → 401 `Access token required`", apiNeedsToken},
		{"`GET /api/buckets` own only; `POST /api/buckets {name}` → 201, 409 taken (names are global, S3 rules); `DELETE /api/buckets {name}` and `DELETE /api/buckets/:name` → 200, 409 not empty", apiBuckets},
		{"`GET /api/buckets/:name/policy` → `{success,bucket,policy}` for owner and admin", apiPolicy},
		{"A bucket is a top-level directory of the owner's drive (an existing one is adopted), so it is in the mount too; its global name follows the node", bucketIsDirectory},
		{"Keys that a tree can't hold (`a` beside `a/b`) → 409", s3Tree},
		{"The S3 endpoint (`--s3-listen`) serves it to any S3 client with the user's own access key: list, get with range, put, multipart, copy, delete, presigned URLs", s3Operations},
		{"Each key reaches its owner's buckets only, plus what a bucket policy allows", s3Policies},
		{"Secrets are encrypted at rest, shown once, and can be rotated", s3Keys},
	})
}

// TestS3 shows what the contract leaves to S3 itself, and real clients.
func TestS3(t *testing.T) {
	b := newBuckets(t)
	for name, show := range map[string]func(*testing.T, *buckets){
		"listing has S3's order, delimiters and pages": s3Listing,
		"an upload that breaks off stores nothing":     s3Cut,
		"chunks are decoded whoever sends them":        s3ChunksOfAnyone,
		"what is not offered is refused":               s3Refusals,
		"headers are as S3 has them":                   s3Headers,
		"errors have none of an object's headers":      s3HeadersOfErrors,
		"a part is not the whole":                      s3Parts,
		"objects are fetched by their parts":           s3DownloadInParts,
		"uploads under way are listed in pages":        s3Uploads,
		"a bucket is its owner's":                      s3Owners,
		"copies hold to their conditions":              s3CopyConditions,
		"copies and deletions are held to conditions":  s3WriteConditions,
		"conditions that are not held are refused":     s3OtherConditions,
		"a copy has what its tag says":                 s3CopyOfWhatIsWritten,
		"completing twice is completing once":          s3CompletesTwice,
		"sums of an object are not those of a body":    s3ObjectSums,
		"uploads and downloads stream":                 s3Streams,
		"aws: multipart, presigned, sync":              s3AWS,
		"s3cmd: multipart, presigned, sync":            s3Cmd,
		"rclone: copy, check, mount":                   s3Rclone,
	} {
		t.Run(name, func(t *testing.T) { show(t, b) })
	}
}

func (b *buckets) user(t *testing.T, name string) *s3User {
	t.Helper()
	u := &s3User{account: newAccount(t, b.Server, name), endpoint: b.endpoint}
	got := u.ask(t, "POST", "/v1/access-keys", map[string]string{"Content-Type": "application/json"}, []byte(`{"name":"tests"}`)).must(t, 200)
	must(t, json.Unmarshal(got.body, &u.key))
	var who struct{ User string }
	must(t, json.Unmarshal(u.ask(t, "GET", "/v1/whoami", nil, nil).body, &who))
	u.id = who.User
	u.client = s3Client(b.endpoint, u.key)
	return u
}

func s3Client(endpoint string, key accessKey) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: &endpoint, UsePathStyle: true, Region: "us-east-1", RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(key.Key, key.Secret, ""),
	})
}

// code is what S3 called an error; "" if there was none.
func code(err error) string {
	var e smithy.APIError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.ErrorCode()
	}
	return err.Error()
}

func (u *s3User) bucket(t *testing.T) string {
	t.Helper()
	name := "b-" + strings.ToLower(strings.NewReplacer("_", "-", ".", "-").Replace(fmt.Sprint(counter.Add(1), "-", time.Now().UnixNano())))
	_, err := u.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name})
	must(t, err)
	return name
}

func (u *s3User) put(ctx context.Context, bucket, key string, body []byte) error {
	_, err := u.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body)})
	return err
}

func (u *s3User) get(ctx context.Context, bucket, key string) ([]byte, error) {
	out, err := u.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	return io.ReadAll(out.Body)
}

func bucketIsDirectory(t *testing.T, b *buckets) {
	b.anna.store(t, "adopted/from before.txt", []byte("was here"))
	must(t, code1(b.anna.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("adopted")})))
	if got, err := b.anna.get(t.Context(), "adopted", "from before.txt"); err != nil || string(got) != "was here" {
		t.Errorf("what was there: %q %v", got, err)
	}
	d := b.anna.mountNew(t, "mount")
	must(t, b.anna.put(t.Context(), "adopted", "dir/by s3", []byte("one")))
	eventually(t, 5*time.Second, func() error { return has(filepath.Join(d.Mount, "adopted/dir/by s3"), "one") })
	write(t, filepath.Join(d.Mount, "adopted/by mount"), "two")
	must(t, os.Rename(filepath.Join(d.Mount, "adopted"), filepath.Join(d.Mount, "renamed")))
	syncAll(t, d)
	if got, err := b.anna.get(t.Context(), "adopted", "by mount"); err != nil || string(got) != "two" {
		t.Errorf("the bucket, whose directory has another name by now: %q %v", got, err)
	}
	must(t, os.RemoveAll(filepath.Join(d.Mount, "renamed")))
	syncAll(t, d)
	if _, err := b.anna.get(t.Context(), "adopted", "by mount"); code(err) != "NoSuchBucket" {
		t.Errorf("the bucket, whose directory is deleted: %v", err)
	}
	must(t, code1(b.boris.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("adopted")})))
}

func s3Tree(t *testing.T, b *buckets) {
	name := b.anna.bucket(t)
	must(t, b.anna.put(t.Context(), name, "a", []byte("file")))
	must(t, b.anna.put(t.Context(), name, "d/e", []byte("file")))
	must(t, b.anna.put(t.Context(), name, "empty/", nil))
	for _, key := range []string{"a/b", "d", "a/", "x//y", "/x", "x/../y", "./x", strings.Repeat("n", 256)} {
		req, _ := s3.NewPresignClient(b.anna.client).PresignPutObject(t.Context(), &s3.PutObjectInput{Bucket: &name, Key: &key})
		var status int
		if req != nil {
			r, err := http.NewRequestWithContext(t.Context(), "PUT", req.URL, strings.NewReader("x"))
			must(t, err)
			res, err := http.DefaultTransport.RoundTrip(r)
			must(t, err)
			res.Body.Close()
			status = res.StatusCode
		}
		if status != 409 {
			t.Errorf("the key %.20q: %d", key, status)
		}
	}
	if got, err := b.anna.get(t.Context(), name, "a"); err != nil || string(got) != "file" {
		t.Errorf("the file in the way: %q %v", got, err)
	}
}

func s3Operations(t *testing.T, b *buckets) {
	ctx, c, name := t.Context(), b.anna.client, b.anna.bucket(t)
	content := randomBytes(11 << 20)
	put, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: &name, Key: aws.String("p/größe 100%25.bin"), Body: bytes.NewReader(content),
		ContentType: aws.String("text/x-odd"), Metadata: map[string]string{"mtime": "1700000000.5", "colour": "blue"}, ChecksumAlgorithm: types.ChecksumAlgorithmCrc64nvme})
	must(t, err)
	if sum := md5.Sum(content); aws.ToString(put.ETag) != `"`+hex.EncodeToString(sum[:])+`"` {
		t.Errorf("the tag %s is not the MD5", *put.ETag)
	}
	head, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &name, Key: aws.String("p/größe 100%25.bin")})
	if err != nil || *head.ContentLength != int64(len(content)) || *head.ETag != *put.ETag || *head.ContentType != "text/x-odd" || head.Metadata["colour"] != "blue" || head.LastModified.Unix() != 1700000000 {
		t.Errorf("head: %+v %v", head, err)
	}
	part, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: &name, Key: aws.String("p/größe 100%25.bin"), Range: aws.String("bytes=1000000-1000009")})
	must(t, err)
	if got, _ := io.ReadAll(part.Body); !bytes.Equal(got, content[1000000:1000010]) || *part.ContentRange != fmt.Sprintf("bytes 1000000-1000009/%d", len(content)) {
		t.Errorf("a range: %x %v", got, *part.ContentRange)
	}
	if _, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: &name, Key: aws.String("p/größe 100%25.bin"), Range: aws.String("bytes=99999999-")}); code(err) != "InvalidRange" {
		t.Errorf("a range beyond the end: %v", err)
	}
	if _, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: &name, Key: aws.String("p/größe 100%25.bin"), IfNoneMatch: aws.String("*")}); code(err) != "PreconditionFailed" {
		t.Errorf("If-None-Match: %v", err)
	}

	manager := transfermanager.New(c, func(o *transfermanager.Options) { o.PartSizeBytes = 5 << 20; o.MultipartUploadThreshold = 5 << 20 })
	_, err = manager.UploadObject(ctx, &transfermanager.UploadObjectInput{Bucket: &name, Key: aws.String("multi"), Body: struct{ io.Reader }{bytes.NewReader(content)}})
	must(t, err)
	if got, err := b.anna.get(ctx, name, "multi"); err != nil || !bytes.Equal(got, content) {
		t.Errorf("what was sent in parts: %d bytes %v", len(got), err)
	}
	if files := b.anna.files(t, "file_path=eq."+name+"/multi"); len(files) != 1 || files[0].Hash != fmt.Sprintf("%x", sha256.Sum256(content)) {
		t.Errorf("its row: %+v", files)
	}
	up, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &name, Key: aws.String("half")})
	must(t, err)
	must(t, code1(c.UploadPart(ctx, &s3.UploadPartInput{Bucket: &name, Key: aws.String("half"), UploadId: up.UploadId, PartNumber: aws.Int32(2), Body: bytes.NewReader(content[:100])})))
	must(t, code1(c.UploadPartCopy(ctx, &s3.UploadPartCopyInput{Bucket: &name, Key: aws.String("half"), UploadId: up.UploadId, PartNumber: aws.Int32(7),
		CopySource: aws.String(name + "/multi"), CopySourceRange: aws.String("bytes=100-199")})))
	parts, err := c.ListParts(ctx, &s3.ListPartsInput{Bucket: &name, Key: aws.String("half"), UploadId: up.UploadId})
	if err != nil || len(parts.Parts) != 2 || *parts.Parts[1].PartNumber != 7 || *parts.Parts[1].Size != 100 {
		t.Fatalf("parts: %+v %v", parts, err)
	}
	if all, err := c.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &name}); err != nil || len(all.Uploads) != 1 {
		t.Errorf("uploads under way: %+v %v", all, err)
	}
	must(t, code1(c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: &name, Key: aws.String("half"), UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{
		Parts: []types.CompletedPart{{PartNumber: aws.Int32(2), ETag: parts.Parts[0].ETag}, {PartNumber: aws.Int32(7), ETag: parts.Parts[1].ETag}}}})))
	if got, err := b.anna.get(ctx, name, "half"); err != nil || !bytes.Equal(got, content[:200]) {
		t.Errorf("of a part and a copied one: %d bytes %v", len(got), err)
	}
	up, err = c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &name, Key: aws.String("given up")})
	must(t, err)
	must(t, code1(c.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &name, Key: aws.String("given up"), UploadId: up.UploadId})))
	if _, err := c.ListParts(ctx, &s3.ListPartsInput{Bucket: &name, Key: aws.String("given up"), UploadId: up.UploadId}); code(err) != "NoSuchUpload" {
		t.Errorf("an aborted upload: %v", err)
	}

	before := storedBytes(t, b.Server)
	must(t, code1(c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &name, Key: aws.String("copies/1"), CopySource: aws.String(name + "/p/gr%C3%B6%C3%9Fe%20100%2525.bin")})))
	if got, err := b.anna.get(ctx, name, "copies/1"); err != nil || !bytes.Equal(got, content) || storedBytes(t, b.Server) != before {
		t.Errorf("a copy: %d bytes, %d more stored, %v", len(got), storedBytes(t, b.Server)-before, err)
	}
	must(t, code1(c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &name, Key: aws.String("copies/1")})))
	must(t, code1(c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &name, Key: aws.String("never/was")})))
	gone, err := c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &name, Delete: &types.Delete{Objects: []types.ObjectIdentifier{
		{Key: aws.String("multi")}, {Key: aws.String("half")}, {Key: aws.String("p/größe 100%25.bin")}, {Key: aws.String("never")}}}})
	if err != nil || len(gone.Deleted) != 4 || len(gone.Errors) != 0 {
		t.Errorf("deleting many: %+v %v", gone, err)
	}
	must(t, code1(c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &name}))) // so no directory was left either
}

func s3Listing(t *testing.T, b *buckets) {
	ctx, c, name := t.Context(), b.anna.client, b.anna.bucket(t)
	keys := []string{"a", "a-b", "a.txt", "b-/1", "b.c/d", "b/1", "b/2/3", "b/2/4", "b0", "zz/", "é"}
	for _, k := range keys {
		must(t, b.anna.put(ctx, name, k, nil))
	}
	for _, tc := range []struct {
		prefix, delimiter, after string
		want                     string
	}{
		{"", "", "", "a a-b a.txt b-/1 b.c/d b/1 b/2/3 b/2/4 b0 zz/ é"},
		{"", "/", "", "a a-b a.txt [b-/] [b.c/] [b/] b0 [zz/] é"},
		{"b", "/", "", "[b-/] [b.c/] [b/] b0"},
		{"b/", "/", "", "b/1 [b/2/]"},
		{"b/2", "", "", "b/2/3 b/2/4"},
		{"b", "", "b.c/d", "b/1 b/2/3 b/2/4 b0"},
		{"", "", "b/2/3", "b/2/4 b0 zz/ é"},
		{"", "-", "", "a [a-] a.txt [b-] b.c/d b/1 b/2/3 b/2/4 b0 zz/ é"},
		{"no/such", "", "", ""},
		{"zz/", "/", "", "zz/"},
	} {
		for _, page := range []int32{1, 2, 1000} {
			var got []string
			pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: &name, Prefix: &tc.prefix, Delimiter: &tc.delimiter, StartAfter: &tc.after, MaxKeys: &page})
			for pages.HasMorePages() && len(got) < 50 {
				out, err := pages.NextPage(ctx)
				must(t, err)
				var some []string
				for _, o := range out.Contents {
					some = append(some, *o.Key)
				}
				for _, p := range out.CommonPrefixes {
					some = append(some, "["+*p.Prefix+"]")
				}
				got = append(got, some...)
			}
			if !sameWords(strings.Join(got, " "), tc.want) {
				t.Errorf("%+v by %d: %s", tc, page, strings.Join(got, " "))
			}
		}
	}
	v1, err := c.ListObjects(ctx, &s3.ListObjectsInput{Bucket: &name, Delimiter: aws.String("/"), MaxKeys: aws.Int32(4)})
	if err != nil || !*v1.IsTruncated || aws.ToString(v1.NextMarker) != "b-/" {
		t.Errorf("version 1: %+v %v", v1, err)
	}
}

// sameWords ignores the order: keys and common prefixes come in two lists.
func sameWords(a, b string) bool {
	count := map[string]int{}
	for _, w := range strings.Fields(a) {
		count[w]++
	}
	for _, w := range strings.Fields(b) {
		count[w]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

func s3Policies(t *testing.T, b *buckets) {
	ctx, name := t.Context(), b.anna.bucket(t)
	must(t, b.anna.put(ctx, name, "shared/x", []byte("for Boris")))
	must(t, b.anna.put(ctx, name, "private/y", []byte("Anna's")))
	may := func(what string, want string, err error) {
		t.Helper()
		if code(err) != want {
			t.Errorf("%s: %v, wanted %q", what, err, want)
		}
	}
	read := func(key string) error { return code1(b.boris.get(ctx, name, key)) }
	set := func(policy string) error {
		return code1(b.anna.client.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: &name, Policy: &policy}))
	}
	may("Boris without a policy", "AccessDenied", read("shared/x"))
	may("Boris writes", "AccessDenied", b.boris.put(ctx, name, "shared/z", nil))
	for who, principal := range map[string]string{"address": b.boris.email, "id": b.boris.id, "key": b.boris.key.Key, "ARN": "arn:aws:iam:::user/" + b.boris.email} {
		must(t, set(policyFor(name, principal, "Allow", "s3:GetObject", "s3:ListBucket")))
		may("Boris by his "+who, "", read("shared/x"))
	}
	may("Boris beyond the resource", "AccessDenied", read("private/y"))
	may("Boris beyond the actions", "AccessDenied", b.boris.put(ctx, name, "shared/z", nil))
	may("Boris lists", "", code1(b.boris.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &name})))
	may("Boris sets the policy", "AccessDenied", code1(b.boris.client.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: &name, Policy: aws.String("{}")})))
	may("Boris copies a stranger's", "AccessDenied", code1(b.boris.client.CopyObject(ctx, &s3.CopyObjectInput{Bucket: aws.String(b.boris.bucket(t)), Key: aws.String("k"), CopySource: aws.String(name + "/private/y")})))
	his := b.boris.bucket(t)
	may("Boris copies what he may read", "", code1(b.boris.client.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &his, Key: aws.String("k"), CopySource: aws.String(name + "/shared/x")})))
	if got, err := b.boris.get(ctx, his, "k"); err != nil || string(got) != "for Boris" {
		t.Errorf("across owners: %q %v", got, err)
	}
	must(t, set(policyFor(name, b.boris.email, "Allow", "s3:*")))
	may("Boris writes where he may", "", b.boris.put(ctx, name, "shared/z", []byte("by Boris")))
	must(t, b.anna.stored(t, name+"/shared/z", []byte("by Boris")))
	must(t, set(policyOf(statementFor(name, b.boris.email, "Allow", "s3:*"), statementFor(name, "*", "Deny", "s3:Delete*"))))
	may("Boris, who is denied", "AccessDenied", code1(b.boris.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &name, Key: aws.String("shared/x")})))
	may("Boris, where he is not", "", read("shared/x"))
	unsigned := func(key string) int {
		res, err := http.Get(b.endpoint + "/" + name + "/" + key)
		must(t, err)
		res.Body.Close()
		return res.StatusCode
	}
	if got := unsigned("shared/x"); got != 403 {
		t.Errorf("anyone: %d", got)
	}
	must(t, set(policyFor(name, "*", "Allow", "s3:GetObject")))
	if got, other := unsigned("shared/x"), unsigned("private/y"); got != 200 || other != 403 {
		t.Errorf("anyone where everyone may: %d, and elsewhere %d", got, other)
	}
	for what, bad := range map[string]string{
		"a condition":      strings.Replace(policyFor(name, "*", "Allow", "s3:GetObject"), `"Effect"`, `"Condition":{},"Effect"`, 1),
		"another's bucket": policyFor("other", "*", "Allow", "s3:GetObject"),
		"no JSON":          "x",
		"no such action":   policyFor(name, "*", "Deny", "s3:DeleteObjekt"),
	} {
		may("a policy with "+what, "MalformedPolicy", set(bad))
	}
	must(t, code1(b.anna.client.DeleteBucketPolicy(ctx, &s3.DeleteBucketPolicyInput{Bucket: &name})))
	may("Boris when the policy is gone", "AccessDenied", read("shared/x"))
}

func s3Keys(t *testing.T, b *buckets) {
	u := b.user(t, "carla")
	name := u.bucket(t)
	list := u.ask(t, "GET", "/v1/access-keys", nil, nil).must(t, 200)
	if !bytes.Contains(list.body, []byte(u.key.Key)) || bytes.Contains(list.body, []byte(u.key.Secret)) {
		t.Errorf("the list: %v", list)
	}
	b.boris.ask(t, "POST", "/v1/access-keys/"+u.key.Key+"/rotate", nil, nil).must(t, 404)
	b.boris.ask(t, "DELETE", "/v1/access-keys/"+u.key.Key, nil, nil).must(t, 404)
	var fresh accessKey
	must(t, json.Unmarshal(u.ask(t, "POST", "/v1/access-keys/"+u.key.Key+"/rotate", nil, nil).must(t, 200).body, &fresh))
	if err := u.put(t.Context(), name, "k", nil); code(err) != "SignatureDoesNotMatch" {
		t.Errorf("the old secret: %v", err)
	}
	u.client = s3Client(b.endpoint, fresh)
	must(t, u.put(t.Context(), name, "k", nil))

	out, err := b.Satcheld(t.Context(), "", "psql-url")
	must(t, err)
	dump := command(t, "/", "psql", strings.TrimSpace(out), "-qAtc", "BEGIN; SELECT set_config('satchel.user_id', '"+u.id+"', true); SELECT * FROM satchel.access_keys")
	if !strings.Contains(dump, fresh.Key) || strings.Contains(dump, fresh.Secret) || strings.Contains(dump, hex.EncodeToString([]byte(fresh.Secret))) {
		t.Errorf("the row: %s", dump)
	}
	u.ask(t, "DELETE", "/v1/access-keys/"+u.key.Key, nil, nil).must(t, 204)
	if err := u.put(t.Context(), name, "k", nil); code(err) != "InvalidAccessKeyId" {
		t.Errorf("a revoked key: %v", err)
	}
	d := u.newDevice(t, "cli")
	pair, err := d.Satchel(t.Context(), "", "access-key", "add", "cli")
	must(t, err)
	fields := strings.Fields(pair)
	must(t, s3ClientOf(b.endpoint, fields).put(t.Context(), name, "k", nil))
	pair, err = d.Satchel(t.Context(), "", "access-key", "rotate", fields[2])
	must(t, err)
	must(t, s3ClientOf(b.endpoint, strings.Fields(pair)).put(t.Context(), name, "k", nil))
}

// s3ClientOf reads what satchel access-key prints.
func s3ClientOf(endpoint string, fields []string) *s3User {
	return &s3User{client: s3Client(endpoint, accessKey{fields[2], fields[5]})}
}
