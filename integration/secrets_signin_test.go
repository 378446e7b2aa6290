package integration

import (
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
	"strings"
	"testing"
	"time"

	"satchel/integration/identity"
	"satchel/integration/rig"
)

// TestSecretsOfSignInStayOutOfLogs is [TestSecretsStayOutOfLogs] for who signs in by a provider, and logs a device in on the page.
func TestSecretsOfSignInStayOutOfLogs(t *testing.T) {
	l := &leaks{t: t, secrets: map[string]string{}, said: map[string]string{}}
	private, err := rig.FreeAddr()
	must(t, err)
	provider := identity.New(t)
	shared := l.secret("OpenID secret", "told-to-the-provider-alone")
	s := ownServer(t, "--log-level", "debug", "--metrics-listen", private,
		"--oidc-issuer", provider.URL, "--oidc-client-id", identity.Client, "--oidc-client-secret", shared)
	anna := newAccount(t, s, "anna")
	known := identity.Known{
		"anna":     {ID: "a", Email: anna.email, EmailVerified: true},
		"stranger": {ID: "s", Email: "nobody@example.org", EmailVerified: true},
	}
	provider.Serve(known, shared, s.URL+"/oidc/end")

	// Signing in: once to the end, once as nobody's, with an answer that was not asked for, and with one that comes twice.
	begun := func(who *identity.Person, name string) {
		t.Helper()
		for i, at := range who.Visited {
			for _, part := range []string{"code", "state", "nonce", "code_challenge"} {
				if v := at.Query().Get(part); v != "" {
					l.secret(fmt.Sprintf("%s's %s in redirect %d", name, part, i), v)
				}
			}
		}
		home, err := url.Parse(s.URL)
		must(t, err)
		for _, path := range []string{"/", "/oidc/end"} {
			home.Path = path
			for _, c := range who.Jar.Cookies(home) {
				l.secret(fmt.Sprintf("%s's cookie %s at %s", name, c.Name, path), c.Value)
			}
		}
	}
	person := identity.NewPerson(t)
	if at, text := person.SignIn(s.URL+"/oidc/begin", "anna"); at.Path != "/browse/" {
		t.Fatalf("Anna is led to %s:\n%s", at, text)
	}
	begun(person, "Anna")
	stranger := identity.NewPerson(t)
	at, text := stranger.SignIn(s.URL+"/oidc/begin", "stranger")
	if at.Path != "/oidc/end" {
		t.Fatalf("a stranger is led to %s:\n%s", at, text)
	}
	begun(stranger, "the stranger")
	l.said["the page for strangers"] = text
	again, err := stranger.Get(at.String())
	_, l.said["the answer that came twice"] = stranger.Page(again, err)
	thief := identity.NewPerson(t)
	wrong, err := thief.Get(s.URL + "/oidc/end?code=" + l.secret("code of nobody", "code-of-nobody-0123") + "&state=" + l.secret("state of nobody", "state-of-nobody-0123"))
	_, l.said["the answer to nobody"] = thief.Page(wrong, err)
	issued := provider.Issued()
	if len(issued) < 4 || len(l.secrets) < 12 {
		t.Fatalf("only %d tokens and %d secrets were seen", len(issued), len(l.secrets))
	}
	for i, token := range issued {
		l.secret(fmt.Sprintf("the provider's token %d", i), token)
	}
	known["anna"].EmailVerified = false
	provider.Serve(known, "another secret", s.URL+"/oidc/end") // the server's is wrong now
	if at, text = identity.NewPerson(t).SignIn(s.URL+"/oidc/begin", "anna"); at.Path != "/oidc/end" {
		t.Fatalf("with a wrong secret Anna is led to %s:\n%s", at, text)
	}
	l.said["the page for a wrong secret"] = text

	// A device asks for a code, and is confirmed by who is signed in.
	device, err := parts.NewDevice(unique(t, "laptop"), nil)
	must(t, err)
	device.Setenv("SATCHEL_KEYRING", "off")
	for _, allow := range []string{"false", "true"} {
		cmd := exec.CommandContext(t.Context(), filepath.Join(parts.Bin, "satchel"), "--json", "login", s.URL, "--device", "laptop")
		cmd.Env = device.Environ()
		stdout, err := cmd.StdoutPipe()
		must(t, err)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		must(t, cmd.Start())
		out := json.NewDecoder(stdout)
		var shown struct{ Open, Code string }
		must(t, out.Decode(&shown))
		l.secret("code for people, "+allow, shown.Code)
		page, err := person.Get(shown.Open)
		if _, text := person.Page(page, err); !strings.Contains(text, "laptop") {
			t.Fatalf("the page for the device:\n%s", text)
		}
		answered, err := person.PostForm(s.URL+"/do/device", url.Values{"code": {shown.Code}, "allow": {allow}})
		person.Page(answered, err)
		rest, err := io.ReadAll(io.MultiReader(out.Buffered(), stdout))
		must(t, err)
		if err := cmd.Wait(); (err == nil) != (allow == "true") {
			t.Fatalf("a login that was answered with %s: %v\n%s", allow, err, stderr.String())
		}
		l.said["the login that was answered with "+allow] = string(rest) + stderr.String()
	}
	mount(t, device)
	t.Cleanup(func() {
		ctx, cancel := finish()
		defer cancel()
		if device.Mounted() {
			must(t, device.Unmount(ctx, "--now"))
		}
	})
	write(t, filepath.Join(device.Mount, "notes.txt"), "notes")
	syncAll(t, device)
	secret := regexp.MustCompile(`"secret":\s*"([^"]{20,})"`)
	credentials := ""
	files := func(see func(path string, content []byte)) {
		t.Helper()
		must(t, filepath.WalkDir(device.Home, func(path string, e fs.DirEntry, err error) error {
			if path == device.Mount {
				return filepath.SkipDir
			}
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			see(path, b)
			return err
		}))
	}
	files(func(path string, content []byte) {
		if m := secret.FindSubmatch(content); m != nil {
			l.secret("device's secret", string(m[1]))
			credentials = path
		}
	})
	if credentials == "" {
		t.Fatal("the device's login is not where it was")
	}
	// Revoked, it is told so again and again.
	var devices []struct{ ID, Name string }
	must(t, json.Unmarshal(anna.ask(t, "GET", "/v1/devices", nil, nil).must(t, http.StatusOK).body, &devices))
	revoked := false
	for _, d := range devices {
		if d.Name == "laptop" {
			anna.ask(t, "DELETE", "/v1/devices/"+d.ID, nil, nil).must(t, http.StatusNoContent)
			revoked = true
		}
	}
	if !revoked {
		t.Fatalf("the device is not listed: %v", devices)
	}
	eventually(t, time.Minute, func() error {
		if logs := device.Logs(); !strings.Contains(logs, "log in again") {
			return fmt.Errorf("the daemon does not know that it was revoked:\n%s", logs)
		}
		return nil
	})

	res, err := http.Get("http://" + private + "/metrics")
	must(t, err)
	metrics, err := io.ReadAll(res.Body)
	res.Body.Close()
	must(t, err)
	l.said["the metrics"] = string(metrics)
	log, err := os.ReadFile(s.Log)
	must(t, err)
	l.said["the server's log"] = string(log)
	for _, want := range []string{"level=DEBUG", "/oidc/end", "/v1/device/token", "/do/device"} {
		if !strings.Contains(string(log), want) {
			t.Errorf("the server's log has no %q: not all happened that was to be logged", want)
		}
	}
	files(func(path string, content []byte) {
		if path != credentials {
			l.said["the device's "+strings.TrimPrefix(path, device.Home)] = string(content)
		}
	})
	l.find()
}
