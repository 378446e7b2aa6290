package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"satchel/api/admin"
	"satchel/api/auth"
	"satchel/api/server"
	"satchel/migrations"
	"satchel/storage"
	"satchel/storage/postgres"
)

type serveCmd struct {
	Listen   string `setting:"" default:"127.0.0.1:7070" placeholder:"ADDR" help:"Address and port to serve at (${default})."`
	S3Listen string `setting:"" name:"s3-listen" placeholder:"ADDR" help:"Serve buckets to S3 clients at this address and port too."`

	certificates

	MetricsListen string        `setting:"" name:"metrics-listen" placeholder:"ADDR" help:"Serve metrics for Prometheus, profiles and probes at this address and port, which only operators should reach."`
	DrainDelay    time.Duration `setting:"" zero:"" default:"0s" help:"When told to end, say so at /health for so long before no more connections are taken: as long as a load balancer takes to notice (${default})."`
	Drain         time.Duration `setting:"" zero:"" default:"10s" help:"Then let requests that are under way go on for so long (${default})."`

	MaxRequests int `setting:"" name:"max-requests" default:"1000" placeholder:"N" help:"Refuse what is asked while so many requests are worked on, with 503 and Retry-After; a JSON body counts as one more for each MiB, and one address may have half (${default})."`
	MaxWaiting  int `setting:"" name:"max-waiting" default:"10000" placeholder:"N" help:"Let so many devices wait for changes at a time (${default})."`

	OpenSignup bool     `setting:"" help:"Let anyone make an account."`
	CORSOrigin []string `setting:"" name:"cors-origin" placeholder:"URL" help:"Let this site's pages use the APIs, with tokens; may be given again."`
	PublicURL  string   `setting:"" name:"public-url" placeholder:"URL" help:"Where people reach this server, such as https://drive.example.org; by default what their requests say. Needed behind a proxy that speaks https: it makes cookies Secure."`
	oidcFlags
	VFSConfig string `setting:"" name:"vfs-config" env:"SATCHELD_VFS_CONFIG,VFS_CONFIG" placeholder:"FILE" help:"Named system drives: a JSON list of {name, type, path}, in a file or as it is."`

	BanTime       time.Duration `setting:"" zero:"" default:"15m" help:"How long an address is refused that sent an attack; 0 = not at all (${default})."`
	BanLoopback   bool          `setting:"" help:"Ban this machine's own addresses too, and limit the accounts that are made from there."`
	AddressHeader string        `setting:"" placeholder:"NAME" help:"Believe this header of a proxy's, such as X-Forwarded-For: its last address is the client's. Only behind a proxy that sets it."`

	GCEvery time.Duration `setting:"" zero:"" name:"gc-every" default:"6h" help:"Collect garbage about this often; 0 = never (${default})."`
	retention
}

// Run serves until the program is asked to end.
func (cmd *serveCmd) Run(p *program) error {
	d, err := cmd.start(p)
	if err != nil {
		return err
	}
	p.answer(d.addresses, "%v", d.addresses) // nobody need read it
	tellSystemd("READY=1")
	select {
	case <-p.ctx.Done():
		tellSystemd("STOPPING=1")
		d.drain(cmd.DrainDelay)
		return d.Close()
	case err := <-d.failed:
		d.Close()
		return err
	}
}

// addresses are where a server is reached.
type addresses struct {
	URL     string `json:"url"`
	S3      string `json:"s3_url,omitempty"`      // "" without --s3-listen
	Metrics string `json:"metrics_url,omitempty"` // "" without --metrics-listen
}

func (a addresses) String() string {
	text := "satcheld serves " + a.URL
	if a.S3 != "" {
		text += "\nsatcheld serves S3 clients at " + a.S3
	}
	if a.Metrics != "" {
		text += "\nsatcheld serves metrics at " + a.Metrics
	}
	return text
}

// daemon is a running server.
type daemon struct {
	addresses
	failed   chan error    // why it can't go on
	draining chan struct{} // closed when it is about to end
	patience time.Duration // for requests, when it ends

	metrics    *metrics
	servers    []*http.Server
	listening  []net.Listener // theirs
	background sync.WaitGroup
	cleanup    []func() // what Close undoes, last first
	log        *slog.Logger
}

