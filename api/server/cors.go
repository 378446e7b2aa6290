package server

import (
	"net/http"
	"slices"
	"strings"

	"satchel/api"
)

// corsExposed are the headers of answers that pages of other origins may read
// besides the few that every page may: those of HTTP, of WebDAV, of tus, and our own.
const corsExposed = "Accept-Ranges, Allow, Content-Disposition, Content-Length, Content-Location, Content-Range, ETag, Last-Modified, Location, Retry-After, " +
	"DAV, Lock-Token, Tus-Extension, Tus-Resumable, Tus-Version, Upload-Expires, Upload-Length, Upload-Offset, Satchel-Next"

// corsMethods are what such pages may ask for.
const corsMethods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, PROPFIND, PROPPATCH, MKCOL, COPY, MOVE, LOCK, UNLOCK"

// CheckOrigin tells what is wrong with an origin of [Config.CORSOrigins]: it is a
// scheme and a host, and a port if it has one.
func CheckOrigin(origin string) error {
	if err := http.NewCrossOriginProtection().AddTrustedOrigin(origin); err != nil || !strings.HasPrefix(origin, "http") {
		return api.Errorf(api.Invalid, "%q is no origin such as https://app.example.org", origin)
	}
	return nil
}

// cors lets pages of some other origins use the APIs, by tokens: their requests'
// cookies do not count, since a person who is logged in here has not asked for what they do.
func (s *server) cors(next http.Handler) http.Handler {
	if len(s.corsOrigins) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Vary", "Origin")
		origin := r.Header.Get("Origin")
		if !slices.Contains(s.corsOrigins, origin) {
			next.ServeHTTP(w, r)
			return
		}
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Set("Access-Control-Allow-Methods", corsMethods)
			h.Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
			h.Set("Access-Control-Max-Age", "3600")
			h.Add("Vary", "Access-Control-Request-Headers")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		h.Set("Access-Control-Expose-Headers", corsExposed)
		r = r.Clone(r.Context())
		r.Header.Del("Cookie")
		next.ServeHTTP(w, r)
	})
}
