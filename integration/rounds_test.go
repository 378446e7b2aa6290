package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	mrand "math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"satchel/integration/require"
	"satchel/integration/rig"
	"satchel/migrations"
	"satchel/storage/private"
)

// How many rounds TestRounds does, and the seed of a run that is to be repeated.
const (
	faultRounds = "SATCHEL_FAULT_ROUNDS"
	faultSeed   = "SATCHEL_FAULT_SEED"
)

// TestRounds: two devices write while something fails: a process is killed, a
// connection is cut, slow, silent or lies, a disk is full. After each
// round, when all is well again, both devices have everything that fsync
// said was durable, and nothing else; at the end fsck finds the server whole.
func TestRounds(t *testing.T) {
	require.Fuse(t)
	rounds, seed := 10, uint64(time.Now().UnixNano())
	if v := os.Getenv(faultRounds); v != "" {
		n, err := strconv.Atoi(v)
		must(t, err)
		rounds = n
	}
	if v := os.Getenv(faultSeed); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		must(t, err)
		seed = n
	}
	t.Logf("to repeat: %s=%d %s=%d", faultSeed, seed, faultRounds, rounds)
	rng := mrand.New(mrand.NewPCG(seed, 1))
	w := newFaultWorld(t, seed)
	faults := w.faults()
	var order []int
	for round := range rounds {
		if len(order) == 0 {
			order = rng.Perm(len(faults))
		}
		f := faults[order[0]]
		order = order[1:]
		start := time.Now()
		w.round(t, rng, f)
		if t.Failed() {
			t.Fatalf("round %d: %s", round, f.name)
		}
		t.Logf("round %d: %-40s %4d durable, %4d failed, checked after %v", round, f.name, w.count(func(w *writer) int { return w.done }), w.count(func(w *writer) int { return w.lost }), time.Since(start).Round(time.Millisecond))
	}
	clean(t, w.server)
	t.Logf("%d rounds, %d durable changes, none lost; %d calls failed", rounds, w.total, w.failed)
}

// A faultWorld is all parts of an installation, with links between them that
// can be disturbed and disks that can be filled.
type faultWorld struct {
	server  *rig.Server
	pg      *postgresAt
	devices []*rig.Device
	writers []*writer

	toServer   []*link // of each device
	toPG, toS3 *link
	caches     []string // the disk of each device's cache
	pgDisk     string

	total, failed int
}

// A trouble begins, and ends with heal, which brings everything back.
type trouble struct {
	name  string
	begin func() error
	heal  func(t *testing.T)
}

func newFaultWorld(t *testing.T, seed uint64) *faultWorld {
	t.Helper()
	w := &faultWorld{}
	dir := filepath.Join(parts.Dir, unique(t, "world"))
	must(t, os.Mkdir(dir, 0o711))
	w.pgDisk = smallDisk(t, filepath.Join(dir, "pg"), 400<<20)
	w.pg = startPostgres(t, filepath.Join(w.pgDisk, "cluster"))
	w.toPG = newLink(t, "postgres", bridge(t, w.pg.socket))

	var err error
	w.server, err = parts.NewServer(unique(t, "server"))
	must(t, err)
	must(t, parts.ShareBucket(t.Context(), require.Tool(t, "versitygw"), unique(t, "bucket"), w.server))
	through(t, w.server, func(host string) string {
		w.toS3 = newLink(t, "s3", host)
		return w.toS3.addr
	})
	w.server.Setenv("SATCHELD_DATABASE_URL", "postgres://"+private.Superuser+"@"+w.toPG.addr+"/satchel?sslmode=disable")
	w.server.Setenv("SATCHELD_KEY_FILE", filepath.Join(dir, "key"))
	cert, key := selfSigned(t, dir)
	w.server.UseTLS(cert, key)
	must(t, w.server.Start(t.Context()))
	showLogOnFailure(t, w.server)
	t.Cleanup(func() { must(t, w.server.Stop()) })
	const email, password = "anna@example.org", "a password for anna"
	must(t, w.server.AddUser(t.Context(), email, password, "editor"))

	for i, name := range []string{"laptop", "desk"} {
		l := newLink(t, name, w.server.Addr)
		w.toServer = append(w.toServer, l)
		d, err := parts.NewDevice(unique(t, name), nil)
		must(t, err)
		d.Setenv("SSL_CERT_FILE", cert)
		must(t, d.Login(t.Context(), "https://"+l.addr, email, password))
		// From 512 MiB on ext4 has blocks of 4 KiB, as on people's disks: what is journalled can ride on content.
		w.caches = append(w.caches, smallDisk(t, filepath.Join(d.Home, "cache"), 600<<20))
		mount(t, d)
		t.Cleanup(func() {
			if t.Failed() {
				t.Log(d.Logs())
			}
			ctx, cancel := finish()
			defer cancel()
			if d.Mounted() {
				must(t, d.Unmount(ctx, "--now"))
			}
		})
		w.devices = append(w.devices, d)
		writer := newWriter(name, d.Mount, seed+uint64(i))
		must(t, os.Mkdir(writer.dir, 0o755))
		w.writers = append(w.writers, writer)
	}
	return w
}

