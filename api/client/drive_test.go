package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"satchel/api"
	"satchel/api/pace"
)

var (
	node     = api.ID{1}
	other    = api.ID{2}
	dripping = api.ID{4}
	epoch    = api.ID{3}
)

func TestRoutes(t *testing.T) {
	e := newEdge(t)
	var got string
	e.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = strings.TrimSpace(r.Method + " " + r.URL.RequestURI() + " " + string(body))
		switch {
		case strings.HasSuffix(r.URL.Path, "/batches"):
			io.WriteString(w, `{"outcomes":[{"status":"applied"}]}`)
		case strings.HasSuffix(r.URL.Path, "/listings"):
			json.NewEncoder(w).Encode([]api.Listed{{Listing: api.Listing{More: true, State: api.State{Seq: 7, Entries: []api.EntryState{{Parent: node, Name: "a\xff", Node: other}}}}}, {Problem: api.NotFound}})
		case r.Method == "DELETE", r.URL.Path == "/v1/logout":
			w.WriteHeader(204)
		case r.URL.Path == "/v1/drives", r.URL.Path == "/v1/devices":
			io.WriteString(w, `[]`)
		default:
			io.WriteString(w, `{"missing":["`+strings.Repeat("07", 32)+`"]}`)
		}
	})
	c := e.client(t)
	d := c.Drive("home")
	ctx := t.Context()
	hash := api.Hash(bytes.Repeat([]byte{7}, 32))
	for want, call := range map[string]func() error{
		"GET /v1/drives":                             func() error { _, err := c.Drives(ctx); return err },
		"GET /v1/devices":                            func() error { _, err := c.Devices(ctx); return err },
		"DELETE /v1/devices/" + node.String():        func() error { return c.RevokeDevice(ctx, node) },
		"POST /v1/logout":                            func() error { return c.Logout(ctx) },
		"GET /v1/drives/home":                        func() error { _, err := c.Drive("home").Info(ctx); return err },
		"GET /v1/drives/" + other.String():           func() error { _, err := c.Drive(other.String()).Info(ctx); return err },
		"GET /v1/drives/home/nodes/" + node.String(): func() error { _, err := d.Node(ctx, node); return err },
		"GET /v1/drives/home/lookup?path=a%2F%26+b%F4%8F%9F%BF": func() error {
			_, err := d.Lookup(ctx, "a/& b\xff")
			return err
		},
		"GET /v1/drives/home/nodes/" + node.String() + "/children?after=%23x&limit=5000": func() error {
			_, err := d.Children(ctx, node, "#x", 5000, nil)
			return err
		},
		"GET /v1/drives/home/nodes/" + node.String() + "/children": func() error {
			_, err := d.Children(ctx, node, "", 0, nil)
			return err
		},
		`POST /v1/drives/home/listings {"dirs":["` + node.String() + `","` + other.String() + `"],"limit":2000}`: func() error {
			all, err := d.Listings(ctx, []api.ID{node, other}, 2000)
			if len(all) != 2 || all[0].Seq != 7 || !all[0].More || len(all[0].Entries) != 1 || all[0].Entries[0].Name != "a\xff" || all[1].Problem != api.NotFound {
				t.Errorf("the listings are %+v", all)
			}
			return err
		},
		`POST /v1/drives/home/listings {"dirs":["` + node.String() + `"]}`: func() error {
			if _, err := d.Listings(ctx, []api.ID{node}, 0); api.KindOf(err) != api.Internal {
				t.Errorf("two listings of one directory: %v", err)
			}
			return nil
		},
		`POST /v1/drives/home/missing {"hashes":["` + hash.String() + `"]}`: func() error {
			missing, err := d.Missing(ctx, []api.Hash{hash})
			if len(missing) != 1 || missing[0] != hash {
				t.Errorf("missing is %v", missing)
			}
			return err
		},
		"POST /v1/drives/home/packs SPK1": func() error { return d.PutPack(ctx, []byte("SPK1")) },
		"GET /v1/drives/home/changes?after=7&epoch=" + epoch.String() + "&wait=60": func() error {
			_, err := d.Changes(ctx, api.ID{}, epoch, 7, time.Minute)
			return err
		},
		"GET /v1/drives/home/changes?after=0&wait=0": func() error { _, err := d.Changes(ctx, api.ID{}, api.ID{}, 0, 0); return err },
	} {
		if err := call(); err != nil {
			t.Errorf("%s: %v", want, err)
		}
		if got != want {
			t.Errorf("asked %s, want %s", got, want)
		}
	}
	got = ""
	if missing, err := d.Missing(ctx, nil); err != nil || missing != nil || got != "" {
		t.Errorf("missing of nothing: %v, %v, asked %q", missing, err, got)
	}

	if all, err := d.Listings(ctx, nil, 0); err != nil || all != nil || got != "" {
		t.Errorf("listings of nothing: %v, %v, asked %q", all, err, got)
	}

	batch := api.Batch{Incarnation: node, Number: 1, Mutations: []api.Mutation{{Op: api.OpUnlink, Node: node, Parent: other, Name: "a\xff"}}}
	if _, err := d.Commit(ctx, batch); err != nil {
		t.Fatal(err)
	}
	var sent api.Batch
	_, body, _ := strings.Cut(got, "batches ")
	if err := json.Unmarshal([]byte(body), &sent); err != nil || len(sent.Mutations) != 1 || sent.Mutations[0].Name != "a\xff" {
		t.Errorf("batch arrived as %s (%v)", got, err)
	}
	batch.Mutations = append(batch.Mutations, batch.Mutations[0])
	if _, err := d.Commit(ctx, batch); api.KindOf(err) != api.Internal {
		t.Errorf("one outcome for two mutations: %v", err)
	}
}

