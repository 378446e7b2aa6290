package integration

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"satchel/integration/rig"
)

// A leak is what was said where it may be read by those who may not know it.
type leaks struct {
	t       *testing.T
	secrets map[string]string // by what they are
	said    map[string]string // by where
}

func (l *leaks) secret(what, value string) string {
	l.t.Helper()
	if len(value) < 8 {
		l.t.Fatalf("%s is %q, which is no secret", what, value)
	}
	l.secrets[what] = value
	return value
}

// find looks for every secret as it is, and as headers and queries have it.
func (l *leaks) find() {
	l.t.Helper()
	for what, secret := range l.secrets {
		for form, text := range map[string]string{
			"as it is": secret, "in a query": url.QueryEscape(secret), "in base64": strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(secret)), "="),
		} {
			for where, said := range l.said {
				if i := strings.Index(said, text); i >= 0 {
					l.t.Errorf("%s has the %s %s: …%s…", where, what, form, said[max(0, i-120):min(len(said), i+20)])
				}
			}
		}
	}
}

// TestSecretsStayOutOfLogs: whatever happens, with all logging on, no secret is in the logs of
// server and client, the audit log, the metrics, the profiles or what a crash leaves behind.
func TestSecretsStayOutOfLogs(t *testing.T) {
	addr, err := rig.FreeAddr()
	must(t, err)
	private, err := rig.FreeAddr()
	must(t, err)
	l := &leaks{t: t, secrets: map[string]string{}, said: map[string]string{}}
	s := ownServer(t, "--log-level", "debug", "--s3-listen", addr, "--metrics-listen", private,
		"--oidc-issuer", "http://127.0.0.1:1", "--oidc-client-id", "satchel", "--oidc-client-secret", l.secret("OpenID secret", "told-to-nobody-else"))
	anna := newAccount(t, s, "anna")
	l.secret("password", anna.password)
	l.secret("token", anna.token)
	key, err := os.ReadFile(filepath.Join(s.Data, "key"))
	must(t, err)
	l.secret("sealing key", strings.TrimSpace(string(key)))
	asJSON := map[string]string{"Content-Type": "application/json"}

	// Signing in, rightly and wrongly, and with requests that are none.
	login := anna.ask(t, "POST", "/rpc/login", asJSON, fmt.Appendf(nil, `{"email":%q,"password":%q}`, anna.email, anna.password)).must(t, 200)
	cookie, _, _ := strings.Cut(login.header.Get("Set-Cookie"), ";")
	_, value, _ := strings.Cut(cookie, "=")
	l.secret("cookie", value)
	nobody := &account{server: s}
	for what, body := range map[string]string{
		"wrong password":             `{"email":%q,"password":"%s"}`,
		"password in broken JSON":    `{"email":%q,"password":"%s`,
		"password of a wrong type":   `{"email":%q,"password":["%s"]}`,
		"password beside an address": `{"email":[%q],"password":"%s"}`,
	} {
		secret := l.secret(what, strings.ReplaceAll(what, " ", "_")+"_0123456789")
		for _, path := range []string{"/rpc/login", "/v1/login", "/rpc/register", "/api/users/login"} {
			nobody.ask(t, "POST", path, asJSON, fmt.Appendf(nil, body, anna.email, secret))
		}
	}
	nobody.ask(t, "GET", "/rpc/login?password="+l.secret("password in a query", "in-the-query-0123"), nil, nil).must(t, 405)
	for what, header := range map[string]string{
		"forged token": "Bearer " + anna.token[:len(anna.token)-8] + "AAAAAAAA", "token that is none": "Bearer not-a-token-0123456789", "password as a token": "Basic " + anna.password,
	} {
		_, secret, _ := strings.Cut(header, " ")
		l.secret(what, secret)
		for _, path := range []string{"/files", "/v1/whoami", "/v1/devices", "/dav/"} {
			nobody.ask(t, "GET", path, map[string]string{"Authorization": header}, nil).must(t, 401)
		}
	}
	nobody.ask(t, "GET", "/browse/", map[string]string{"Cookie": "satchel_session=" + l.secret("wrong cookie", "no-cookie-of-ours-0123")}, nil)

	// A device with its daemon, and one that asks to be confirmed.
	laptop := anna.mountNew(t, "laptop")
	write(t, filepath.Join(laptop.Mount, "notes.txt"), "notes")
	syncAll(t, laptop)
	var credentials string
	must(t, filepath.WalkDir(laptop.Home, func(path string, e fs.DirEntry, err error) error {
		if path == laptop.Mount {
			return filepath.SkipDir
		}
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if m := regexp.MustCompile(`"secret":\s*"([^"]{20,})"`).FindSubmatch(b); m != nil {
			l.secret("device's secret", string(m[1]))
			credentials = path
		}
		return err
	}))
	if credentials == "" {
		t.Fatal("the device's login is not where it was")
	}
	var waiting struct {
		Device string `json:"device_code"`
		User   string `json:"user_code"`
	}
	must(t, json.Unmarshal(nobody.ask(t, "POST", "/v1/device/code", asJSON, []byte(`{"device":"phone"}`)).must(t, 200).body, &waiting))
	l.secret("code of a device", waiting.Device)
	l.secret("code for people", waiting.User)
	nobody.ask(t, "POST", "/v1/device/token", asJSON, fmt.Appendf(nil, `{"device_code":%q}`, waiting.Device))
	anna.ask(t, "GET", "/device?code="+waiting.User, map[string]string{"Cookie": cookie, "Accept": "text/html"}, nil)
	nobody.ask(t, "POST", "/v1/token", asJSON, fmt.Appendf(nil, `{"secret":%q}`, l.secret("wrong secret of a device", "no-secret-of-a-device"))).must(t, 401)

	// An app password, an access key, a link.
	app := anna.appPassword(t, "calendar")
	anna.dav = l.secret("app password", app.Password)
	anna.webdav(t, "PROPFIND", "/dav/", nil, nil).must(t, 207)
	nobody.ask(t, "GET", "/dav/notes.txt", map[string]string{"Authorization": basic(anna.email, l.secret("wrong app password", "abcdefgh-wrong-app"))}, nil).must(t, 401)
	var access accessKey
	must(t, json.Unmarshal(anna.ask(t, "POST", "/v1/access-keys", asJSON, []byte(`{"name":"tests"}`)).must(t, 200).body, &access))
	l.secret("access key's secret", access.Secret)
	u := &s3User{account: anna, key: access, endpoint: "http://" + addr, client: s3Client("http://"+addr, access)}
	bucket := u.bucket(t)
	must(t, u.put(t.Context(), bucket, "k", []byte("content")))
	if err := (&s3User{client: s3Client(u.endpoint, accessKey{access.Key, l.secret("wrong access key's secret", "not-the-secret-of-it")})}).put(t.Context(), bucket, "k", nil); code(err) != "SignatureDoesNotMatch" {
		t.Fatalf("a wrong signature: %v", err)
	}
	name := "k"
	presigned, err := s3.NewPresignClient(u.client).PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &name})
	must(t, err)
	at, err := url.Parse(presigned.URL)
	must(t, err)
	l.secret("signature of a presigned URL", at.Query().Get("X-Amz-Signature"))
	for _, u := range []string{presigned.URL, strings.Replace(presigned.URL, "/k?", "/other?", 1)} {
		res, err := http.Get(u)
		must(t, err)
		res.Body.Close()
	}
	var link struct{ URL string }
	must(t, json.Unmarshal(anna.ask(t, "POST", "/v1/drives/home/links", asJSON, fmt.Appendf(nil, `{"path":"notes.txt","password":%q}`, l.secret("link's password", "open sesame 0123"))).must(t, 200).body, &link))
	token := l.secret("link", link.URL[strings.LastIndexByte(link.URL, '/')+1:])
	for _, path := range []string{"/s/%s", "/s/%s/", "//s/%s/", "/x/../s/%s/", "/s/%s/none/at/all", "/s/%s/api/vfs/%%2e%%2e/", "/s/%s/?open"} {
		nobody.ask(t, "GET", fmt.Sprintf(path, token), nil, nil)
	}
	for _, password := range []string{"open sesame 0123", l.secret("wrong password of a link", "wrong-of-a-link")} {
		nobody.ask(t, "POST", "/s/"+token+"/", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, []byte("password="+url.QueryEscape(password)))
	}
	next := l.secret("new password", "another password 0123")
	anna.ask(t, "POST", "/rpc/change_password", asJSON, fmt.Appendf(nil, `{"current_password":%q,"new_password":%q}`, anna.password, next)).must(t, 204)
	anna.password = next
	anna.token = l.secret("token of the new password", anna.login(t))
	nobody.ask(t, "GET", "/oidc/begin", nil, nil)

	// The database crashes under requests that bring secrets: PostgreSQL begins anew when one of its processes was killed.
	postmaster, err := os.ReadFile(filepath.Join(s.Data, "postgres", "data", "postmaster.pid"))
	must(t, err)
	parent, _, _ := strings.Cut(string(postmaster), "\n")
	backend := regexp.MustCompile(`(\d+) postgres: .*satchel_app`).FindStringSubmatch(command(t, "/", "ps", "--ppid", parent, "-o", "pid=,args="))
	if backend == nil {
		t.Fatal("no process of PostgreSQL works for the server")
	}
	pid, err := strconv.Atoi(backend[1])
	must(t, err)
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	for range 5 {
		nobody.ask(t, "POST", "/rpc/login", asJSON, fmt.Appendf(nil, `{"email":%q,"password":%q}`, anna.email, anna.password))
		anna.ask(t, "GET", "/files", nil, nil)
		nobody.ask(t, "GET", "/s/"+token+"/", nil, nil)
	}
	eventually(t, time.Minute, func() error {
		if got := anna.ask(t, "GET", "/files", nil, nil); got.status != 200 {
			return fmt.Errorf("after PostgreSQL was killed: %v", got)
		}
		return nil
	})

	// What operators read.
	must(t, s.AddUser(t.Context(), "root-of-secrets@example.org", l.secret("admin's password", "the admin's own 0123"), "admin"))
	root := &account{server: s, email: "root-of-secrets@example.org", password: "the admin's own 0123"}
	root.token = l.secret("admin's token", root.login(t))
	l.said["the audit log"] = string(root.ask(t, "GET", "/v1/admin/events?limit=1000", nil, nil).must(t, 200).body)
	for _, path := range []string{"/metrics", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1", "/debug/pprof/allocs?debug=1", "/debug/pprof/cmdline"} {
		res, err := http.Get("http://" + private + path)
		must(t, err)
		b, err := io.ReadAll(res.Body)
		must(t, err)
		res.Body.Close()
		l.said[path] = string(b)
	}
	// A crash of both, with all that Go writes of one.
	status, err := laptop.Status(t.Context())
	must(t, err)
	must(t, syscall.Kill(status.PID, syscall.SIGQUIT))
	must(t, syscall.Kill(s.Pid(), syscall.SIGQUIT))
	if !s.Died(time.Minute) {
		t.Fatal("the server lives after SIGQUIT")
	}
	eventually(t, time.Minute, func() error {
		if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", status.PID)); err == nil && exe != "" {
			return fmt.Errorf("the daemon lives after SIGQUIT")
		}
		return nil
	})
	log, err := os.ReadFile(s.Log)
	must(t, err)
	l.said["the server's log"] = string(log)
	for _, want := range []string{"level=DEBUG", "login refused", "/s/…/", "goroutine ", "msg=request"} {
		if !strings.Contains(string(log), want) {
			t.Errorf("the server's log has no %q: not all happened that was to be logged", want)
		}
	}
	must(t, filepath.WalkDir(filepath.Join(laptop.Home), func(path string, e fs.DirEntry, err error) error {
		if path == laptop.Mount {
			return filepath.SkipDir
		}
		if err != nil || !e.Type().IsRegular() || path == credentials {
			return err
		}
		b, err := os.ReadFile(path)
		l.said["the device's "+strings.TrimPrefix(path, laptop.Home)] = string(b)
		return err
	}))
	if !strings.Contains(laptop.Logs(), "goroutine ") {
		t.Error("the daemon's log does not have its end")
	}
	must(t, exec.Command("umount", "--lazy", laptop.Mount).Run())

	// A database that can't be had, with the password in its address.
	secret := l.secret("database's password", "of-the-database-0123")
	for i, address := range []string{"postgres://satchel:%s@127.0.0.1:1/satchel", "postgres://satchel:%s@127.0.0.1:port/satchel", "postgres://satchel:%s@[::1/satchel",
		"host=127.0.0.1 port=1 user=satchel password=%s", "host=127.0.0.1 port=1 user=satchel password='%s", "postgres://satchel:%s@127.0.0.1:1/satchel?sslmode=sometimes"} {
		for _, args := range [][]string{{"serve"}, {"user", "list"}, {"--json", "migrate"}} {
			cmd := exec.CommandContext(t.Context(), filepath.Join(parts.Bin, "satcheld"), append(args, "--log-level", "debug", "--data", t.TempDir(), "--database-url", fmt.Sprintf(address, secret))...)
			out, err := cmd.CombinedOutput()
			if err == nil || len(bytes.TrimSpace(out)) == 0 {
				t.Errorf("%s with %s: %v, %q", args, address, err, out)
			}
			l.said[fmt.Sprintf("%s with address %d", args, i)] = string(out)
		}
	}
	l.find()
}
