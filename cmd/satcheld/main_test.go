package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"satchel/migrations"
	"satchel/storage/postgres/pgtest"
	"satchel/storage/private"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "extract" || os.Args[1] == "thumbnail") { // a server under test runs its own program for documents
		os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	pgtest.Main(m)
}

// dataDir is a directory for --data that the user postgres may enter, as
// t.TempDir's is not.
func dataDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "satcheld-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "data")
}

// satcheld runs the program to its end.
func satcheld(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(stdin), &out, &errs)
	return code, out.String(), errs.String()
}

// must runs a command that has to succeed and returns what it printed.
func must(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	code, out, errs := satcheld(t, stdin, args...)
	if code != 0 {
		t.Fatalf("satcheld %s: exit code %d: %s", strings.Join(args, " "), code, errs)
	}
	return out
}

// serving starts satcheld serve; stop ends it as SIGTERM does and returns its exit code.
func serving(t *testing.T, args ...string) (url string, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	r, w := io.Pipe()
	var errs bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...), strings.NewReader(""), w, &errs)
		w.Close()
	}()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatalf("serve ended with %d: %s", <-code, errs.String())
	}
	url = strings.TrimSpace(strings.TrimPrefix(line, "satcheld serves "))
	stopped := false
	stop = func() int {
		if stopped {
			return 0
		}
		stopped = true
		cancel()
		return <-code
	}
	t.Cleanup(func() { stop() })
	return url, stop
}

