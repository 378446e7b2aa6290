package storage

import (
	"path"
	"strings"

	"satchel/storage/postgres"
)

// Unknown is the content type of a name that says nothing.
const Unknown = "application/octet-stream"

// ContentType is the media type that a path's extension stands for, in any
// case; [Unknown] if it stands for none. It does not depend on what the
// machine has installed, so that every server says the same.
func ContentType(name string) string {
	ext := strings.TrimPrefix(path.Ext(name), ".")
	if t, ok := byExtension[strings.ToLower(ext)]; ok {
		return t
	}
	return Unknown
}

// contentTypes is the same table for queries that compare content types.
func contentTypes() postgres.ContentTypes {
	t := postgres.ContentTypes{Unknown: Unknown}
	for ext, name := range byExtension {
		t.Extensions = append(t.Extensions, ext)
		t.Names = append(t.Names, name)
	}
	return t
}

var byExtension = map[string]string{
	"txt": "text/plain; charset=utf-8", "log": "text/plain; charset=utf-8", "md": "text/markdown; charset=utf-8",
	"csv": "text/csv; charset=utf-8", "tsv": "text/tab-separated-values; charset=utf-8",
	"html": "text/html; charset=utf-8", "htm": "text/html; charset=utf-8", "css": "text/css; charset=utf-8",
	"js": "text/javascript; charset=utf-8", "mjs": "text/javascript; charset=utf-8",
	"json": "application/json", "xml": "text/xml; charset=utf-8", "yaml": "application/yaml", "yml": "application/yaml",
	"toml": "application/toml", "ics": "text/calendar; charset=utf-8", "vcf": "text/vcard; charset=utf-8",
	"eml": "message/rfc822", "rtf": "application/rtf", "tex": "application/x-tex",
	"c": "text/x-c; charset=utf-8", "h": "text/x-c; charset=utf-8", "go": "text/x-go; charset=utf-8",
	"py": "text/x-python; charset=utf-8", "sh": "application/x-sh", "sql": "application/sql", "wasm": "application/wasm",
	"xhtml": "application/xhtml+xml", "vtt": "text/vtt; charset=utf-8", "m3u8": "application/vnd.apple.mpegurl",

	"pdf": "application/pdf", "ps": "application/postscript", "epub": "application/epub+zip",
	"doc":  "application/msword",
	"docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	"xls":  "application/vnd.ms-excel",
	"xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	"ppt":  "application/vnd.ms-powerpoint",
	"pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	"odt":  "application/vnd.oasis.opendocument.text",
	"ods":  "application/vnd.oasis.opendocument.spreadsheet",
	"odp":  "application/vnd.oasis.opendocument.presentation",
	"odg":  "application/vnd.oasis.opendocument.graphics",

	"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp",
	"avif": "image/avif", "heic": "image/heic", "bmp": "image/bmp", "ico": "image/vnd.microsoft.icon",
	"tif": "image/tiff", "tiff": "image/tiff", "svg": "image/svg+xml", "svgz": "image/svg+xml-compressed", "jxl": "image/jxl",

	"mp3": "audio/mpeg", "m4a": "audio/mp4", "aac": "audio/aac", "ogg": "audio/ogg", "opus": "audio/ogg",
	"flac": "audio/flac", "wav": "audio/wav", "mid": "audio/midi", "midi": "audio/midi",
	"mp4": "video/mp4", "m4v": "video/mp4", "webm": "video/webm", "mkv": "video/x-matroska",
	"mov": "video/quicktime", "avi": "video/x-msvideo", "mpeg": "video/mpeg", "mpg": "video/mpeg", "ogv": "video/ogg",

	"zip": "application/zip", "gz": "application/gzip", "tgz": "application/gzip", "bz2": "application/x-bzip2",
	"xz": "application/x-xz", "zst": "application/zstd", "tar": "application/x-tar", "7z": "application/x-7z-compressed",
	"rar": "application/vnd.rar", "jar": "application/java-archive", "iso": "application/x-iso9660-image",
	"deb": "application/vnd.debian.binary-package", "rpm": "application/x-rpm", "apk": "application/vnd.android.package-archive", "exe": "application/vnd.microsoft.portable-executable",

	"ttf": "font/ttf", "otf": "font/otf", "woff": "font/woff", "woff2": "font/woff2",
	"sqlite": "application/vnd.sqlite3", "db": "application/vnd.sqlite3",
}
