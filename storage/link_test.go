package storage

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/storage/postgres"
)

// TestLinksAreInTheLog: who made a link and who removed it is in the audit log, and that its time
// was over, which is nobody's doing; the secret that opens it is not.
func TestLinksAreInTheLog(t *testing.T) {
	s := newSharing(t)
	kept, err := s.home.AddLink(t.Context(), names(t, "shared"), LinkOptions{PasswordHash: "a hash", Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	removed, err := s.home.AddLink(t.Context(), names(t, "six"), LinkOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.home.RemoveLink(t.Context(), removed.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.world.admin.Exec(t.Context(), `UPDATE satchel.links SET expires = now() - interval '1 second' WHERE id = $1`, kept.ID.String()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Expire(t.Context(), Retention{Versions: time.Hour, Daily: time.Hour, Trash: time.Hour}, time.Now()); err != nil {
		t.Fatal(err)
	}

	type told struct{ action, subject, actor, via string }
	var got []told
	err = s.db.AsReadOnly(t.Context(), s.admin.User, func(ctx context.Context, tx *postgres.Tx) error {
		events, err := tx.Events(ctx, postgres.EventQuery{Limit: 100})
		for _, e := range slices.Backward(events) {
			if strings.HasPrefix(e.Action, "link ") {
				got = append(got, told{e.Action, e.Subject, e.Actor, e.Via})
				for _, l := range []Link{kept, removed} {
					if strings.Contains(string(e.Detail), l.Token) {
						t.Errorf("the log has what opens a link: %s", e.Detail)
					}
				}
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	alice := s.alice.User.String() + "@example.org"
	want := []told{{"link made", "shared", alice, "server"}, {"link made", "six", alice, "server"}, {"link removed", "six", alice, "server"}, {"link expired", "shared", "", "server"}}
	if !slices.Equal(got, want) {
		t.Errorf("the log has %v\nwant %v", got, want)
	}
}
