package integration

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func s3CompletesTwice(t *testing.T, b *buckets) {
	for what, none := range map[string]*string{"": nil, ", where there was none": aws.String("*")} {
		t.Run("an object"+what, func(t *testing.T) { s3CompletesAtOnce(t, b, none) })
	}
}

// s3CompletesAtOnce completes an upload several times at once and once more; none is its If-None-Match.
func s3CompletesAtOnce(t *testing.T, b *buckets, none *string) {
	ctx, c, name, key := t.Context(), b.anna.client, b.anna.bucket(t), "key"
	up, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &name, Key: &key})
	must(t, err)
	var done []types.CompletedPart
	for i := range int32(2) {
		part, err := c.UploadPart(ctx, &s3.UploadPartInput{Bucket: &name, Key: &key, UploadId: up.UploadId, PartNumber: aws.Int32(i + 1), Body: bytes.NewReader([]byte{'a' + byte(i)})})
		must(t, err)
		done = append(done, types.CompletedPart{PartNumber: aws.Int32(i + 1), ETag: part.ETag})
	}
	complete := func(parts []types.CompletedPart) (string, error) {
		out, err := c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: &name, Key: &key, UploadId: up.UploadId, IfNoneMatch: none, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
		if err != nil {
			return "", err
		}
		return aws.ToString(out.ETag), nil
	}
	type answer struct {
		tag string
		err error
	}
	answers := make(chan answer, 8) // who asks again does not always wait until the first answer is made
	for range cap(answers) {
		go func() {
			tag, err := complete(done)
			answers <- answer{tag, err}
		}()
	}
	var first string
	for range cap(answers) {
		a := <-answers
		if first = cmp.Or(first, a.tag); a.err != nil || a.tag != first {
			t.Errorf("of several at once: %q %v, and another %q", a.tag, a.err, first)
		}
	}
	if again, err := complete(done); err != nil || again != first {
		t.Errorf("again: %s %v, and at first %s", again, err, first)
	}
	other := slices.Clone(done)
	slices.Reverse(other)
	if _, err := complete(other); code(err) != "NoSuchUpload" {
		t.Errorf("of other parts: %v", err)
	}
	must(t, b.anna.put(ctx, name, key, []byte("by now")))
	if _, err := complete(done); code(err) != "NoSuchUpload" {
		t.Errorf("when the key has another object: %v", err)
	}
}

// s3ObjectSums completes uploads with sums of the object, which are not those of the request's body.
func s3ObjectSums(t *testing.T, b *buckets) {
	ctx, c, name := t.Context(), b.anna.client, b.anna.bucket(t)
	const first, second = "the first part", "and the second one"
	in64 := func(h hash.Hash, texts ...string) *string {
		for _, text := range texts {
			h.Write([]byte(text))
		}
		return aws.String(base64.StdEncoding.EncodeToString(h.Sum(nil)))
	}
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	of := func(text string) string { s := sha256.Sum256([]byte(text)); return string(s[:]) }
	ofParts := in64(sha256.New(), of(first), of(second))
	for what, tc := range map[string]struct {
		in   s3.CompleteMultipartUploadInput
		want string
	}{
		"CRC32":                           {s3.CompleteMultipartUploadInput{ChecksumCRC32: in64(crc32.NewIEEE(), first, second)}, ""},
		"CRC32, of the content":           {s3.CompleteMultipartUploadInput{ChecksumCRC32: in64(crc32.NewIEEE(), first, second), ChecksumType: types.ChecksumTypeFullObject}, ""},
		"CRC32, said to be of the parts":  {s3.CompleteMultipartUploadInput{ChecksumCRC32: in64(crc32.NewIEEE(), first, second), ChecksumType: types.ChecksumTypeComposite}, "BadDigest"},
		"CRC32C":                          {s3.CompleteMultipartUploadInput{ChecksumCRC32C: in64(crc32.New(castagnoli), first, second)}, ""},
		"CRC64NVME":                       {s3.CompleteMultipartUploadInput{ChecksumCRC64NVME: aws.String("fx7+TNCszkk=")}, ""},
		"SHA256":                          {s3.CompleteMultipartUploadInput{ChecksumSHA256: ofParts}, ""},
		"SHA256, with the number":         {s3.CompleteMultipartUploadInput{ChecksumSHA256: aws.String(*ofParts + "-2")}, ""},
		"SHA256, with another number":     {s3.CompleteMultipartUploadInput{ChecksumSHA256: aws.String(*ofParts + "-3")}, "BadDigest"},
		"SHA256, said to be of the whole": {s3.CompleteMultipartUploadInput{ChecksumSHA256: ofParts, ChecksumType: types.ChecksumTypeFullObject}, "BadDigest"},
		"another CRC32":                   {s3.CompleteMultipartUploadInput{ChecksumCRC32: in64(crc32.NewIEEE(), first)}, "BadDigest"},
		"no CRC32":                        {s3.CompleteMultipartUploadInput{ChecksumCRC32: aws.String("?")}, "BadDigest"},
		"its size":                        {s3.CompleteMultipartUploadInput{MpuObjectSize: aws.Int64(int64(len(first + second)))}, ""},
		"another size":                    {s3.CompleteMultipartUploadInput{MpuObjectSize: aws.Int64(1)}, "InvalidRequest"},
	} {
		up, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &name, Key: &what})
		must(t, err)
		tc.in.Bucket, tc.in.Key, tc.in.UploadId, tc.in.MultipartUpload = &name, &what, up.UploadId, &types.CompletedMultipartUpload{}
		for i, text := range []string{first, second} {
			number := aws.Int32(int32(i + 1))
			part, err := c.UploadPart(ctx, &s3.UploadPartInput{Bucket: &name, Key: &what, UploadId: up.UploadId, PartNumber: number, Body: strings.NewReader(text)})
			must(t, err)
			tc.in.MultipartUpload.Parts = append(tc.in.MultipartUpload.Parts, types.CompletedPart{PartNumber: number, ETag: part.ETag})
		}
		if err := code1(c.CompleteMultipartUpload(ctx, &tc.in)); code(err) != tc.want {
			t.Errorf("%s: %v, wanted %q", what, err, tc.want)
		}
		got, err := b.anna.get(ctx, name, what)
		if tc.want == "" && string(got) != first+second || tc.want != "" && code(err) != "NoSuchKey" {
			t.Errorf("%s: there is %q, %v", what, got, err)
		}
	}
}
