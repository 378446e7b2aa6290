package integration

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
	"satchel/api/chunk"
	"satchel/integration/require"
	"satchel/integration/rig"
	"satchel/migrations"
	"satchel/storage/fault"
	"satchel/storage/private"
)

// pair is two servers on one PostgreSQL and one bucket, and a front that
// prefers the first.
type pair struct {
	a, b  *rig.Server
	front *front
	admin string // the database, as its superuser
}

func newPair(t *testing.T) *pair {
	t.Helper()
	require.Fuse(t)
	versitygw := require.Tool(t, "versitygw")
	dir := filepath.Join(parts.Dir, unique(t, "shared"))
	must(t, os.Mkdir(dir, 0o711))
	pg, err := private.Start(t.Context(), private.Config{Dir: filepath.Join(dir, "pg"), Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Cleanup(pg.Stop)
	must(t, migrations.CreateDatabase(t.Context(), pg.URL(private.Superuser, "postgres"), "satchel"))
	p := &pair{admin: pg.URL(private.Superuser, "satchel")}
	for _, s := range []**rig.Server{&p.a, &p.b} {
		*s, err = parts.NewServer(unique(t, "server"))
		must(t, err)
		(*s).Setenv("SATCHELD_DATABASE_URL", p.admin)
		(*s).Setenv("SATCHELD_KEY_FILE", filepath.Join(dir, "key"))
	}
	must(t, parts.ShareBucket(t.Context(), versitygw, unique(t, "bucket"), p.a, p.b))
	for _, s := range []*rig.Server{p.a, p.b} {
		must(t, s.Start(t.Context()))
		showLogOnFailure(t, s)
		t.Cleanup(func() {
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
	p.front = newFront(t, p.a.Addr, p.b.Addr)
	return p
}

// front passes each connection on to the first of some servers that takes it.
type front struct {
	url string

	mu   sync.Mutex
	open map[net.Conn]bool
}

func newFront(t *testing.T, servers ...string) *front {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	f := &front{url: "http://" + l.Addr().String(), open: map[net.Conn]bool{}}
	t.Cleanup(func() {
		l.Close()
		f.drop()
	})
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go f.pass(client, servers)
		}
	}()
	return f
}

func (f *front) pass(client net.Conn, servers []string) {
	defer client.Close()
	f.mu.Lock()
	f.open[client] = true
	f.mu.Unlock()
	for _, address := range servers {
		server, err := net.Dial("tcp", address)
		if err != nil {
			continue
		}
		go func() {
			io.Copy(server, client)
			server.Close()
		}()
		io.Copy(client, server)
		server.Close()
		return
	}
}

// drop ends all connections: whoever had one connects again.
func (f *front) drop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.open {
		c.Close()
	}
	clear(f.open)
}

// at is the account as another server's client.
func (a *account) at(s *rig.Server) *account {
	other := *a
	other.server = s
	return &other
}

// TestTwoServers: what is done on one server holds on the other at once.
func TestTwoServers(t *testing.T) {
	p := newPair(t)
	anna := newAccount(t, p.a, "anna")
	onB := anna.at(p.b)

	t.Run("sessions", func(t *testing.T) {
		if got := onB.ask(t, "GET", "/v1/drives/home", nil, nil); got.status != http.StatusOK {
			t.Fatalf("a token of the first server on the second: %v", got)
		}
		phone := onB.newDevice(t, "phone")
		if out, err := phone.Satchel(t.Context(), "", "ls"); err != nil {
			t.Fatal(out, err)
		}
		laptop := anna.newDevice(t, "laptop")
		if out, err := laptop.Satchel(t.Context(), "", "devices", "revoke", phone.Name); err != nil {
			t.Fatal(out, err)
		}
		if out, err := phone.Satchel(t.Context(), "", "ls"); err == nil || !strings.Contains(err.Error(), "log in") {
			t.Errorf("a device that was revoked on the first server, on the second: %s %v", out, err)
		}
	})

	t.Run("changes", func(t *testing.T) {
		laptop, desk := anna.mountNew(t, "laptop"), onB.mountNew(t, "desk")
		write(t, filepath.Join(laptop.Mount, "note"), "from the first server")
		syncAll(t, laptop)
		took := eventually(t, 5*time.Second, func() error { return has(filepath.Join(desk.Mount, "note"), "from the first server") })
		t.Logf("on the other server's device %v after sync", took)
		write(t, filepath.Join(desk.Mount, "note"), "and back")
		syncAll(t, desk)
		eventually(t, 5*time.Second, func() error { return has(filepath.Join(laptop.Mount, "note"), "and back") })
	})

	t.Run("a pack by one, its commit by the other", func(t *testing.T) {
		content := randomBytes(200_000)
		var pack chunk.PackWriter
		v, err := chunk.Version(strings.NewReader(string(content)), func(c api.Chunk, data []byte) error { return pack.Add(c.Hash, data) })
		must(t, err)
		v.ID = api.NewID()
		if v.SHA256 != sha256.Sum256(content) {
			t.Fatal("the version's hash")
		}
		if got := anna.ask(t, "POST", "/v1/drives/home/packs", map[string]string{"Content-Type": "application/octet-stream"}, pack.Bytes()); got.status/100 != 2 {
			t.Fatalf("the pack: %v", got)
		}
		var home api.DriveInfo
		must(t, json.Unmarshal(onB.ask(t, "GET", "/v1/drives/home", nil, nil).body, &home))
		body, err := json.Marshal(api.Batch{Incarnation: api.NewID(), Number: 1, Mutations: []api.Mutation{{
			Op: api.OpCreate, Node: api.NewID(), Parent: home.Root, Name: "parts", Version: &v, Time: 1, Attr: &api.Attr{Type: api.File},
		}}})
		must(t, err)
		if got := onB.ask(t, "POST", "/v1/drives/home/batches", map[string]string{"Content-Type": "application/json"}, body); got.status != http.StatusOK {
			t.Fatalf("the commit: %v", got)
		}
		must(t, anna.stored(t, "parts", content))
	})

	t.Run("an upload goes on at the other", func(t *testing.T) {
		content := randomBytes(3_000_000)
		tus := func(more ...string) map[string]string {
			h := map[string]string{"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
			for i := 0; i < len(more); i += 2 {
				h[more[i]] = more[i+1]
			}
			return h
		}
		got := anna.ask(t, "POST", "/uploads", tus("Upload-Length", fmt.Sprint(len(content)), "Upload-Metadata", "path "+base64.StdEncoding.EncodeToString([]byte("film.bin"))), content[:1_000_000])
		if got.status != http.StatusCreated {
			t.Fatalf("begun at the first: %v", got)
		}
		at := got.header.Get("Location")
		for from := 1_000_000; from < len(content); from += 1_000_000 {
			on := []*account{onB, anna}[from/1_000_000%2] // in turns
			if head := on.ask(t, "HEAD", at, tus(), nil); head.header.Get("Upload-Offset") != fmt.Sprint(from) {
				t.Fatalf("%s has %q of it, not %d", on.server.URL, head.header.Get("Upload-Offset"), from)
			}
			if got := on.ask(t, "PATCH", at, tus("Upload-Offset", fmt.Sprint(from)), content[from:from+1_000_000]); got.status != http.StatusNoContent {
				t.Fatalf("%d bytes on at %s: %v", from, on.server.URL, got)
			}
		}
		must(t, anna.stored(t, "film.bin", content))
		must(t, onB.stored(t, "film.bin", content))
	})

	t.Run("a page of a session that is ended on the other", func(t *testing.T) {
		page, elsewhere := newSurfer(t, p.a.URL), newSurfer(t, p.b.URL)
		page.signIn(anna)
		elsewhere.signIn(anna)
		elsewhere.open("/account")
		elsewhere.js(`window.confirm = () => true; 1`)
		elsewhere.js(`[...document.querySelectorAll("form[action='/do/revoke']")].map((f) => f.closest("tr")).find((r) => /Chrome/.test(r.innerText) && !/this one/.test(r.innerText)).querySelector("form").requestSubmit(); 1`)
		page.sees("Your session has ended")
	})

	t.Run("garbage collection", func(t *testing.T) {
		conn, err := pgx.Connect(t.Context(), p.admin)
		must(t, err)
		defer conn.Close(context.Background())
		_, err = conn.Exec(t.Context(), `SELECT pg_advisory_lock(hashtextextended('satchel.keeper', 0))`) // as one that runs has it
		must(t, err)
		out, err := p.b.Satcheld(t.Context(), "", "gc")
		if err != nil || !strings.Contains(out, "another process") {
			t.Errorf("two at once: %s %v", out, err)
		}
		must(t, conn.Close(t.Context()))
		eventually(t, 5*time.Second, func() error {
			_, err := p.b.Satcheld(t.Context(), "", "gc", "--grace", "0s")
			return err
		})
		clean(t, p.a)
	})
}

// TestOneOfTwoServersDies: kill -9 of one server in the middle of an upload or
// a commit costs the client a retry, which the other one answers.
func TestOneOfTwoServersDies(t *testing.T) {
	p := newPair(t)
	anna := newAccount(t, p.a, "anna")
	laptop := anna.newDevice(t, "laptop")
	if _, err := laptop.Satchel(t.Context(), "", "logout"); err != nil {
		t.Fatal(err)
	}
	must(t, laptop.Login(t.Context(), p.front.url, anna.email, anna.password))
	mount(t, laptop)
	stored := map[string][]byte{}
	for _, step := range []fault.Step{fault.PackReceiving, fault.PackStored, fault.PackKnown, fault.CommitLocked, fault.CommitWritten, fault.CommitDone} {
		must(t, p.a.Stop())
		p.a.Setenv(fault.Variable, string(step))
		must(t, p.a.Start(t.Context()))
		p.a.Setenv(fault.Variable, "")
		p.front.drop() // from the second one to the first
		name := string(step)
		stored[name] = randomBytes(50_000)
		must(t, os.WriteFile(filepath.Join(laptop.Mount, name), stored[name], 0o644))
		syncAll(t, laptop)
		if !p.a.Died(5 * time.Second) {
			t.Errorf("the first server did not get to %s", step)
		}
		for name, content := range stored {
			must(t, anna.at(p.b).stored(t, name, content))
		}
		must(t, p.a.Start(t.Context()))
	}
	if all := anna.files(t, "select=id,file_path&limit=1000"); len(all) != len(stored) {
		t.Errorf("%d files, not %d: something was done twice, or not at all", len(all), len(stored))
	}
	clean(t, p.b)
}
