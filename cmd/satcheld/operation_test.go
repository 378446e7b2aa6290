package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"satchel/integration/require"
)

// programFile builds satcheld, for tests that need a process.
func programFile(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "satcheld")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}

func fetch(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// lines are what a server prints when it begins.
type lines struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.String()
}

// within waits until something is so.
func within(t *testing.T, what string, limit time.Duration, is func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// The figures and profiles are at an address of their own, and nowhere else; the
// dashboard asks for nothing that there is not.
func TestMetrics(t *testing.T) {
	data := dataDir(t)
	must(t, "a password\n", "user", "add", "alice@example.org", "--password-stdin", "--data", data)
	ctx, stop := context.WithCancel(t.Context())
	var out, errs lines
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--drain-delay", "1s", "--data", data, "--blobs", "postgres:", "--log-json", "--json"},
			strings.NewReader(""), &out, &errs)
	}()
	var at addresses
	within(t, "the server serves", time.Minute, func() bool { return json.Unmarshal([]byte(out.String()), &at) == nil || len(ended) > 0 })
	if len(ended) > 0 {
		t.Fatal(errs.String())
	}
	url, private := at.URL, at.Metrics

	resp := login(t, http.DefaultClient, url, "alice@example.org", "a password")
	var rows []struct{ Token string }
	if err := json.NewDecoder(resp.Body).Decode(&rows); err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequest("POST", url+"/rpc/store_file", strings.NewReader(strings.Repeat("content", 1000)))
	req.Header.Set("Authorization", "Bearer "+rows[0].Token)
	req.Header.Set("File-Path", "a.txt")
	req.Header.Set("Content-Type", "application/octet-stream")
	stored, err := http.DefaultClient.Do(req)
	if err != nil || stored.StatusCode != 200 {
		t.Fatalf("store: %v %v", stored, err)
	}
	stored.Body.Close()
	fetch(t, url+"/nothing-here")

	for path, want := range map[string]string{"/health": "ok", "/ready": "ready", "/debug/pprof/goroutine?debug=1": "goroutine profile", "/debug/pprof/": "heap"} {
		if status, body := fetch(t, private+path); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.200s", path, status, body)
		}
	}
	if status, _ := fetch(t, private+"/debug/pprof/cmdline"); status != 404 {
		t.Errorf("the command line, which may have a password in it: %d", status)
	}
	for _, path := range []string{"/metrics", "/debug/pprof/", "/ready"} {
		if status, body := fetch(t, url+path); status == 200 && strings.Contains(body, "satchel_") || strings.Contains(body, "goroutine") {
			t.Errorf("%s is served to everybody: %d", path, status)
		}
	}
	_, metrics := fetch(t, private+"/metrics")
	for _, want := range []string{
		`satchel_http_requests_total{api="rpc",method="POST",status="2xx"} 2`, `satchel_http_bytes_total{api="rpc",direction="in"} 7`,
		`satchel_blob_seconds_count{operation="put",result="ok"} 1`, "satchel_database_connections_max ", "go_goroutines", "process_cpu_seconds_total",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	for _, secret := range []string{"alice", "a.txt", "nothing-here", rows[0].Token} {
		if strings.Contains(metrics, secret) {
			t.Errorf("the metrics tell %q", secret)
		}
	}

	// What the dashboard shows is there, or is of what has not happened yet.
	dashboard, err := os.ReadFile("../../docs/deploy/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	later := []string{"satchel_upkeep_last_success_timestamp_seconds", "satchel_upkeep_runs_total", "satchel_log_lines_total"}
	asked := regexp.MustCompile(`\b(satchel|process|go)_[a-z0-9_]+`).FindAllString(string(dashboard), -1)
	if len(asked) < 20 {
		t.Errorf("the dashboard asks for %d figures", len(asked))
	}
	for _, name := range asked {
		if !strings.Contains(metrics, name) && !slices.Contains(later, name) {
			t.Errorf("the dashboard asks for %s, which there is not", name)
		}
	}

	// Told to end, it says so while it still answers.
	stop()
	within(t, "/health says that it drains", 10*time.Second, func() bool { status, _ := fetch(t, url+"/health"); return status == 503 })
	if status, _ := fetch(t, private+"/ready"); status != 503 {
		t.Errorf("/ready while it drains: %d", status)
	}
	if status, _ := fetch(t, url+"/"); status != 200 {
		t.Errorf("a request while it drains: %d", status)
	}
	http.DefaultClient.CloseIdleConnections()
	if code := <-ended; code != 0 {
		t.Errorf("serve ended with %d: %s", code, errs.String())
	}
	for line := range strings.Lines(errs.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("the log has a line that is not JSON: %s", line)
		}
	}
}

