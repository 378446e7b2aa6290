package s3

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"satchel/storage"
)

// Chunks are content's, whoever sends them, and what may be chunks is not taken for content.
func TestChunksOfAnyone(t *testing.T) {
	const secret = "secret"
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	h := &Handler{
		Signer: func(context.Context, string) (storage.Caller, string, error) { return storage.Caller{}, secret, nil },
		Now:    func() time.Time { return now },
	}
	const framed = "5\r\nhello\r\n0\r\n\r\n"
	for _, tc := range []struct {
		payload, coding, body string
		want                  string // "": it is refused
	}{
		{streamUnsignedTrailer, "aws-chunked", framed, "hello"},
		{streamUnsignedTrailer, "gzip, AWS-Chunked", framed, "hello"},
		{streamUnsignedTrailer, "", framed, "hello"},
		{streamSigned, "aws-chunked", framed, ""},
		{"", "aws-chunked", framed, ""},
		{unsigned, "gzip,aws-chunked", framed, ""},
		{unsigned, "gzip", framed, framed},
		{"", "", framed, framed},
		{emptySHA256, "", framed, ""},
	} {
		for _, presigned := range []bool{false, true} {
			header := map[string]string{"X-Amz-Decoded-Content-Length": "5", "Content-Encoding": tc.coding}
			amz := "x-amz-decoded-content-length:5\n"
			if tc.payload != "" {
				header["X-Amz-Content-Sha256"] = tc.payload
				amz = "x-amz-content-sha256:" + tc.payload + "\n" + amz
			}
			target := "/b/k"
			if presigned {
				expires := fmt.Sprint(now.Add(time.Minute).Unix())
				sum := hmac.New(sha1.New, []byte(secret))
				io.WriteString(sum, "PUT\n\n\n"+expires+"\n"+amz+target)
				target += "?" + url.Values{"AWSAccessKeyId": {"key"}, "Expires": {expires}, "Signature": {base64.StdEncoding.EncodeToString(sum.Sum(nil))}}.Encode()
			}
			r := example(t, "PUT", target, header)
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(tc.body)), int64(len(tc.body))
			q := &request{Handler: h, r: r, ctx: t.Context()}
			var got []byte
			err := q.authenticate()
			if err == nil {
				got, err = io.ReadAll(q.body)
			}
			var refused *coded
			if tc.want == "" && (!errors.As(err, &refused) || refused.status != http.StatusBadRequest) || tc.want != "" && (err != nil || string(got) != tc.want) {
				t.Errorf("%q, %q, presigned %t: %q, %v", tc.payload, tc.coding, presigned, got, err)
			}
		}
	}
}
