package integration

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func s3CopyConditions(t *testing.T, b *buckets) {
	ctx, c, name := t.Context(), b.anna.client, b.anna.bucket(t)
	put, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: &name, Key: aws.String("key"), Body: bytes.NewReader([]byte("content"))})
	must(t, err)
	tag, other, before, after := put.ETag, aws.String(`"other"`), aws.Time(time.Now().Add(-time.Hour)), aws.Time(time.Now().Add(time.Hour))
	for what, tc := range map[string]struct {
		in   s3.CopyObjectInput
		want string
	}{
		"its tag":                           {s3.CopyObjectInput{CopySourceIfMatch: tag}, ""},
		"another tag":                       {s3.CopyObjectInput{CopySourceIfMatch: other}, "PreconditionFailed"},
		"not its tag":                       {s3.CopyObjectInput{CopySourceIfNoneMatch: tag}, "PreconditionFailed"},
		"not another tag":                   {s3.CopyObjectInput{CopySourceIfNoneMatch: other}, ""},
		"not changed since before":          {s3.CopyObjectInput{CopySourceIfUnmodifiedSince: before}, "PreconditionFailed"},
		"not changed since then":            {s3.CopyObjectInput{CopySourceIfUnmodifiedSince: after}, ""},
		"changed since before":              {s3.CopyObjectInput{CopySourceIfModifiedSince: before}, ""},
		"changed since then":                {s3.CopyObjectInput{CopySourceIfModifiedSince: after}, "PreconditionFailed"},
		"its tag, not changed since before": {s3.CopyObjectInput{CopySourceIfMatch: tag, CopySourceIfUnmodifiedSince: before}, ""},
		"not another tag, changed since":    {s3.CopyObjectInput{CopySourceIfNoneMatch: other, CopySourceIfModifiedSince: after}, ""},
	} {
		tc.in.Bucket, tc.in.Key, tc.in.CopySource = &name, aws.String("copy"), aws.String(name+"/key")
		if err := code1(c.CopyObject(ctx, &tc.in)); code(err) != tc.want {
			t.Errorf("%s: %v, wanted %q", what, err, tc.want)
		}
	}
}

// s3WriteConditions shows that copies and deletions are held to If-Match and If-None-Match, as uploads are.
func s3WriteConditions(t *testing.T, b *buckets) {
	ctx, c, name := t.Context(), b.anna.client, b.anna.bucket(t)
	must(t, b.anna.put(ctx, name, "source", []byte("copied")))
	theirs := b.boris.bucket(t)
	policy := policyFor(theirs, b.anna.email, "Allow", "s3:PutObject", "s3:GetObject")
	must(t, code1(b.boris.client.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: &theirs, Policy: &policy})))

	type change func(bucket, key string, match, none *string) error
	copying := func(bucket, key string, match, none *string) error {
		return code1(c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &bucket, Key: &key, CopySource: aws.String(name + "/source"), IfMatch: match, IfNoneMatch: none}))
	}
	deleting := func(bucket, key string, match, _ *string) error {
		return code1(c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: &key, IfMatch: match}))
	}
	deletingMany := func(bucket, key string, match, _ *string) error {
		return b.anna.deleteMany(ctx, bucket, types.ObjectIdentifier{Key: &key, ETag: match})
	}
	const seen, bare, another, any = "SEEN", "BARE", `"1b1b"`, "*" // the first two stand for the tag of what is there
	for _, tc := range []struct {
		what, bucket string
		change       change
		there        bool
		match, none  string
		want         string
	}{
		{"a copy onto what was seen", name, copying, true, seen, "", ""},
		{"a copy onto another", name, copying, true, another, "", "PreconditionFailed"},
		{"a copy onto anything, and there is nothing", name, copying, false, any, "", "PreconditionFailed"},
		{"a copy where nothing is", name, copying, false, "", any, ""},
		{"a copy where nothing should be", name, copying, true, "", any, "PreconditionFailed"},
		{"a copy unless it is one of these", name, copying, true, "", another + ", " + seen, "PreconditionFailed"},
		{"a copy to another owner, onto what was seen", theirs, copying, true, seen, "", ""},
		{"a copy to another owner, onto another", theirs, copying, true, another, "", "PreconditionFailed"},
		{"a copy to another owner, where nothing should be", theirs, copying, true, "", any, "PreconditionFailed"},
		{"deleting what was seen", name, deleting, true, seen, "", ""},
		{"deleting what was seen, without quotes", name, deleting, true, bare, "", ""},
		{"deleting another", name, deleting, true, another, "", "PreconditionFailed"},
		{"deleting anything, and there is nothing", name, deleting, false, any, "", "PreconditionFailed"},
		{"deleting many, what was seen", name, deletingMany, true, seen, "", ""},
		{"deleting many, another", name, deletingMany, true, another, "", "PreconditionFailed"},
		{"deleting many, and there is nothing", name, deletingMany, false, another, "", "PreconditionFailed"},
	} {
		key, tag := "shared/"+tc.what, ""
		if tc.there {
			put, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: &tc.bucket, Key: &key, Body: strings.NewReader("was there")})
			must(t, err)
			tag = *put.ETag
		}
		condition := func(tags string) *string {
			if tags == "" {
				return nil
			}
			return aws.String(strings.NewReplacer(seen, tag, bare, strings.Trim(tag, `"`)).Replace(tags))
		}
		if err := tc.change(tc.bucket, key, condition(tc.match), condition(tc.none)); code(err) != tc.want {
			t.Errorf("%s: %v, wanted %q", tc.what, err, tc.want)
		}
		got, err := b.anna.get(ctx, tc.bucket, key)
		if tc.want != "" && (tc.there && string(got) != "was there" || !tc.there && code(err) != "NoSuchKey") {
			t.Errorf("%s was refused, and there is %q, %v", tc.what, got, err)
		}
	}
}

