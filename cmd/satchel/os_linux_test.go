package main

import "testing"

func TestMountedType(t *testing.T) {
	if kind, err := mountedType("/proc"); err != nil || kind != "proc" {
		t.Errorf("/proc: %q, %v", kind, err)
	}
	if kind, err := mountedType("/proc/self"); err != nil || kind != "" {
		t.Errorf("/proc/self: %q, %v", kind, err)
	}
	if got := unescapeOctal(`/mnt/a\040b\134c\011\04`); got != "/mnt/a b\\c\t\\04" {
		t.Errorf("%q", got)
	}
}
