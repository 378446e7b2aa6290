package storage

import (
	"bytes"
	"io"
	"math/rand"
	"strings"
	"testing"

	"satchel/api"
	"satchel/storage/fault"
)

// appends sends the next bytes of an upload, and tells how many parts it has then.
func (d *drive) appends(t *testing.T, id api.ID, offset int, content []byte) (parts int) {
	t.Helper()
	u, err := d.Append(t.Context(), id, int64(offset), bytes.NewReader(content), ResumableOptions{})
	if err != nil || u.Offset != int64(offset+len(content)) {
		t.Fatalf("from %d on: %+v %v", offset, u, err)
	}
	row, err := d.resumableRow(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return row.Parts
}

// However many requests an upload takes, its parts are as many as its size says.
func TestResumableOfManyRequests(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	content := make([]byte, resumablePart+200_000)
	rand.New(rand.NewSource(1)).Read(content)
	u, err := d.BeginResumable(t.Context(), api.NewID(), names(t, "large"), int64(len(content)), nil)
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for _, step := range []struct{ requests, bytes, parts int }{{40, 1000, 1}, {1, resumablePart - 1000, 1}, {20, 5000, 2}} {
		for range step.requests {
			if parts := d.appends(t, u.ID, at, content[at:at+step.bytes]); parts != step.parts {
				t.Fatalf("%d parts for %d bytes, and not %d", parts, at+step.bytes, step.parts)
			}
			at += step.bytes
		}
	}
	if parts := d.appends(t, u.ID, at, content[at:]); parts != 0 {
		t.Errorf("%d parts are left of what became a file", parts)
	}
	if d.read(t, "large") != string(content) {
		t.Error("the file is another one")
	}
	w.verify(t, d.ID())
}

// Of two requests that go on from one place the quicker one counts.
func TestResumableOfTwoAtOnce(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	u, err := d.BeginResumable(t.Context(), api.NewID(), names(t, "file"), 9, nil)
	if err != nil {
		t.Fatal(err)
	}
	d.appends(t, u.ID, 0, []byte("one"))
	slow := readerFunc(func(p []byte) (int, error) {
		d.appends(t, u.ID, 3, []byte("two"))
		return copy(p, "slow"), io.EOF
	})
	if _, err := d.Append(t.Context(), u.ID, 3, slow, ResumableOptions{}); api.KindOf(err) != api.Conflict {
		t.Errorf("the slower one: %v", err)
	}
	d.appends(t, u.ID, 6, []byte("six"))
	if got := d.read(t, "file"); got != "onetwosix" {
		t.Errorf("the file has %q", got)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestResumableTooLarge(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	if _, err := d.BeginResumable(t.Context(), api.NewID(), names(t, "largest"), MaxResumable, nil); err != nil {
		t.Error(err)
	}
	if _, err := d.BeginResumable(t.Context(), api.NewID(), names(t, "larger"), MaxResumable+1, nil); api.KindOf(err) != api.TooLarge {
		t.Errorf("more than parts have room for: %v", err)
	}
}

// intoAlices is bob's drive, and in it a folder of alice's in which he may write.
func (s *sharing) intoAlices(t *testing.T) *drive {
	t.Helper()
	s.grant(t, "shared", s.bob.User.String(), "read", "list", "write", "mkdir")
	if _, err := s.BindShared(t.Context(), s.bob, s.home.ID(), s.home.lookup(t, "shared").ID, names(t, "hers")); err != nil {
		t.Fatal(err)
	}
	return s.world.home(t, s.bob)
}

// An upload into another one's folder ends with the transaction that makes its file, as one into one's own: when the server
// dies at any moment the file is made once, and not again over what she wrote since.
func TestResumableElsewhereOnce(t *testing.T) {
	s := newSharing(t)
	d := s.intoAlices(t)
	for step, committed := range map[fault.Step]bool{fault.CommitLocked: false, fault.CommitWritten: false, fault.CommitDone: true} {
		at := string(step)
		u, err := d.BeginResumable(t.Context(), api.NewID(), names(t, "hers/"+at), 8, nil)
		if err != nil {
			t.Fatal(err)
		}
		d.appends(t, u.ID, 0, []byte("of "))
		disarm := fault.Arm(func(s fault.Step) {
			if s == step {
				panic("it dies here")
			}
		})
		_, err = d.Append(t.Context(), u.ID, 3, strings.NewReader("bob's"), ResumableOptions{})
		disarm()
		if err == nil {
			t.Fatalf("%s: nothing was broken off", at)
		}
		if committed {
			s.home.store(t, "shared/"+at, "newer")
		}
		if u, err = d.Resumable(t.Context(), u.ID); err != nil || (u.Offset == u.Size) != committed {
			t.Errorf("%s: the upload is %+v, %v", at, u, err)
		}
		_, err = d.Append(t.Context(), u.ID, 3, strings.NewReader("bob's"), ResumableOptions{})
		want, kind := "of bob's", api.Kind("")
		if committed {
			want, kind = "newer", api.Conflict
		}
		if got := s.home.read(t, "shared/"+at); got != want || api.KindOf(err) != kind {
			t.Errorf("%s, and again: %v, and the file has %q", at, err, got)
		}
	}
	s.verify(t, d.ID())
	s.verify(t, s.home.ID())
}

// Who sends the last part again, while all is being stored in another one's folder, does not begin another copy.
func TestResumableElsewhereOneAtATime(t *testing.T) {
	s := newSharing(t)
	d := s.intoAlices(t)
	u, err := d.BeginResumable(t.Context(), api.NewID(), names(t, "hers/file"), 8, nil)
	if err != nil {
		t.Fatal(err)
	}
	d.appends(t, u.ID, 0, []byte("of "))
	last := func() error {
		_, err := d.Append(t.Context(), u.ID, 3, strings.NewReader("bob's"), ResumableOptions{})
		return err
	}
	packs, again := 0, error(nil)
	defer fault.Arm(func(s fault.Step) {
		if s != fault.PackStored {
			return
		}
		if packs++; packs == 2 { // after that of the last part: the copy's
			again = last()
		}
	})()
	if err := last(); err != nil {
		t.Error(err)
	}
	if packs != 2 || api.KindOf(again) != api.Unavailable {
		t.Errorf("%d packs were stored; another one meanwhile: %v", packs, again)
	}
	if got := s.home.read(t, "shared/file"); got != "of bob's" {
		t.Errorf("the file has %q", got)
	}
	if err := last(); api.KindOf(err) != api.Conflict {
		t.Errorf("another one later: %v", err)
	}
}
