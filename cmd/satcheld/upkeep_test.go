package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

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
	u.expire = func(context.Context) (postgres.Expired, error) {
		cut()
		u.ownerURL = "postgres://satchel@/satchel?host=" + t.TempDir() // where there is none
		return postgres.Expired{}, failed
	}
	_, err = u.run(t.Context(), postgres.Run{ID: api.NewID(), Kind: admin.GC, Via: "server"}, gc.DefaultGrace, nil, func() {})
	if err == nil || !strings.Contains(logged.String(), "how a run ended can't be told") {
		t.Errorf("the run's error is %v, and the log says %q", err, logged.String())
	}
}
