package main

import "testing"

// A size that one process was given is what it gives another.
func TestSizeExact(t *testing.T) {
	for text, want := range map[string]string{
		"10GiB": "10GiB", "10240M": "10GiB", "1.5GiB": "1536MiB", "10GB": "9765625KiB", "1000001": "1000001B", "0": "0B", "2T": "2TiB",
	} {
		var s, again size
		if err := s.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := again.UnmarshalText([]byte(s.exact())); err != nil || s.exact() != want || again != s {
			t.Errorf("%s is written %s and read as %d, %v", text, s.exact(), again, err)
		}
	}
}
