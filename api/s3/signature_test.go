package s3

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/api/chunk"
)

// The examples of AWS's documentation: Signature Calculations, and Signature
// Calculations for Transferring Payload in Multiple Chunks.
const (
	exampleKey    = "AKIAIOSFODNN7EXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	exampleHost   = "examplebucket.s3.amazonaws.com"
)

func example(t *testing.T, method, target string, header map[string]string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, "http://"+exampleHost+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = exampleHost
	for k, v := range header {
		r.Header.Set(k, v)
	}
	return r
}

func verify(r *http.Request, secret string) error {
	s, ok, err := readSignature(r)
	if err != nil || !ok {
		return errors.Join(err, errors.New("no signature"))
	}
	return s.matches(r, payload(r), secret)
}

func TestExamplesOfAWS(t *testing.T) {
	scope := "Credential=" + exampleKey + "/20130524/us-east-1/s3/aws4_request"
	requests := map[string]*http.Request{
		"in a header": example(t, "GET", "/test.txt", map[string]string{
			"Range": "bytes=0-9", "X-Amz-Date": "20130524T000000Z", "X-Amz-Content-Sha256": emptySHA256,
			"Authorization": algorithm + " " + scope + ",SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
		}),
		"with a query": example(t, "GET", "/?max-keys=2&prefix=J", map[string]string{
			"X-Amz-Date": "20130524T000000Z", "X-Amz-Content-Sha256": emptySHA256,
			"Authorization": algorithm + " " + scope + ",SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
		}),
		"presigned": example(t, "GET", "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"+
			"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404", nil),
	}
	for what, r := range requests {
		if err := verify(r, exampleSecret); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if err := verify(r, exampleSecret+"x"); err == nil {
			t.Errorf("%s, with another secret: no error", what)
		}
		for change, do := range map[string]func(*http.Request){
			"another method": func(r *http.Request) { r.Method = "DELETE" },
			"another path":   func(r *http.Request) { r.URL.Path += "x" },
			"another host":   func(r *http.Request) { r.Host = "x" },
			"a parameter":    func(r *http.Request) { r.URL.RawQuery += "&x=y" },
			"an amz header":  func(r *http.Request) { r.Header.Set("X-Amz-Copy-Source", "/other/key") },
		} {
			changed := r.Clone(t.Context())
			do(changed)
			if err := verify(changed, exampleSecret); err == nil {
				t.Errorf("%s, with %s: no error", what, change)
			}
		}
	}
	s, _, err := readSignature(requests["presigned"])
	if err != nil {
		t.Fatal(err)
	}
	made := time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
	for after, ok := range map[time.Duration]bool{-time.Hour: false, time.Hour: true, 23 * time.Hour: true, 25 * time.Hour: false} {
		if err := s.fresh(made.Add(after)); (err == nil) != ok {
			t.Errorf("presigned, %v later: %v", after, err)
		}
	}
}

// chunkedExample is the body of the documentation's second example.
func chunkedExample() []byte {
	return []byte("10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" + strings.Repeat("a", 65536) + "\r\n" +
		"400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" + strings.Repeat("a", 1024) + "\r\n" +
		"0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n")
}

func signedChunks(b []byte) *chunks {
	s := signature{date: "20130524", region: "us-east-1", stamp: "20130524T000000Z", value: "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"}
	c := newChunks(bytes.NewReader(b), streamSigned)
	c.sign(s, s.signingKey(exampleSecret))
	return c
}

func TestChunkedExampleOfAWS(t *testing.T) {
	body := chunkedExample()
	got, err := io.ReadAll(signedChunks(body))
	if err != nil || string(got) != strings.Repeat("a", 66560) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	for _, i := range []int{20, 100, 66000, len(body) - 10} { // signatures and bytes
		changed := bytes.Clone(body)
		changed[i] ^= 1
		if _, err := io.ReadAll(signedChunks(changed)); err == nil {
			t.Errorf("a body with another byte %d: no error", i)
		}
	}
}

