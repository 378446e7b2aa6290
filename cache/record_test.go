package cache

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"satchel/api"
)

func drawID(t *rapid.T) (id api.ID) {
	copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
	return id
}

func drawXattrs(t *rapid.T) map[string][]byte {
	n := rapid.IntRange(0, 3).Draw(t, "xattrs")
	if n == 0 {
		return nil
	}
	x := map[string][]byte{}
	for range n {
		var v []byte
		if rapid.Bool().Draw(t, "set") {
			v = append([]byte{}, rapid.SliceOf(rapid.Byte()).Draw(t, "value")...)
		}
		x[rapid.String().Draw(t, "name")] = v
	}
	return x
}

func TestRecordRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := record{
			typ: rapid.SampledFrom([]byte("fdlpsbc")).Draw(t, "type"), flags: rapid.Byte().Draw(t, "flags"),
			mode: rapid.Uint32().Draw(t, "mode"), uid: rapid.Int64().Draw(t, "uid"), gid: rapid.Int64().Draw(t, "gid"),
			nlink: rapid.Uint32().Draw(t, "nlink"), rdev: rapid.Uint32().Draw(t, "rdev"),
			size: rapid.Int64().Draw(t, "size"), atime: rapid.Int64().Draw(t, "atime"), mtime: rapid.Int64().Draw(t, "mtime"),
			ctime: rapid.Int64().Draw(t, "ctime"), btime: rapid.Int64().Draw(t, "btime"), rev: rapid.Int64().Draw(t, "rev"),
			slot: rapid.Uint64().Draw(t, "slot"), version: drawID(t), up: drawID(t), name: api.Name(rapid.String().Draw(t, "name")),
			target: rapid.String().Draw(t, "target"), xattrs: drawXattrs(t),
		}
		copy(r.sha[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "sha"))
		b := r.append(nil)
		got, err := decodeRecord(b)
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Fatalf("decoded %+v, %v; want %+v", got, err, r)
		}
		cut := rapid.IntRange(0, len(b)-1).Draw(t, "cut")
		if _, err := decodeRecord(b[:cut]); err == nil {
			t.Fatalf("a record cut to %d of %d bytes was taken", cut, len(b))
		}
	})
}

func TestMutationRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := func(what string) api.Name { return api.Name(rapid.String().Draw(t, what)) }
		m := api.Mutation{Op: rapid.SampledFrom(ops[:]).Draw(t, "op"), Node: drawID(t), Parent: drawID(t), Name: name("name"),
			ToParent: drawID(t), ToName: name("to"), Replaces: drawID(t), Base: drawID(t), Heir: drawID(t), Time: rapid.Int64().Draw(t, "time")}
		if rapid.Bool().Draw(t, "attr") {
			a := &api.Attr{Type: rapid.SampledFrom([]api.Type{"", api.File, api.Directory}).Draw(t, "type"),
				Rdev: rapid.Uint32().Draw(t, "rdev"), Target: name("target"), Xattrs: drawXattrs(t)}
			if rapid.Bool().Draw(t, "has mode") {
				v := rapid.Uint32().Draw(t, "mode")
				a.Mode = &v
			}
			for _, p := range []**int64{&a.UID, &a.GID, &a.Mtime} {
				if rapid.Bool().Draw(t, "has") {
					v := rapid.Int64().Draw(t, "value")
					*p = &v
				}
			}
			m.Attr = a
		}
		got, err := decodeMutation(appendMutation(nil, &m))
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Fatalf("decoded %+v, %v; want %+v", got, err, m)
		}
	})
}

// What the replica keeps is read as it was written, and what is not whole is refused.
func FuzzDecode(f *testing.F) {
	r := record{typ: 'f', name: "n", xattrs: map[string][]byte{"user.a": []byte("b")}}
	f.Add(r.append(nil))
	f.Add(appendMutation(nil, &api.Mutation{Op: api.OpRename, Name: "a", ToName: "b", Attr: &api.Attr{}}))
	f.Add((&slotRecord{dirty: true, ctime: 1}).append(nil))
	f.Add((&kid{typ: 'f', seq: 1 << 40}).append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := decodeRecord(b); err == nil {
			if again, err := decodeRecord(r.append(nil)); err != nil || !reflect.DeepEqual(again, r) {
				t.Fatalf("%+v became %+v, %v", r, again, err)
			}
		}
		if m, err := decodeMutation(b); err == nil {
			if again, err := decodeMutation(appendMutation(nil, &m)); err != nil || !reflect.DeepEqual(again, m) {
				t.Fatalf("%+v became %+v, %v", m, again, err)
			}
		}
		if s, err := decodeSlot(b); err == nil {
			if again, err := decodeSlot(s.append(nil)); err != nil || again != s {
				t.Fatalf("%+v became %+v, %v", s, again, err)
			}
		}
		if k, err := decodeKid(b); err == nil {
			if again, err := decodeKid(k.append(nil)); err != nil || again != k {
				t.Fatalf("%+v became %+v, %v", k, again, err)
			}
		}
	})
}

// An access control list says what its mode says, before and after chmod.
func FuzzACL(f *testing.F) {
	f.Add([]byte("\x02\x00\x00\x00\x01\x00\x06\x00\xff\xff\xff\xff\x04\x00\x04\x00\xff\xff\xff\xff\x20\x00\x04\x00\xff\xff\xff\xff"), uint32(0o750))
	f.Add([]byte("\x02\x00\x00\x00"), uint32(0))
	f.Fuzz(func(t *testing.T, b []byte, mode uint32) {
		a, err := parseACL(b)
		if err != nil {
			return
		}
		if m := a.mode(); m&^0o777 != 0 {
			t.Fatalf("%x has the mode %o", b, m)
		}
		changed, err := parseACL(chmodACL(b, mode))
		if err != nil || len(changed) != len(b) {
			t.Fatalf("%x became %x, %v", b, changed, err)
		}
		for i, p := range changed.classes() {
			if p != nil && uint32(p[0]) != mode>>(6-3*i)&7 {
				t.Fatalf("%x with the mode %o became %x", b, mode, changed)
			}
		}
	})
}
