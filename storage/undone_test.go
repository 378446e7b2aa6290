package storage

import (
	"bytes"
	"errors"
	"net"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"satchel/api"
	"satchel/storage/fault"
	"satchel/storage/postgres"
	"satchel/storage/postgres/pgtest"
)

// atCommit has the database do something at the COMMIT of each transaction that wrote a version of 13 bytes.
func (c *crowd) atCommit(does string) {
	c.t.Helper()
	_, err := c.held.Exec(c.t.Context(), `
		CREATE FUNCTION satchel.at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			IF NEW.size = 13 THEN
				`+does+`
			END IF;
			RETURN NULL;
		END $$;
		CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON satchel.versions
			DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION satchel.at_commit()`)
	if err != nil {
		c.t.Fatal(err)
	}
}

// What the database refuses at the end of a transaction was certainly not done, so it is one's fault and not the others'.
func TestRefusedAtCommit(t *testing.T) {
	w := newWorld(t)
	c := newCrowd(t, w, w.home(t, w.user(t, "editor")))
	c.atCommit(`RAISE EXCEPTION 'not this one' USING ERRCODE = 'check_violation';`)
	c.put(t.Context(), "good", "good", PutOptions{})
	c.put(t.Context(), "bad", strings.Repeat("x", 13), PutOptions{})
	c.put(t.Context(), "good too", "good too", PutOptions{})
	c.goOn()
	c.has("good", "good")
	c.has("good too", "good too")
	if err := c.errs["bad"]; err == nil || !strings.Contains(err.Error(), "not this one") {
		t.Errorf("what the database refuses: %v", err)
	}
	if _, err := c.content("bad"); api.KindOf(err) != api.NotFound {
		t.Errorf("what the database refused is there: %v", err)
	}
}

// A connection that the database ends at COMMIT, for whatever reason, leaves nobody to say what came of it: nothing is done again.
func TestConnectionEndsAtCommit(t *testing.T) {
	w := newWorld(t)
	c := newCrowd(t, w, w.home(t, w.user(t, "editor")))
	c.atCommit(`PERFORM pg_terminate_backend(pg_backend_pid());`)
	c.put(t.Context(), "one", "one", PutOptions{})
	c.put(t.Context(), "fatal", strings.Repeat("x", 13), PutOptions{})
	c.put(t.Context(), "two", "two", PutOptions{})
	c.goOn()
	for _, path := range []string{"one", "fatal", "two"} {
		c.refused(path, api.Unavailable)
		if err := c.errs[path]; !errors.Is(err, postgres.ErrUncertain) {
			t.Errorf("%s, of which nobody knows: %v", path, err)
		}
		if _, err := c.content(path); api.KindOf(err) != api.NotFound {
			t.Errorf("%s was done again: %v", path, err)
		}
	}
}

// When the answer to COMMIT gets lost, what may have been done is not done again.
func TestAnswerToCommitIsLost(t *testing.T) {
	cut := &cutting{}
	database := pgtest.New(t)
	w := worldBy(t, database, cut.before(t, database.App))
	d := w.home(t, w.user(t, "editor"))
	group := []*write{}
	for _, content := range []string{"one", "two", "three"} {
		group = append(group, drawn{path: content, content: content}.of(t, d, contents{}))
	}
	cut.armed.Store(true)
	d.writeTogether(t.Context(), group)
	if cut.armed.Load() {
		t.Error("nothing was cut")
	}
	for _, wr := range group {
		if api.KindOf(wr.err) != api.Unavailable || !errors.Is(wr.err, postgres.ErrUncertain) {
			t.Errorf("%s: %v", wr.path, wr.err)
		}
		n, err := d.Lookup(t.Context(), wr.path)
		if err != nil { // the answer was that it was done
			t.Fatal(err)
		}
		if versions, err := d.Versions(t.Context(), n.Document); err != nil || len(versions) != 1 || n.Version != wr.version.ID {
			t.Errorf("%s has %d versions: %v", wr.path, len(versions), err)
		}
	}
}

// A fault of the program after COMMIT undoes nothing: nothing is done again.
func TestFaultAfterCommit(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	group := []*write{}
	for _, content := range []string{"one", "two"} {
		group = append(group, drawn{path: content, content: content}.of(t, d, contents{}))
	}
	faults := 0
	disarm := fault.Arm(func(s fault.Step) {
		if s == fault.CommitDone {
			faults++
			panic("a fault")
		}
	})
	defer disarm()
	d.writeTogether(t.Context(), group)
	if faults != 1 {
		t.Errorf("%d transactions were committed, not one", faults)
	}
	for _, wr := range group {
		if api.KindOf(wr.err) != api.Internal {
			t.Errorf("%s: %v", wr.path, wr.err)
		}
	}
}

// cutting is a way to the database that breaks once, when it is armed and the answer to a COMMIT comes.
type cutting struct{ armed atomic.Bool }

// before is the URL of the way to a database.
func (c *cutting) before(t *testing.T, to string) string {
	return wayTo(t, to, func() (asked, answered func([]byte) bool) {
		var cut atomic.Bool
		asked = func(b []byte) bool {
			if bytes.Contains(b, []byte("COMMIT\x00")) && c.armed.CompareAndSwap(true, false) {
				cut.Store(true)
			}
			return true
		}
		return asked, func([]byte) bool { return !cut.Load() }
	})
}

// wayTo is the URL of a way to a database, where each connection has two functions that say whether what comes may pass.
func wayTo(t *testing.T, to string, connection func() (asked, answered func([]byte) bool)) string {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	dir, err := os.MkdirTemp("", "way") // short enough for the name of a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := "/.s.PGSQL." + query.Get("port")
	far := query.Get("host") + socket
	l, err := net.Listen("unix", dir+socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", far)
			if err != nil {
				client.Close()
				continue
			}
			asked, answered := connection()
			go carry(server, client, asked)
			go carry(client, server, answered)
		}
	}()
	query.Set("host", dir)
	u.RawQuery = query.Encode()
	return u.String()
}

// carry sends on what comes, for as long as it may pass.
func carry(to, from net.Conn, pass func([]byte) bool) {
	defer to.Close()
	defer from.Close()
	for b := make([]byte, 1<<16); ; {
		n, err := from.Read(b)
		if err != nil || !pass(b[:n]) {
			return
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}
