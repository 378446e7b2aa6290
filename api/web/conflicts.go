package web

import "time"

// Conflicts is the page of what several devices made of one file.
type Conflicts struct {
	Page
	Rows []Conflict
}

// Conflict is a file and what another device made of it meanwhile.
type Conflict struct {
	Path, Name, Device string // of the copy, and who made it
	Copy               Side
	Of                 struct {
		Name  string
		*Side        // nil: there is no file any more
		Other string // what has its name now that is no file: the address of that
	}
}

// Side is one of the two.
type Side struct {
	URL, Open string
	Size      int64
	Modified  time.Time
	Preview   string // as in File
	Same      bool   // it has the content of the other
}

func (Conflicts) template() string { return "conflicts" }
