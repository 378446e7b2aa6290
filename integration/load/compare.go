package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"satchel/api/client"
	"satchel/integration/require"
	"satchel/integration/rig"
)

// rival is a server that has the same files at /NAME.
type rival struct {
	name, url  string
	user, pass string
	pid        int
	writes     bool
}

// What is compared: files of so many bytes, and how many there are.
var sizes = []struct {
	name  string
	bytes int
	files int
}{{"64 KiB", 64 << 10, 200}, {"1 MiB", 1 << 20, 50}}

// compare reads the same files from each server by as many clients as read, and writes them by as many as write.
func compare(ctx context.Context, r *rig.Rig, p plan, log io.Writer) (_ string, err error) {
	s, err := startSite(ctx, r, "compared", 1)
	if err != nil {
		return "", err
	}
	var ends []func() error
	defer func() {
		for _, end := range ends {
			err = errors.Join(err, end())
		}
		err = errors.Join(err, s.close())
	}()
	var files [][][]byte
	for _, size := range sizes {
		random := rand.NewChaCha8([32]byte{byte(size.files)})
		all := make([][]byte, size.files)
		for i := range all {
			all[i] = make([]byte, size.bytes)
			random.Read(all[i])
		}
		files = append(files, all)
	}
	satchel, err := satchelDAV(ctx, s)
	if err != nil {
		return "", err
	}
	rivals := []rival{satchel}
	for _, start := range []func(context.Context, *rig.Rig) (rival, *rig.Child, error){startRclone, startNginx} {
		other, child, err := start(ctx, r)
		if child != nil {
			ends = append(ends, func() error { return child.End(syscall.SIGTERM) })
		}
		if err != nil {
			return "", err
		}
		rivals = append(rivals, other)
	}
	if err := fillRivals(ctx, rivals, files, filepath.Join(r.Dir, "static")); err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "The same files by HTTP, one connection for each of %d clients, each for %v, and every answer compared by its hash:\n\n| |", p.reading, p.compared)
	for _, v := range rivals {
		b.WriteString(" " + v.name + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(rivals)) + "\n")
	row := func(name string, cell func(rival) (string, error)) error {
		b.WriteString("| " + name + " |")
		for _, v := range rivals {
			text, err := cell(v)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", v.name, name, err)
			}
			fmt.Fprintf(log, "%s: %s: %s\n", v.name, name, text)
			b.WriteString(" " + text + " |")
		}
		b.WriteString("\n")
		return nil
	}
	for i, size := range sizes {
		err := row("reads of "+size.name+" a second; p50 / p99", func(v rival) (string, error) {
			return exchange(ctx, p.reading, p.compared, func(c *http.Client, _ int) error { return v.get(ctx, c, i, files[i]) })
		})
		if err != nil {
			return "", err
		}
	}
	err = row("writes of "+sizes[0].name+" a second; p50 / p99", func(v rival) (string, error) {
		if !v.writes {
			return "–", nil
		}
		return exchange(ctx, p.writing, p.compared, func(c *http.Client, client int) error { // rclone refuses two at once of one name
			return v.put(ctx, c, fmt.Sprintf("new-%d-%d", client, rand.IntN(20)), files[0][rand.IntN(len(files[0]))])
		})
	})
	if err != nil {
		return "", err
	}
	err = row("resident memory then", func(v rival) (string, error) {
		resident, err := rig.Resident(v.pid)
		return fmt.Sprintf("%d MiB", resident>>20), err
	})
	b.WriteString("\nrclone and nginx neither ask who it is, nor keep versions, nor make what they were sent durable before they answer; Satchel does.\n")
	return b.String(), err
}

// exchange lets so many clients make calls for a while.
func exchange(ctx context.Context, clients int, last time.Duration, call func(c *http.Client, client int) error) (string, error) {
	var t times
	var n atomic.Int64
	errs := make([]error, clients)
	var all sync.WaitGroup
	begin := time.Now()
	for i := range clients {
		all.Go(func() {
			c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1, DisableCompression: true}}
			defer c.CloseIdleConnections()
			for time.Since(begin) < last && ctx.Err() == nil {
				at := time.Now()
				if errs[i] = call(c, i); errs[i] != nil {
					return
				}
				t.add(time.Since(at))
				n.Add(1)
			}
		})
	}
	all.Wait()
	took := time.Since(begin)
	if err := errors.Join(errors.Join(errs...), ctx.Err()); err != nil {
		return "", err
	}
	return fmt.Sprintf("%.0f; %s", float64(n.Load())/took.Seconds(), percentiles(t.sorted())), nil
}

