package integration

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"satchel/integration/require"
	"satchel/integration/rig"
)

// nginxConf is two servers behind one name, as docs/operations.md has it.
const nginxConf = `
worker_processes 1;
daemon off;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log;
events { worker_connections 512; }
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	upstream satchel {
		server %[3]s max_fails=1 fail_timeout=2s;
		server %[4]s max_fails=1 fail_timeout=2s;
	}
	server {
		listen %[2]s;
		client_max_body_size 0;
		location / {
			proxy_pass http://satchel;
			proxy_http_version 1.1;
			proxy_set_header Host $http_host;
			proxy_set_header Connection "";
			proxy_request_buffering off;
			proxy_buffering off;
			proxy_read_timeout 90s;
		}
	}
}
`

func healthy(url string) bool {
	resp, err := http.Get(url + "/health")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// startNginx puts one address before a pair of servers.
func startNginx(t *testing.T, p *pair) string {
	t.Helper()
	nginx := require.Tool(t, "nginx", "/usr/sbin/nginx")
	dir := filepath.Join(parts.Dir, unique(t, "nginx"))
	must(t, os.Mkdir(dir, 0o777))
	must(t, os.Chmod(dir, 0o777)) // its workers are another user's
	address, err := rig.FreeAddr()
	must(t, err)
	conf := filepath.Join(dir, "nginx.conf")
	write(t, conf, fmt.Sprintf(nginxConf, dir, address, p.a.Addr, p.b.Addr))
	out := &lockedBuffer{}
	cmd := exec.Command(nginx, "-p", dir, "-c", conf)
	cmd.Stdout, cmd.Stderr = out, out
	child, err := rig.StartChild(cmd)
	must(t, err)
	t.Cleanup(func() { child.End(syscall.SIGQUIT) })
	url := "http://" + address
	if err := child.WaitReady(t.Context(), 30*time.Second, func() bool { return healthy(url) }); err != nil {
		t.Fatalf("nginx: %v\n%s", err, out)
	}
	return url
}

// TestRestartBehindNginx restarts one of two servers, the way an update does,
// in the middle of a large upload, of an untar in the folder, and of a put.
// All of it must arrive, and no program may see an error.
func TestRestartBehindNginx(t *testing.T) {
	p := newPair(t)
	url := startNginx(t, p)
	anna := newAccount(t, p.a, "anna")
	d, reader := anna.newDeviceAt(t, "writer", url), anna.newDeviceAt(t, "reader", url)
	mount(t, d)

	mib := 96
	if v := os.Getenv("SATCHEL_TEST_RESTART_MIB"); v != "" {
		n, err := strconv.Atoi(v)
		must(t, err)
		mib = n
	}
	dir := t.TempDir()
	big := filepath.Join(dir, "big")
	content := make([]byte, mib<<20)
	rand.NewChaCha8([32]byte{9}).Read(content)
	must(t, os.WriteFile(big, content, 0o644))
	sum := sha256.Sum256(content)
	tar := filepath.Join(dir, "src.tar")
	src := filepath.Join(goroot(t), "src")
	command(t, src, "tar", "cf", tar, "net", "encoding")

	var work sync.WaitGroup
	ok := func(err error, out []byte) {
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
	begun := make(chan struct{})
	work.Go(func() { // through the folder
		ok(os.Mkdir(filepath.Join(d.Mount, "tree"), 0o755), nil)
		out, err := exec.Command("tar", "xf", tar, "-C", filepath.Join(d.Mount, "tree")).CombinedOutput()
		ok(err, out)
		out, err = exec.Command("cp", big, filepath.Join(d.Mount, "big")).CombinedOutput()
		ok(err, out)
	})
	work.Go(func() { // without it
		close(begun)
		out, err := reader.Satchel(t.Context(), "", "put", big, tar, "put/")
		ok(err, []byte(out))
	})
	<-begun
	for _, s := range []*rig.Server{p.a, p.b} {
		time.Sleep(700 * time.Millisecond) // in the middle of it, on any machine
		must(t, s.Stop())
		must(t, s.Start(t.Context()))
	}
	work.Wait()
	syncAll(t, d)
	if s, err := d.Status(t.Context()); err != nil || s.PendingMutations != 0 {
		t.Errorf("status: %+v, %v", s, err)
	}

	// All of it is there, read by the other device through the same front.
	mount(t, reader)
	command(t, filepath.Join(reader.Mount, "tree"), "tar", "df", tar)
	for _, path := range []string{"big", "put/big"} {
		f, err := os.Open(filepath.Join(reader.Mount, path))
		must(t, err)
		h := sha256.New()
		_, err = io.Copy(h, f)
		f.Close()
		must(t, err)
		if !bytes.Equal(h.Sum(nil), sum[:]) {
			t.Errorf("%s has other content", path)
		}
	}
}