func (w *faultWorld) count(of func(*writer) int) (n int) {
	for _, writer := range w.writers {
		n += of(writer)
	}
	return n
}

// round lets all write, begins a fault in the middle, and checks when it is over.
func (w *faultWorld) round(t *testing.T, rng *mrand.Rand, f trouble) {
	t.Helper()
	stop := make(chan struct{})
	var all sync.WaitGroup
	for _, writer := range w.writers {
		writer.done, writer.lost = 0, 0
		all.Go(func() { writer.work(stop) })
	}
	pause := func(most int) { time.Sleep(time.Duration(50+rng.IntN(most)) * time.Millisecond) }
	pause(700)
	err := f.begin()
	pause(1500)
	f.heal(t)
	pause(500)
	close(stop)
	all.Wait()
	if err != nil {
		t.Fatalf("%s could not be done: %v", f.name, err)
	}
	for _, d := range w.devices {
		syncAll(t, d)
	}
	for i, writer := range w.writers {
		if err := writer.check(writer.dir); err != nil { // its own machine never has less
			t.Error(err)
			continue
		}
		must(t, writer.settle())
		for j, d := range w.devices {
			if i == j {
				continue
			}
			last := errors.New("not checked")
			for end := time.Now().Add(30 * time.Second); last != nil && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
				last = writer.check(filepath.Join(d.Mount, writer.name))
			}
			if last != nil {
				t.Error(last)
			}
		}
		w.total += writer.done
		w.failed += writer.lost
	}
	for _, d := range w.devices {
		if entries, err := os.ReadDir(d.Mount); err != nil || len(entries) != len(w.writers) {
			t.Errorf("%s has %v %v", d.Name, entries, err)
		}
	}
}

// faults is everything that can happen.
func (w *faultWorld) faults() []trouble {
	nothing := func(*testing.T) {}
	restart := func(t *testing.T) { must(t, w.server.Start(t.Context())) }
	all := []trouble{
		{"nothing", func() error { return nil }, nothing},
		{"the server is killed", func() error { w.server.Kill(); return nil }, restart},
		{"PostgreSQL is killed", w.pg.kill, func(t *testing.T) { w.pg.restart(t) }},
		{"the server and PostgreSQL are killed", func() error { w.server.Kill(); return w.pg.kill() }, func(t *testing.T) {
			w.pg.restart(t)
			restart(t)
		}},
		{"PostgreSQL's disk is full", func() error { return fill(w.pgDisk) }, func(t *testing.T) {
			must(t, drain(w.pgDisk))
			w.pg.restartIfDead(t)
		}},
	}
	for i, d := range w.devices {
		remount := func(t *testing.T) { mount(t, d) }
		all = append(all,
			trouble{"the daemon of " + w.writers[i].name + " is killed", func() error { return w.killDaemon(d) }, remount},
			trouble{"the disk of " + w.writers[i].name + "'s cache is full", func() error { return fill(w.caches[i]) }, func(t *testing.T) { must(t, drain(w.caches[i])) }},
		)
		all = append(all, disturbances(w.writers[i].name+" and the server", w.toServer[i])...)
	}
	all = append(all, trouble{"the daemon of laptop and the server are killed", func() error {
		w.server.Kill()
		return w.killDaemon(w.devices[0])
	}, func(t *testing.T) {
		mount(t, w.devices[0]) // it starts without the server
		restart(t)
	}})
	all = append(all, disturbances("the server and S3", w.toS3)...)
	// Nothing but TLS could tell what was changed on the way to PostgreSQL.
	return append(all, disturbances("the server and PostgreSQL", w.toPG)[1:]...)
}

