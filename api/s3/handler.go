package s3

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"satchel/api"
	"satchel/storage"
)

// Handler serves buckets by path: /BUCKET/KEY. It is safe for concurrent use.
type Handler struct {
	Drives *storage.Service
	// Signer is whose an access key is, and its secret.
	Signer func(ctx context.Context, key string) (storage.Caller, string, error)
	Fault  func(error) Fault // classifies and logs
	Log    *slog.Logger
	Now    func() time.Time
}

// request is one HTTP request. It is used by one goroutine.
type request struct {
	*Handler
	w      http.ResponseWriter
	r      *http.Request
	ctx    context.Context
	id     string
	query  url.Values
	caller storage.Caller // without a user: anyone
	body   *body
	bucket string
	key    string
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := h.begin(w, r)
	q.bucket, q.key, _ = strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	err := q.authenticate()
	if err == nil {
		err = q.offered()
	}
	if err == nil {
		err = q.route()
	}
	if err != nil {
		q.fail(err)
	}
}

// begin sets what every answer has.
func (h *Handler) begin(w http.ResponseWriter, r *http.Request) *request {
	if r.ContentLength == 0 && r.ProtoAtLeast(1, 1) && strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		// botocore (boto3, aws) expects it for empty objects too, for which net/http
		// says nothing, and would take the connection's next answer for this one's.
		w.WriteHeader(http.StatusContinue)
	}
	q := &request{Handler: h, w: w, r: r, ctx: r.Context(), id: api.NewID().String(), query: r.URL.Query()}
	w.Header().Set("X-Amz-Request-Id", q.id)
	w.Header().Set("Server", "Satchel")
	w.Header().Del("Cache-Control")                // an object may have its own
	w.Header().Del("Cross-Origin-Resource-Policy") // pages elsewhere show objects: no cookie opens one
	return q
}

// Refuse answers a request with an error, without looking at it.
func (h *Handler) Refuse(w http.ResponseWriter, r *http.Request, err error) { h.begin(w, r).fail(err) }

// authenticate knows who signed, and prepares the body. What is not signed is
// anyone's.
func (q *request) authenticate() (err error) {
	if key := presigned2(q.r); key != "" {
		secret, err := q.signer(key)
		if err == nil {
			err = matches2(q.r, secret, q.Now())
		}
		if err == nil {
			q.body, err = newBody(q.r, signature{}, nil)
		}
		return err
	}
	s, ok, err := readSignature(q.r)
	if err != nil {
		return err
	}
	if !ok {
		q.body, err = newBody(q.r, s, nil)
		return err
	}
	if err := s.fresh(q.Now()); err != nil {
		return err
	}
	secret, err := q.signer(s.key)
	if err != nil {
		return err
	}
	if err := s.matches(q.r, payload(q.r), secret); err != nil {
		return err
	}
	q.body, err = newBody(q.r, s, s.signingKey(secret))
	return err
}

// signer takes the holder of an access key for the caller, and returns the
// secret that must have signed.
func (q *request) signer(key string) (secret string, err error) {
	q.caller, secret, err = q.Signer(q.ctx, key)
	switch {
	case api.KindOf(err) == api.Unauthenticated:
		err = refuse(http.StatusForbidden, "InvalidAccessKeyId", "there is no such access key")
	case err == nil && q.caller.Admin:
		err = refuse(http.StatusForbidden, "AccessDenied", "an admin has no drive of his own")
	}
	return secret, err
}

// has tells whether the query names one of these parts of a bucket or object.
func (q *request) has(names ...string) bool {
	for _, name := range names {
		if q.query.Has(name) {
			return true
		}
	}
	return false
}

func (q *request) route() error {
	switch {
	case q.bucket == "":
		if q.r.Method != http.MethodGet {
			return errNotAllowed()
		}
		return q.listBuckets()
	case q.key == "":
		return q.routeBucket()
	}
	return q.routeObject()
}

func errNotAllowed() error {
	return refuse(http.StatusMethodNotAllowed, "MethodNotAllowed", "this method is not allowed here")
}

func errNotImplemented(what string) error {
	return refuse(http.StatusNotImplemented, "NotImplemented", "%s is not offered here", what)
}

