package integration

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"satchel/integration/require"
	"satchel/integration/rig"
)

func s3Streams(t *testing.T, b *buckets) {
	addr, err := rig.FreeAddr()
	must(t, err)
	s := &buckets{Server: ownServer(t, "--s3-listen", addr), endpoint: "http://" + addr}
	u := s.user(t, "anna")
	name := u.bucket(t)
	presign := s3.NewPresignClient(u.client)
	streams(t, s.Server, func(method string, body io.Reader) *http.Request {
		if method == http.MethodGet {
			get, err := presign.PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: &name, Key: aws.String("film")})
			must(t, err)
			return newRequest(t, "GET", get.URL, "", nil)
		}
		put, err := presign.PresignPutObject(t.Context(), &s3.PutObjectInput{Bucket: &name, Key: aws.String("film")})
		must(t, err)
		req := newRequest(t, "PUT", put.URL, "", body)
		req.ContentLength = streamSize(t)
		return req
	})
}

// s3Cut sends bodies in chunks that end before their last, which the length of the request does not tell.
func s3Cut(t *testing.T, b *buckets) {
	name := b.anna.bucket(t)
	must(t, b.anna.put(t.Context(), name, "k", []byte("all of it")))
	put := func(body string) answer {
		t.Helper()
		const payload = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
		req := newRequest(t, "PUT", b.endpoint+"/"+name+"/k", "", strings.NewReader(body))
		req.Header.Set("X-Amz-Content-Sha256", payload)
		req.Header.Set("X-Amz-Decoded-Content-Length", "10")
		key := aws.Credentials{AccessKeyID: b.anna.key.Key, SecretAccessKey: b.anna.key.Secret}
		must(t, v4.NewSigner().SignHTTP(t.Context(), key, req, payload, "s3", "us-east-1", time.Now()))
		return answerTo(t, req)
	}
	whole := "5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n"
	for n := range len(whole) - len("\r\n") {
		if got := put(whole[:n]); got.status != 400 || !bytes.Contains(got.body, []byte("IncompleteBody")) {
			t.Errorf("%q: %v", whole[:n], got)
		}
	}
	if got, err := b.anna.get(t.Context(), name, "k"); err != nil || string(got) != "all of it" {
		t.Errorf("the object is %q, %v", got, err)
	}
	put(whole).must(t, 200)
}

// s3ChunksOfAnyone sends a body in chunks that nobody signed.
func s3ChunksOfAnyone(t *testing.T, b *buckets) {
	ctx, name := t.Context(), b.anna.bucket(t)
	policy := policyFor(name, "*", "Allow", "s3:PutObject")
	must(t, code1(b.anna.client.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: &name, Policy: &policy})))
	put := func(header map[string]string) answer {
		t.Helper()
		req := newRequest(t, "PUT", b.endpoint+"/"+name+"/shared/k", "", strings.NewReader("5\r\nhello\r\n0\r\n\r\n"))
		for k, v := range header {
			req.Header.Set(k, v)
		}
		return answerTo(t, req)
	}
	put(map[string]string{"Content-Encoding": "aws-chunked"}).must(t, 400)
	put(map[string]string{"Content-Encoding": "gzip, aws-chunked", "X-Amz-Content-Sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "X-Amz-Decoded-Content-Length": "5"}).must(t, 200)
	got, err := b.anna.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &name, Key: aws.String("shared/k")})
	must(t, err)
	defer got.Body.Close()
	if content, err := io.ReadAll(got.Body); err != nil || string(content) != "hello" || aws.ToString(got.ContentEncoding) != "gzip" {
		t.Errorf("the object is %q, encoded as %q, %v", content, aws.ToString(got.ContentEncoding), err)
	}
}

// environment is what AWS's tools and rclone take a user's key from.
func (u *s3User) environment(t *testing.T) []string {
	t.Helper()
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "AWS_") {
			env = append(env, e)
		}
	}
	home := t.TempDir()
	return append(env, "HOME="+home, "AWS_ACCESS_KEY_ID="+u.key.Key, "AWS_SECRET_ACCESS_KEY="+u.key.Secret, "AWS_DEFAULT_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true",
		"RCLONE_CONFIG="+filepath.Join(home, "none"), "RCLONE_CACHE_DIR="+home, "RCLONE_CONFIG_S_TYPE=s3", "RCLONE_CONFIG_S_PROVIDER=Other", "RCLONE_CONFIG_S_ENDPOINT="+u.endpoint,
		"RCLONE_CONFIG_S_ACCESS_KEY_ID="+u.key.Key, "RCLONE_CONFIG_S_SECRET_ACCESS_KEY="+u.key.Secret, "RCLONE_CONFIG_S_REGION=us-east-1",
		"RCLONE_S3_UPLOAD_CUTOFF=5M", "RCLONE_S3_CHUNK_SIZE=5M")
}

