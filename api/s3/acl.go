package s3

import (
	"encoding/xml"
	"net/http"
	"slices"
	"strings"
)

// ownACLs are the ACLs that say what holds in any case: the bucket's owner has all.
var ownACLs = []string{"private", "bucket-owner-read", "bucket-owner-full-control"}

// offered refuses what the headers, or the query of a presigned URL, ask for that is not
// done: to say nothing of it would be to say that it was.
func (q *request) offered() error {
	for _, given := range []map[string][]string{q.r.Header, q.query} {
		for name, values := range given {
			name, value := strings.ToLower(name), strings.Join(values, ",")
			switch {
			case name == "x-amz-acl" && value != "" && !slices.Contains(ownACLs, value), strings.HasPrefix(name, "x-amz-grant-"):
				return errNotImplemented("letting others in by an ACL (a bucket's policy can)")
			case strings.HasPrefix(name, "x-amz-server-side-encryption"), strings.HasPrefix(name, "x-amz-copy-source-server-side-encryption"):
				return errNotImplemented("encryption that the client asks for")
			case name == "x-amz-tagging" && value != "":
				return errNotImplemented("tagging")
			case strings.HasPrefix(name, "x-amz-object-lock-") && value != "OFF", name == "x-amz-bucket-object-lock-enabled" && !strings.EqualFold(value, "false"):
				return errNotImplemented("locking objects")
			case strings.HasPrefix(name, "x-amz-if-match-"):
				return errNotImplemented("a condition other than If-Match and If-None-Match")
			case name == "x-amz-write-offset-bytes":
				return errNotImplemented("adding to an object")
			case name == "x-amz-website-redirect-location":
				return errNotImplemented("a website")
			case name == "content-range":
				return errNotImplemented("writing a part of an object")
			}
		}
	}
	return nil
}

// acl answers GetBucketAcl and GetObjectAcl: the bucket's owner has all. Who else may do
// what is in the bucket's policy, as in a bucket of S3 for which ACLs are off.
func (q *request) acl() error {
	action := "GetBucketAcl"
	if q.key != "" {
		action = "GetObjectAcl"
	}
	b, err := q.open(action, q.key)
	if err == nil && q.key != "" {
		_, err = q.object(b, q.key)
	}
	if err != nil {
		return err
	}
	type grantee struct {
		XSI  string `xml:"xmlns:xsi,attr"`
		Type string `xml:"xsi:type,attr"`
		owner
	}
	type grant struct {
		Grantee    grantee
		Permission string
	}
	of := ownerOf(b.Owner())
	q.xml(http.StatusOK, struct {
		XMLName xml.Name `xml:"AccessControlPolicy"`
		XMLNS   string   `xml:"xmlns,attr"`
		Owner   owner
		Grants  []grant `xml:"AccessControlList>Grant"`
	}{XMLNS: namespace, Owner: of, Grants: []grant{{grantee{"http://www.w3.org/2001/XMLSchema-instance", "CanonicalUser", of}, "FULL_CONTROL"}}})
	return nil
}
