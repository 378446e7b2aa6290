package s3

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What AWS Signature Version 4 calls things.
const (
	algorithm    = "AWS4-HMAC-SHA256"
	stampForm    = "20060102T150405Z"
	unsigned     = "UNSIGNED-PAYLOAD"
	maxSkew      = 15 * time.Minute
	maxPresigned = 7 * 24 * time.Hour
	maxKeyID     = 128
)

// signature is what a request says about how it was signed, in its
// Authorization header or, when presigned, in its query.
type signature struct {
	key       string // the access key
	date      string // of the scope: 20060102
	region    string
	headers   []string // the signed ones, lower case
	value     string   // hex
	stamp     string   // when it was signed, in stampForm
	expires   time.Duration
	presigned bool
}

func (s signature) scope() string { return s.date + "/" + s.region + "/s3/aws4_request" }

// readSignature finds a request's signature; ok is false if there is none.
func readSignature(r *http.Request) (s signature, ok bool, err error) {
	if h := r.Header.Get("Authorization"); h != "" {
		fields, found := strings.CutPrefix(h, algorithm)
		if !found {
			return s, true, refuse(http.StatusBadRequest, "InvalidRequest", "sign with %s", algorithm)
		}
		var credential, signed string
		for _, f := range strings.Split(fields, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(f), "=")
			switch name {
			case "Credential":
				credential = value
			case "SignedHeaders":
				signed = value
			case "Signature":
				s.value = value
			}
		}
		s.stamp = r.Header.Get("X-Amz-Date")
		if s.stamp == "" {
			if t, err := http.ParseTime(r.Header.Get("Date")); err == nil {
				s.stamp = t.UTC().Format(stampForm)
			}
		}
		return s, true, s.complete(credential, signed)
	}
	q := r.URL.Query()
	if !q.Has("X-Amz-Signature") && !q.Has("X-Amz-Algorithm") {
		return s, false, nil
	}
	if q.Get("X-Amz-Algorithm") != algorithm {
		return s, true, refuse(http.StatusBadRequest, "AuthorizationQueryParametersError", "sign with %s", algorithm)
	}
	s.presigned, s.value, s.stamp = true, q.Get("X-Amz-Signature"), q.Get("X-Amz-Date")
	seconds, err := strconv.ParseInt(q.Get("X-Amz-Expires"), 10, 32)
	s.expires = time.Duration(seconds) * time.Second
	if err != nil || s.expires <= 0 || s.expires > maxPresigned {
		return s, true, refuse(http.StatusBadRequest, "AuthorizationQueryParametersError", "X-Amz-Expires is between 1 second and a week")
	}
	return s, true, s.complete(q.Get("X-Amz-Credential"), q.Get("X-Amz-SignedHeaders"))
}

// complete reads the scope and the names of the signed headers.
func (s *signature) complete(credential, signed string) error {
	parts := strings.Split(credential, "/")
	if len(parts) < 5 {
		return refuse(http.StatusBadRequest, "AuthorizationHeaderMalformed", "the credential is not KEY/DATE/REGION/s3/aws4_request")
	}
	n := len(parts)
	s.key, s.date, s.region = strings.Join(parts[:n-4], "/"), parts[n-4], parts[n-3]
	if parts[n-2] != "s3" || parts[n-1] != "aws4_request" || len(s.key) > maxKeyID {
		return refuse(http.StatusBadRequest, "AuthorizationHeaderMalformed", "the credential is not KEY/DATE/REGION/s3/aws4_request")
	}
	s.headers = strings.Split(signed, ";")
	if !slices.Contains(s.headers, "host") {
		return refuse(http.StatusForbidden, "AccessDenied", "the host is not signed")
	}
	return nil
}

