package extract

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"path"
	"strings"
)

// fromOffice reads the parts of a document that hold what people wrote. All
// these formats are ZIP archives of XML.
func fromOffice(ctx context.Context, content []byte) (string, error) {
	z, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return "", err
	}
	var c collector
	left := int64(maxUnpacked)
	for _, f := range z.File {
		if !hasText(f.Name) {
			continue
		}
		if c.full() || left <= 0 || ctx.Err() != nil {
			break
		}
		part, err := f.Open()
		if err != nil {
			return c.String(), err
		}
		limited := &io.LimitedReader{R: part, N: left}
		err = fromXML(&c, limited)
		left = limited.N
		part.Close()
		if err != nil {
			return c.String(), err
		}
	}
	return c.String(), ctx.Err()
}

// hasText tells which parts those are.
func hasText(name string) bool {
	dir, file := path.Split(name)
	switch {
	case file == "content.xml": // OpenDocument
		return dir == ""
	case strings.HasSuffix(file, ".xhtml"), strings.HasSuffix(file, ".html"): // EPUB
		return true
	case !strings.HasSuffix(file, ".xml"):
		return false
	case dir == "word/":
		for _, part := range []string{"document", "header", "footer", "footnotes", "endnotes", "comments"} {
			if strings.HasPrefix(file, part) {
				return true
			}
		}
	case dir == "xl/":
		return file == "sharedStrings.xml"
	}
	return dir == "xl/worksheets/" || dir == "ppt/slides/" || dir == "ppt/notesSlides/"
}

// fromXML takes the text between tags. Words that a program tore apart within
// a paragraph stay whole: only the ends of what is a unit for people part them.
func fromXML(c *collector, r io.Reader) error {
	d := xml.NewDecoder(r)
	d.Strict = false
	d.Entity = xml.HTMLEntity
	for !c.full() {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.CharData:
			c.add(string(t))
		case xml.EndElement:
			switch t.Name.Local {
			case "r", "t", "span", "b", "i", "em", "strong", "a", "rPr":
			default:
				c.add(" ")
			}
		}
	}
	return nil
}
