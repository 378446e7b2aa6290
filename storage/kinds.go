package storage

import "strings"

// Kinds says for each known extension which kind of file it stands for, in
// words for people.
func Kinds() map[string]string {
	kinds := make(map[string]string, len(byExtension))
	for extension, mediaType := range byExtension {
		kinds[extension] = kindOf(mediaType)
	}
	return kinds
}

// kindOf is coarser than media types: what people ask how much they have of.
func kindOf(mediaType string) string {
	mediaType, _, _ = strings.Cut(mediaType, ";")
	top, sub, _ := strings.Cut(mediaType, "/")
	switch {
	case top == "image":
		return "Images"
	case top == "audio":
		return "Audio"
	case top == "video":
		return "Video"
	case strings.Contains(sub, "zip") && sub != "epub+zip", strings.Contains(sub, "tar"), strings.Contains(sub, "compressed"), strings.Contains(sub, "rar"),
		sub == "zstd", sub == "x-xz", sub == "java-archive", strings.Contains(sub, "iso9660"), strings.Contains(sub, "package"):
		return "Archives"
	case strings.HasPrefix(sub, "x-c"), strings.HasPrefix(sub, "x-go"), sub == "x-python", sub == "x-sh", sub == "sql", sub == "wasm", sub == "javascript",
		sub == "css", sub == "html", sub == "json", sub == "xml", sub == "yaml", sub == "toml":
		return "Code and data"
	case top == "text", sub == "pdf", sub == "rtf", sub == "postscript", sub == "epub+zip", sub == "x-tex", sub == "msword", top == "message",
		strings.Contains(sub, "officedocument"), strings.Contains(sub, "opendocument"), strings.Contains(sub, "ms-excel"), strings.Contains(sub, "ms-powerpoint"):
		return "Documents"
	}
	return "Other"
}
