package main

import (
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"satchel/storage"
)

func TestRetentionFlags(t *testing.T) {
	var flags struct{ retention }
	parser := kong.Must(&flags)
	if _, err := parser.Parse(nil); err != nil || flags.policy() != storage.DefaultRetention {
		t.Errorf("by default %+v, %v", flags.policy(), err)
	}
	_, err := parser.Parse([]string{"--keep-versions", "12h", "--keep-daily", "400d", "--keep-trash", "0d"})
	want := storage.Retention{All: 12 * time.Hour, Daily: 400 * 24 * time.Hour}
	if err != nil || flags.policy() != want {
		t.Errorf("%+v, %v; want %+v", flags.policy(), err, want)
	}
	for _, wrong := range []string{"", "d", "-1d", "-1h", "1", "1.5d", "999999d", "a month"} {
		if _, err := parser.Parse([]string{"--keep-trash=" + wrong}); err == nil {
			t.Errorf("--keep-trash %q was taken for %v", wrong, flags.policy().Trash)
		}
	}
}
