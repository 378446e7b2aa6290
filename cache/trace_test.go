package cache

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"satchel/api"
)

// simTrace writes what passes between each device and the server into the device's log.
const simTrace = "SATCHEL_SIM_TRACE"

// traced is a server whose answers are written down.
type traced struct {
	Remote
	log *logBuffer
}

func trace(r Remote, log *logBuffer) Remote {
	if os.Getenv(simTrace) == "" {
		return r
	}
	return traced{r, log}
}

// short is the end of an id, which tells one from the other.
func short(id api.ID) string { return id.String()[24:] }

func (t traced) note(format string, args ...any) { fmt.Fprintf(t.log, format+"\n", args...) }

func (t traced) Commit(ctx context.Context, b api.Batch) (api.Committed, error) {
	c, err := t.Remote.Commit(ctx, b)
	t.note("batch %d of %s → seq %d, %v; %s", b.Number, short(b.Incarnation), c.Seq, err, stateText(c.State))
	for i, m := range b.Mutations {
		became := ""
		if err == nil {
			became = fmt.Sprintf("%s seq %d %s", c.Outcomes[i].Status, c.Outcomes[i].Seq, c.Outcomes[i].Message)
		}
		t.note("    %s %s %s/%q to %s/%q replaces %s base %s → %s", m.Op, short(m.Node), short(m.Parent), m.Name,
			short(m.ToParent), m.ToName, short(m.Replaces), short(m.Base), became)
	}
	return c, err
}

func (t traced) Children(ctx context.Context, dir api.ID, after api.Name, limit int, next func(api.Name)) (api.Listing, error) {
	l, err := t.Remote.Children(ctx, dir, after, limit, next)
	t.note("list %s → seq %d, %v; %s", short(dir), l.Seq, err, stateText(l.State))
	return l, err
}

func (t traced) Listings(ctx context.Context, dirs []api.ID, limit int) ([]api.Listed, error) {
	all, err := t.Remote.Listings(ctx, dirs, limit)
	t.note("list %d directories → %d answers, %v", len(dirs), len(all), err)
	for i, l := range all {
		t.note("    %s → seq %d, %s; %s", short(dirs[i]), l.Seq, l.Problem, stateText(l.State))
	}
	return all, err
}

func (t traced) Changes(ctx context.Context, life, epoch api.ID, after int64, wait time.Duration) (api.Changes, error) {
	c, err := t.Remote.Changes(ctx, life, epoch, after, wait)
	t.note("changes after %d → seq %d, %v; %s", after, c.Seq, err, stateText(c.State))
	return c, err
}

func stateText(s api.State) string {
	var b strings.Builder
	for _, n := range s.Nodes {
		fmt.Fprintf(&b, "%s rev %d ×%d, ", short(n.ID), n.Rev, n.Nlink)
	}
	for _, id := range s.Gone {
		fmt.Fprintf(&b, "%s gone, ", short(id))
	}
	for _, e := range s.Entries {
		fmt.Fprintf(&b, "%s/%q=%s, ", short(e.Parent), e.Name, short(e.Node))
	}
	return b.String()
}
