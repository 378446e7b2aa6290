package main

import "testing"

func TestSize(t *testing.T) {
	for in, want := range map[string]size{"0": 0, "1": 1, "1k": 1 << 10, "20G": 20 << 30, "20GiB": 20 << 30, "3MB": 3 << 20, "8191P": 8191 << 50} {
		var s size
		if err := s.UnmarshalText([]byte(in)); err != nil || s != want {
			t.Errorf("%s = %d, %v; want %d", in, s, err, want)
		}
	}
	for _, in := range []string{"", "G", "-1", "1.5G", "1X", "9000P", "99999999999999999999"} {
		var s size
		if err := s.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("%q = %d, want an error", in, s)
		}
	}
	for in, want := range map[size]string{0: "none", 1000: "1000", 1 << 10: "1K", 20 << 30: "20G", 1<<30 + 1<<20: "1025M"} {
		if got := in.String(); got != want {
			t.Errorf("%d is written %q, want %q", int64(in), got, want)
		}
	}
}
