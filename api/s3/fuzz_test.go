package s3

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go/encoding/httpbinding"
	"golang.org/x/net/http/httpguts"

	"satchel/api"
)

// received is a request as it comes over the wire.
func received(t *testing.T, r *http.Request) *http.Request {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Skip("not to be sent:", err)
	}
	got, err := http.ReadRequest(bufio.NewReader(&b))
	if err != nil {
		t.Skip("not to be received:", err)
	}
	return got
}

// What AWS's own signer signs is accepted, and with anything changed that was
// signed it is not.
func FuzzSignature(f *testing.F) {
	f.Add("GET", "test.txt", "max-keys", "2", "prefix", "J", "a  b", exampleSecret, false, byte(0))
	f.Add("PUT", "a b/\u00e9+%2F~", "a", "=&+ /", "a-b", "", " x ", "s", true, byte(1))
	f.Add("DELETE", "", "", "", "\xff", "\x00", "", "", false, byte(2))
	f.Fuzz(func(t *testing.T, method, path, name1, value1, name2, value2, header, secret string, presign bool, change byte) {
		q := url.Values{}
		for name, value := range map[string]string{name1: value1, name2: value2} {
			if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-amz-") || lower == "signature" {
				t.Skip("the signature's own")
			}
			q.Add(name, value)
		}
		if secret == "" || !httpguts.ValidHeaderFieldValue(header) || strings.Contains(header, "\t") { // of tabs AWS's own signers think differently
			t.Skip("not to be signed")
		}
		u := url.URL{Scheme: "http", Host: exampleHost, Path: "/" + path, RawPath: httpbinding.EscapePath("/"+path, false)}
		if presign {
			q.Set("X-Amz-Expires", "600")
		}
		u.RawQuery = q.Encode()
		sent, err := http.NewRequest(method, u.String(), nil)
		if err != nil || method == "" || method == http.MethodConnect {
			t.Skip("no request")
		}
		if !presign {
			sent.Header.Set("X-Amz-Meta-Note", header)
		}
		now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
		signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
		credentials := aws.Credentials{AccessKeyID: exampleKey, SecretAccessKey: secret}
		if presign {
			signed, headers, err := signer.PresignHTTP(t.Context(), credentials, sent, unsigned, "s3", "us-east-1", now)
			if err != nil {
				t.Skip("not to be signed:", err)
			}
			if sent, err = http.NewRequest(method, signed, nil); err != nil {
				t.Fatal(err)
			}
			for name, values := range headers {
				if name != "Host" {
					sent.Header[name] = values
				}
			}
		} else {
			sent.Header.Set("X-Amz-Content-Sha256", unsigned)
			if err := signer.SignHTTP(t.Context(), credentials, sent, unsigned, "s3", "us-east-1", now); err != nil {
				t.Skip("not to be signed:", err)
			}
		}
		r := received(t, sent)
		if err := verify(r, secret); err != nil {
			t.Fatalf("%s %s with %q: %v", method, r.URL, r.Header, err)
		}
		switch change % 5 {
		case 0:
			r.Method += "X"
		case 1:
			r.URL.Path += "x"
		case 2:
			r.Host = "other"
		case 3:
			r.URL.RawQuery += "&x=y"
		case 4:
			r.Header.Set("X-Amz-Copy-Source", "/other/key")
		}
		if err := verify(r, secret); err == nil {
			t.Fatalf("%s %s is accepted with the change %d", method, r.URL, change%5)
		}
	})
}

