// Package web is the look of Satchel's pages: templates, one stylesheet and one
// script, embedded, and the views that they show. It knows neither requests nor
// drives; package server fills in the views.
//
// Every page works without script: what changes something is a form. The script adds what a form
// can't do: uploads with progress, dropping files, a list that follows other devices, keys.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
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
	base := template.Must(template.New("base").Funcs(functions).ParseFS(files, "templates/base.html", "templates/parts.html", "templates/admin_parts.html"))
	for _, name := range []string{"start", "folder", "file", "trash", "account", "message", "list", "person", "usage", "conflicts", "share", "shared", "bylink", "device"} {
		all[name] = template.Must(template.Must(base.Clone()).ParseFS(files, "templates/"+name+".html"))
	}
	return all
}()

var functions = template.FuncMap{
	"asset":  asset,
	"bytes":  Bytes,
	"when":   func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") },
	"moment": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") },
	"iso":    func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"copyOf": copyOf,
}

// copyOf is the path that is proposed for a file's copy: beside it, with the same extension.
func copyOf(file string) string {
	ext := path.Ext(file)
	if path.Base(file) == ext { // a dot file
		ext = ""
	}
	return strings.TrimSuffix(file, ext) + " copy" + ext
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

// An assetFile is one of the files that pages load.
type assetFile struct {
	sum     string // its hash, which its address carries: a new version has a new address
	zipped  []byte
	content []byte
}

var assets = func() map[string]assetFile {
	all := map[string]assetFile{}
	entries, _ := fs.ReadDir(files, "static")
	for _, e := range entries {
		b, _ := files.ReadFile("static/" + e.Name())
		sum := sha256.Sum256(b)
		var zipped bytes.Buffer
		z := gzip.NewWriter(&zipped)
		z.Write(b)
		z.Close()
		all[e.Name()] = assetFile{sum: hex.EncodeToString(sum[:6]), content: b, zipped: zipped.Bytes()}
	}
	return all
}()

func asset(name string) string { return "/assets/" + name + "?v=" + assets[name].sum }

// ServeAsset serves a stylesheet, a script or an icon below /assets/. Others are
// [api.NotFound].
func ServeAsset(w http.ResponseWriter, r *http.Request, name string) error {
	a, ok := assets[name]
	if !ok {
		return api.Errorf(api.NotFound, "there is no such asset")
	}
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	if r.URL.Query().Get("v") == a.sum {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	h.Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	h.Set("Vary", "Accept-Encoding")
	h.Set("Etag", `"`+a.sum+`"`)
	b := a.content
	if TakesGzip(r) {
		h.Set("Content-Encoding", "gzip")
		h.Set("Etag", `"`+a.sum+`-gzip"`)
		b = a.zipped
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
	return nil
}

// TakesGzip tells whether whoever asks understands gzip (RFC 9110 section 12.5.3).
func TakesGzip(r *http.Request) bool {
	for coding := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(coding), ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			weight = strings.ReplaceAll(weight, " ", "")
			return weight != "q=0" && weight != "q=0.0" && weight != "q=0.00" && weight != "q=0.000"
		}
	}
	return false
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
