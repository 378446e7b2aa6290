package server

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// plainPath takes the empty and . segments out of a request's path, before anything is decided by it. The mux would answer them with a redirect, which few
// clients follow with the body of a PUT, and in whose address what is escaped is escaped once more.
func plainPath(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent := r.URL.EscapedPath()
		if plain := plainSegments(sent); plain != sent {
			if path, err := url.PathUnescape(plain); err == nil {
				at, to := *r, *r.URL
				to.Path, to.RawPath = path, plain
				at.URL, r = &to, &at
			}
		}
		next.ServeHTTP(w, r)
	})
}

// plainSegments is an escaped path without empty and . segments (RFC 3986 section 5.2.4), but for a slash at its end. One with a .. stays as it is, and
// gets the answer that such paths get.
func plainSegments(path string) string {
	if !strings.Contains(path, "//") && !strings.Contains(path, "/.") {
		return path
	}
	segments := strings.Split(path, "/")
	if segments[0] != "" || slices.Contains(segments, "..") {
		return path
	}
	nothing := func(s string) bool { return s == "" || s == "." }
	end := ""
	if nothing(segments[len(segments)-1]) {
		end = "/"
	}
	plain := strings.Join(slices.DeleteFunc(segments, nothing), "/")
	if plain == "" {
		return "/"
	}
	return "/" + plain + end
}
