package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"satchel/api"
	"satchel/storage/fault"
)

// A part's chunks stay as long as its upload.
func TestUploadInParts(t *testing.T) {
	w := newWorld(t)
	me := w.user(t, "editor")
	if err := w.CreateBucket(t.Context(), me, "bucket"); err != nil {
		t.Fatal(err)
	}
	b, err := w.Bucket(t.Context(), me, "bucket", "s3:PutObject", "k")
	if err != nil || !b.Own {
		t.Fatal(err)
	}
	id, err := b.BeginUpload(t.Context(), "k", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Upload(t.Context(), id, "another key", 0, 1); api.KindOf(err) != api.NotFound {
		t.Errorf("the upload by another key: %v", err)
	}
	stranger := w.user(t, "editor")
	if _, err := w.Bucket(t.Context(), stranger, "bucket", "s3:GetObject", "k"); api.KindOf(err) != api.Permission {
		t.Errorf("a stranger: %v", err)
	}
	if err := w.CreateBucket(t.Context(), stranger, "bucket"); api.KindOf(err) != api.Exists {
		t.Errorf("a taken name: %v", err)
	}
	if d := w.home(t, stranger); d.all(t) != "" {
		t.Errorf("the refused bucket left %s", d.all(t))
	}
}

// An upload ends with the transaction that makes its file: whoever goes before the answer, and asks again, finds either
// both or nothing done, and makes no file over a newer one.
func TestUploadCompletesOnce(t *testing.T) {
	w := newWorld(t)
	me := w.user(t, "editor")
	if err := w.CreateBucket(t.Context(), me, "bucket"); err != nil {
		t.Fatal(err)
	}
	b, err := w.Bucket(t.Context(), me, "bucket", "s3:PutObject", "k")
	if err != nil {
		t.Fatal(err)
	}
	home := w.home(t, me)
	for step, committed := range map[fault.Step]bool{fault.CommitWritten: false, fault.CommitDone: true} {
		key := string(step)
		id, err := b.BeginUpload(t.Context(), key, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.PutPart(t.Context(), id, key, 1, strings.NewReader("in parts"), func() (sum [16]byte, err error) { return [16]byte{1}, nil }); err != nil {
			t.Fatal(err)
		}
		_, parts, err := b.Upload(t.Context(), id, key, 0, MaxParts)
		if err != nil {
			t.Fatal(err)
		}
		ctx, gone := context.WithCancel(t.Context())
		disarm := fault.Arm(func(s fault.Step) {
			if s == step {
				gone()
			}
		})
		b.CompleteUpload(ctx, id, names(t, key), parts, nil, PutOptions{}) // nobody hears of it
		disarm()
		if !committed {
			if _, err := b.Lookup(t.Context(), names(t, key)); api.KindOf(err) != api.NotFound {
				t.Errorf("gone at %s: the file: %v", step, err)
			}
			if err := b.CompleteUpload(t.Context(), id, names(t, key), parts, nil, PutOptions{}); err != nil {
				t.Errorf("gone at %s, and again: %v", step, err)
			}
			continue
		}
		home.store(t, "bucket/"+key, "newer")
		again := PutOptions{Check: func(*api.Node, Object) error { return api.Errorf(api.Exists, "there is a file") }}
		if err := b.CompleteUpload(t.Context(), id, names(t, key), parts, nil, again); api.KindOf(err) != api.NotFound {
			t.Errorf("gone at %s, and again: %v, want not_found", step, err)
		}
		if err := b.CompleteUpload(t.Context(), id, names(t, key), parts, nil, PutOptions{}); api.KindOf(err) != api.NotFound {
			t.Errorf("gone at %s, and again without a condition: %v, want not_found", step, err)
		}
		if got := home.read(t, "bucket/"+key); got != "newer" {
			t.Errorf("gone at %s: the file is %q by now", step, got)
		}
	}
}

// Whoever completes an upload may look at its content first, and refuse it; then it goes on.
func TestUploadIsCheckedWhole(t *testing.T) {
	w := newWorld(t)
	me := w.user(t, "editor")
	if err := w.CreateBucket(t.Context(), me, "bucket"); err != nil {
		t.Fatal(err)
	}
	b, err := w.Bucket(t.Context(), me, "bucket", "s3:PutObject", "k")
	if err != nil {
		t.Fatal(err)
	}
	for _, texts := range [][]string{{"in one"}, {"in", " two"}} {
		key := fmt.Sprint(len(texts))
		id, err := b.BeginUpload(t.Context(), key, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, text := range texts {
			if err := b.PutPart(t.Context(), id, key, i+1, strings.NewReader(text), func() ([16]byte, error) { return [16]byte{1}, nil }); err != nil {
				t.Fatal(err)
			}
		}
		_, parts, err := b.Upload(t.Context(), id, key, 0, MaxParts)
		if err != nil {
			t.Fatal(err)
		}
		refused := errors.New("refused")
		var seen []byte
		check := func(r io.Reader) (err error) {
			seen, err = io.ReadAll(r)
			return errors.Join(err, refused)
		}
		if err := b.CompleteUpload(t.Context(), id, names(t, key), parts, check, PutOptions{}); !errors.Is(err, refused) {
			t.Errorf("%q, refused: %v", texts, err)
		}
		if want := strings.Join(texts, ""); string(seen) != want {
			t.Errorf("%q was checked as %q", texts, seen)
		}
		if _, err := b.Lookup(t.Context(), names(t, key)); api.KindOf(err) != api.NotFound {
			t.Errorf("%q was refused, and is there: %v", texts, err)
		}
		half := func(r io.Reader) error { _, err := r.Read(make([]byte, 1)); return err }
		if err := b.CompleteUpload(t.Context(), id, names(t, key), parts, half, PutOptions{}); err != nil {
			t.Errorf("%q, of which a byte was looked at: %v", texts, err)
		}
		w.home(t, me).read(t, "bucket/"+key) // compares its hash
	}
}
