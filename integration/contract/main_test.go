package contract

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	"satchel/integration/require"
	"satchel/integration/rig"
)

var parts *rig.Rig

func TestMain(m *testing.M) {
	rig.Janitor()
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	var err error
	if parts, err = rig.New(""); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		for name, s := range worlds {
			if s.server == nil {
				continue
			}
			if err := s.server.Stop(); err != nil {
				fmt.Fprintln(os.Stderr, name, err)
				code = 1
			}
		}
		if err := parts.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}()
	if err := parts.Build(context.Background(), parts.Bin+"/", "./cmd/satcheld"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// stores are the blob stores that the contract is shown with.
var stores = []string{"file", "postgres", "s3"}

// world is a server on one blob store, and the people on it.
type world struct {
	name   string
	store  string
	once   sync.Once
	err    error
	server *rig.Server
	admin  *person
	people int
}

// worlds are the servers by their names. The attacks have one of their own,
// since they use up what is limited.
var worlds = map[string]*world{
	"file": {name: "file", store: "file"}, "postgres": {name: "postgres", store: "postgres"}, "s3": {name: "s3", store: "s3"},
	"siege": {name: "siege", store: "file"},
}

// worldOf is a server by its name; all tests of one share it.
func worldOf(t *testing.T, name string) *world {
	t.Helper()
	w := worlds[name]
	w.once.Do(func() { w.err = w.start() })
	if w.err != nil {
		t.Fatal(w.err)
	}
	if w.admin == nil {
		w.admin = &person{w: w, email: "admin@example.org", password: "the admin's password"}
		must(t, w.server.AddUser(t.Context(), w.admin.email, w.admin.password, "admin"))
		w.admin.login(t)
		w.admin.id = w.admin.claims(t)["sub"].(string)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("--- %s\n%s", w.server.Log, rig.Tail(w.server.Log, 20))
		}
	})
	return w
}

func (w *world) start() (err error) {
	ctx := context.Background()
	if err := parts.UseBlobs(ctx, w.store, require.Find("versitygw")); err != nil {
		return err
	}
	mounts, err := w.makeMounts()
	if err != nil {
		return err
	}
	if w.server, err = parts.NewServer("server-"+w.name, "--open-signup", "--vfs-config", mounts); err != nil {
		return err
	}
	return w.server.Start(ctx)
}

// onEachStore runs a section's lines against a server on each blob store.
func onEachStore(t *testing.T, lines []line) {
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			if store == "s3" {
				require.Tool(t, "versitygw")
			}
			w := worldOf(t, store)
			for _, l := range lines {
				t.Run(l.text, func(t *testing.T) { l.show(t, w) })
			}
		})
	}
}

// line is one line of the contract, as it is written there, and what shows it.
type line struct {
	text string
	show func(t *testing.T, w *world)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
