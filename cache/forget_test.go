package cache

import (
	"fmt"
	"slices"
	"testing"
)

// An asker notes what it is asked.
type asker struct {
	noKernel
	prunes, covered bool
	said            []string
}

func (k *asker) Prune(fids []uint64) bool {
	if k.prunes {
		k.said = append(k.said, fmt.Sprint("prune ", fids))
	}
	return k.prunes
}
func (k *asker) Covered() bool { return k.covered }
func (k *asker) EntryChanged(parent uint64, n string) {
	k.said = append(k.said, fmt.Sprint(parent, "/", n))
}

// A kernel that can forget nodes is asked for that, all at once, whatever is mounted; another drops their names unless something is mounted there.
func TestForget(t *testing.T) {
	notes := []note{{fid: 1, name: "a", kid: 7}, {fid: 2, name: "b", kid: 8}}
	for _, c := range []struct {
		prunes, covered bool
		want            []string
	}{
		{true, false, []string{"prune [7 8]"}},
		{true, true, []string{"prune [7 8]"}},
		{false, false, []string{"1/a", "2/b"}},
		{false, true, nil},
	} {
		k := &asker{prunes: c.prunes, covered: c.covered}
		forget(k, notes)
		if !slices.Equal(k.said, c.want) {
			t.Errorf("prunes %v, covered %v: %q", c.prunes, c.covered, k.said)
		}
	}
}
