package api_test

import (
	"encoding/json"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"satchel/api"
)

// What is accepted is the path that package path makes of it, in one form.
func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"", "/", "a//b", "./a/b/", "a/../b", "a\x00b", "\xff/\xfe", strings.Repeat("n", 256), ".../..a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		names, err := api.ParsePath(s)
		if err != nil {
			if kind := api.KindOf(err); kind != api.Invalid && kind != api.NameTooLong {
				t.Fatalf("%q is refused with kind %s: %v", s, kind, err)
			}
			return
		}
		joined := api.JoinPath(names)
		if want := path.Clean("/" + s); "/"+joined != want || slices.Contains(strings.Split(s, "/"), "..") {
			t.Fatalf("%q became %q; want %q, and no ..", s, joined, want)
		}
		if again, err := api.ParsePath(joined); err != nil || !slices.Equal(again, names) {
			t.Fatalf("%q became %q, and that %q, %v", s, names, again, err)
		}
		for _, n := range names {
			if err := n.Check(); err != nil {
				t.Fatalf("%q has the name %q: %v", s, n, err)
			}
		}
	})
}

// Every name is text on the wire and comes back, and no text hides a slash or a NUL.
func FuzzEscape(f *testing.F) {
	for _, s := range []string{"", "plain", "caf\u00e9", "\xff\x80", "\U0010F780", "\U0010F7C3\U0010F7A9", "\xf4\x8f\x9e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text := api.Name(s).Escape()
		if !utf8.ValidString(text) || api.Unescape(text) != api.Name(s) {
			t.Fatalf("%q became %q and then %q", s, text, api.Unescape(text))
		}
		name := string(api.Unescape(s))
		for _, c := range []string{"/", "\x00"} {
			if strings.Count(name, c) != strings.Count(s, c) {
				t.Fatalf("%q became %q", s, name)
			}
		}
		if utf8.ValidString(s) && len(name) > len(s) {
			t.Fatalf("%q grew to %q", s, name)
		}
	})
}

// An id or a hash has one text, but for the case of its letters.
func FuzzID(f *testing.F) {
	f.Add("01890a5d-ac96-774b-bcce-b302099a8057")
	f.Add("01890A5D-AC96-774B-BCCE-B302099A8057")
	f.Add(strings.Repeat("a0", 32))
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := api.ParseID(s); err == nil && id.String() != strings.ToLower(s) {
			t.Errorf("%q became %s", s, id)
		}
		var h api.Hash
		if err := h.UnmarshalText([]byte(s)); err == nil && s != "" && h.String() != strings.ToLower(s) {
			t.Errorf("%q became %s", s, h)
		}
	})
}

// What a device's batch and a grant say is what the server writes of them again.
func FuzzWire(f *testing.F) {
	f.Add([]byte(`{"op":"create","node":"01890a5d-ac96-774b-bcce-b302099a8057","name":"a","attr":{"type":"file","mode":420,"xattrs":{"user.a":"Yg=="}}}`))
	f.Add([]byte(`{"op":"rename","name":"\udbff\udf80","to_name":"b","time":-1}`))
	f.Add([]byte(`{"path":"/a","permissions":["list","read"],"userId":"anonymous"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		same(t, b, &api.Mutation{}, &api.Mutation{})
		same(t, b, &api.Grant{}, &api.Grant{})
	})
}

// same reads b twice, the second time from what was written of the first.
func same(t *testing.T, b []byte, first, second any) {
	t.Helper()
	if json.Unmarshal(b, first) != nil {
		return
	}
	text, err := json.Marshal(first)
	if err != nil {
		t.Fatalf("%q can't be written again: %v", b, err)
	}
	if err := json.Unmarshal(text, second); err != nil {
		t.Fatalf("%q was written as %s: %v", b, text, err)
	}
	if again, err := json.Marshal(second); err != nil || string(again) != string(text) {
		t.Fatalf("%s became %s, %v", text, again, err)
	}
	if g, ok := first.(*api.Grant); ok && !reflect.DeepEqual(first, second) {
		t.Fatalf("%+v became %+v", g, second)
	}
}
