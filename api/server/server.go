// Package server is Satchel's HTTP edge: it knows who asks (package auth),
// reads requests, calls the drive service and writes answers. It decides
// nothing about drives.
//
// Each family of paths has its own shape of errors, written in one place:
//
//	/v1            problem+json with a kind (RFC 9457); JSON through huma, bytes through plain handlers
//	/rpc, /files   PostgREST's {"message","code","details","hint"}
package server

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"satchel/api"
	"satchel/api/auth"
	"satchel/storage"
)

// Config is what a server needs. All but TLS and Stopping must be set.
type Config struct {
	Auth     *auth.Auth
	Drives   *storage.Service
	Ready    func(context.Context) error // nil error: requests can be served
	Stopping <-chan struct{}             // closed when the server ends: requests that wait then end too
	TLS      bool                        // clients reach the server by https
	Log      *slog.Logger
}

type server struct {
	auth     *auth.Auth
	drives   *storage.Service
	ready    func(context.Context) error
	stopping <-chan struct{}
	tls      bool
	log      *slog.Logger
}

// New makes the handler of all APIs.
func New(c Config) http.Handler {
	s := &server{auth: c.Auth, drives: c.Drives, ready: c.Ready, stopping: c.Stopping, tls: c.TLS, log: c.Log}
	mux := http.NewServeMux()
	mux.Handle("/health", methods{http.MethodGet: s.health, http.MethodHead: s.health}.in(s.pgrstError))
	mux.HandleFunc("GET /{$}", s.page)
	mux.HandleFunc("/", s.unknownPage)
	s.routeV1(mux)
	s.routeRPC(mux)
	return s.guard(mux)
}

// routeV1 adds the API of Satchel's own clients.
func (s *server) routeV1(mux *http.ServeMux) {
	config := huma.DefaultConfig("Satchel", "1")
	config.CreateHooks = nil // they would add a $schema to every answer
	config.DocsPath, config.SchemasPath = "", ""
	config.Info.Description = "The API of Satchel's clients. Errors are application/problem+json with a kind."
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", BearerFormat: "JWT"},
	}
	v1 := humago.New(mux, config)
	s.accountRoutes(v1)
	s.driveRoutes(v1)
	s.historyRoutes(v1)
	s.byteRoutes(mux, v1)
	s.contentsRoute(mux, v1)
	mux.HandleFunc("/v1/", unmatched(mux, "/v1/", s.problemError))
}

// routeRPC adds the PostgREST-like API.
func (s *server) routeRPC(mux *http.ServeMux) {
	mux.Handle("/rpc/login", methods{http.MethodPost: s.rpcLogin}.in(s.pgrstError))
	mux.Handle("/rpc/store_file", methods{http.MethodPost: s.rpcStoreFile}.in(s.pgrstError))
	mux.Handle("/rpc/retrieve_file", methods{
		http.MethodGet: s.rpcRetrieveFile, http.MethodHead: s.rpcRetrieveFile, http.MethodPost: s.rpcRetrieveFile,
	}.in(s.pgrstError))
	mux.Handle("/files", methods{
		http.MethodGet: s.getFiles, http.MethodHead: s.getFiles,
		http.MethodPatch: s.patchFiles, http.MethodDelete: s.deleteFiles,
	}.in(s.pgrstError))
	mux.HandleFunc("/rpc/", func(w http.ResponseWriter, r *http.Request) {
		s.pgrstError(w, r, api.Errorf(api.NotFound, "there is no function %q", r.URL.Path))
	})
}

func (s *server) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	if err := s.ready(ctx); err != nil {
		s.log.Warn("not ready", "err", err)
		writeJSON(w, http.StatusServiceUnavailable, map[string]string{"status": "unavailable"})
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// caller is the identity as the drive service wants it.
func caller(id auth.Identity) storage.Caller {
	return storage.Caller{User: id.User, Device: id.Session, DeviceName: id.Device, Admin: id.Role == auth.Admin}
}

// address is where a request comes from.
func address(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{} // a unix socket
	}
	return ap.Addr()
}
