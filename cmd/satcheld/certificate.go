package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"satchel/api"
)

// certificates says how a server proves who it is; see its flags.
type certificates struct {
	TLSCert string `setting:"" name:"tls-cert" placeholder:"FILE" help:"Serve https with this certificate chain (PEM); replaced files are noticed."`
	TLSKey  string `setting:"" name:"tls-key" placeholder:"FILE" help:"The certificate's key (PEM)."`

	ACMEDomain    []string `setting:"" name:"acme-domain" placeholder:"NAME" help:"Serve https with certificates for these names, got and renewed by ACME (Let's Encrypt). It agrees to the authority's terms."`
	ACMEEmail     string   `setting:"" name:"acme-email" placeholder:"EMAIL" help:"Where the authority writes to when something is wrong."`
	ACMEDirectory string   `setting:"" name:"acme-directory" placeholder:"URL" default:"https://acme-v02.api.letsencrypt.org/directory" help:"Another authority (${default})."`
	ACMEListen    string   `setting:"" name:"acme-listen" placeholder:"ADDR" help:"Answer the authority's questions by http here too, usually :80, and send browsers on to https."`
}

// configure is the TLS that the flags ask for; nil is none. The handler is for
// --acme-listen; it is nil without ACME.
func (c *certificates) configure(data string, log *slog.Logger) (*tls.Config, http.Handler, error) {
	switch {
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return nil, nil, usageError{"--tls-cert and --tls-key go together"}
	case c.TLSCert != "" && len(c.ACMEDomain) > 0:
		return nil, nil, usageError{"--tls-cert and --acme-domain exclude each other"}
	case c.ACMEListen != "" && len(c.ACMEDomain) == 0:
		return nil, nil, usageError{"--acme-listen goes with --acme-domain"}
	case c.TLSCert != "":
		files := &certificateFiles{cert: c.TLSCert, key: c.TLSKey, log: log}
		if _, err := files.get(nil); err != nil {
			return nil, nil, err
		}
		return &tls.Config{GetCertificate: files.get, NextProtos: []string{"h2", "http/1.1"}}, nil, nil
	case len(c.ACMEDomain) > 0:
		m := &autocert.Manager{
			Prompt: autocert.AcceptTOS, HostPolicy: autocert.HostWhitelist(c.ACMEDomain...), Email: c.ACMEEmail,
			Cache:  autocert.DirCache(filepath.Join(data, "acme")), // 0700
			Client: &acme.Client{DirectoryURL: c.ACMEDirectory, UserAgent: "satcheld"},
		}
		config := m.TLSConfig() // with acme-tls/1, by which the authority asks at this port
		get := config.GetCertificate
		config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			certificate, err := get(hello)
			if err != nil {
				log.Warn("there is no certificate", "name", hello.ServerName, "err", err)
			}
			return certificate, err
		}
		return config, m.HTTPHandler(nil), nil
	}
	return nil, nil, nil
}

// certificateFiles is a certificate and its key, which somebody may replace at any
// time. It is safe for concurrent use.
type certificateFiles struct {
	cert, key string
	log       *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	looked  time.Time
	stamp   [2]time.Time // of the files that current is from
}

// look is how often the files are looked at, when somebody connects.
const look = 2 * time.Second

func (f *certificateFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current != nil && time.Since(f.looked) < look {
		return f.current, nil
	}
	f.looked = time.Now()
	err := f.read()
	if err != nil && f.current != nil { // half of a pair is replaced, or a broken one: the one that there is goes on
		f.log.Error("the certificate's files are not good; the former ones are used", "err", err)
		err = nil
	}
	return f.current, err
}

func (f *certificateFiles) read() error {
	var stamp [2]time.Time
	for i, name := range []string{f.cert, f.key} {
		st, err := os.Stat(name)
		if err != nil {
			return api.Errorf(api.Invalid, "read the certificate: %w", err)
		}
		stamp[i] = st.ModTime()
	}
	if f.current != nil && stamp == f.stamp {
		return nil
	}
	c, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return api.Errorf(api.Invalid, "read the certificate: %w", err)
	}
	if f.current != nil {
		f.log.Info("the certificate was replaced", "until", c.Leaf.NotAfter)
	}
	f.current, f.stamp = &c, stamp
	return nil
}

// errDraining is what /health and /ready say while the server ends.
var errDraining = api.Errorf(api.Unavailable, "the server is stopping")

// drainable tells that a server takes no more requests once it is draining.
func drainable(ready func(context.Context) error, draining <-chan struct{}) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-draining:
			return errDraining
		default:
		}
		err := ready(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			err = api.Errorf(api.Unavailable, "the database does not answer")
		}
		return err
	}
}
