package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"satchel/api"
	"satchel/api/auth"
	"satchel/api/server"
	"satchel/migrations"
	"satchel/storage"
	"satchel/storage/postgres"
)

type serveCmd struct {
	Listen   string `default:"127.0.0.1:7070" placeholder:"ADDR" help:"Address and port to serve at (${default})."`
	S3Listen string `name:"s3-listen" placeholder:"ADDR" help:"Serve buckets to S3 clients at this address and port too."`

	TLSCert string `name:"tls-cert" placeholder:"FILE" help:"Serve https with this certificate chain (PEM)."`
	TLSKey  string `name:"tls-key" placeholder:"FILE" help:"The certificate's key (PEM)."`

	OpenSignup bool     `help:"Let anyone make an account."`
	CORSOrigin []string `name:"cors-origin" placeholder:"URL" help:"Let this site's pages use the APIs, with tokens; may be given again."`
	PublicURL  string   `name:"public-url" placeholder:"URL" help:"Where people reach this server, such as https://drive.example.org; by default what their requests say. Behind a proxy that speaks https it is needed for --oidc-issuer."`
	oidcFlags
	VFSConfig string `name:"vfs-config" env:"SATCHELD_VFS_CONFIG,VFS_CONFIG" placeholder:"FILE" help:"Named system drives: a JSON list of {name, type, path}, in a file or as it is."`

	BanTime       time.Duration `default:"15m" help:"How long an address is refused that sent an attack; 0 = not at all (${default})."`
	BanLoopback   bool          `help:"Ban this machine's own addresses too."`
	AddressHeader string        `placeholder:"NAME" help:"Believe this header of a proxy's, such as X-Forwarded-For: its last address is the client's. Only behind a proxy that sets it."`

	GCEvery time.Duration `name:"gc-every" default:"6h" help:"Collect garbage about this often; 0 = never (${default})."`
	retention
}

// Run serves until the program is asked to end.
func (cmd *serveCmd) Run(p *program) error {
	d, err := cmd.start(p)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "satcheld serves %s\n", d.url)
	if d.s3URL != "" {
		fmt.Fprintf(p.stdout, "satcheld serves S3 clients at %s\n", d.s3URL)
	}
	select {
	case <-p.ctx.Done():
		return d.Close()
	case err := <-d.failed:
		d.Close()
		return err
	}
}

// daemon is a running server.
type daemon struct {
	url    string
	s3URL  string     // "" without --s3-listen
	failed chan error // why it can't go on

	servers    []*http.Server
	background sync.WaitGroup
	cleanup    []func() // what Close undoes, last first
	log        *slog.Logger
}

// start brings everything up; nothing is left behind if it fails.
func (cmd *serveCmd) start(p *program) (_ *daemon, err error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	for _, origin := range cmd.CORSOrigin {
		if err := server.CheckOrigin(origin); err != nil {
			return nil, usageError{fmt.Sprintf("--cors-origin: %v", err)}
		}
	}
	if err := cmd.checkOIDC(); err != nil {
		return nil, err
	}
	certificate, err := cmd.certificate()
	if err != nil {
		return nil, err
	}
	d := &daemon{failed: make(chan error, 4), log: p.log}
	defer func() {
		if err != nil {
			d.undo()
		}
	}()
	// First, since a busy port is the likeliest to fail. Clients that connect
	// meanwhile wait in the backlog.
	listener, err := d.listen(p.ctx, "--listen", cmd.Listen)
	if err != nil {
		return nil, err
	}
	var s3Listener net.Listener
	if cmd.S3Listen != "" {
		if s3Listener, err = d.listen(p.ctx, "--s3-listen", cmd.S3Listen); err != nil {
			return nil, err
		}
	}
	drives, config, err := d.open(p, cmd, certificate != nil)
	if err != nil {
		return nil, err
	}
	d.url = d.serve(listener, server.New(config), certificate, drives.stop)
	if s3Listener != nil {
		d.s3URL = d.serve(s3Listener, server.NewS3(config), certificate, drives.stop)
	}
	return d, nil
}

// listen opens a port that Close closes.
func (d *daemon) listen(ctx context.Context, flag, address string) (net.Listener, error) {
	l, err := listen(ctx, flag, address)
	if err == nil {
		d.cleanup = append(d.cleanup, func() { l.Close() })
	}
	return l, err
}