func login(t *testing.T, client *http.Client, url, email, password string) *http.Response {
	t.Helper()
	body := fmt.Sprintf(`{"email":%q,"password":%q}`, email, password)
	resp, err := client.Post(url+"/rpc/login", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func TestServeAndCommands(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent(), goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
	data := dataDir(t)
	must(t, "first\n", "user", "add", "Alice@example.org", "--quota", "20G", "--data", data, "--password-stdin") // without a server
	url, stop := serving(t, "--data", data)
	postgresPid := pidOf(t, data)
	resp, err := http.Get(url + "/health")
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("health: %v, %v", resp, err)
	}
	resp.Body.Close()
	if r := login(t, http.DefaultClient, url, "alice@example.org", "first"); r.StatusCode != 200 {
		t.Fatalf("login = %s", r.Status)
	}

	// Beside the server.
	must(t, "", "migrate", "--data", data)
	must(t, "second", "user", "add", "bob@example.org", "--role", "admin", "--password-stdin", "--data", data)
	var users []struct {
		ID, Email, Role string
		Disabled        bool
		Created         time.Time
	}
	inJSON(t, &users, "user", "list", "--data", data)
	if len(users) == 0 || users[0].ID == "" || !strings.Contains(users[0].Email, "@") || users[0].Created.IsZero() {
		t.Errorf("user list --json: %+v", users)
	}
	var done struct{ Email, Changed string }
	inJSON(t, &done, "user", "disable", "bob@example.org", "--data", data)
	inJSON(t, &done, "user", "enable", "bob@example.org", "--data", data)
	if done.Email != "bob@example.org" || done.Changed != "enabled" {
		t.Errorf("user enable --json: %+v", done)
	}
	var bans []struct{ Network string }
	if inJSON(t, &bans, "bans", "--data", data); bans == nil || len(bans) != 0 {
		t.Errorf("bans --json: %+v", bans)
	}
	list := must(t, "", "user", "list", "--data", data)
	for _, want := range []string{"alice@example.org", "bob@example.org", "20G", "editor", "admin", "active"} {
		if !strings.Contains(list, want) {
			t.Errorf("user list lacks %q:\n%s", want, list)
		}
	}
	if no, yes := (accountShown{}).row(), (accountShown{SignedUp: true}).row(); !strings.Contains(no, "\tno\t") || !strings.Contains(yes, "\tyes\t") {
		t.Errorf("who signed up is shown as %q, who did not as %q", yes, no)
	}
	must(t, "", "user", "quota", "alice@example.org", "3T", "--data", data)
	if list := must(t, "", "user", "list", "--data", data); !strings.Contains(list, "3T") {
		t.Errorf("the new quota is not in the list:\n%s", list)
	}
	must(t, "", "user", "quota", "alice@example.org", "none", "--data", data)
	if list := must(t, "", "user", "list", "--data", data); strings.Contains(list, "3T") {
		t.Errorf("the quota is still in the list:\n%s", list)
	}
	if code, _, errs := satcheld(t, "", "user", "quota", "nobody@example.org", "1G", "--data", data); code != 1 || !strings.Contains(errs, "nobody@example.org") {
		t.Errorf("a quota for nobody: exit code %d, %q", code, errs)
	}
	resp = login(t, http.DefaultClient, url, "alice@example.org", "first")
	var rows []struct{ Token string }
	if err := json.NewDecoder(resp.Body).Decode(&rows); err != nil {
		t.Fatal(err)
	}
	files := func() int {
		req, err := http.NewRequest("GET", url+"/files", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+rows[0].Token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if got := files(); got != 200 {
		t.Errorf("files = %d", got)
	}
	must(t, "", "keys", "rotate", "--data", data)
	var keysShown []struct {
		KID     string
		Created time.Time
		Retired *time.Time
	}
	inJSON(t, &keysShown, "keys", "list", "--data", data)
	if len(keysShown) != 2 || keysShown[0].KID == "" || keysShown[0].Retired != nil || keysShown[1].Retired == nil {
		t.Errorf("keys list --json: %+v", keysShown)
	}
	if keys := must(t, "", "keys", "list", "--data", data); strings.Count(keys, "signs") != 1 || strings.Count(keys, "verifies until") != 1 {
		t.Errorf("keys after a rotation:\n%s", keys)
	}
	if got := files(); got != 200 {
		t.Errorf("files with a token of the replaced key = %d", got)
	}
	if r, err := http.Post(url+"/rpc/register", "application/json", strings.NewReader(`{"email":"c@example.org","password":"long enough"}`)); err != nil || r.StatusCode != 403 {
		t.Errorf("register without --open-signup = %v, %v", r, err)
	} else {
		r.Body.Close()
	}
	for _, c := range []struct{ said, stdin, command string }{
		{"alice@example.org may store 1G now", "", "user quota Alice@example.org 1G"},
		{"alice@example.org may store any amount now", "", "user quota alice@example.org none"},
		{"alice@example.org has a new password, and its sessions have ended", "third\r\n", "user passwd alice@example.org --password-stdin"},
	} {
		if out := must(t, c.stdin, append(strings.Fields(c.command), "--data", data)...); out != c.said+"\n" {
			t.Errorf("satcheld %s said %q, want %q", c.command, out, c.said)
		}
	}
	if got := files(); got != 401 {
		t.Errorf("files after the password was changed = %d, want 401", got)
	}
	if r := login(t, http.DefaultClient, url, "alice@example.org", "first"); r.StatusCode != 400 {
		t.Errorf("login with the old password = %s", r.Status)
	}
	if r := login(t, http.DefaultClient, url, "alice@example.org", "third"); r.StatusCode != 200 {
		t.Errorf("login with the new password = %s", r.Status)
	}
	if out := must(t, "", "user", "disable", "alice@example.org", "--data", data); out != "alice@example.org can't log in any more, and its sessions have ended; its files stay\n" {
		t.Errorf("satcheld user disable said %q", out)
	}
	if r := login(t, http.DefaultClient, url, "alice@example.org", "third"); r.StatusCode != 400 {
		t.Errorf("login to a disabled account = %s", r.Status)
	}
	conn, err := pgx.Connect(t.Context(), strings.TrimSpace(must(t, "", "psql-url", "--data", data)))
	if err != nil {
		t.Fatal(err)
	}
	if user := conn.Config().User; user != "satchel_app" {
		t.Errorf("psql-url is for %s", user)
	}
	conn.Close(t.Context())

	if code := stop(); code != 0 {
		t.Errorf("serve ended with %d", code)
	}
	if syscall.Kill(postgresPid, 0) != syscall.ESRCH {
		t.Error("PostgreSQL is left running")
	}
	for _, pattern := range []string{"postgres/data/postmaster.pid", "postgres/sock/.s*", "postgres/.new-*", ".key-*"} {
		if left, _ := filepath.Glob(filepath.Join(data, pattern)); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
	if !strings.Contains(must(t, "", "user", "list", "--data", data), "disabled") {
		t.Error("without the server the account is not disabled")
	}
	must(t, "", "user", "enable", "alice@example.org", "--data", data)
	must(t, "", "user", "role", "alice@example.org", "admin", "--data", data)
	if list := must(t, "", "user", "list", "--data", data); strings.Contains(list, "disabled") || strings.Contains(list, "editor") {
		t.Errorf("after enable and role:\n%s", list)
	}
	http.DefaultClient.CloseIdleConnections()
}

func pidOf(t *testing.T, data string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(data, "postgres", "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestWrongUsage(t *testing.T) {
	data := dataDir(t)
	for _, tt := range []struct {
		args string
		says string
	}{
		{"serve --nonsense", "--nonsense"},
		{"nonsense", "nonsense"},
		{"serve --tls-cert x", "go together"},
		{"serve --blobs s3:bucket", "s3://BUCKET"},
		{"serve --blobs s3://key:secret@bucket", "AWS_ACCESS_KEY_ID"},
		{"serve --blobs s3://bucket?endpont=http://x", "endpont"},
		{"serve --blobs postgres:here", "postgres:"},
		{"serve --blobs file:", "use file:DIR"},
		{"serve --blobs nonsense", "use file:DIR"},
		{"serve --listen nonsense", "--listen"},
		{"serve --app-database-url postgres://x", "--database-url"},
		{"serve --log-level loud", "--log-level"},
		{"serve --keep-trash -1h", "--keep-trash"},
		{"gc --keep-versions fortnight", "30d"},
		{"serve --config /nonexistent", "/nonexistent"},
		{"user add", "--password-stdin"},
		{"user add --password-stdin", "email"},
		{"user add someone@example.org", "--password-stdin"},
		{"user add someone --password-stdin", "not an e-mail address"},
		{"user add a@example.org --role owner --password-stdin", "owner"},
		{"user add a@example.org --quota many --password-stdin", "many"},
		{"user quota a@example.org many", "many"},
		{"user quota a@example.org", "size"},
		{"user role a@example.org emperor", "emperor"},
		{"bans lift everyone", "neither an address nor a network"},
		{"serve --acme-listen :80", "--acme-domain"},
		{"serve --public-url drive.example.org", "--public-url"},
		{"serve --public-url ftp://drive.example.org", "--public-url"},
		{"serve --acme-domain a.example.org --tls-cert x --tls-key y", "exclude each other"},
	} {
		code, _, errs := satcheld(t, "pw\n", append(strings.Fields(tt.args), "--data", data)...)
		if code != 2 || !strings.Contains(errs, tt.says) {
			t.Errorf("satcheld %s: exit code %d, %q; want 2 …%s…", tt.args, code, errs, tt.says)
		}
	}
	for _, args := range [][]string{{"nonsense", "--json"}, {"bans", "lift", "everyone", "--json", "--data", data}} {
		var failure struct{ Error, Kind string }
		code, _, errs := satcheld(t, "", args...)
		if err := json.Unmarshal([]byte(errs), &failure); code != 2 || err != nil || failure.Error == "" || failure.Kind != "invalid" {
			t.Errorf("satcheld %q: exit code %d, %q: %v", args, code, errs, err)
		}
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("wrong usage made the data directory")
	}
}

func TestFailuresSayWhatToDo(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	hidden := filepath.Dir(dataDir(t))
	if err := os.Chmod(hidden, 0o700); err != nil {
		t.Fatal(err)
	}
	data := dataDir(t)
	badKey := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(badKey, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		says string
	}{
		{"a busy port", []string{"serve", "--listen", busy.Addr().String(), "--data", data}, "choose another address with --listen"},
		{"data is a file", []string{"serve", "--listen", "127.0.0.1:0", "--data", file}, "is not a directory"},
		{"no database there", []string{"serve", "--listen", "127.0.0.1:0", "--data", data, "--database-url", "postgres://u:secret@127.0.0.1:1/x"}, "connect to the database"},
		{"a wrong database URL", []string{"migrate", "--data", data, "--database-url", "postgres://:::"}, "the database URL"},
		{"no certificate", []string{"serve", "--data", data, "--tls-cert", file, "--tls-key", file}, "certificate"},
		{"a key file that others may read", []string{"serve", "--listen", "127.0.0.1:0", "--data", data, "--key-file", badKey}, "chmod 600"},
		{"an empty password", []string{"user", "add", "a@example.org", "--password-stdin", "--data", data}, "the password is empty"},
		{"nobody to disable", []string{"user", "disable", "nobody@example.org", "--data", data}, "there is no user nobody@example.org"},
		{"data that the user postgres can't enter", []string{"serve", "--listen", "127.0.0.1:0", "--data", filepath.Join(hidden, "data")}, "can't enter " + hidden},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if strings.Contains(tt.name, "can't enter") && os.Getuid() != 0 {
				t.Skip("only root runs postgres as another user")
			}
			code, _, errs := satcheld(t, "\n", tt.args...)
			if code != 1 || !strings.Contains(errs, tt.says) || strings.Contains(errs, "secret") {
				t.Errorf("exit code %d, %q; want 1 …%s…", code, errs, tt.says)
			}
		})
	}
	if pids, _ := filepath.Glob(filepath.Join(data, "postgres/data/postmaster.pid")); len(pids) > 0 {
		t.Error("a failed start left PostgreSQL running")
	}
}

// With --database-url the database of somebody else's PostgreSQL is used.
func TestGivenDatabase(t *testing.T) {
	s := pgtest.Start(t)
	if err := migrations.CreateDatabase(t.Context(), s.URL(private.Superuser, "postgres"), "given"); err != nil {
		t.Fatal(err)
	}
	url, data := s.URL(private.Superuser, "given"), dataDir(t)
	given := func(args ...string) []string { return append(args, "--data", data, "--database-url", url) }
	must(t, "", given("migrate")...)
	must(t, "pw", given("user", "add", "alice@example.org", "--password-stdin")...)
	address, stop := serving(t, given("--app-database-url", s.URL("satchel_app", "given"))...)
	if r := login(t, http.DefaultClient, address, "alice@example.org", "pw"); r.StatusCode != 200 {
		t.Errorf("login = %s", r.Status)
	}
	if code := stop(); code != 0 {
		t.Errorf("serve ended with %d", code)
	}
	if _, err := os.Stat(filepath.Join(data, "postgres")); err == nil {
		t.Error("a private PostgreSQL was made beside the given one")
	}

	// Without a log-in of their own requests are served all the same, and the log says what that means.
	for _, own := range [][]string{nil, {"--app-database-url", s.URL("satchel_app", "given")}} {
		_, _, errs := satcheld(t, "", append(given("serve", "--listen", "127.0.0.1:0", "--vfs-config", "/nonexistent"), own...)...)
		if warned := strings.Contains(errs, "as long as it stays satchel_app"); warned != (own == nil) || !strings.Contains(errs, "/nonexistent") {
			t.Errorf("serve with %q warns: %v\n%s", own, warned, errs)
		}
	}

	tenant := pgtest.Rented(t)
	code, out, errs := satcheld(t, "", "migrate", "--data", data, "--database-url", tenant)
	if code != 1 || !strings.Contains(out, "satchel_app LOGIN") || !strings.Contains(errs, "administrator") {
		t.Errorf("migrate by a role that may not: %d, %q, %q", code, out, errs)
	}
	if code, _, errs = satcheld(t, "", "serve", "--data", data, "--listen", "127.0.0.1:0", "--database-url", tenant); code != 1 || !strings.Contains(errs, "satcheld migrate") {
		t.Errorf("serve by a role that may not: %d, %q", code, errs)
	}
}

// Every flag has an environment variable and a config-file key: the command
// line wins over the environment, and that over the file.
func TestWhereFlagsComeFrom(t *testing.T) {
	data := dataDir(t)
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte("# where it is\ndata = \""+data+"\"\nblobs = tape:file\nlog-level=warn\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, errs := satcheld(t, "", "migrate", "--config", file)
	if code != 2 || !strings.Contains(errs, "tape:file") {
		t.Errorf("from the file: %d %q", code, errs)
	}
	t.Setenv("SATCHELD_BLOBS", "tape:environment")
	if code, _, errs = satcheld(t, "", "migrate", "--config", file); code != 2 || !strings.Contains(errs, "tape:environment") {
		t.Errorf("from the environment: %d %q", code, errs)
	}
	if code, _, errs = satcheld(t, "", "migrate", "--config", file, "--blobs", "tape:flag"); code != 2 || !strings.Contains(errs, "tape:flag") {
		t.Errorf("from the command line: %d %q", code, errs)
	}
	t.Setenv("SATCHELD_CONFIG", file)
	must(t, "a few words\n", "user", "add", "first@example.org", "--password-stdin", "--blobs", "file:"+filepath.Join(data, "b"))
	if code, _, errs = satcheld(t, "", "migrate", "--blobs", "file:"+filepath.Join(data, "b")); code != 0 {
		t.Errorf("the file's data directory: %d %q", code, errs)
	}
	if _, err := os.Stat(filepath.Join(data, "postgres")); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(file, []byte("blob = file:x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs = satcheld(t, "", "migrate", "--config", file); code != 2 || !strings.Contains(errs, `"blob", which is no flag`) {
		t.Errorf("a misspelt key: %d %q", code, errs)
	}
}
