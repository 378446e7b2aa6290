package s3

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"satchel/api"
	"satchel/storage"
)

// pending are uploads in their order, and how often they were asked for.
type pending struct {
	all   []storage.Upload
	asked int
}

func (p *pending) list(after storage.Upload) ([]storage.Upload, error) {
	p.asked++
	i, _ := slices.BinarySearchFunc(p.all, after, func(u, after storage.Upload) int {
		return cmp.Or(strings.Compare(u.Key, after.Key), strings.Compare(u.ID.String(), after.ID.String()), -1)
	})
	return p.all[i:min(i+maxKeys, len(p.all))], nil
}

func pendingTo(keys ...string) *pending {
	slices.Sort(keys)
	p := &pending{}
	for _, key := range keys {
		p.all = append(p.all, storage.Upload{Key: key, ID: api.NewID()})
	}
	slices.SortStableFunc(p.all, func(a, b storage.Upload) int {
		return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.ID.String(), b.ID.String()))
	})
	return p
}

// TestGroupsOfUploadsAreNotRead: how many uploads are in a group does not count.
func TestGroupsOfUploadsAreNotRead(t *testing.T) {
	for _, delimiter := range []string{"/", "\ud7ff", "\U0010ffff"} {
		var keys []string
		for _, group := range []string{"a", "b", "\U0010ffff"} {
			for i := range 20 * maxKeys {
				keys = append(keys, fmt.Sprintf("%s%s%d", group, delimiter, i))
			}
		}
		p := pendingTo(append(keys, "c", "d")...)
		out := &uploads{Delimiter: delimiter, MaxUploads: maxKeys}
		if err := out.collect(api.ID{}, p.list); err != nil || out.IsTruncated || len(out.CommonPrefixes) != 3 || len(out.Upload) != 2 || p.asked > 4 {
			t.Errorf("by %q: asked %d times for %+v and %d more, %v", delimiter, p.asked, out.CommonPrefixes, len(out.Upload), err)
		}
		p.asked = 0
		out = &uploads{Delimiter: delimiter, MaxUploads: maxKeys, KeyMarker: "a" + delimiter}
		if err := out.collect(api.ID{}, p.list); err != nil || len(out.CommonPrefixes) != 2 || len(out.Upload) != 2 || p.asked > 3 {
			t.Errorf("after a group by %q: asked %d times for %+v and %d more, %v", delimiter, p.asked, out.CommonPrefixes, len(out.Upload), err)
		}
	}
	p := pendingTo(slices.Repeat([]string{"b"}, 20*maxKeys)...)
	out := &uploads{Prefix: "a", MaxUploads: maxKeys}
	if err := out.collect(api.ID{}, p.list); err != nil || len(out.Upload) != 0 || p.asked != 1 {
		t.Errorf("beside a prefix: asked %d times for %d, %v", p.asked, len(out.Upload), err)
	}
}

// key draws a key of letters at which orders could differ.
func key(t *rapid.T, name string) string {
	letters := rapid.SampledFrom([]string{"a", "b", "/", "é", "\ud7ff", "\ue000", "\uffff", "\U0010fffe", "\U0010ffff"})
	return strings.Join(rapid.SliceOfN(letters, 0, 4).Draw(t, name), "")
}

// Pages of any size have together what one has that is made of all uploads.
func TestPagesOfUploads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 30).Draw(t, "uploads")
		var keys []string
		for range n {
			keys = append(keys, key(t, "key"))
		}
		p := pendingTo(keys...)
		page := &uploads{Prefix: key(t, "prefix"), Delimiter: rapid.SampledFrom([]string{"", "/", "a", "\U0010ffff"}).Draw(t, "delimiter")}
		var want, got []string
		for _, u := range p.all {
			rest, within := strings.CutPrefix(u.Key, page.Prefix)
			before, _, found := strings.Cut(rest, page.Delimiter)
			text := u.Key + "=" + u.ID.String()
			if found && page.Delimiter != "" {
				text = "[" + page.Prefix + before + page.Delimiter + "]"
			}
			if within && (len(want) == 0 || want[len(want)-1] != text) {
				want = append(want, text)
			}
		}
		page.MaxUploads = rapid.IntRange(1, 5).Draw(t, "page")
		var after api.ID
		for more := true; more && len(got) <= len(want); {
			out := *page
			if err := out.collect(after, p.list); err != nil {
				t.Fatal(err)
			}
			var texts []string // a page has uploads and groups apart
			for _, u := range out.Upload {
				texts = append(texts, u.Key+"="+u.UploadID)
			}
			for _, g := range out.CommonPrefixes {
				texts = append(texts, "["+g.Prefix+"]")
			}
			slices.SortFunc(texts, func(a, b string) int { return slices.Index(want, a) - slices.Index(want, b) })
			got = append(got, texts...)
			more, page.KeyMarker, after = out.IsTruncated, out.NextKeyMarker, api.ID{}
			if out.NextUploadIDMarker != "" {
				var err error
				if after, err = api.ParseID(out.NextUploadIDMarker); err != nil {
					t.Fatal(err)
				}
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%q, want %q", got, want)
		}
	})
}

// What is behind a prefix is behind all that begin with it, and before all else that is.
func TestBehind(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prefix, other := key(t, "prefix"), key(t, "other")
		next := behind(prefix)
		if !uploadKey(next) {
			t.Fatalf("%q is no text", next)
		}
		before := next == "" || other < next
		if want := strings.HasPrefix(other, prefix) || other < prefix; before != want {
			t.Fatalf("%q is behind %q: %q is before it: %t", next, prefix, other, before)
		}
	})
}
