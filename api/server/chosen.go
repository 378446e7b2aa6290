package server

import (
	"net/http"
	"slices"

	"satchel/api"
	"satchel/api/serve"
	"satchel/storage"
	"satchel/storage/postgres"
)

// changeFiles does something to the files that the filters choose, and answers: nothing, or the rows, as do returns them, if the client prefers
// them. It is an error before anything is changed if he asks for one object and another number was chosen.
//
// A change that walks the drive counts as a list of it. Of each user's one is made at a time: others wait without a connection to the
// database, which they would else have while they wait for the same rows.
func (s *server) changeFiles(w http.ResponseWriter, r *http.Request, home *storage.Drive, req tableRequest, do func([]storage.File) ([]storage.File, error)) error {
	answers := prefers(r, "return=representation")
	c := &chosenFiles{Share: s.listShare(home.Owner()), described: answers && slices.ContainsFunc(req.fields, describes)}
	defer c.Close()
	if !req.query.Named() {
		if err := s.listings.Take(home.Owner(), address(r)); err != nil {
			return err
		}
	}
	err := s.turns.do(r.Context(), home.Owner(), func() error {
		q := req.query
		if q.Limit == 0 || q.Limit > maxChosen {
			q.Limit = maxChosen + 1
		}
		if err := home.ReadFiles(r.Context(), q, c); err != nil {
			return err
		}
		if err := single(r, len(c.files)); err != nil {
			return err
		}
		files, err := do(c.files)
		c.files = files
		return err
	})
	if err != nil {
		return err
	}
	if answers {
		return filesTable.write(w, r, http.StatusOK, req.fields, c.files)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func describes(f field) bool { return filesTable.columns[f.column].name == postgres.ColumnDescription }

// chosenFiles is the files that filters choose, which are held while they are changed. They take room as lists do. Close gives it back.
type chosenFiles struct {
	files     []storage.File
	described bool // their descriptions are wanted
	serve.Share
}

// chosenBytes is about what a row takes besides its texts.
const chosenBytes = 256

// Begin forgets them.
func (c *chosenFiles) Begin() {
	c.Close()
	c.files = nil
}

// Add adds a file.
func (c *chosenFiles) Add(f storage.File) error {
	if len(c.files) == maxChosen {
		return api.Errorf(api.TooLarge, "the filters choose more than %d files, so none was changed: change parts of them, by limit and offset, or by narrower filters", maxChosen)
	}
	if !c.described {
		f.Description = ""
	}
	c.files = append(c.files, f)
	return c.Grow(chosenBytes + len(f.FilePath) + len(f.Description))
}