// Whatever a request says of its signature, nothing is accepted without the
// secret, and what is refused has a code of S3's.
func FuzzUnsigned(f *testing.F) {
	f.Add(algorithm+" Credential="+exampleKey+"/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;x-amz-date,Signature=00", "20130524T000000Z", "")
	f.Add("", "", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a/20130524/r/s3/aws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=1&X-Amz-SignedHeaders=host&X-Amz-Signature=0")
	f.Add("", "", "AWSAccessKeyId=a&Signature=eA==&Expires=9999999999")
	f.Fuzz(func(t *testing.T, authorization, date, query string) {
		r, err := http.NewRequest(http.MethodGet, "http://h/b/k", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.URL.RawQuery = query
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		r.Header.Set("X-Amz-Date", date)
		s, ok, err := readSignature(r)
		if err != nil {
			if _, isCoded := err.(*coded); !isCoded {
				t.Fatalf("refused without a code: %v", err)
			}
		} else if ok {
			if len(s.key) > maxKeyID || s.presigned && (s.expires <= 0 || s.expires > maxPresigned) {
				t.Fatalf("%+v is taken", s)
			}
			if s.matches(r, payload(r), "a secret that nobody has told") == nil {
				t.Fatalf("%q, %q is accepted", authorization, query)
			}
			if at, err := time.Parse(stampForm, s.stamp); err == nil && s.fresh(at) == nil && s.fresh(at.Add(maxPresigned+maxSkew)) == nil {
				t.Fatalf("%q, %q never ends", authorization, query)
			}
		}
		if presigned2(r) != "" && matches2(r, "a secret that nobody has told", time.Now()) == nil {
			t.Fatalf("%q is accepted", query)
		}
	})
}

// A key that is a path is that path's only key, and what a client names in XML
// is answered in XML that says the same.
func FuzzDocuments(f *testing.F) {
	f.Add([]byte("<Delete><Quiet>true</Quiet><Object><Key>a/b</Key></Object><Object><Key>a//b</Key></Object></Delete>"))
	f.Add([]byte("<Delete xmlns='x'><Object><Key>&#xFFFD;&lt;&#10;</Key></Object></Delete>"))
	f.Add([]byte(`<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"d41d8cd98f00b204e9800998ecf8427e"</ETag></Part></CompleteMultipartUpload>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var in deletion
		if xml.Unmarshal(b, &in) == nil {
			sum := 0
			for _, o := range in.Object {
				sum += len(o.Key)
				path, dir, err := keyPath(o.Key)
				if err == nil {
					key := api.JoinPath(path)
					if dir {
						key += "/"
					}
					if key != o.Key {
						t.Fatalf("the key %q is the path of %q", o.Key, key)
					}
				}
				answer, err := xml.Marshal(commonPrefix{o.Key})
				var out commonPrefix
				if err == nil {
					err = xml.Unmarshal(answer, &out)
				}
				if err != nil || out.Prefix != o.Key {
					t.Fatalf("%q is answered as %s, %v", o.Key, answer, err)
				}
				if raw, err := url.QueryUnescape(encodeKey(o.Key)); err != nil || raw != o.Key {
					t.Fatalf("%q is encoded as %q", o.Key, encodeKey(o.Key))
				}
			}
			if sum > len(b) || len(in.Object) > len(b) {
				t.Fatalf("%d keys of %d bytes from %d", len(in.Object), sum, len(b))
			}
		}
		var done completion
		if xml.Unmarshal(b, &done) == nil {
			if parts, _, err := chosen(done.Part, nil); err == nil {
				t.Fatalf("%d parts of none are chosen", len(parts))
			}
		}
	})
}

// A range of a source is within it and in one form.
func FuzzPartRange(f *testing.F) {
	f.Add("bytes=0-9", int64(10))
	f.Add("bytes=5-4", int64(10))
	f.Add("bytes=0-9x", int64(100))
	f.Add("bytes=+1-1_0", int64(100))
	f.Add("", int64(0))
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		first, n, err := partRange(header, size)
		if err != nil {
			return
		}
		if first < 0 || n < 0 || first+n > size || header != "" && n == 0 {
			t.Fatalf("%q of %d bytes is %d bytes from %d", header, size, n, first)
		}
		if header == "" {
			return
		}
		from, to, _ := strings.Cut(strings.TrimPrefix(header, "bytes="), "-")
		for text, want := range map[string]int64{from: first, to: first + n - 1} {
			if text = strings.TrimLeft(text, "0"); text != strconv.FormatInt(want, 10) && (text != "" || want != 0) {
				t.Fatalf("%q is taken for %s", header, fmt.Sprintf("bytes=%d-%d", first, first+n-1))
			}
		}
	})
}
