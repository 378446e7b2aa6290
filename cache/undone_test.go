package cache

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"satchel/api"
)

// refusing is a server that refuses to create what has one of some names.
type refusing struct {
	Remote
	names []api.Name
}

func (r refusing) Commit(ctx context.Context, b api.Batch) (api.Committed, error) {
	b.Mutations = slices.Clone(b.Mutations)
	for i := range b.Mutations {
		if m := &b.Mutations[i]; m.Op == api.OpCreate && slices.Contains(r.names, m.Name) {
			m.Attr = nil // which no creation may lack
		}
	}
	return r.Remote.Commit(ctx, b)
}

// A folder and a symlink that the server refuses are gone, and told of; nobody has to look for them anywhere.
func TestRefusedFolderIsToldAndDone(t *testing.T) {
	for _, rescues := range []bool{false, true} {
		t.Run(fmt.Sprintf("rescue=%v", rescues), func(t *testing.T) {
			a, b, _, _ := pair(t)
			must(t, a.mkdir("d"))
			mustQuiet(t, a, b)
			a.end()
			a.wire.mend()
			if rescues {
				a.cfg.Rescue = func(name string, content io.Reader) (string, error) { return "Recovered/" + name, nil }
			}
			a.start()
			a.wire.Remote = refusing{a.wire.Remote, []api.Name{"folder", "link"}}
			must(t, a.mkdir("d/folder"))
			must(t, a.symlink("where/it/leads", "d/link"))
			must(t, a.write("d/after", "goes on"))
			must(t, a.d.Sync(t.Context(), true, nil))
			truth := mustQuiet(t, a, b)
			if len(truth) != 2 || truth["d/after"].content != "goes on" {
				t.Errorf("the drive has\n%v", truth)
			}
			s := a.d.Status()
			if s.Refused != 2 || s.Unsettled != 0 || s.PendingMutations != 0 {
				t.Errorf("refused %d, unsettled %d, pending %d", s.Refused, s.Unsettled, s.PendingMutations)
			}
			told := map[api.Name]string{}
			for _, e := range s.Events {
				if e.What == EventUndone {
					told[e.Path] = e.Why
				}
			}
			if len(s.Events) != 2 || told["d/folder"] == "" || !strings.Contains(told["d/link"], `"where/it/leads"`) {
				t.Errorf("told of %v", s.Events)
			}
		})
	}
}
