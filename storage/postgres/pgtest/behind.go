package pgtest

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
)

// What the tests of the APIs do behind the server's back; url is [Database.Admin] if nothing else is said.

func number(t testing.TB, url, query string, args ...any) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if err := conn.QueryRow(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Waiting is how many sessions wait for a lock.
func Waiting(t testing.TB, url string) int {
	t.Helper()
	return number(t, url, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
}

// ChangingPassword is how many sessions wait for a lock to change a password.
func ChangingPassword(t testing.TB, url string) int {
	t.Helper()
	return number(t, url, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'SELECT satchel.change_password(%'`)
}

// Files is how many files live.
func Files(t testing.TB, url string) int {
	t.Helper()
	return number(t, url, `SELECT count(*) FROM satchel.nodes WHERE type = 'f' AND nlink > 0`)
}

// Described is how many documents have a description.
func Described(t testing.TB, url, as string) int {
	t.Helper()
	return number(t, url, `SELECT count(*) FROM satchel.documents WHERE description = $1`, as)
}

// DescribeLong gives all files descriptions of so many bytes, as there may be of the time before there was a bound.
func DescribeLong(t testing.TB, url string, bytes int) {
	t.Helper()
	number(t, url, `WITH long AS (INSERT INTO satchel.documents (drive, owner, id, description)
		SELECT drive, owner, document, repeat('d', $1) FROM satchel.nodes WHERE type = 'f' RETURNING 1) SELECT count(*) FROM long`, bytes)
}

// DescribeUploads gives all uploads that were begun a description, however long, as they may have of the time before there was a bound.
func DescribeUploads(t testing.TB, url, as string) {
	t.Helper()
	number(t, url, `WITH long AS (UPDATE satchel.uploads SET headers = headers || jsonb_build_object('description', $1::text) RETURNING 1) SELECT count(*) FROM long`, as)
}

// HoldLocks adds a holder's shared WebDAV locks of paths, and what is below them, to a user's drives.
func HoldLocks(t testing.TB, url, email, holder string, paths []string) {
	t.Helper()
	number(t, url, `WITH held AS (INSERT INTO satchel.locks (drive, owner, token, path, deep, shared, holder, expires)
		SELECT d.id, d.owner, gen_random_uuid(), p, true, true, $2, now() + interval '1 hour'
		FROM satchel.drives d JOIN satchel.users u ON u.id = d.owner AND u.email = $3, unnest($1::text[]) p RETURNING 1) SELECT count(*) FROM held`, paths, holder, email)
}

// EndShares ends what a user shares, as docs/operations.md says; url is [Database.App].
func EndShares(t testing.TB, url, user string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), `SELECT set_config('satchel.user_id', '`+user+`', false);
		SELECT count(satchel.revoke_access(drive, node, principal, 127)) FROM satchel.grants;
		DELETE FROM satchel.links;
		UPDATE satchel.buckets SET policy = NULL, rules = '[]'`); err != nil {
		t.Fatal(err)
	}
}