// A body that ends early stores nothing, wherever it is cut: between chunks, too.
func TestCutChunks(t *testing.T) {
	body := chunkedExample()
	for _, near := range []int{75, 65630, len(body) - 77} { // the lines between
		for n := near - 75; n < near+75; n++ {
			var broken *coded
			err := chunk.Split(signedChunks(body[:n]), func([]byte) error { return nil })
			if !errors.As(err, &broken) || broken.code != "IncompleteBody" {
				t.Errorf("%d bytes of %d: %v", n, len(body), err)
			}
		}
	}
	if err := chunk.Split(signedChunks(body[:len(body)-2]), func([]byte) error { return nil }); err != nil {
		t.Errorf("without the last line break: %v", err)
	}
}

// What is behind a body's end is not read.
func TestChunksEnd(t *testing.T) {
	for _, payload := range []string{streamSigned, streamUnsignedTrailer} {
		rest := &repeated{text: []byte("more")}
		got, err := io.ReadAll(newChunks(io.MultiReader(strings.NewReader("5\r\nhello\r\n0\r\n\r\n"), rest), payload))
		if err != nil || string(got) != "hello" || rest.read > 64<<10 {
			t.Errorf("%s: %q, %v, and %d bytes of the rest", payload, got, err, rest.read)
		}
	}
	if _, err := io.ReadAll(newChunks(strings.NewReader("0\r\na:b\r\n\r\n"), streamSigned)); err == nil {
		t.Error("a trailer that was not announced: no error")
	}
}

func TestTrailers(t *testing.T) {
	request := func(sum string) *http.Request {
		r := example(t, "PUT", "/k", map[string]string{"X-Amz-Content-Sha256": streamUnsignedTrailer, "X-Amz-Decoded-Content-Length": "5", "X-Amz-Trailer": "x-amz-checksum-crc32"})
		r.Body = io.NopCloser(strings.NewReader("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:" + sum + "\r\n\r\n"))
		return r
	}
	for sum, ok := range map[string]bool{"NhCmhg==": true, "NhCmhw==": false, "": false} {
		b, err := newBody(request(sum), signature{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(b)
		if (err == nil) != ok || ok && string(got) != "hello" {
			t.Errorf("the sum %q: %q %v", sum, got, err)
		}
	}
}

// Trailers are kept until the body ends, so they may not go on for ever.
func TestEndlessTrailers(t *testing.T) {
	endless := io.MultiReader(strings.NewReader("0\r\n"), &repeated{text: []byte("a:" + strings.Repeat("b", 4000) + "\r\n")})
	var counted int
	_, err := io.ReadAll(newChunks(io.TeeReader(endless, counter(func(n int) { counted += n })), streamUnsignedTrailer))
	if err == nil || counted > (maxTrailers+2)*maxLine {
		t.Errorf("%v after %d bytes", err, counted)
	}
}

// repeated is a text without end.
type repeated struct {
	text     []byte
	at, read int
}

func (r *repeated) Read(p []byte) (int, error) {
	n := copy(p, r.text[r.at:])
	r.at, r.read = (r.at+n)%len(r.text), r.read+n
	return n, nil
}

type counter func(n int)

func (c counter) Write(p []byte) (int, error) {
	c(len(p))
	return len(p), nil
}

// What comes from strangers neither crashes nor yields more than it has, and
// unsigned content comes back as it was cut into chunks.
func FuzzChunks(f *testing.F) {
	f.Add(chunkedExample(), true)
	f.Add([]byte("400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\nx"), true)
	f.Add([]byte("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"), false)
	f.Fuzz(func(t *testing.T, b []byte, signed bool) {
		c := newChunks(bytes.NewReader(b), streamUnsignedTrailer)
		if signed {
			c = signedChunks(b)
		}
		if got, _ := io.ReadAll(c); len(got) > len(b) || len(c.trailer) > maxTrailers {
			t.Errorf("%d bytes of %d, and %d trailers", len(got), len(b), len(c.trailer))
		}
		var cut bytes.Buffer
		for part := range slices.Chunk(b, 1+len(b)/3) {
			fmt.Fprintf(&cut, "%x\r\n%s\r\n", len(part), part)
		}
		cut.WriteString("0\r\n\r\n")
		if got, err := io.ReadAll(newChunks(&cut, streamUnsignedTrailer)); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%d bytes in chunks came back as %d, %v", len(b), len(got), err)
		}
	})
}
