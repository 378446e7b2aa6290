package s3

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"satchel/api"
	"satchel/storage/blob"
	"satchel/storage/blob/blobtest"
	"satchel/storage/blob/s3/s3test"
)

// urlEnv tells a child process its store.
const urlEnv = "SATCHEL_S3_URL"

func TestMain(m *testing.M) {
	blobtest.Child(func(ctx context.Context) (blob.Store, error) {
		l, err := Parse(os.Getenv(urlEnv))
		if err != nil {
			return nil, err
		}
		return Open(ctx, l, quiet)
	})
	s3test.Main(m)
}

var quiet = slog.New(slog.DiscardHandler)

// quick are limits for tests, which wait for many a failure.
var quick = limits{attempts: 3, backoff: 20 * time.Millisecond, stall: 2 * time.Second}

func opened(t *testing.T, url string, l limits) *Store {
	t.Helper()
	location, err := Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	s, err := open(t.Context(), location, quiet, l)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blob.Store {
		bucket := s3test.Bucket(t)
		t.Cleanup(func() {
			if left := bucket.Uploads(t); len(left) > 0 {
				t.Errorf("uploads in parts are left: %q", left)
			}
		})
		return opened(t, bucket.URL, quick)
	})
}

func TestKilled(t *testing.T) {
	bucket := s3test.Bucket(t)
	s := opened(t, bucket.URL, quick)
	blobtest.KilledReading(t, s, urlEnv+"="+bucket.URL)
	if len(bucket.Uploads(t)) != 1 {
		t.Error("the killed process had begun no upload in parts")
	}
	opened(t, bucket.URL, quick)
	if len(bucket.Uploads(t)) != 1 {
		t.Error("open aborted an upload that is a moment old")
	}
	other := opened(t, strings.Replace(bucket.URL, "/packs", "/other", 1), quick)
	if err := other.abort(t.Context(), 0); err != nil || len(bucket.Uploads(t)) != 1 {
		t.Errorf("another prefix's upload was aborted, %v", err)
	}
	if err := s.abort(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if left := bucket.Uploads(t); len(left) > 0 {
		t.Errorf("the killed process's upload is left: %q", left)
	}
}

// Two stores in one bucket see nothing of each other, nor of what else is there.
func TestPrefix(t *testing.T) {
	bucket := s3test.Bucket(t)
	root := opened(t, strings.Replace(bucket.URL, "/packs", "", 1), quick)
	inner := opened(t, bucket.URL, quick)
	for _, s := range []*Store{root, inner} {
		if err := s.Put(t.Context(), "ab-0", strings.NewReader(s.location.Prefix)); err != nil {
			t.Fatal(err)
		}
	}
	if err := inner.Put(t.Context(), "only-inner", strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	for s, want := range map[*Store]int{root: 1, inner: 2} {
		n := 0
		for _, err := range s.List(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n != want {
			t.Errorf("%s lists %d objects, want %d", s.location, n, want)
		}
	}
}

// What the operator has set wrongly is told when the server starts, in words.
func TestOpenSaysWhatIsWrong(t *testing.T) {
	bucket := s3test.Bucket(t)
	for _, test := range []struct {
		name, url, access, secret string
		kind                      api.Kind
		says                      string
	}{
		{"an unknown access key", bucket.URL, "nobody", "x", api.Unavailable, "check AWS_ACCESS_KEY_ID"},
		{"a wrong secret key", bucket.URL, s3test.AccessKey, "wrong", api.Unavailable, "check AWS_SECRET_ACCESS_KEY"},
		{"no credentials", bucket.URL, "", "", api.Unavailable, "set AWS_ACCESS_KEY_ID"},
		{"a missing bucket", strings.Replace(bucket.URL, bucket.Name, "no-such-bucket", 1), s3test.AccessKey, s3test.SecretKey, api.Unavailable, "there is no such bucket"},
		{"another region", strings.Replace(bucket.URL, "us-east-1", "mars-1", 1), s3test.AccessKey, s3test.SecretKey, api.Unavailable, "check region="},
		{"no server", "s3://bucket?endpoint=http://127.0.0.1:1", s3test.AccessKey, s3test.SecretKey, api.Unavailable, "connection refused"},
		{"no region", "s3://bucket", s3test.AccessKey, s3test.SecretKey, api.Invalid, "?region=NAME"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s3test.Credentials(t, test.access, test.secret)
			location, err := Parse(test.url)
			if err != nil {
				t.Fatal(err)
			}
			_, err = open(t.Context(), location, quiet, quick)
			if api.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s: %v; want %s …%s…", api.KindOf(err), err, test.kind, test.says)
			}
		})
	}
}

// A bucket that goes away under a running server is no missing object.
func TestBucketGone(t *testing.T) {
	s := opened(t, s3test.Bucket(t).URL, quick)
	s.location.Bucket = "went-away"
	ctx := t.Context()
	_, get := s.Get(ctx, "ab-0", 0, -1)
	for what, err := range map[string]error{"put": s.Put(ctx, "ab-0", strings.NewReader("x")), "get": get, "delete": s.Delete(ctx, "ab-0")} {
		if api.KindOf(err) != api.Unavailable || !strings.Contains(err.Error(), "no such bucket") {
			t.Errorf("%s: %s, %v", what, api.KindOf(err), err)
		}
	}
	for _, err := range s.List(ctx) {
		if api.KindOf(err) != api.Unavailable {
			t.Errorf("list: %v", err)
		}
	}
}

func TestParse(t *testing.T) {
	for in, want := range map[string]Location{
		"s3://bucket":                     {Bucket: "bucket"},
		"s3://bucket/":                    {Bucket: "bucket"},
		"s3://bucket/a/b/":                {Bucket: "bucket", Prefix: "a/b/"},
		"s3://bucket/a?region=eu-north-1": {Bucket: "bucket", Prefix: "a/", Region: "eu-north-1"},
		"s3://my.bucket?endpoint=http://127.0.0.1:9000&region=r":   {Bucket: "my.bucket", Endpoint: "http://127.0.0.1:9000", Region: "r"},
		"s3://bucket?endpoint=https%3A%2F%2Fs3.example.org%2Fpath": {Bucket: "bucket", Endpoint: "https://s3.example.org/path"},
	} {
		if got, err := Parse(in); err != nil || got != want {
			t.Errorf("%s is %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{
		"", "s3:", "s3:bucket", "s3://", "s3://ab", "s3:///prefix", "http://bucket", "s3://key:secret@bucket", "s3://bucket:80", "s3://bucket#x",
		"s3://bucket?endpoint=", "s3://bucket?endpoint=s3.example.org", "s3://bucket?endpoint=ftp://x", "s3://bucket?endpoint=http://",
		"s3://bucket?endpoint=http://k:s@x", "s3://bucket?profile=x", "s3://bucket?region=a&region=b", "s3://bucket?%zz", "s3://bu%zzcket",
	} {
		if got, err := Parse(in); api.KindOf(err) != api.Invalid {
			t.Errorf("%q is %+v, %v", in, got, err)
		}
	}
}

func TestPutOfManyPartsIsWhole(t *testing.T) {
	bucket := s3test.Bucket(t)
	s := opened(t, bucket.URL, quick)
	for _, size := range []int{single - 1, single, single + 1, 2 * partSize, 5*partSize + 1} {
		content := bytes.Repeat([]byte{byte(size), 1, 2, 3, 5, 8, 13}, size/7+1)[:size]
		if err := s.Put(t.Context(), "ab-0", struct{ *strings.Reader }{strings.NewReader(string(content))}); err != nil {
			t.Fatal(err)
		}
		r, err := s.Get(t.Context(), "ab-0", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if _, err := got.ReadFrom(r); err != nil || !bytes.Equal(got.Bytes(), content) {
			t.Errorf("of %d bytes got %d, %v", size, got.Len(), err)
		}
		r.Close()
	}
}

func TestSameLocation(t *testing.T) {
	const here = "s3://bucket/p?endpoint=https://s3.example.org&region=eu-north-1"
	for other, same := range map[string]bool{
		"s3://bucket/p?endpoint=https://s3.example.org&region=eu-north-1":         true,
		"s3://bucket/p/?region=eu-north-1&endpoint=https%3A%2F%2Fs3.example.org/": true,
		"s3://bucket/p?endpoint=https://S3.Example.org:443":                       true,
		"s3://bucket/p?endpoint=https://s3.example.org:444":                       false,
		"s3://bucket/p?endpoint=https://s3.example.org/other":                     false,
		"s3://bucket/p?endpoint=https://s3.example.com":                           false,
		"s3://bucket/q?endpoint=https://s3.example.org":                           false,
		"s3://bucket?endpoint=https://s3.example.org":                             false,
		"s3://bucke2/p?endpoint=https://s3.example.org":                           false,
		"s3://bucket/p": false,
	} {
		a, err := Parse(here)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Parse(other)
		if err != nil {
			t.Fatal(err)
		}
		if a.Same(b) != same || b.Same(a) != same {
			t.Errorf("%s and %s are one place: %t", here, other, !same)
		}
	}
}