// With a socket that outlives the server, a restart refuses nobody.
func TestRestartRefusesNobody(t *testing.T) {
	program, data := programFile(t), dataDir(t)
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	file, err := socket.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	begin := func() *exec.Cmd {
		// As systemd does: the socket is descriptor 3 of the process that LISTEN_PID names.
		cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=listen exec "$0" serve --data "$1"`, program, data)
		cmd.ExtraFiles = []*os.File{file}
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil || !strings.Contains(line, socket.Addr().String()) {
			t.Fatalf("it serves %q, not %s: %v", line, socket.Addr(), err)
		}
		go io.Copy(io.Discard, out)
		return cmd
	}
	first := begin()
	url := "http://" + socket.Addr().String() + "/health"
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	answered := 0
	go func() {
		// A connection each: those that are kept may be closed by either side at any time.
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
		for ctx.Err() == nil {
			resp, err := client.Get(url)
			if err != nil {
				failed <- err
				return
			}
			resp.Body.Close()
			if resp.StatusCode != 200 && resp.StatusCode != 503 { // 503: it drains
				failed <- fmt.Errorf("%s", resp.Status)
				return
			}
			answered++
		}
		failed <- nil
	}()
	for server, i := first, 0; i < 2; i++ {
		time.Sleep(200 * time.Millisecond)
		server.Process.Signal(syscall.SIGTERM)
		if err := server.Wait(); err != nil {
			t.Fatalf("it ended with %v", err)
		}
		server = begin()
		defer server.Process.Signal(syscall.SIGTERM)
	}
	cancel()
	if err := <-failed; err != nil || answered == 0 {
		t.Errorf("after %d answers: %v", answered, err)
	}
}

// A certificate that is replaced is used, without a restart; one that is broken is not.
func TestCertificateIsReplaced(t *testing.T) {
	cert, key, _ := selfSigned(t)
	url, stop := serving(t, "--data", dataDir(t), "--tls-cert", cert, "--tls-key", key)
	address := strings.TrimPrefix(url, "https://")
	serial := func() string {
		conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return fmt.Sprintf("%x", conn.ConnectionState().PeerCertificates[0].Raw)
	}
	first := serial()
	if err := os.WriteFile(cert, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	time.Sleep(look + 100*time.Millisecond)
	if serial() != first {
		t.Error("a broken certificate was taken")
	}
	cert2, key2, _ := selfSigned(t)
	for from, to := range map[string]string{cert2: cert, key2: key} {
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	within(t, "the new certificate is used", 30*time.Second, func() bool { return serial() != first })
	if code := stop(); code != 0 {
		t.Errorf("serve ended with %d", code)
	}
}

// What is secret is in no line of the log, whatever its level.
func TestLogHasNoSecrets(t *testing.T) {
	data := dataDir(t)
	must(t, "hunter2-hunter2\n", "user", "add", "alice@example.org", "--password-stdin", "--data", data)
	ctx, stop := context.WithCancel(t.Context())
	var out, errs lines
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"serve", "--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0", "--data", data, "--log-level", "debug"}, strings.NewReader(""), &out, &errs)
	}()
	within(t, "the server serves", time.Minute, func() bool { return strings.Contains(out.String(), "S3") || len(ended) > 0 })
	url := regexp.MustCompile(`satcheld serves (http\S+)`).FindStringSubmatch(out.String())[1]
	s3 := regexp.MustCompile(`S3 clients at (\S+)`).FindStringSubmatch(out.String())[1]
	secrets := []string{"hunter2-hunter2", "wrong-password-9"}
	send := func(method, target, token, body string, header ...string) string {
		t.Helper()
		req, err := http.NewRequest(method, target, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		for _, c := range resp.Cookies() {
			secrets = append(secrets, c.Value)
		}
		b, _ := io.ReadAll(resp.Body)
		return string(b)
	}
	keep := func(body string, names ...string) (values []string) {
		t.Helper()
		for _, name := range names {
			m := regexp.MustCompile(`"` + name + `":"([^"]+)"`).FindStringSubmatch(body)
			if m == nil {
				t.Fatalf("no %s in %s", name, body)
			}
			values = append(values, m[1])
		}
		secrets = append(secrets, values...)
		return values
	}
	token := keep(send("POST", url+"/rpc/login", "", `{"email":"alice@example.org","password":"hunter2-hunter2"}`), "token")[0]
	send("POST", url+"/rpc/login", "", `{"email":"alice@example.org","password":"wrong-password-9"}`)
	send("POST", url+"/rpc/login", "", `{"email":"wrong-password-9","password":"wrong-password-9"}`)
	device := keep(send("POST", url+"/v1/login", "", `{"email":"alice@example.org","password":"hunter2-hunter2","device":"d"}`), "secret")[0]
	send("POST", url+"/v1/token", "", `{"secret":"`+device+`"}`)
	send("GET", url+"/v1/whoami?token="+token, token+"x", "")
	app := keep(send("POST", url+"/v1/app-passwords", token, `{"name":"p"}`), "password")[0]
	send("PROPFIND", url+"/dav/", "", "", "Authorization", "Basic "+app)
	key := keep(send("POST", url+"/v1/access-keys", token, `{"name":"k"}`), "secret")[0]
	send("GET", s3+"/bucket/x?X-Amz-Signature="+key, "", "")
	send("GET", url+"/api/vfs/ls/home/%2e%2e/x?token="+token, token, "")
	send("POST", url+"/rpc/change_password", token, `{"current_password":"wrong-password-9","new_password":"hunter2-hunter3"}`)
	secrets = append(secrets, "hunter2-hunter3")
	sealing, err := os.ReadFile(filepath.Join(data, "key"))
	if err != nil {
		t.Fatal(err)
	}
	secrets = append(secrets, strings.TrimSpace(string(sealing)))
	stop()
	http.DefaultClient.CloseIdleConnections()
	if code := <-ended; code != 0 {
		t.Errorf("serve ended with %d", code)
	}
	log := errs.String()
	if !strings.Contains(log, "/rpc/login") {
		t.Fatalf("the log tells of no request:\n%s", log)
	}
	if len(secrets) < 9 {
		t.Fatalf("only %d secrets were made", len(secrets))
	}
	for _, secret := range secrets {
		if secret != "" && strings.Contains(log, secret) {
			t.Errorf("the log has the secret %q", secret)
		}
	}
}

