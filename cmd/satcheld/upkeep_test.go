package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
	"satchel/api/admin"
	"satchel/storage/blob/local"
	"satchel/storage/gc"
	"satchel/storage/postgres"
	"satchel/storage/postgres/pgtest"
)

// TestUntoldRun: of a run that failed, and whose end the database can't be told either, the log says both.
func TestUntoldRun(t *testing.T) {
	linked, cut := pgtest.Link(t, pgtest.New(t).Owner)
	blobs, err := local.Open(filepath.Join(t.TempDir(), "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	failed := errors.New("the database went away")
	u := &upkeep{ownerURL: linked, blobs: blobs, log: slog.New(slog.NewTextHandler(&logged, nil))}
	u.expire = func(context.Context, postgres.Retention, time.Time) (postgres.Expired, error) {
		cut()
		u.ownerURL = "postgres://satchel@/satchel?host=" + t.TempDir() // where there is none
		return postgres.Expired{}, failed
	}
	_, err = u.run(t.Context(), postgres.Run{ID: api.NewID(), Kind: admin.GC, Via: "server"}, gc.DefaultGrace, nil, func() {})
	if err == nil || !strings.Contains(logged.String(), "how a run ended can't be told") {
		t.Errorf("the run's error is %v, and the log says %q", err, logged.String())
	}
}

// TestRunTellsOfTheClock: of a clock that is not believed the log tells, and the metrics.
func TestRunTellsOfTheClock(t *testing.T) {
	database := pgtest.New(t)
	conn, err := pgx.Connect(t.Context(), database.Admin)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), `
		INSERT INTO satchel.runs (id, kind, via, host, started, touched, finished)
		SELECT gen_random_uuid(), 'gc', 'server', 'h', at, at, at FROM (SELECT now() - interval '10 days' AS at) x`); err != nil {
		t.Fatal(err)
	}
	blobs, err := local.Open(filepath.Join(t.TempDir(), "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	m := newMetrics()
	u := &upkeep{ownerURL: database.Owner, blobs: blobs, ended: m.ended, log: slog.New(slog.NewTextHandler(&logged, nil))}
	if _, err = u.run(t.Context(), postgres.Run{ID: api.NewID(), Kind: admin.GC, Via: "server"}, gc.DefaultGrace, nil, func() {}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(logged.String(), "as of an earlier time") {
		t.Errorf("the log says %q", logged.String())
	}
	answer := httptest.NewRecorder()
	m.private(nil).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	if got := answer.Body.String(); !strings.Contains(got, "\nsatchel_gc_clock_behind_seconds 8640") { // ten days, and some moments
		t.Errorf("the metrics are %s", got)
	}
}
