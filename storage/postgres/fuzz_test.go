package postgres

import (
	"bytes"
	"testing"
)

// A manifest is whole records, and what is read of it is written again.
func FuzzManifest(f *testing.F) {
	f.Add(make([]byte, manifestRecord))
	f.Add(bytes.Repeat([]byte{1}, 2*manifestRecord+1))
	f.Fuzz(func(t *testing.T, b []byte) {
		chunks := unpackManifest(b)
		whole := b[:len(b)-len(b)%manifestRecord]
		if again := packManifest(chunks); !bytes.Equal(again, whole) {
			t.Fatalf("%x became %x", whole, again)
		}
	})
}