// The next page can be asked for before this one has come.
func TestNextPage(t *testing.T) {
	e := newEdge(t)
	told := make(chan api.Name, 1)
	e.mux.HandleFunc("/v1/drives/home/nodes/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("after") != "" {
			json.NewEncoder(w).Encode(api.Listing{})
			return
		}
		w.Header().Set(api.NextHeader, url.QueryEscape(api.Name("a +&\xff").Escape()))
		w.(http.Flusher).Flush()
		if name := <-told; name != "a +&\xff" {
			t.Errorf("the next page begins after %q", name)
		}
		json.NewEncoder(w).Encode(api.Listing{More: true, State: api.State{Seq: 7, Entries: []api.EntryState{{Parent: node, Name: "a\xff", Node: other}}, Nodes: []api.Node{{ID: other, SHA256: api.Hash{1}, Xattrs: map[string][]byte{"user.a": {0, 255}}}}}})
	})
	d := e.client(t).Drive("home")
	l, err := d.Children(t.Context(), node, "", 0, func(after api.Name) { told <- after })
	if err != nil || !l.More || l.Seq != 7 || len(l.Entries) != 1 || l.Entries[0] != (api.EntryState{Parent: node, Name: "a\xff", Node: other}) || l.Nodes[0].SHA256 != (api.Hash{1}) || l.Nodes[0].Xattrs["user.a"][1] != 255 {
		t.Errorf("the page is %+v, %v", l, err)
	}
	if _, err := d.Children(t.Context(), node, "a", 0, func(after api.Name) { t.Errorf("there is one after %q", after) }); err != nil {
		t.Error(err)
	}
}

func TestHomeIsResolvedByInfo(t *testing.T) {
	e := newEdge(t)
	e.mux.HandleFunc("GET /v1/drives/home", answer(api.DriveInfo{ID: other}))
	e.mux.HandleFunc("GET /v1/drives/"+other.String()+"/lookup", answer(api.Node{ID: node}))
	d := e.client(t).Drive("home")
	if _, err := d.Info(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := d.Lookup(t.Context(), "x"); err != nil || n.ID != node {
		t.Error(n, err)
	}
}

func serveContent(e *edge, content []byte) {
	e.mux.HandleFunc("GET /v1/drives/home/nodes/"+node.String()+"/content", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("version") == other.String() {
			fail(w, 404, api.NotFound, "no such version")
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	})
}

func TestContentRanges(t *testing.T) {
	e := newEdge(t)
	content := []byte("0123456789")
	serveContent(e, content)
	d := e.client(t).Drive("home")
	for _, tt := range []struct {
		off, n int64
		want   string
	}{{0, -1, "0123456789"}, {0, 10, "0123456789"}, {3, 4, "3456"}, {9, 1, "9"}, {7, -1, "789"}, {8, 100, "89"}, {4, 0, ""}} {
		r, err := d.Content(t.Context(), node, api.ID{}, tt.off, tt.n)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		r.Close()
		if err != nil || string(got) != tt.want {
			t.Errorf("%d bytes at %d: %q, %v; want %q", tt.n, tt.off, got, err, tt.want)
		}
	}
	if _, err := d.Content(t.Context(), node, other, 0, -1); api.KindOf(err) != api.NotFound {
		t.Errorf("another version: %v", err)
	}
}

func TestContentOfTheWrongPart(t *testing.T) {
	e := newEdge(t)
	e.mux.HandleFunc("GET /v1/drives/home/nodes/"+node.String()+"/content", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "the whole of it")
	})
	if _, err := e.client(t).Drive("home").Content(t.Context(), node, api.ID{}, 4, 5); api.KindOf(err) != api.Unavailable {
		t.Errorf("an ignored range: %v", err)
	}
}