// start brings everything up; nothing is left behind if it fails.
func (cmd *serveCmd) start(p *program) (_ *daemon, err error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if cmd.MaxRequests < 1 || cmd.MaxWaiting < 1 {
		return nil, usageError{"--max-requests and --max-waiting must be positive"}
	}
	for _, origin := range cmd.CORSOrigin {
		if err := server.CheckOrigin(origin); err != nil {
			return nil, usageError{fmt.Sprintf("--cors-origin: %v", err)}
		}
	}
	if cmd.PublicURL != "" && !isAddress(cmd.PublicURL) {
		return nil, usageError{fmt.Sprintf("--public-url %s is not an address such as https://drive.example.org", cmd.PublicURL)}
	}
	if err := cmd.checkOIDC(); err != nil {
		return nil, err
	}
	given, err := inherit()
	if err != nil {
		return nil, err
	}
	config, questions, err := cmd.configure(p.Data, p.log)
	if err != nil {
		return nil, err
	}
	d := &daemon{failed: make(chan error, 4), log: p.log, draining: make(chan struct{}), patience: cmd.Drain}
	defer func() {
		if err != nil {
			d.undo()
		}
	}()
	if cmd.MetricsListen != "" || given["metrics-listen"] != nil {
		d.metrics = newMetrics()
		d.log = slog.New(countedLog{p.log.Handler(), d.metrics.lines})
		p.log = d.log
	}
	// First, since a busy port is the likeliest to fail. Clients that connect
	// meanwhile wait in the backlog.
	listeners := map[string]net.Listener{}
	for flag, address := range map[string]string{"listen": cmd.Listen, "s3-listen": cmd.S3Listen, "metrics-listen": cmd.MetricsListen, "acme-listen": cmd.ACMEListen} {
		if address == "" && given[flag] == nil {
			continue
		}
		l, err := given.take(p.ctx, flag, address)
		if err != nil {
			return nil, err
		}
		d.cleanup = append(d.cleanup, func() { l.Close() })
		listeners[flag] = l
	}
	if err := given.rest(); err != nil {
		return nil, err
	}
	stopper, serving, err := d.open(p, cmd, config != nil)
	if err != nil {
		return nil, err
	}
	serving.Ready = drainable(serving.Ready, d.draining)
	d.URL = d.serve(listeners["listen"], d.counted(server.New(serving), ""), config, stopper.stop)
	if l := listeners["s3-listen"]; l != nil {
		d.S3 = d.serve(l, d.counted(server.NewS3(serving), "s3"), config, stopper.stop)
	}
	if l := listeners["metrics-listen"]; l != nil {
		d.Metrics = d.serve(l, d.metrics.private(serving.Ready), nil, func() {})
	}
	if l := listeners["acme-listen"]; l != nil {
		d.serve(l, questions, nil, func() {})
	}
	return d, nil
}

// counted counts a handler's requests, if anybody wants to know.
func (d *daemon) counted(h http.Handler, name string) http.Handler {
	if d.metrics == nil {
		return h
	}
	return d.metrics.count(h, name)
}

// serve begins to serve a handler and returns its URL.
func (d *daemon) serve(l net.Listener, h http.Handler, config *tls.Config, stop func()) string {
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(d.log.Handler(), slog.LevelDebug),
	}
	s.RegisterOnShutdown(stop)
	serve, scheme := s.Serve, "http"
	if config != nil {
		s.TLSConfig = config.Clone() // net/http writes to it
		serve, scheme = func(l net.Listener) error { return s.ServeTLS(l, "", "") }, "https"
	}
	d.servers, d.listening = append(d.servers, s), append(d.listening, l)
	d.background.Go(func() {
		if err := serve(l); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			d.failed <- fmt.Errorf("serve: %w", err)
		}
	})
	return scheme + "://" + l.Addr().String()
}

// stopper tells requests that wait to end.
type stopper struct{ stop func() }

