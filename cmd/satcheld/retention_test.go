package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/jackc/pgx/v5"

	"satchel/migrations"
	"satchel/storage"
	"satchel/storage/gc"
	"satchel/storage/postgres"
	"satchel/storage/postgres/pgtest"
	"satchel/storage/private"
)

func TestRetentionFlags(t *testing.T) {
	var flags struct{ retention }
	parser := kong.Must(&flags)
	if _, err := parser.Parse(nil); err != nil || flags.told() != storage.DefaultRetention {
		t.Errorf("by default %+v, %v", flags.told(), err)
	}
	_, err := parser.Parse([]string{"--keep-versions", "12h", "--keep-daily", "400d", "--keep-trash", "0d"})
	want := storage.Retention{Versions: 12 * time.Hour, Daily: 400 * 24 * time.Hour, Events: 365 * 24 * time.Hour}
	if err != nil || flags.told() != want {
		t.Errorf("%+v, %v; want %+v", flags.told(), err, want)
	}
	for _, wrong := range []string{"", "d", "-1d", "-1h", "1", "1.5d", "999999d", "a month"} {
		if _, err := parser.Parse([]string{"--keep-trash=" + wrong}); err == nil {
			t.Errorf("--keep-trash %q was taken for %v", wrong, flags.told().Trash)
		}
	}
}

// TestGCKeepsWhatServersKeep: a bare gc takes nothing away that the installation's servers were told to keep, whatever told them;
// flags are another matter.
func TestGCKeepsWhatServersKeep(t *testing.T) {
	data := dataDir(t)
	must(t, "a password\n", "user", "add", "alice@example.org", "--password-stdin", "--data", data)
	if out := must(t, "", "gc", "--data", data); !strings.Contains(out, "versions for ever, daily for ever, trash for ever, events for ever: since no server") {
		t.Errorf("gc where no server has run: %s", out)
	}
	config := filepath.Join(t.TempDir(), "satcheld.conf")
	if err := os.WriteFile(config, []byte("keep-trash = 365d\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	url, stop := serving(t, "--data", data, "--config", config)
	var rows []struct{ Token string }
	if err := json.NewDecoder(login(t, http.DefaultClient, url, "alice@example.org", "a password").Body).Decode(&rows); err != nil {
		t.Fatal(err)
	}
	do := func(method, path string, header ...string) {
		t.Helper()
		req, err := http.NewRequest(method, url+path, strings.NewReader("content"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+rows[0].Token)
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			t.Fatalf("%s %s: %s", method, path, resp.Status)
		}
	}
	do("POST", "/rpc/store_file", "File-Path", "a.txt", "Content-Type", "application/octet-stream")
	do("DELETE", "/files?file_path=eq.a.txt")
	conn, err := pgx.Connect(t.Context(), strings.Replace(strings.TrimSpace(must(t, "", "psql-url", "--data", data)), migrations.App+"@", private.Superuser+"@", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if tag, err := conn.Exec(t.Context(), `UPDATE satchel.trash SET at = now() - interval '200 days'`); err != nil || tag.RowsAffected() != 1 {
		t.Fatalf("%v, %v", tag, err)
	}
	var report gc.Report
	if inJSON(t, &report, "gc", "--data", data); report.ExpiredTrash != 0 || report.KeepTrash != "365d" || report.KeepVersions != "30d" {
		t.Errorf("beside the server: %+v", report)
	}
	conn.Close(t.Context())
	http.DefaultClient.CloseIdleConnections()
	if code := stop(); code != 0 {
		t.Errorf("serve ended with %d", code)
	}
	const says = "kept are versions 30d, daily 365d, trash 365d, events 365d: as the servers were told\n"
	if out := must(t, "", "gc", "--data", data); !strings.Contains(out, says) || strings.Contains(out, "things in the trash") {
		t.Errorf("without the server: %s", out)
	}
	if err := os.WriteFile(config, []byte("keep-trash = 1d\n"), 0o644); err != nil { // no server was told it yet
		t.Fatal(err)
	}
	t.Setenv("SATCHELD_KEEP_VERSIONS", "1d")
	if out := must(t, "", "gc", "--data", data, "--config", config); !strings.Contains(out, says) || strings.Contains(out, "things in the trash") {
		t.Errorf("with a configuration: %s", out)
	}
	const told = "trash 199d, events 365d: as --keep-trash said; else as the servers were told\n"
	if out := must(t, "", "gc", "--data", data, "--keep-trash", "199d"); !strings.Contains(out, told) || !strings.Contains(out, "1 things in the trash went") {
		t.Errorf("with a flag: %s", out)
	}
}

// TestServersToldDifferentThings: the longest counts, each of the servers says so, and an end to it.
func TestServersToldDifferentThings(t *testing.T) {
	database := pgtest.New(t)
	var logged bytes.Buffer
	server := func(trash time.Duration, shown *postgres.Retention) *announcer {
		return &announcer{ownerURL: database.Owner, told: postgres.Retention{Versions: day, Daily: day, Trash: trash}, log: slog.New(slog.NewTextHandler(&logged, nil)),
			show: func(r postgres.Retention) { *shown = r }}
	}
	var shownA, shownB postgres.Retention
	a, b := server(30*day, &shownA), server(365*day, &shownB)
	announce := func(s *announcer, warned bool) {
		t.Helper()
		logged.Reset()
		if err := s.announce(t.Context()); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(logged.String(), "the longest of each counts") != warned {
			t.Errorf("the log says %q", logged.String())
		}
	}
	announce(a, false)
	announce(b, true)
	announce(a, true)
	announce(a, false) // said already
	if shownA.Trash != 365*day || shownB.Trash != 365*day {
		t.Errorf("in force: %v, %v", shownA, shownB)
	}
	admin, err := pgx.Connect(t.Context(), database.Admin)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	if _, err := admin.Exec(t.Context(), `UPDATE satchel.retention SET told = told - interval '25 hours' WHERE trash > interval '300 days'`); err != nil {
		t.Fatal(err)
	}
	announce(a, false)
	if shownA.Trash != 30*day {
		t.Errorf("a day after the other one: %v", shownA)
	}
}
