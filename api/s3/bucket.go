package s3

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"time"

	"satchel/api"
)

const namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

// stamp is how S3 writes times in documents.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

type owner struct {
	ID          string
	DisplayName string
}

func ownerOf(user api.ID) owner { return owner{user.String(), user.String()} }

func (q *request) signed() error {
	if q.caller.User.IsZero() {
		return refuse(http.StatusForbidden, "AccessDenied", "sign the request with an access key")
	}
	return nil
}

func (q *request) listBuckets() error {
	if err := q.signed(); err != nil {
		return err
	}
	buckets, err := q.Drives.Buckets(q.ctx, q.caller)
	if err != nil {
		return err
	}
	type bucket struct {
		Name         string
		CreationDate string
	}
	var out struct {
		XMLName xml.Name `xml:"ListAllMyBucketsResult"`
		XMLNS   string   `xml:"xmlns,attr"`
		Owner   owner
		Buckets []bucket `xml:"Buckets>Bucket"`
	}
	out.XMLNS, out.Owner = namespace, ownerOf(q.caller.User)
	for _, b := range buckets {
		out.Buckets = append(out.Buckets, bucket{b.Name, stamp(b.Created)})
	}
	q.xml(http.StatusOK, out)
	return nil
}

func (q *request) createBucket() error {
	if err := q.signed(); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, io.LimitReader(q.body, maxDocument)); err != nil { // a region, which there is none of
		return err
	}
	err := q.Drives.CreateBucket(q.ctx, q.caller, q.bucket)
	switch api.KindOf(err) {
	case "":
		q.w.Header().Set("Location", "/"+q.bucket)
		q.w.WriteHeader(http.StatusOK)
		return nil
	case api.Invalid:
		return refuse(http.StatusBadRequest, "InvalidBucketName", "%w", err)
	case api.Exists:
		if b, openErr := q.open("ListBucket", ""); openErr == nil && b.Own {
			return refuse(http.StatusConflict, "BucketAlreadyOwnedByYou", "%w", err)
		}
		return refuse(http.StatusConflict, "BucketAlreadyExists", "%w", err)
	}
	return err
}

func (q *request) deleteBucket() error {
	if err := q.signed(); err != nil {
		return err
	}
	if err := q.expected(expectedOwner, q.caller.User); err != nil { // nobody else may
		return err
	}
	err := q.Drives.DeleteBucket(q.ctx, q.caller, q.bucket)
	if api.KindOf(err) == api.NotFound {
		err = refuse(http.StatusNotFound, "NoSuchBucket", "%w", err)
	}
	if err == nil {
		q.w.WriteHeader(http.StatusNoContent)
	}
	return err
}

func (q *request) headBucket() error {
	if _, err := q.open("ListBucket", ""); err != nil {
		return err
	}
	q.w.Header().Set("X-Amz-Bucket-Region", region)
	q.w.WriteHeader(http.StatusOK)
	return nil
}

// region is the one that clients take when none is said.
const region = "us-east-1"

func (q *request) location() error {
	if _, err := q.open("GetBucketLocation", ""); err != nil {
		return err
	}
	q.xml(http.StatusOK, struct {
		XMLName xml.Name `xml:"LocationConstraint"`
		XMLNS   string   `xml:"xmlns,attr"`
	}{XMLNS: namespace})
	return nil
}

func (q *request) versioning() error {
	if _, err := q.open("GetBucketVersioning", ""); err != nil {
		return err
	}
	q.xml(http.StatusOK, struct {
		XMLName xml.Name `xml:"VersioningConfiguration"`
		XMLNS   string   `xml:"xmlns,attr"`
	}{XMLNS: namespace})
	return nil
}

// absentPart says that a bucket has no such part, in the words that clients
// expect for it.
func (q *request) absentPart() error {
	if _, err := q.open("ListBucket", ""); err != nil {
		return err
	}
	for part, code := range map[string]string{
		"cors": "NoSuchCORSConfiguration", "encryption": "ServerSideEncryptionConfigurationNotFoundError", "lifecycle": "NoSuchLifecycleConfiguration",
		"object-lock": "ObjectLockConfigurationNotFoundError", "ownershipControls": "OwnershipControlsNotFoundError",
		"publicAccessBlock": "NoSuchPublicAccessBlockConfiguration", "replication": "ReplicationConfigurationNotFoundError",
		"tagging": "NoSuchTagSet", "website": "NoSuchWebsiteConfiguration",
	} {
		if q.has(part) {
			return refuse(http.StatusNotFound, code, "the bucket has none")
		}
	}
	return errNotImplemented("this part of a bucket")
}

// maxDocument is the largest XML or JSON body in bytes: 10,000 parts to be
// completed, or 1,000 keys to be deleted.
const maxDocument = 4 << 20

// document reads a body that is not an object's content.
func (q *request) document() ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(q.body, maxDocument+1))
	if err == nil && len(b) > maxDocument {
		err = refuse(http.StatusRequestEntityTooLarge, "MaxMessageLengthExceeded", "the body has more than %d bytes", maxDocument)
	}
	return b, err
}

func (q *request) readXML(v any) error {
	b, err := q.document()
	if err != nil {
		return err
	}
	if err := xml.Unmarshal(b, v); err != nil {
		return refuse(http.StatusBadRequest, "MalformedXML", "the body is not the XML of this request: %w", err)
	}
	return nil
}

// policy reads, sets or removes the bucket's policy; only its owner may.
func (q *request) policy() error {
	if err := q.signed(); err != nil {
		return err
	}
	if err := q.expected(expectedOwner, q.caller.User); err != nil {
		return err
	}
	switch q.r.Method {
	case http.MethodGet:
		policy, err := q.Drives.BucketPolicy(q.ctx, q.caller, q.bucket)
		if err != nil {
			return q.ofBucket(err)
		}
		if policy == nil {
			return refuse(http.StatusNotFound, "NoSuchBucketPolicy", "the bucket has no policy")
		}
		q.w.Header().Set("Content-Type", "application/json")
		q.w.Write(policy)
		return nil
	case http.MethodPut:
		b, err := q.document()
		if err != nil {
			return err
		}
		err = q.Drives.SetBucketPolicy(q.ctx, q.caller, q.bucket, json.RawMessage(b))
		if api.KindOf(err) == api.Invalid {
			err = refuse(http.StatusBadRequest, "MalformedPolicy", "%w", err)
		}
		return q.noContent(q.ofBucket(err))
	case http.MethodDelete:
		return q.noContent(q.ofBucket(q.Drives.SetBucketPolicy(q.ctx, q.caller, q.bucket, nil)))
	}
	return errNotAllowed()
}

// ofBucket is an error about the bucket itself.
func (q *request) ofBucket(err error) error {
	if _, ok := errors.AsType[*coded](err); !ok && api.KindOf(err) == api.NotFound {
		return refuse(http.StatusNotFound, "NoSuchBucket", "%w", err)
	}
	return err
}

func (q *request) noContent(err error) error {
	if err == nil {
		q.w.WriteHeader(http.StatusNoContent)
	}
	return err
}