// deleteMany is what DeleteObjects says of one object.
func (u *s3User) deleteMany(ctx context.Context, bucket string, o types.ObjectIdentifier) error {
	out, err := u.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &bucket, Delete: &types.Delete{Objects: []types.ObjectIdentifier{o}}})
	if err == nil && len(out.Errors) > 0 {
		err = errors.New(aws.ToString(out.Errors[0].Code))
	}
	return err
}

// s3OtherConditions shows that what is not held is refused.
func s3OtherConditions(t *testing.T, b *buckets) {
	ctx, c, name, key := t.Context(), b.anna.client, b.anna.bucket(t), aws.String("key")
	must(t, b.anna.put(ctx, name, *key, []byte("was there")))
	for what, err := range map[string]error{
		"deleting by its size":        code1(c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &name, Key: key, IfMatchSize: aws.Int64(1)})),
		"deleting by its time":        code1(c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &name, Key: key, IfMatchLastModifiedTime: aws.Time(time.Now())})),
		"deleting many by their size": b.anna.deleteMany(ctx, name, types.ObjectIdentifier{Key: key, Size: aws.Int64(1)}),
		"deleting many by their time": b.anna.deleteMany(ctx, name, types.ObjectIdentifier{Key: key, LastModifiedTime: aws.Time(time.Now())}),
		"deleting many by version":    b.anna.deleteMany(ctx, name, types.ObjectIdentifier{Key: key, VersionId: aws.String("1")}),
		"adding to it":                code1(c.PutObject(ctx, &s3.PutObjectInput{Bucket: &name, Key: key, WriteOffsetBytes: aws.Int64(9)})),
		"a directory":                 code1(c.PutObject(ctx, &s3.PutObjectInput{Bucket: &name, Key: aws.String("dir/"), IfNoneMatch: aws.String("*")})),
	} {
		if code(err) != "NotImplemented" {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got, err := b.anna.get(ctx, name, *key); err != nil || string(got) != "was there" {
		t.Errorf("after all that was refused: %q, %v", got, err)
	}
}

// s3CopyOfWhatIsWritten copies an object that is written to all the time.
func s3CopyOfWhatIsWritten(t *testing.T, b *buckets) {
	name := b.anna.bucket(t)
	must(t, b.anna.put(t.Context(), name, "key", nil))
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	defer writers.Wait()
	defer stop()
	for range 2 {
		writers.Go(func() {
			for ctx.Err() == nil {
				if err := b.anna.put(ctx, name, "key", randomBytes(32)); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	for copies := 0; copies < 150; {
		made, err := b.anna.client.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &name, Key: aws.String("copy"), CopySource: aws.String(name + "/key")})
		if code(err) == "ServiceUnavailable" { // it came in between, and clients try again
			continue
		}
		must(t, err)
		copies++
		content, err := b.anna.get(ctx, name, "copy")
		must(t, err)
		if tag := fmt.Sprintf(`"%x"`, md5.Sum(content)); aws.ToString(made.CopyObjectResult.ETag) != tag {
			t.Fatalf("the copy %d has the tag %s, and the content of %s", copies, *made.CopyObjectResult.ETag, tag)
		}
	}
}