// fresh refuses what was signed too long ago, or will be.
func (s signature) fresh(now time.Time) error {
	t, err := time.Parse(stampForm, s.stamp)
	if err != nil || !strings.HasPrefix(s.stamp, s.date) {
		return refuse(http.StatusForbidden, "AccessDenied", "the date of the signature is missing or not that of its scope")
	}
	switch {
	case t.After(now.Add(maxSkew)), !s.presigned && t.Before(now.Add(-maxSkew)):
		return refuse(http.StatusForbidden, "RequestTimeTooSkewed", "your clock differs too much from the server's: %s", now.UTC().Format(time.RFC3339))
	case s.presigned && now.After(t.Add(s.expires)):
		return refuse(http.StatusForbidden, "AccessDenied", "the presigned URL has expired")
	}
	return nil
}

// matches tells whether the holder of a secret made the signature for this
// request. payload is what it says about its body. Every x-amz header must be signed.
func (s signature) matches(r *http.Request, payload, secret string) error {
	for name := range r.Header {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, "x-amz-") && !slices.Contains(s.headers, name) && !(s.presigned && name == "x-amz-content-sha256") {
			return refuse(http.StatusForbidden, "AccessDenied", "the header %s is not signed", name)
		}
	}
	sum := sha256.Sum256([]byte(s.canonical(r, payload)))
	toSign := algorithm + "\n" + s.stamp + "\n" + s.scope() + "\n" + hex.EncodeToString(sum[:])
	want := hex.EncodeToString(hmacSum(s.signingKey(secret), toSign))
	if subtle.ConstantTimeCompare([]byte(want), []byte(s.value)) != 1 {
		return refuse(http.StatusForbidden, "SignatureDoesNotMatch", "the signature is not that of this request with your secret key")
	}
	return nil
}

func (s signature) signingKey(secret string) []byte {
	key := hmacSum([]byte("AWS4"+secret), s.date)
	key = hmacSum(key, s.region)
	key = hmacSum(key, "s3")
	return hmacSum(key, "aws4_request")
}

func hmacSum(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// canonical is the request as it is signed.
func (s signature) canonical(r *http.Request, payload string) string {
	var b strings.Builder
	b.WriteString(r.Method + "\n" + encode(r.URL.Path, true) + "\n" + canonicalQuery(r.URL.RawQuery) + "\n")
	for _, name := range s.headers {
		b.WriteString(name + ":" + headerValue(r, name) + "\n")
	}
	b.WriteString("\n" + strings.Join(s.headers, ";") + "\n" + payload)
	return b.String()
}

func headerValue(r *http.Request, name string) string {
	switch name {
	case "host":
		return r.Host
	case "content-length":
		return strconv.FormatInt(r.ContentLength, 10)
	case "transfer-encoding":
		return strings.Join(r.TransferEncoding, ",")
	}
	values := slices.Clone(r.Header.Values(name))
	for i, v := range values {
		values[i] = strings.Join(strings.Fields(v), " ")
	}
	return strings.Join(values, ",")
}

// canonicalQuery is the query sorted by names and then by values, each part
// encoded as encode does.
func canonicalQuery(raw string) string {
	var parts [][2]string
	for _, p := range strings.Split(raw, "&") {
		name, value, _ := strings.Cut(p, "=")
		n, err1 := url.QueryUnescape(name)
		v, err2 := url.QueryUnescape(value)
		if p == "" || n == "X-Amz-Signature" || err1 != nil || err2 != nil {
			continue
		}
		parts = append(parts, [2]string{encode(n, false), encode(v, false)})
	}
	slices.SortFunc(parts, func(a, b [2]string) int {
		return cmp.Or(strings.Compare(a[0], b[0]), strings.Compare(a[1], b[1]))
	})
	var b strings.Builder
	for i, p := range parts {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p[0] + "=" + p[1])
	}
	return b.String()
}

// encode is the percent-encoding of signatures: all but letters, digits and
// -._~, and the slashes of a path.
func encode(s string, path bool) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 || path && c == '/' {
			b.WriteByte(c)
		} else {
			b.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{c})))
		}
	}
	return b.String()
}