func fileName(size, i int) string { return fmt.Sprintf("size-%d-file-%d", size, i) }

func (v rival) get(ctx context.Context, c *http.Client, size int, files [][]byte) error {
	i := rand.IntN(len(files))
	res, err := v.ask(ctx, c, http.MethodGet, fileName(size, i), nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK || [32]byte(sum.Sum(nil)) != sha256.Sum256(files[i]) {
		return fmt.Errorf("%s is not what was written: %s", fileName(size, i), res.Status)
	}
	return nil
}

func (v rival) put(ctx context.Context, c *http.Client, name string, content []byte) error {
	res, err := v.ask(ctx, c, http.MethodPut, name, content)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode/100 != 2 {
		err = fmt.Errorf("%s was not taken: %s %.200s", name, res.Status, answer)
	}
	return err
}

func (v rival) ask(ctx context.Context, c *http.Client, method, name string, content []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, v.url+"/"+name, bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	if v.user != "" {
		req.SetBasicAuth(v.user, v.pass)
	}
	return c.Do(req)
}

// fillRivals puts the files to where they are read.
func fillRivals(ctx context.Context, rivals []rival, files [][][]byte, static string) error {
	for size, all := range files {
		for i, content := range all {
			for _, v := range rivals {
				if !v.writes {
					if err := os.WriteFile(filepath.Join(static, fileName(size, i)), content, 0o644); err != nil {
						return err
					}
				} else if err := v.put(ctx, http.DefaultClient, fileName(size, i), content); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func satchelDAV(ctx context.Context, s *site) (rival, error) {
	const email = "compared@example.org"
	server := s.servers[0]
	if err := server.AddUser(ctx, email, password, "editor"); err != nil {
		return rival{}, err
	}
	cred, err := client.Login(ctx, server.URL, email, password, "compared")
	if err != nil {
		return rival{}, err
	}
	c, err := client.New(server.URL, cred, nil)
	if err != nil {
		return rival{}, err
	}
	defer c.Close()
	secret, err := c.AddAppPassword(ctx, "load")
	return rival{name: "satcheld, WebDAV", url: server.URL + "/dav", user: email, pass: secret.Password, pid: server.Pid(), writes: true}, err
}

func startRclone(ctx context.Context, r *rig.Rig) (rival, *rig.Child, error) {
	program := require.Find("rclone")
	if program == "" {
		return rival{}, nil, errors.New("rclone is not installed; `make setup` does it")
	}
	dir, addr, err := place(r, "rclone")
	if err != nil {
		return rival{}, nil, err
	}
	return startRival(ctx, rival{name: "rclone serve webdav", url: "http://" + addr, writes: true},
		exec.Command(program, "serve", "webdav", dir, "--addr", addr, "--config", filepath.Join(r.Dir, "rclone.conf")))
}

func startNginx(ctx context.Context, r *rig.Rig) (rival, *rig.Child, error) {
	program := require.Find("nginx", "/usr/sbin/nginx")
	if program == "" {
		return rival{}, nil, errors.New("nginx is not installed; `make setup` does it")
	}
	dir, addr, err := place(r, "static")
	if err != nil {
		return rival{}, nil, err
	}
	conf := filepath.Join(r.Dir, "nginx.conf")
	text := fmt.Sprintf("master_process off; daemon off; pid %[1]s/nginx.pid; error_log stderr;\nevents { worker_connections 4096; }\n"+
		"http { access_log off; sendfile on; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi;\n"+
		"uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi; server { listen %[2]s; root %[3]s; } }\n", r.Dir, addr, dir)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return rival{}, nil, err
	}
	return startRival(ctx, rival{name: "nginx, static files", url: "http://" + addr}, exec.Command(program, "-p", r.Dir, "-e", "stderr", "-c", conf))
}

// place is a new directory and an address.
func place(r *rig.Rig, name string) (dir, addr string, err error) {
	dir = filepath.Join(r.Dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", "", err
	}
	addr, err = rig.FreeAddr()
	return dir, addr, err
}

func startRival(ctx context.Context, v rival, cmd *exec.Cmd) (rival, *rig.Child, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	child, err := rig.StartChild(cmd)
	if err != nil {
		return v, nil, err
	}
	v.pid = child.Pid()
	err = child.WaitReady(ctx, time.Minute, func() bool {
		res, err := http.Get(v.url + "/")
		if err == nil {
			res.Body.Close()
		}
		return err == nil
	})
	if err != nil {
		child.End(syscall.SIGKILL)
		return v, nil, fmt.Errorf("%s: %w: %s", v.name, err, out.String())
	}
	return v, child, nil
}