// What stops moving must fail, and what gives a byte now and then; what moves slowly must not.
func TestStalls(t *testing.T) {
	const limit = time.Second
	piece := strings.Repeat("x", pace.Slowest/2)
	release := make(chan struct{})
	e := newEdge(t)
	e.mux.HandleFunc("GET /v1/whoami", func(w http.ResponseWriter, r *http.Request) { <-release })
	e.mux.HandleFunc("GET /v1/drives/home/changes", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(2 * limit)
		answer(api.Changes{})(w, r)
	})
	e.mux.HandleFunc("GET /v1/drives/home/nodes/"+node.String()+"/content", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(21*len(piece)))
		for r.URL.Query().Get("version") == dripping.String() && r.Context().Err() == nil {
			io.WriteString(w, "x")
			w.(http.Flusher).Flush()
			time.Sleep(limit / 10)
		}
		for range 20 {
			io.WriteString(w, piece)
			w.(http.Flusher).Flush()
			time.Sleep(limit / 10)
		}
		if r.URL.Query().Get("version") == other.String() {
			<-release
		}
		io.WriteString(w, piece)
	})
	e.mux.HandleFunc("POST /v1/drives/home/packs", func(w http.ResponseWriter, r *http.Request) {
		slow := iotest.OneByteReader(r.Body)
		for range 5 {
			io.CopyN(io.Discard, slow, 4)
			time.Sleep(limit / 2)
		}
		if r.ContentLength == 1<<20+1 {
			<-release
		}
		io.Copy(io.Discard, r.Body)
	})
	c := e.client(t)
	c.limits = limits{answer: limit, pack: 4 * limit, body: limit}
	d := c.Drive("home")
	ctx := t.Context()
	var all sync.WaitGroup
	defer close(release)
	defer all.Wait()

	all.Go(func() {
		if _, err := c.Whoami(ctx); api.KindOf(err) != api.Unavailable || !strings.Contains(err.Error(), c.server+" does not answer: it was waited for ") {
			t.Errorf("no answer: %v", err)
		}
	})
	all.Go(func() {
		var told atomic.Int32
		watched := WithSilence(ctx, func(server string) {
			if server == c.server {
				told.Add(1)
			}
		})
		for range 2 {
			soon, cancel := context.WithTimeout(watched, limit/2)
			defer cancel()
			if _, err := c.Whoami(soon); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), c.server+" does not answer: it was waited for ") {
				t.Errorf("no answer before a deadline: %v", err)
			}
		}
		if n := told.Load(); n != 1 {
			t.Errorf("that nothing comes was told %d times", n)
		}
	})
	all.Go(func() {
		if _, err := d.Changes(ctx, api.ID{}, epoch, 1, 2*time.Second); err != nil {
			t.Errorf("a long poll was cut: %v", err)
		}
	})
	read := func(version api.ID) (string, error) {
		r, err := d.Content(ctx, node, version, 0, -1)
		if err != nil {
			return "", err
		}
		defer r.Close()
		b, err := io.ReadAll(r)
		return string(b), err
	}
	all.Go(func() {
		if got, err := read(api.ID{}); err != nil || got != strings.Repeat(piece, 21) {
			t.Errorf("a slow body: %d bytes, %v", len(got), err)
		}
	})
	for _, stalling := range []api.ID{other, dripping} {
		all.Go(func() {
			if got, err := read(stalling); api.KindOf(err) != api.Unavailable || got == "" || !strings.Contains(err.Error(), "stopped answering: next to nothing came for 1s") {
				t.Errorf("a body that stalls: %d bytes, %v", len(got), err)
			}
		})
	}
	all.Go(func() { // who waits for less long hears of what moves, and its end is no end of the call's own
		mine, clock := pace.With(ctx, limit*9/10)
		defer clock.End()
		if r, err := d.Content(mine, node, api.ID{}, 0, -1); err != nil {
			t.Error(err)
		} else if b, err := io.ReadAll(r); err != nil || string(b) != strings.Repeat(piece, 21) {
			t.Errorf("a slow body, for less patience: %d bytes, %v", len(b), err)
		} else {
			r.Close()
		}
		if _, err := c.Whoami(mine); api.KindOf(err) != api.Unavailable || pace.Stalled(mine) == nil {
			t.Errorf("no answer, for less patience: %v", err)
		}
	})
	all.Go(func() {
		if err := d.PutPack(ctx, make([]byte, 1<<20)); err != nil {
			t.Errorf("a slow upload: %v", err)
		}
	})
	all.Go(func() {
		if err := d.PutPack(ctx, make([]byte, 1<<20+1)); api.KindOf(err) != api.Unavailable {
			t.Errorf("a stalled upload: %v", err)
		}
	})
}

// The reader may take its time between two reads: that is no stall.
func TestSlowReader(t *testing.T) {
	e := newEdge(t)
	content := make([]byte, 8<<20)
	serveContent(e, content)
	c := e.client(t)
	c.limits.body = time.Second
	r, err := c.Drive("home").Content(t.Context(), node, api.ID{}, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	buf := make([]byte, 1<<20)
	for range 3 {
		if _, err := io.ReadFull(r, buf); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(2 * c.limits.body)
	if n, err := io.Copy(io.Discard, r); err != nil || n != 5<<20 {
		t.Errorf("%d bytes, %v", n, err)
	}
}