func (w *faultWorld) killDaemon(d *rig.Device) error {
	ctx, cancel := finish()
	defer cancel()
	return d.KillDaemon(ctx)
}

// disturbances are what can happen to a link.
func disturbances(between string, l *link) []trouble {
	toxic := func(what, kind string, attributes map[string]any) trouble {
		return trouble{what + " between " + between, func() error { return l.disturb(kind, attributes) }, l.heal}
	}
	return []trouble{
		toxic("bytes are changed", "corrupt", map[string]any{"every": 30_000}),
		{"no connection between " + between, l.cut, l.heal},
		toxic("a slow connection", "latency", map[string]any{"latency": 100, "jitter": 80}),
		toxic("a narrow connection", "bandwidth", map[string]any{"rate": 100}), // KB/s
		toxic("connections are reset", "reset_peer", map[string]any{"timeout": 20}),
		toxic("silence", "timeout", map[string]any{"timeout": 0}),
		toxic("connections end in the middle", "limit_data", map[string]any{"bytes": 50_000}),
		toxic("crumbs", "slicer", map[string]any{"average_size": 100, "size_variation": 90, "delay": 10}),
	}
}

// smallDisk mounts a file system of so many bytes at dir.
func smallDisk(t *testing.T, dir string, size int64) string {
	t.Helper()
	image := dir + ".img"
	must(t, os.MkdirAll(dir, 0o711))
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, size))
	command(t, "/", "mkfs.ext4", "-q", "-m", "0", image)
	command(t, "/", "mount", "-o", "loop", image, dir)
	must(t, os.Chmod(dir, 0o711))
	t.Cleanup(func() {
		eventually(t, 20*time.Second, func() error { return syscall.Unmount(dir, 0) })
	})
	return dir
}

const fillFile = "fillFile"

// fill takes what is free on a disk.
func fill(disk string) error {
	f, err := os.Create(filepath.Join(disk, fillFile))
	if err != nil {
		return err
	}
	defer f.Close()
	at := int64(0)
	for size := int64(64 << 20); size >= 4096; {
		switch err := syscall.Fallocate(int(f.Fd()), 0, at, size); {
		case err == nil:
			at += size
		case errors.Is(err, syscall.ENOSPC):
			size /= 2
		default:
			return err
		}
	}
	return nil
}

func drain(disk string) error { return os.Remove(filepath.Join(disk, fillFile)) }

// postgresAt is a PostgreSQL that can be killed and started again.
type postgresAt struct {
	dir string

	mu sync.Mutex
	*private.Server
}

func startPostgres(t *testing.T, dir string) *postgresAt {
	t.Helper()
	p := &postgresAt{dir: dir}
	p.restart(t)
	must(t, migrations.CreateDatabase(t.Context(), p.URL(private.Superuser, "postgres"), "satchel"))
	t.Cleanup(func() { p.Stop() })
	return p
}

// socket is where it listens now.
func (p *postgresAt) socket() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	u, err := url.Parse(p.URL(private.Superuser, "satchel"))
	if err != nil {
		return ""
	}
	return filepath.Join(u.Query().Get("host"), ".s.PGSQL."+u.Query().Get("port"))
}

func (p *postgresAt) kill() error {
	b, err := os.ReadFile(filepath.Join(p.dir, "data", "postmaster.pid"))
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.SplitN(string(b), "\n", 2)[0])
	if err != nil {
		return err
	}
	return syscall.Kill(pid, syscall.SIGKILL)
}

func (p *postgresAt) restart(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.Server != nil {
		p.Stop()
	}
	eventually(t, 30*time.Second, func() (err error) { // what the dead one left may use its memory for a moment
		p.Server, err = private.Start(t.Context(), private.Config{Dir: p.dir, Log: slog.New(slog.DiscardHandler)})
		return err
	})
}

func (p *postgresAt) restartIfDead(t *testing.T) {
	t.Helper()
	select {
	case <-p.Done():
		p.restart(t)
	default:
	}
}

// selfSigned makes a certificate for this machine, and its key.
func selfSigned(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "satchel test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(k)
	must(t, err)
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	must(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644))
	must(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	return cert, key
}
