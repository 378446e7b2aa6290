package server

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"regexp"
	"strings"
	"sync"
)

//go:embed page.html
var pageSource string

var pageTemplate = template.Must(template.New("page").Parse(pageSource))

// hostForm is what a Host header may look like to be shown in a command that
// people paste into a shell.
var hostForm = regexp.MustCompile(`^[A-Za-z0-9._-]+(:[0-9]{1,5})?$|^\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?$`)

// page says what this is, and how to mount it from the address that it was
// reached at.
func (s *server) page(w http.ResponseWriter, r *http.Request) {
	if accept := r.Header.Get("Accept"); strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html") {
		writeJSON(w, http.StatusOK, map[string]any{
			"success": true, "message": "Satchel", "health": "/health", "openapi": "/openapi.json", "documentation": "/openapi",
		})
		return
	}
	address := "http://" + r.Host
	if s.tls {
		address = "https://" + r.Host
	}
	if !hostForm.MatchString(r.Host) {
		address = "ADDRESS-OF-THIS-SERVER"
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, struct{ Address string }{address}); err != nil {
		s.pgrstError(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	// The only style is the page's own, known by its hash, and there is no script.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src "+styleHash()+"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	w.Write(b.Bytes())
}

// styleHash names the page's style for its content security policy (CSP 3
// section 2.3.1).
var styleHash = sync.OnceValue(func() string {
	_, rest, _ := strings.Cut(pageSource, "<style>")
	style, _, _ := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(style))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
})
