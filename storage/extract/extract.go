// Package extract finds the text in files of the usual kinds, for search:
// plain text, code and Markdown; HTML; PDF; and the documents of Office programs
// (OOXML, OpenDocument) and EPUB. What it reads and what it returns is bounded,
// and content that lies about itself costs no more than that.
package extract

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"strings"
	"unicode/utf8"
)

// Bounds in bytes.
const (
	maxPlain    = 4 << 20   // of text that is looked at; what comes after is not found
	maxDocument = 32 << 20  // of a document that is looked at; larger ones have no words
	maxUnpacked = 128 << 20 // of the parts of one document
	maxText     = 512 << 10 // that is returned
)

// kind is how the text of a file is found.
type kind func(ctx context.Context, content []byte) (string, error)

var kinds = map[string]kind{
	".html": fromHTML, ".htm": fromHTML, ".xhtml": fromHTML,
	".pdf":  fromPDF,
	".docx": fromOffice, ".xlsx": fromOffice, ".pptx": fromOffice, ".docm": fromOffice, ".xlsm": fromOffice, ".pptm": fromOffice,
	".odt": fromOffice, ".ods": fromOffice, ".odp": fromOffice, ".odg": fromOffice, ".epub": fromOffice,
}

// textless are files that are no text, whatever is in them: they need not be read to know.
var textless = extensions(`
	jpg jpeg png gif webp avif heic heif bmp tif tiff ico psd raw cr2 nef arw
	mp4 m4v mkv mov avi webm mpg mpeg wmv mp3 m4a aac flac ogg oga opus wav wma
	zip gz tgz bz2 xz zst 7z rar lz4 br jar war apk deb rpm dmg iso img qcow2 vmdk
	exe dll so dylib o a obj lib pyc class wasm woff woff2 ttf otf
	sqlite sqlite3 db mdb parquet npy npz pt safetensors gguf`)

func extensions(list string) map[string]bool {
	all := map[string]bool{}
	for _, ext := range strings.Fields(list) {
		all["."+ext] = true
	}
	return all
}

func kindOf(name string) (k kind, document bool) {
	k, document = kinds[strings.ToLower(path.Ext(name))]
	if !document {
		return plain, false
	}
	return k, true
}

// Document tells whether a file is of a format that takes a parser of some size.
func Document(name string) bool {
	_, document := kindOf(name)
	return document
}

// Limit is how many bytes of a file Text wants, from its beginning; 0 when it
// has no use for any.
func Limit(name string, size int64) int64 {
	if size == 0 || textless[strings.ToLower(path.Ext(name))] {
		return 0
	}
	if _, document := kindOf(name); !document {
		return maxPlain
	}
	if size > maxDocument {
		return 0
	}
	return maxDocument
}

// Text is the text in a file's content, cut to a length that a search index
// takes. Content that is not what its name says has none, and an error that says why.
func Text(ctx context.Context, name string, content []byte) (text string, err error) {
	defer func() {
		if p := recover(); p != nil { // parsers of foreign formats panic
			text, err = "", fmt.Errorf("the parser gave up: %v", p)
		}
	}()
	k, _ := kindOf(name)
	text, err = k(ctx, content)
	return clean(text), err
}

// plain takes all that is UTF-8 and has no NUL at its beginning for text.
func plain(_ context.Context, content []byte) (string, error) {
	head := content[:min(len(content), 8<<10)]
	for n := 0; n < utf8.UTFMax && len(head) < len(content) && !utf8.Valid(head); n++ {
		head = head[:len(head)-1] // a rune was cut
	}
	if bytes.IndexByte(head, 0) >= 0 || !utf8.Valid(head) {
		return "", nil
	}
	return string(content), nil
}

// clean makes text that PostgreSQL stores, and not too much of it.
func clean(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), maxText)], " ")
	return strings.Map(func(r rune) rune {
		if r == 0 {
			return ' '
		}
		return r
	}, s)
}

// collector collects words up to the limit.
type collector struct{ strings.Builder }

func (c *collector) full() bool { return c.Len() > maxText }

func (c *collector) add(s string) {
	if !c.full() {
		c.WriteString(s)
	}
}
