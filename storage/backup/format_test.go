package backup

import (
	"bytes"
	"testing"

	"github.com/klauspost/compress/zstd"

	"satchel/api"
	"satchel/storage/postgres"
)

// written is a small stream with one of everything.
func written(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	s := newWriter(&b)
	packed, err := zstd.NewWriter(s)
	if err != nil {
		t.Fatal(err)
	}
	step := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	step(s.json(frameHeader, Header{Schema: 1, Content: Inside, Packs: 1}))
	step(s.frame(frameKey, make([]byte, 32)))
	step(s.json(frameTable, postgres.Table{Name: "users", Columns: []string{"id"}}))
	_, err = packed.Write([]byte("one\ntwo\n"))
	step(err)
	step(packed.Close())
	step(s.frame(frameEnd, nil))
	step(s.json(framePack, postgres.KeptPack{ID: api.NewID(), Bytes: 3}))
	_, err = s.Write([]byte("abc"))
	step(err)
	step(s.frame(frameEnd, nil))
	step(s.json(frameSummary, Summary{Rows: 2}))
	_, err = s.close()
	step(err)
	return b.Bytes()
}

// Every byte of a backup counts: one that is changed, missing or too many is found.
func TestEveryByteCounts(t *testing.T) {
	whole := written(t)
	report, err := Check(bytes.NewReader(whole), Options{})
	if err != nil || report.Rows != 2 || len(report.Damaged) != 1 { // "abc" is no pack
		t.Fatalf("a whole one: %+v, %v", report, err)
	}
	for i := range whole {
		broken := bytes.Clone(whole)
		broken[i] ^= 0x40
		if _, err := Check(bytes.NewReader(broken), Options{}); api.KindOf(err) != api.Invalid {
			t.Errorf("byte %d of %d changed: %v", i, len(whole), err)
		}
		if _, err := Check(bytes.NewReader(whole[:i]), Options{}); api.KindOf(err) != api.Invalid {
			t.Errorf("cut after %d of %d bytes: %v", i, len(whole), err)
		}
	}
	if _, err := Check(bytes.NewReader(append(bytes.Clone(whole), 0)), Options{}); api.KindOf(err) != api.Invalid {
		t.Errorf("a byte too many: %v", err)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add(written(f))
	f.Add([]byte("satchel backup 1\nH\x00\x00\x00\x02{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := Check(bytes.NewReader(b), Options{}); err != nil && api.KindOf(err) != api.Invalid {
			t.Errorf("what is wrong in a backup is invalid, not %v", err)
		}
	})
}
