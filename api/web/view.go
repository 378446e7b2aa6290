package web

import (
	"time"

	"satchel/api"
)

// Page is what every page has.
type Page struct {
	Title  string
	User   string // the person's name or address; "" when nobody is signed in
	UserID string // whose page it is, for the browser's other tabs
	Admin  bool   // an admin has no drive: he sees accounts and metadata
	Here   string // which part of the site: "files", "trash", "account", "people"
	Alert  string // what went wrong with the last form
	Note   string // what it did
}

// Start is the first page: signing in, or signing up, and how to mount.
type Start struct {
	Page
	Email   string
	Signup  bool   // the form is for a new account
	Open    bool   // new accounts may be made
	Address string // of this server, for commands

	Provider string // who else signs people in, "" if nobody
	Device   string // the code of the device that is to be confirmed then, "" if none is
}

// Device is the page on which somebody confirms a device's login.
type Device struct {
	Page
	Code    string // as it is shown on the device; "" when it is still to be typed
	Name    string
	From    string // an address
	Created time.Time
	Done    bool // nothing more is to be decided
}

// Crumb is a directory on the way to a page.
type Crumb struct{ Name, URL string }

// Entry is a line of a folder.
type Entry struct {
	Name, Path, URL string // Path is for forms
	Folder          bool
	Kind            string // of what is neither file nor folder
	Size            int64
	Modified        time.Time
	Conflict        bool   // another device's work, kept beside a file
	Icon            string // "folder", "file", or the kind of a media type
	Thumb           string // address of a small picture
	In              string // where a search found it
	From            string // who shows it here: it is another's
}

// Sort is a column head.
type Sort struct {
	Label, URL string
	Active     string // "", "ascending", "descending": aria-sort
	Number     bool
}

// Folder is a page of a directory.
type Folder struct {
	Page
	Crumbs  []Crumb
	Path    string // of the directory, with a slash at its end unless it is the root: uploads begin with it
	Sorts   []Sort
	Entries []Entry
	Total   int    // entries in all
	More    string // address of the next page
	At      string // Path without the slash
	Zip     string // address of the whole as an archive
	Share   string // address of its sharing
	Shared  string // who sees it beside its owner, in a sentence
	Query   string // what was searched for, and Entries are what was found
	Cut     bool   // more was found than is shown
	Usage   Usage
	Fresh   bool     // the drive is empty
	Deleted *Trashed // what was moved to the trash just now

	Conflicts int    // files here that are conflict copies
	Epoch     api.ID // the point of the drive's order that the page shows
	Seq       int64
	Address   string
	Email     string
}

// Usage is how full the drive is.
type Usage struct {
	Used, Stored, Quota int64 // bytes; a Quota of 0 is none
	Files               int64
}

// Percent is how full, for a meter; 0 without a quota.
func (u Usage) Percent() int {
	if u.Quota <= 0 {
		return 0
	}
	return int(min(100, u.Stored*100/u.Quota))
}

// File is the page of one file, or of a version of it.
type File struct {
	Page
	Crumbs      []Crumb
	Name, Path  string
	Icon        string // as in Entry
	Own         bool   // not one that another shares
	Size        int64
	Modified    time.Time
	Type        string // media type
	SHA256      api.Hash
	Description string
	Metadata    []Pair
	Preview     string // "image", "pdf", "audio", "video", or "" when there is none
	Text        string // the content of a text, or its beginning
	Cut         bool   // it is the beginning
	Open        string // address of its content
	Download    string
	Share       string // address of its sharing
	Public      bool
	Link        string   // for everybody, when Public
	Seen        []string // who else sees it, in words
	Conflict    string   // the device that made this conflict copy
	Past        string   // the id of the version that is shown, unless it is the current one
	Versions    []Version
}

// Pair is what an owner says about a file, under a name.
type Pair struct{ Key, Value string }

// Version is a line of a file's history.
type Version struct {
	ID      api.ID
	Time    time.Time
	Size    int64
	Device  string
	Current bool
	Shown   bool
	Open    string
}

// Trash is a page of what was deleted.
type Trash struct {
	Page
	Items []Trashed
	More  string
}

// Trashed is a line of the trash.
type Trashed struct {
	Node    api.ID
	Path    string
	Folder  bool
	Size    int64
	Deleted time.Time
	Device  string
}

// Login is a device, or an app password.
type Login struct {
	ID            api.ID
	Name          string
	Created, Seen time.Time
	Current       bool
	Unsent        bool // it may hold work that the server does not have
}

// AccessKey is a key of S3 clients.
type AccessKey struct {
	Key, Name     string
	Rotated, Seen time.Time
}

// Account is the page of one's own account.
type Account struct {
	Page
	Name, Email string
	Browsers    []Login
	Devices     []Login
	Apps        []Login
	AppPassword string // the one just made, shown once
	Keys        []AccessKey
	Key, Secret string // of the access key just made, shown once
	Address     string
}

// Message is a page that says one thing, as an error does.
type Message struct {
	Page
	Text string
	Back string
}

func (Start) template() string   { return "start" }
func (Folder) template() string  { return "folder" }
func (File) template() string    { return "file" }
func (Trash) template() string   { return "trash" }
func (Account) template() string { return "account" }
func (Message) template() string { return "message" }
func (Device) template() string  { return "device" }