// open opens the database and what stands on it, and starts their background work.
func (d *daemon) open(p *program, cmd *serveCmd, isTLS bool) (stopper, server.Config, error) {
	database, err := p.migrateDatabase(p.ctx, false)
	if err != nil {
		if _, ok := errors.AsType[*migrations.MissingRoles](err); ok {
			err = fmt.Errorf("%w\nsatcheld migrate prints the SQL for its administrator to run", err)
		}
		return stopper{}, server.Config{}, err
	}
	d.cleanup = append(d.cleanup, database.close)
	if err := p.makeData(); err != nil { // with --database-url too: the key and the blobs
		return stopper{}, server.Config{}, err
	}
	blobs, closeBlobs, err := p.openStore(p.ctx, database)
	if err != nil {
		return stopper{}, server.Config{}, err
	}
	d.cleanup = append(d.cleanup, closeBlobs)
	key, err := p.sealingKey() // after the store, which may be another's: a restore shall find no key that was made for nothing
	if err != nil {
		return stopper{}, server.Config{}, err
	}
	if d.metrics != nil && p.Blobs != "" && !strings.HasPrefix(p.Blobs, "file:") { // files are the kernel's to measure
		blobs = countedStore{blobs, d.metrics}
	}
	if p.DatabaseURL != "" && p.AppDatabaseURL == "" {
		p.log.Warn("requests are served over the log-in of --database-url, which row-level security binds only as long as it stays satchel_app: --app-database-url gives them one of their own")
	}
	db, err := postgres.Open(p.ctx, database.app)
	if err != nil {
		return stopper{}, server.Config{}, err
	}
	d.cleanup = append(d.cleanup, db.Close)
	if d.metrics != nil {
		d.metrics.watchDatabase(db)
	}
	accounts, err := auth.New(p.ctx, db, key, p.log)
	if err != nil {
		return stopper{}, server.Config{}, err
	}
	drives := storage.New(db, blobs, p.log)
	d.cleanup = append(d.cleanup, drives.Close)
	mounts, err := cmd.mounts()
	if err != nil {
		return stopper{}, server.Config{}, err
	}
	drives.UseMounts(mounts)
	drives.ExtractWith(extractApart)
	drives.ThumbnailWith(thumbnailApart)

	// Not the program's context: requests that are drained still need these.
	ctx, cancel := context.WithCancel(context.WithoutCancel(p.ctx))
	d.cleanup = append(d.cleanup, func() {
		cancel()
		d.background.Wait()
	})
	d.background.Go(func() { accounts.Run(ctx) })
	d.background.Go(func() { drives.RunIndex(ctx) })
	d.background.Go(func() { drives.RunEvict(ctx) })
	d.background.Go(func() {
		if err := drives.Run(ctx); err != nil && ctx.Err() == nil {
			d.failed <- fmt.Errorf("watch the database for changes: %w", err)
		}
	})
	keeping := &upkeep{
		ownerURL: database.owner, blobs: blobs, store: p.storeName(), expire: drives.Expire, log: p.log,
		background: ctx, running: &d.background,
	}
	says := &announcer{ownerURL: database.owner, told: cmd.told(), log: p.log}
	if d.metrics != nil {
		keeping.ended, says.show = d.metrics.ended, d.metrics.keeps
	}
	if err := says.announce(p.ctx); err != nil {
		return stopper{}, server.Config{}, err
	}
	d.background.Go(func() { says.every(ctx, time.Hour) })
	d.background.Go(func() { keeping.watch(ctx, time.Hour, func(err error) { d.failed <- err }) })
	if cmd.GCEvery > 0 {
		d.background.Go(func() { keeping.every(ctx, cmd.GCEvery) })
	}
	if database.server != nil {
		d.background.Go(func() { database.server.Keep(ctx) })
	}
	stopping, stop := context.WithCancel(ctx)
	return stopper{stop}, server.Config{
		Auth: accounts, Drives: drives, Ready: db.Ping, TLS: isTLS, Stopping: stopping.Done(), Log: p.log,
		Admin:      &admin.Office{DB: db, Auth: accounts, Upkeep: keeping, Kinds: storage.Kinds()},
		OpenSignup: cmd.OpenSignup, CORSOrigins: cmd.CORSOrigin, PublicURL: cmd.PublicURL, OIDC: cmd.provider(accounts),
		Limits:   server.Limits{Requests: cmd.MaxRequests, Waiting: cmd.MaxWaiting},
		BanStore: db, Bans: server.BanConfig{Time: cmd.BanTime, Loopback: cmd.BanLoopback, AddressHeader: cmd.AddressHeader},
	}, nil
}

// drain tells load balancers that the server is about to end, and gives them time
// to notice. Requests are taken meanwhile.
func (d *daemon) drain(delay time.Duration) {
	close(d.draining)
	if delay > 0 {
		d.log.Info("draining", "delay", delay)
		time.Sleep(delay)
	}
}

// acceptTakes is how long a server may need to note a connection that it took just before its socket was closed: Shutdown
// does not wait for one that is not noted.
const acceptTakes = 100 * time.Millisecond

// Close ends the server in order: requests, background work, connections, the
// private PostgreSQL.
func (d *daemon) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), d.patience)
	defer cancel()
	for _, l := range d.listening {
		l.Close()
	}
	time.Sleep(acceptTakes)
	var ending sync.WaitGroup
	for _, s := range d.servers {
		ending.Go(func() {
			if err := s.Shutdown(ctx); err != nil {
				d.log.Warn("requests were cut off", "err", err)
				s.Close()
			}
		})
	}
	ending.Wait()
	d.undo()
	return nil
}

func (d *daemon) undo() {
	for i := len(d.cleanup) - 1; i >= 0; i-- {
		d.cleanup[i]()
	}
}
