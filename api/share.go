package api

import "time"

// What sharing with somebody usually gives him.
const (
	MayRead  = PermRead | PermList
	MayWrite = MayRead | PermWrite | PermMkdir | PermRename | PermCopy // but not delete
)

// Shares is who else may use a drive, or one path of it: then also what is shared through a folder above it.
type Shares struct {
	Grants []SharedWith `json:"grants"`
	Links  []Link       `json:"links"` // the newest first
}

// SharedWith is a grant, for people.
type SharedWith struct {
	Grant
	Name  string `json:"name,omitempty"`  // the user's
	Email string `json:"email,omitempty"` // by which the owner shared it with him
	URL   string `json:"url,omitempty"`   // where everybody reads a public file

	Through string `json:"through,omitempty"` // the folder above, whose grant this is and where it ends; empty: the path that was asked about has it itself
}

// Theirs is something that another user shares with the caller.
type Theirs struct {
	Drive       ID          `json:"drive"`
	Node        ID          `json:"node"`
	Name        Name        `json:"name"` // its own; empty: the whole drive
	Type        Type        `json:"type"`
	Size        int64       `json:"size"`                 // bytes; of a file
	Mtime       int64       `json:"mtime"`                // ns
	From        string      `json:"from,omitempty"`       // who shares it, as he calls himself: a name that anybody may choose
	FromEmail   string      `json:"from_email,omitempty"` // his address; empty if he shares it with everybody here, and so with nobody by name
	Permissions Permissions `json:"permissions"`
	Bind        ID          `json:"bind,omitzero"`   // that shows it in the caller's drive; zero: nowhere
	Path        Name        `json:"path,omitempty"`  // where that is
	Ended       bool        `json:"ended,omitempty"` // it is shared no more: what is left is the empty folder in the caller's drive, whose name this is
}

// BindTheirs asks for a folder of another's to be shown in the caller's drive.
type BindTheirs struct {
	Drive ID     `json:"drive"`
	Node  ID     `json:"node"`
	Path  string `json:"path,omitempty"` // where: a new name, or an empty directory; empty: its own name, or one beside it
}

// BoundAt is where it is shown.
type BoundAt struct {
	Path Name `json:"path"`
}

// Link lets whoever has it read a path, without an account.
type Link struct {
	ID       ID        `json:"id"`
	Path     string    `json:"path"`     // what it opens; /: the whole drive
	URL      string    `json:"url"`      // to give away
	Password bool      `json:"password"` // it asks for one
	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires,omitzero"`  // zero: it works until it is ended
	Through  string    `json:"through,omitempty"` // as in [SharedWith]
}

// SharePublic lets everybody read a path, or only those again who may otherwise.
type SharePublic struct {
	Path   string `json:"path"`
	Public bool   `json:"public"`
}

// ShareWith lets the user with an e-mail address have exactly these permissions on a
// path; none at all ends it, and then UserID may name whom it is to, as [Grant] does.
type ShareWith struct {
	Path        string      `json:"path"`
	Email       string      `json:"email,omitempty"`
	UserID      string      `json:"userId,omitempty"`
	Permissions Permissions `json:"permissions"`
}

// NewLink asks for a link to a path.
type NewLink struct {
	Path     string    `json:"path"`
	Expires  time.Time `json:"expires,omitzero"`   // zero: never
	Password string    `json:"password,omitempty"` // "": whoever has the link needs none
}

// At is the path that is shared, as it came.
func (s SharePublic) At() string { return s.Path }

// At is the path that is shared, as it came.
func (s ShareWith) At() string { return s.Path }

// At is the path that the link is to, as it came.
func (l NewLink) At() string { return l.Path }
