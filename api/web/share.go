package web

import (
	"time"

	"satchel/api"
)

// Share is the page of who sees a file or a folder.
type Share struct {
	Page
	Crumbs      []Crumb
	Name, Path  string
	Folder      bool
	Own         bool // only an owner shares
	Public      bool
	PublicLink  string // for everybody, of a file
	PublicBy    *Crumb // the folder above that everybody can read
	Links       []Link
	People      []Guest
	Permissions []Choice
}

// Link is a line of it.
type Link struct {
	ID       api.ID
	URL      string
	Path     string // where it leads, in a list of all
	Password bool   // one is asked for
	Expires  time.Time
	Created  time.Time
	Through  *Crumb // the folder above whose link it is, with the address of its sharing
}

// Guest is somebody who has permissions.
type Guest struct {
	Principal, Name string // as he calls himself, or what is said instead
	Email           string // by which it was shared with him
	May             string
	Path, Share     string // where, in a list of all, and the address of its sharing
	Through         *Crumb // as in Link
}

// Choice is a choice of a form.
type Choice struct{ Value, Label string }

// Shared is the page of what others share, and of what one shares.
type Shared struct {
	Page
	Theirs []Theirs
	People []Guest
	Links  []Link
}

// Theirs is something that another one shares.
type Theirs struct {
	Name, May   string
	From        string // who shares it, as he calls himself
	Email       string // his address, where it is known
	Folder      bool
	Size        int64
	Modified    time.Time
	Open        string // address of a file's content, or of a bound folder
	Mount, Path string // of a folder that can be put among one's files
	Drive, Node api.ID
}

// ByLink is what a stranger sees who comes by a link: a folder, or a file.
type ByLink struct {
	Page
	Sharer, Name  string
	Ask           bool // for the password
	Expires       time.Time
	Crumbs        []Crumb
	Folder        bool
	Entries       []Entry
	More          string
	Total         int
	Zip           string
	Size          int64
	Modified      time.Time
	Type, Preview string // as in File
	Text          string
	Cut           bool
	Open, Save    string
}

func (Share) template() string  { return "share" }
func (Shared) template() string { return "shared" }
func (ByLink) template() string { return "bylink" }