// large adds a file of several parts to a sample.
func large(t *testing.T) (dir string, content []byte) {
	t.Helper()
	dir, content = sample(t), randomBytes(23<<20)
	must(t, os.WriteFile(filepath.Join(dir, "large"), content, 0o644))
	return dir, content
}

func s3AWS(t *testing.T, b *buckets) {
	program, name, env := require.Tool(t, "aws"), b.anna.bucket(t), b.anna.environment(t)
	run := func(args ...string) string {
		t.Helper()
		return programOutput(t, env, append([]string{program, "--endpoint-url", b.endpoint, "s3"}, args...)...)
	}
	dir, content := large(t)
	run("sync", dir, "s3://"+name+"/tree", "--no-progress")
	if out := run("sync", dir, "s3://"+name+"/tree", "--no-progress"); strings.TrimSpace(out) != "" {
		t.Errorf("a second sync sends again: %s", out)
	}
	back := t.TempDir()
	run("sync", "s3://"+name+"/tree", back, "--no-progress")
	command(t, "/", "diff", "-r", dir, back)
	res, err := http.Get(strings.TrimSpace(run("presign", "s3://"+name+"/tree/large")))
	must(t, err)
	defer res.Body.Close()
	if got, err := io.ReadAll(res.Body); err != nil || !bytes.Equal(got, content) {
		t.Errorf("presigned: %s, %d bytes, %v", res.Status, len(got), err)
	}
	// One attempt, so that an answer that aws waits for in vain is an error.
	env = append(env, "AWS_MAX_ATTEMPTS=1")
	empties := t.TempDir()
	for i := range 30 {
		must(t, os.WriteFile(filepath.Join(empties, fmt.Sprint(i)), bytes.Repeat([]byte("x"), i%2), 0o644))
	}
	run("sync", empties, "s3://"+name+"/empties", "--no-progress", "--cli-read-timeout", "30")
	run("mv", "s3://"+name+"/tree/plain.txt", "s3://"+name+"/moved.txt")
	run("rm", "s3://"+name, "--recursive")
	run("rb", "s3://"+name)
}

func s3Cmd(t *testing.T, b *buckets) {
	program, name, env := require.Tool(t, "s3cmd"), b.anna.bucket(t), b.anna.environment(t)
	config := filepath.Join(t.TempDir(), "s3cfg")
	host := strings.TrimPrefix(b.endpoint, "http://")
	write(t, config, fmt.Sprintf("[default]\nhost_base = %s\nhost_bucket = %[1]s\nuse_https = False\naccess_key = %s\nsecret_key = %s\nmultipart_chunk_size_mb = 5\n", host, b.anna.key.Key, b.anna.key.Secret))
	run := func(args ...string) string {
		t.Helper()
		return programOutput(t, env, append([]string{program, "-c", config, "--no-progress"}, args...)...)
	}
	dir, content := large(t)
	run("sync", dir+"/", "s3://"+name+"/tree/")
	back := t.TempDir()
	run("sync", "s3://"+name+"/tree/", back+"/")
	command(t, "/", "diff", "-r", dir, back)
	res, err := http.Get(strings.TrimSpace(run("signurl", "s3://"+name+"/tree/large", "+600")))
	must(t, err)
	defer res.Body.Close()
	if got, err := io.ReadAll(res.Body); err != nil || !bytes.Equal(got, content) {
		t.Errorf("presigned: %s, %d bytes, %v", res.Status, len(got), err)
	}
	run("del", "-r", "-f", "s3://"+name+"/")
	run("rb", "s3://"+name)
}

func s3Rclone(t *testing.T, b *buckets) {
	program, name, env := require.Tool(t, "rclone"), b.anna.bucket(t), b.anna.environment(t)
	dir, _ := large(t)
	programOutput(t, env, program, "copy", dir, "S:"+name+"/tree")
	programOutput(t, env, program, "check", dir, "S:"+name+"/tree")
	programOutput(t, env, program, "check", "--download", dir, "S:"+name+"/tree")
	if out := programOutput(t, env, program, "copy", "-v", dir, "S:"+name+"/tree"); strings.Contains(out, ": Copied") {
		t.Errorf("a second copy copies again: %s", out)
	}
	mountpoint := filepath.Join(parts.Dir, unique(t, "rclone-s3"))
	mountRclone(t, env, "S:"+name+"/tree", mountpoint)
	command(t, "/", "diff", "-r", dir, mountpoint)
	write(t, filepath.Join(mountpoint, "through the mount.txt"), "by rclone")
	eventually(t, 20*time.Second, func() error {
		return b.anna.stored(t, name+"/tree/through the mount.txt", []byte("by rclone"))
	})
}
