package s3

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Presigned URLs of the older Signature Version 2 are what the aws command line
// and s3cmd still make by default. Nothing else of that version is served.

// signedParts are the parameters that version 2 signs.
var signedParts = []string{"acl", "delete", "location", "partNumber", "policy", "response-cache-control", "response-content-disposition",
	"response-content-encoding", "response-content-language", "response-content-type", "response-expires", "uploadId", "uploads", "versionId", "versioning"}

// presigned2 is the access key of a URL that was presigned so; "" if it was not.
func presigned2(r *http.Request) string {
	q := r.URL.Query()
	if r.Header.Get("Authorization") != "" || !q.Has("Signature") || !q.Has("Expires") {
		return ""
	}
	return q.Get("AWSAccessKeyId")
}

// matches2 is an error unless the holder of a secret presigned the URL, and for longer than until now.
func matches2(r *http.Request, secret string, now time.Time) error {
	q := r.URL.Query()
	expires, err := strconv.ParseInt(q.Get("Expires"), 10, 64)
	if err != nil || now.Unix() > expires {
		return refuse(http.StatusForbidden, "AccessDenied", "the presigned URL has expired")
	}
	var amz []string
	for name, values := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") {
			amz = append(amz, name+":"+strings.Join(values, ",")+"\n")
		}
	}
	slices.Sort(amz)
	var parts []string
	for _, name := range signedParts {
		if q.Has(name) {
			if v := q.Get(name); v != "" {
				name += "=" + v
			}
			parts = append(parts, name)
		}
	}
	resource := r.URL.EscapedPath()
	if len(parts) > 0 {
		resource += "?" + strings.Join(parts, "&")
	}
	h := hmac.New(sha1.New, []byte(secret))
	h.Write([]byte(r.Method + "\n" + r.Header.Get("Content-Md5") + "\n" + r.Header.Get("Content-Type") + "\n" +
		q.Get("Expires") + "\n" + strings.Join(amz, "") + resource))
	got, err := base64.StdEncoding.DecodeString(q.Get("Signature"))
	if err != nil || !hmac.Equal(got, h.Sum(nil)) {
		return refuse(http.StatusForbidden, "SignatureDoesNotMatch", "the signature is not that of this URL with your secret key")
	}
	return nil
}
