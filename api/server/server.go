// Package server is Satchel's HTTP edge: it knows who asks (package auth),
// reads requests, calls the drive service and writes answers. It decides
// nothing about drives.
//
// Each family of paths has its own shape of errors, written in one place:
//
//	/v1            problem+json with a kind (RFC 9457); JSON through huma, bytes through plain handlers
//	/api           {"success":false,"error","message"}
//	all others     PostgREST's {"message","code","details","hint"}
//
// What is served is described where it is added, by package route: a family adds its
// operations, with examples that a test runs, and they are in /openapi.json and on the
// page /openapi, and the attack suite makes its requests from them. A new family is a function like
// routeRPC, called by New.
package server

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"satchel/api"
	"satchel/api/admin"
	"satchel/api/auth"
	"satchel/api/route"
	"satchel/api/serve"
	"satchel/storage"
	"satchel/storage/postgres"
)

// Config is what a server needs. All but TLS and Stopping must be set.
type Config struct {
	Auth     *auth.Auth
	Drives   *storage.Service
	Admin    *admin.Office
	Ready    func(context.Context) error // nil error: requests can be served
	Stopping <-chan struct{}             // closed when the server ends: requests that wait then end too
	TLS      bool                        // it is served by https; see PublicURL
	Bans     BanConfig                   // what becomes of attackers
	BanStore banStore                    // where it is kept; nil: only paths are refused, and nobody
	Limits   Limits
	Log      *slog.Logger

	OpenSignup  bool       // anyone may make an account
	CORSOrigins []string   // whose pages may use the APIs, by tokens; see [CheckOrigin]
	OIDC        *auth.OIDC // who else signs people in; nil: nobody
	PublicURL   string     // where people reach the server; "": what their requests say. An https one says that browsers come by https, through a proxy
}

type server struct {
	auth     *auth.Auth
	drives   *storage.Service
	admin    *admin.Office
	ready    func(context.Context) error
	stopping <-chan struct{}
	tls      bool // browsers come by https
	log      *slog.Logger
	stall    time.Duration // how long a peer may neither take nor give a byte

	bans        BanConfig
	openSignup  bool
	corsOrigins []string
	oidc        *auth.OIDC
	address     string // where people reach it; "": what their requests say
	archives    *auth.Limit
	listings    *auth.Limit     // of /files: one may walk a whole drive
	listRoom    *serve.Room     // of lists that are held until they are sent
	pageRoom    *serve.Room     // of folders that are held until a page of them is made
	turns       *turns          // of changes of /files
	followers   *places[api.ID] // of those who wait for changes
	sharings    *auth.Limit     // each tells whether an address has an account
}

// New makes the handler of all APIs.
func New(c Config) http.Handler {
	s := newServer(c)
	mux := http.NewServeMux()
	doc := route.New("Satchel", "1", description)
	s.routeServer(mux, doc)
	s.routeWeb(mux)
	s.routeTus(mux, doc)
	s.routeRPC(mux, doc)
	s.routeVFS(mux, doc)
	s.routeV1(mux, doc)
	s.routeDAV(mux, doc)
	s.routeBuckets(mux, doc)
	if c.BanStore == nil {
		c.Bans.Time = 0
	}
	b := &bans{config: c.Bans, store: c.BanStore, log: c.Log}
	return plainPath(s.guard(newCrowd(c.Limits, b.address).admit(b.front(noteOrigin(mux), s.refuse), s.refuse)))
}

func newServer(c Config) *server {
	return &server{auth: c.Auth, drives: c.Drives, admin: c.Admin, ready: c.Ready, stopping: c.Stopping, tls: c.TLS || strings.HasPrefix(c.PublicURL, "https:"), log: c.Log, stall: stall, bans: c.Bans, openSignup: c.OpenSignup, corsOrigins: c.CORSOrigins,
		oidc: c.OIDC, address: strings.TrimSuffix(c.PublicURL, "/"),
		archives: auth.NewLimit("archives", archivesPerMinute, time.Minute/archivesPerMinute), listings: auth.NewLimit("lists of files", 300, 100*time.Millisecond), listRoom: serve.NewRoom(listPieces, listPieces/2), pageRoom: serve.NewRoom(pagePieces, pagePieces/2), turns: newTurns(), followers: newFollowers(c.Limits),
		sharings: auth.NewLimit("people to share with", 30, 10*time.Second)}
}

const description = `One tree of files for each user, by several APIs. Log in with /rpc/login for a token that every one of them takes.

Errors have a shape for each family of paths: /v1 application/problem+json with a kind, /api {"success":false,"error","message"}, all others {"message","code","details","hint"}. 429 comes with Retry-After.`

// routeServer adds what is about the server itself, and its pages.
func (s *server) routeServer(mux *http.ServeMux, doc *route.Document) {
	f := doc.Family("server", "The server itself", "/", s.unknown)
	f.Handle(route.Operation{
		ID: "health", Method: http.MethodGet, Path: "/health", Summary: "Whether the server is ready",
		Answers:  []route.Answer{{Status: 200, Doc: "It is"}, {Status: 503, Doc: "It can't reach its database"}},
		Examples: []route.Example{{Summary: "Ask", Status: 200, Contains: `"ok"`}},
	}, s.health)
	f.Handle(route.Operation{
		ID: "openapi", Method: http.MethodGet, Path: "/openapi.json", Summary: "This description (OpenAPI 3.1)",
		Examples: []route.Example{{Summary: "All of it", Status: 200, Contains: `"openapi":"3.1.0"`}},
	}, doc.ServeJSON)
	f.Handle(route.Operation{
		ID: "openapi-page", Method: http.MethodGet, Path: "/openapi", Summary: "This description as a page",
		Answers:  []route.Answer{{Status: 200, Type: "text/html", Doc: "The page"}},
		Examples: []route.Example{{Summary: "All of it", Status: 200, Contains: "<!DOCTYPE html>"}},
	}, doc.ServePage)
	f.Handle(route.Operation{
		ID: "start-page", Method: http.MethodGet, Path: "/{$}", Summary: "The start page for browsers: signing in, or one's files",
		Answers:  []route.Answer{{Status: 200, Type: "text/html", Doc: "The page"}},
		Examples: []route.Example{{Summary: "See it", Status: 200, Contains: "Satchel"}},
	}, s.page)
	f.Mount(mux)
}

// routeV1 adds the API of Satchel's own clients.
func (s *server) routeV1(mux *http.ServeMux, doc *route.Document) {
	doc.Tag("v1", "What Satchel's own clients speak. Names in JSON are escaped reversibly where they are not UTF-8.")
	config := huma.DefaultConfig("", "")
	config.OpenAPI = doc.OpenAPI()
	config.CreateHooks = nil // they would add a $schema to every answer
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	v1 := humago.New(mux, config)
	s.accountRoutes(v1)
	s.driveRoutes(v1)
	s.historyRoutes(v1)
	s.shareRoutes(v1)
	s.sharedRoutes(v1)
	s.appRoutes(v1)
	s.keyRoutes(v1)
	s.byteRoutes(mux, v1)
	s.contentsRoute(mux, v1)
	s.adminRoutes(mux, v1)
	v1Examples(doc)
	adminExamples(doc)
	mux.HandleFunc("/v1/", unmatched(mux, "/v1/", s.problemError))
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

// noteOrigin lets the audit log tell where what a handler does was asked for.
func noteOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(postgres.FromRequest(r.Context(), address(r))))
	})
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
