package web

import (
	"satchel/api"
)

// What an admin sees. None of it has an address of content.

// List is a page with a table: accounts, files, sessions, events, bans, runs.
type List struct {
	Page
	Intro   string
	Filter  []Field // a form that narrows the list
	Forms   []Form  // what can be done above it
	Columns []Column
	Rows    []Line
	Empty   string // what is said when there are no lines
	More    string // address of the next page
	Exports []Export
	Live    bool // something goes on: the page is fetched again
}

// Field is one of a form.
type Field struct {
	Name, Label, Type, Value, Hint string // Type is of an input element, or "select"
	Options                        []Option
	Required                       bool
}

// Option is one that a field offers.
type Option struct{ Value, Label string }

// Form is a thing that can be done.
type Form struct {
	Title, Action, Button string
	Intro                 string
	Fields                []Field
	Hidden                []Option
	Danger                bool
	Confirm               string // what is asked before
}

// Column is a column's head.
type Column struct {
	Label  string
	Number bool
}

// Line is a row of a list.
type Line struct {
	Cells   []Cell // as many as there are columns
	Actions []Form // small ones, at its end
	Sum     bool   // of the lines above it
}

// Cell is a value in a row.
type Cell struct {
	Text   string
	URL    string
	Time   string // RFC 3339: Text is shown as the reader's own time
	Badge  string // said beside it
	Detail []Option
	Done   int64 // of Total, for a bar
	Total  int64
}

// Export is a link to all of a list.
type Export struct{ Label, URL string }

// Person is the page of one account.
type Person struct {
	Page
	ID       api.ID
	Name     string
	Email    string
	Role     string
	Self     bool // it is the admin's own
	Disabled bool
	Facts    []Option
	Password string // one that was just made, shown once
	Forms    []Form
	Links    []Export
	Use      Usage
	Charts   []Chart
}

// UsagePage is the page of figures.
type UsagePage struct {
	Page
	Facts   []Option
	Filter  []Field
	Charts  []Chart
	Exports []Export
}

func (List) template() string      { return "list" }
func (Person) template() string    { return "person" }
func (UsagePage) template() string { return "usage" }