// The files in docs/deploy are what they say: systemd and nginx take them.
func TestDeploymentFiles(t *testing.T) {
	const dir = "../../docs/deploy/"
	read := func(name string) string {
		t.Helper()
		b, err := os.ReadFile(dir + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	units := t.TempDir()
	service := strings.ReplaceAll(read("satcheld.service"), "/usr/bin/satcheld", "/bin/true") // it must be there
	for name, text := range map[string]string{"satcheld.service": service, "satcheld.socket": read("satcheld.socket")} {
		if err := os.WriteFile(filepath.Join(units, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	analyze := require.Tool(t, "systemd-analyze")
	for _, args := range [][]string{{"--man=no", "verify", "./satcheld.service", "./satcheld.socket"}, {"security", "--offline=true", "--threshold=20", "./satcheld.service"}} {
		cmd := exec.Command(analyze, args...)
		cmd.Dir = units
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("systemd-analyze %v: %v\n%s", args, err, out)
		}
	}
	// The flags of the configuration file are flags.
	if code, _, errs := satcheld(t, "a few words\n", "user", "add", "first@example.org", "--password-stdin", "--config", dir+"satcheld.conf", "--data", dataDir(t)); code != 0 {
		t.Errorf("satcheld.conf: %s", errs)
	}
	all := strings.ReplaceAll(read("satcheld.conf"), "\n#", "\n")
	for line := range strings.Lines(all) {
		if name, _, ok := strings.Cut(line, " = "); ok && !strings.HasPrefix(name, "#") {
			if code, out, _ := satcheld(t, "", "serve", "--help"); code != 0 || !strings.Contains(out, "--"+name) {
				t.Errorf("satcheld.conf sets %q, which is no flag of serve", name)
			}
		}
	}
	// Without it cookies that came through the proxy would not be Secure.
	const public = "https://drive.example.org"
	for file, says := range map[string]string{"nginx.conf": "--public-url " + public, "Caddyfile": "--public-url " + public, "satcheld.conf": "public-url = " + public} {
		if !strings.Contains(read(file), says) {
			t.Errorf("%s does not say %s", file, says)
		}
	}
	cert, key, _ := selfSigned(t)
	conf := strings.NewReplacer("/etc/letsencrypt/live/drive.example.org/fullchain.pem", cert, "/etc/letsencrypt/live/drive.example.org/privkey.pem", key,
		"listen [::]:443 ssl;", "", "listen [::]:80;", "", "443 ssl", "unix:"+units+"/tls ssl", "listen 80", "listen unix:"+units+"/plain", "http2 on;", "").Replace(read("nginx.conf"))
	file := filepath.Join(units, "nginx.conf")
	if err := os.WriteFile(file, []byte("pid "+units+"/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n"+conf+"}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(require.Tool(t, "nginx", "/usr/sbin/nginx"), "-t", "-p", units, "-c", file).CombinedOutput(); err != nil {
		t.Errorf("nginx: %v\n%s", err, out)
	}
}
