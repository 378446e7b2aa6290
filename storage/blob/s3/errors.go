package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"satchel/api"
)

// advice says what to look at, by S3's error code
// (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html). All
// of it is for the operator; once it is mended, trying again helps.
var advice = map[string]string{
	"NoSuchBucket":                 "there is no such bucket: make it, or check --blobs",
	"AccessDenied":                 "the credentials may not do this: they need s3:GetObject, PutObject, DeleteObject and AbortMultipartUpload on the objects, ListBucket and ListBucketMultipartUploads on the bucket",
	"Forbidden":                    "the credentials may not do this, or the bucket is another one's",
	"AllAccessDisabled":            "the bucket is disabled: ask who runs it",
	"InvalidAccessKeyId":           "the server does not know the access key: check AWS_ACCESS_KEY_ID or the profile",
	"SignatureDoesNotMatch":        "the secret key does not fit the access key: check AWS_SECRET_ACCESS_KEY or the profile, and the region",
	"ExpiredToken":                 "the credentials have expired: renew them, or check AWS_SESSION_TOKEN",
	"InvalidToken":                 "the session's token is not valid: check AWS_SESSION_TOKEN",
	"RequestTimeTooSkewed":         "this machine's clock is wrong",
	"RequestExpired":               "this machine's clock is wrong",
	"AuthorizationHeaderMalformed": "the bucket is in another region: check region= in --blobs",
	"PermanentRedirect":            "the bucket is in another region: check region= and endpoint= in --blobs",
	"MovedPermanently":             "the bucket is in another region: check region= and endpoint= in --blobs",
	"BadRequest":                   "check region= and endpoint= in --blobs",
}

// full are the codes of servers that have no more room.
var full = map[string]bool{"QuotaExceeded": true, "InsufficientStorage": true, "XMinioStorageFull": true, "InsufficientCapacity": true}

// failed says what was being done and gives an error its kind.
func (s *Store) failed(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w (%v)", what, ctx.Err(), err)
	}
	if e, ok := errors.AsType[*api.Error](err); ok {
		return api.Errorf(e.Kind, "%s: %w", what, err)
	}
	code := code(err)
	if hint := advice[code]; hint != "" {
		return api.Errorf(api.Unavailable, "%s in %s: %s (%w)", what, s.location, hint, err)
	}
	return api.Errorf(kind(code, status(err), err), "%s in %s: %w", what, s.location, err)
}

func kind(code string, status int, err error) api.Kind {
	switch {
	case full[code], status == http.StatusInsufficientStorage:
		return api.NoSpace
	case code == "NoSuchKey", code == "NotFound":
		return api.NotFound
	case status >= 500, status == http.StatusTooManyRequests, status == http.StatusForbidden, status == http.StatusUnauthorized,
		code == "RequestTimeout", code == noSuchUpload, unreachable(err):
		return api.Unavailable
	}
	return api.Internal
}

// noSuchUpload is of an upload in parts that was aborted, or completed by a
// request whose answer was lost.
const noSuchUpload = "NoSuchUpload"

// code is the error code of the server's answer; "" if there was none.
func code(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}

// status is the HTTP status of the server's answer; 0 if there was none.
func status(err error) int {
	if e, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		return e.HTTPStatusCode()
	}
	return 0
}

// unreachable tells whether the server did not answer, or not to the end.
func unreachable(err error) bool {
	_, unsent := errors.AsType[*smithyhttp.RequestSendError](err)
	_, unread := errors.AsType[*smithy.DeserializationError](err)
	_, broken := errors.AsType[net.Error](err)
	return unsent || unread || broken || errors.Is(err, io.ErrUnexpectedEOF)
}

// outOfRange tells whether a range begins at or after an object's end.
func outOfRange(err error) bool {
	return code(err) == "InvalidRange" || status(err) == http.StatusRequestedRangeNotSatisfiable
}
