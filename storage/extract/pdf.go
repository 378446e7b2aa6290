package extract

import (
	"bytes"
	"context"

	"github.com/ledongthuc/pdf"
)

// maxPages is how many pages of a document are looked at.
const maxPages = 1000

// fromPDF reads the text that pages show. Pictures of text have none.
func fromPDF(ctx context.Context, content []byte) (string, error) {
	r, err := pdf.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return "", err
	}
	var c collector
	for i := 1; i <= min(r.NumPage(), maxPages) && !c.full() && ctx.Err() == nil; i++ {
		page := r.Page(i)
		if page.V.IsNull() {
			continue
		}
		text, err := page.GetPlainText(nil)
		if err != nil {
			return c.String(), err
		}
		c.add(text)
		c.add("\n")
	}
	return c.String(), ctx.Err()
}
