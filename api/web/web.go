// Package web is the look of Satchel's pages: templates, one stylesheet and one
// script, embedded, and the views that they show. It knows neither requests nor
// drives; package server fills in the views.
//
// Every page works without script: what changes something is a form. The script adds what a form
// can't do: uploads with progress, dropping files, a list that follows other devices, keys.
package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"time"

	"satchel/api"
)

//go:embed templates static
var files embed.FS

// Policy is the content security policy of every page: all that it loads is the
// server's own, nothing is inline, and no other site may frame it.
const Policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; media-src 'self'; " +
	"frame-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

var pages = func() map[string]*template.Template {
	all := map[string]*template.Template{}
	base := template.Must(template.New("base").Funcs(functions).ParseFS(files, "templates/base.html"))
	for _, name := range []string{"start", "folder", "file", "trash", "account", "people", "files", "message", "device"} {
		all[name] = template.Must(template.Must(base.Clone()).ParseFS(files, "templates/"+name+".html"))
	}
	return all
}()

var functions = template.FuncMap{
	"asset": asset,
	"bytes": Bytes,
	"when":  func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") },
	"iso":   func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
}

// A View is what a page shows; its type chooses the template.
type View interface{ template() string }

// Render makes a page.
func Render(v View) ([]byte, error) {
	var b bytes.Buffer
	if err := pages[v.template()].ExecuteTemplate(&b, "base", v); err != nil {
		return nil, api.Errorf(api.Internal, "make the page %s: %w", v.template(), err)
	}
	return b.Bytes(), nil
}

// sums are the assets' hashes, which their addresses carry: a new version has a new address.
var sums = func() map[string]string {
	all := map[string]string{}
	entries, _ := fs.ReadDir(files, "static")
	for _, e := range entries {
		b, _ := files.ReadFile("static/" + e.Name())
		sum := sha256.Sum256(b)
		all[e.Name()] = hex.EncodeToString(sum[:6])
	}
	return all
}()

func asset(name string) string { return "/assets/" + name + "?v=" + sums[name] }

// ServeAsset serves the stylesheet, the script and the icon below /assets/. Others are
// [api.NotFound].
func ServeAsset(w http.ResponseWriter, r *http.Request, name string) error {
	if sums[name] == "" {
		return api.Errorf(api.NotFound, "there is no such asset")
	}
	w.Header().Set("Cache-Control", "no-cache")
	if r.URL.Query().Get("v") == sums[name] {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeFileFS(w, r, files, "static/"+name)
	return nil
}

// Bytes is a number of bytes for people.
func Bytes(n int64) string {
	const units = "KMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/1000, 0
	for ; f >= 999.5; i++ {
		f /= 1000
	}
	if f < 10 {
		return fmt.Sprintf("%.1f %cB", f, units[i])
	}
	return fmt.Sprintf("%.0f %cB", f, units[i])
}