// serve begins to serve a handler and returns its URL.
func (d *daemon) serve(l net.Listener, h http.Handler, certificate *tls.Certificate, stop func()) string {
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(d.log.Handler(), slog.LevelDebug),
	}
	s.RegisterOnShutdown(stop)
	serve, scheme := s.Serve, "http"
	if certificate != nil {
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*certificate}}
		serve, scheme = func(l net.Listener) error { return s.ServeTLS(l, "", "") }, "https"
	}
	d.servers = append(d.servers, s)
	d.background.Go(func() {
		if err := serve(l); !errors.Is(err, http.ErrServerClosed) {
			d.failed <- fmt.Errorf("serve: %w", err)
		}
	})
	return scheme + "://" + l.Addr().String()
}

// stopper tells requests that wait to end.
type stopper struct{ stop func() }

// open opens the database and what stands on it, and starts their background work.
func (d *daemon) open(p *program, cmd *serveCmd, isTLS bool) (stopper, server.Config, error) {
	database, err := p.openDatabase(p.ctx, false)
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
	key, err := p.sealingKey()
	if err != nil {
		return stopper{}, server.Config{}, err
	}
	open, err := p.blobStore()
	if err != nil {
		return stopper{}, server.Config{}, err
	}
	blobs, closeBlobs, err := open(p.ctx, database, p.log)
	if err != nil {
		return stopper{}, server.Config{}, err
	}
	d.cleanup = append(d.cleanup, closeBlobs)
	db, err := postgres.Open(p.ctx, database.app)
	if err != nil {
		return stopper{}, server.Config{}, err
	}
	d.cleanup = append(d.cleanup, db.Close)
	accounts, err := auth.New(p.ctx, db, key, p.log)
	if err != nil {
		return stopper{}, server.Config{}, err
	}
	drives := storage.New(db, blobs, p.log)
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
	d.background.Go(func() {
		if err := drives.Run(ctx); err != nil && ctx.Err() == nil {
			d.failed <- fmt.Errorf("watch the database for changes: %w", err)
		}
	})
	if cmd.GCEvery > 0 {
		d.background.Go(func() { collectGarbage(ctx, cmd.GCEvery, database.owner, blobs, expire(drives, cmd.policy()), p.log) })
	}
	if database.server != nil {
		d.background.Go(func() {
			select {
			case <-ctx.Done():
			case <-database.server.Done():
				d.failed <- errors.New("PostgreSQL ended unexpectedly; see postgres/postgres.log under --data")
			}
		})
	}
	stopping, stop := context.WithCancel(ctx)
	return stopper{stop}, server.Config{
		Auth: accounts, Drives: drives, Ready: db.Ping, TLS: isTLS, Stopping: stopping.Done(), Log: p.log,
		OpenSignup: cmd.OpenSignup, CORSOrigins: cmd.CORSOrigin, PublicURL: cmd.PublicURL, OIDC: cmd.provider(accounts),
		BanStore: db, Bans: server.BanConfig{Time: cmd.BanTime, Loopback: cmd.BanLoopback, AddressHeader: cmd.AddressHeader},
	}, nil
}

// drain is how long requests may take to end when the server does.
const drain = 10 * time.Second

// Close ends the server in order: requests, background work, connections, the
// private PostgreSQL.
func (d *daemon) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
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

// certificate is what the TLS flags name; nil without them.
func (cmd *serveCmd) certificate() (*tls.Certificate, error) {
	if cmd.TLSCert == "" && cmd.TLSKey == "" {
		return nil, nil
	}
	if cmd.TLSCert == "" || cmd.TLSKey == "" {
		return nil, usageError{"--tls-cert and --tls-key go together"}
	}
	c, err := tls.LoadX509KeyPair(cmd.TLSCert, cmd.TLSKey)
	if err != nil {
		return nil, api.Errorf(api.Invalid, "read the certificate: %w", err)
	}
	return &c, nil
}

// listen opens the port; the error says what to do.
func listen(ctx context.Context, flag, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, api.Errorf(api.Unavailable, "%s is in use by another program: stop it, or choose another address with %s", address, flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, api.Errorf(api.Invalid, "%s %s: this machine has no such address", flag, address)
	case errors.Is(err, os.ErrPermission):
		return nil, api.Errorf(api.Permission, "%s %s: only root may use this port: choose one from 1024 on", flag, address)
	case err != nil:
		return nil, usageError{fmt.Sprintf("%s %s: %v", flag, address, err)}
	}
	return l, nil
}
