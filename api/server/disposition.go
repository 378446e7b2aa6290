package server

import (
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// shownTypes are the media types that a browser may show. All others are
// saved: HTML, SVG and XML among them, which can run scripts.
var shownTypes = map[string]bool{
	"text/plain": true, "application/pdf": true,
	"image/png": true, "image/jpeg": true, "image/gif": true, "image/webp": true, "image/avif": true, "image/heic": true,
	"image/bmp": true, "image/tiff": true, "image/vnd.microsoft.icon": true, "image/x-icon": true,
}

// shown tells whether a browser may show content of a media type.
func shown(mediaType string) bool {
	t, _, err := mime.ParseMediaType(mediaType)
	return err == nil && (shownTypes[t] || strings.HasPrefix(t, "audio/") || strings.HasPrefix(t, "video/"))
}

// dressContent sets what browsers must know of a user's file: its type, whether
// to show or to save it, and that nothing in it runs. Whoever made the file may be an
// attacker, and this is the origin of the cookies.
func dressContent(h http.Header, name, mediaType string) {
	disposition := "attachment"
	if shown(mediaType) {
		disposition = "inline"
	}
	h.Set("Content-Type", mediaType)
	h.Set("Content-Disposition", contentDisposition(disposition, name))
	h.Set("X-Content-Type-Options", "nosniff")
	policy := "default-src 'none'; img-src 'self' data:; media-src 'self'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
	if t, _, _ := mime.ParseMediaType(mediaType); t == "application/pdf" {
		policy += "; object-src 'self'" // browsers' readers do not work in a sandbox
	} else {
		policy += "; sandbox"
	}
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Frame-Options", "SAMEORIGIN")
}

// contentDisposition is a Content-Disposition header with a file's name (RFC
// 6266): for old clients in ASCII, and as it is in RFC 8187's form.
func contentDisposition(disposition, name string) string {
	ascii := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || strings.ContainsRune(`"\%/`, r) {
			return '_'
		}
		return r
	}, name)
	header := disposition + `; filename="` + ascii + `"`
	if ascii != name {
		if !utf8.ValidString(name) {
			name = strings.ToValidUTF8(name, "\ufffd")
		}
		// PathEscape leaves these, which are no attr-char.
		header += "; filename*=UTF-8''" + strings.NewReplacer("(", "%28", ")", "%29", "'", "%27", "*", "%2A", ",", "%2C", ":", "%3A", ";", "%3B", "=", "%3D", "@", "%40", "/", "%2F").Replace(url.PathEscape(name))
	}
	return header
}