// Parts of buckets and objects that are not offered: to say nothing of them
// would be to say that they were done.
var (
	bucketParts = []string{"acl", "accelerate", "analytics", "cors", "encryption", "inventory", "lifecycle", "logging", "metrics",
		"notification", "object-lock", "ownershipControls", "policyStatus", "publicAccessBlock", "replication", "requestPayment", "tagging", "website"}
	objectParts = []string{"acl", "attributes", "legal-hold", "restore", "retention", "select", "tagging", "torrent"}
)

func (q *request) routeBucket() error {
	switch method := q.r.Method; {
	case q.has("policy"):
		return q.policy()
	case q.has("acl") && method == http.MethodGet:
		return q.acl()
	case q.has(bucketParts...):
		if method == http.MethodGet {
			return q.absentPart()
		}
		return errNotImplemented("this part of a bucket")
	case method == http.MethodGet && q.has("location"):
		return q.location()
	case method == http.MethodGet && q.has("versioning"):
		return q.versioning()
	case method == http.MethodGet && q.has("uploads"):
		return q.listUploads()
	case method == http.MethodGet && q.has("versions"):
		return errNotImplemented("listing versions")
	case method == http.MethodGet:
		return q.list()
	case method == http.MethodHead:
		return q.headBucket()
	case method == http.MethodPut && q.has("versioning"):
		return errNotImplemented("versioning (history is kept in any case)")
	case method == http.MethodPut:
		return q.createBucket()
	case method == http.MethodDelete:
		return q.deleteBucket()
	case method == http.MethodPost && q.has("delete"):
		return q.deleteMany()
	case method == http.MethodPost:
		return errNotImplemented("a form's upload")
	}
	return errNotAllowed()
}

func (q *request) routeObject() error {
	switch method := q.r.Method; {
	case q.has("acl") && method == http.MethodGet:
		return q.acl()
	case q.has(objectParts...):
		return errNotImplemented("this part of an object")
	case q.has("versionId") && q.query.Get("versionId") != "null":
		return errNotImplemented("versions by id")
	case q.has("uploadId"):
		return q.routeUpload()
	case method == http.MethodPost && q.has("uploads"):
		return q.beginUpload()
	case method == http.MethodGet, method == http.MethodHead:
		return q.get()
	case method == http.MethodPut && q.r.Header.Get("X-Amz-Copy-Source") != "":
		return q.copy()
	case method == http.MethodPut:
		return q.put()
	case method == http.MethodDelete:
		return q.delete()
	}
	return errNotAllowed()
}

func (q *request) routeUpload() error {
	switch q.r.Method {
	case http.MethodGet:
		return q.listParts()
	case http.MethodPut:
		return q.putPart()
	case http.MethodPost:
		return q.completeUpload()
	case http.MethodDelete:
		return q.abortUpload()
	}
	return errNotAllowed()
}

// What says whose the request's bucket, and that of a copy's source, should be.
const (
	expectedOwner       = "X-Amz-Expected-Bucket-Owner"
	sourceExpectedOwner = "X-Amz-Source-Expected-Bucket-Owner"
)

// open is the request's bucket, if the caller may do the action with it or with an
// object in it.
func (q *request) open(action, key string) (*storage.Bucket, error) {
	return q.openOf(expectedOwner, q.bucket, action, key)
}

// openOf is open for any bucket that is whose a header says.
func (q *request) openOf(header, name, action, key string) (*storage.Bucket, error) {
	b, err := q.Drives.Bucket(q.ctx, q.caller, name, "s3:"+action, key)
	switch {
	case api.KindOf(err) == api.NotFound:
		err = refuse(http.StatusNotFound, "NoSuchBucket", "%w", err)
	case err == nil:
		err = q.expected(header, b.Owner())
	}
	return b, err
}

// expected refuses what is about a bucket of somebody else than a header names, or the query of a presigned URL in its place.
func (q *request) expected(header string, owner api.ID) error {
	for _, given := range []map[string][]string{q.r.Header, q.query} {
		for name, values := range given {
			if strings.EqualFold(name, header) && slices.ContainsFunc(values, func(id string) bool { return id != "" && id != owner.String() }) {
				return refuse(http.StatusForbidden, "AccessDenied", "the bucket is not whose %s says", header)
			}
		}
	}
	return nil
}
