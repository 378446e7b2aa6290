package api

import (
	"encoding/json"
	"slices"
)

// Permissions is what a grant allows, as bits. They are stored as numbers, so
// none may change.
type Permissions int

const (
	PermRead   Permissions = 1 << iota // the content of files
	PermList                           // what is in directories
	PermWrite                          // new files, and new content of those that are there
	PermMkdir                          // new directories
	PermDelete                         // removal of what is in a directory
	PermRename                         // other names, and with read and write other places within what is shared
	PermCopy                           // copies of what is there

	AllPermissions Permissions = 1<<iota - 1
)

// permissionNames are as the APIs spell them, in the order of their bits.
var permissionNames = []string{"read", "list", "write", "mkdir", "delete", "rename", "copy"}

// ParsePermissions reads names of permissions. An unknown one is [Invalid].
func ParsePermissions(names []string) (p Permissions, err error) {
	for _, name := range names {
		i := slices.Index(permissionNames, name)
		if i < 0 {
			return 0, Errorf(Invalid, "%q is no permission: there are %q", name, permissionNames)
		}
		p |= 1 << i
	}
	return p, nil
}

// Names lists the permissions.
func (p Permissions) Names() []string {
	names := []string{}
	for i, name := range permissionNames {
		if p&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// MarshalJSON writes the names.
func (p Permissions) MarshalJSON() ([]byte, error) { return json.Marshal(p.Names()) }

// UnmarshalJSON reads names.
func (p *Permissions) UnmarshalJSON(b []byte) (err error) {
	var names []string
	if err := json.Unmarshal(b, &names); err != nil {
		return Errorf(Invalid, "permissions are a list of names: %w", err)
	}
	*p, err = ParsePermissions(names)
	return err
}

// Principals of grants besides users, who are named by their ids.
const (
	Anonymous     = "anonymous"     // everyone, logged in or not
	Authenticated = "authenticated" // whoever is logged in
)

// Grant gives a principal permissions on a path and all that is below it.
type Grant struct {
	Path        string      `json:"path"`
	Permissions Permissions `json:"permissions"`
	UserID      string      `json:"userId"` // a user's id, [Anonymous] or [Authenticated]
}

// Bind is a directory of a drive in which one of another drive is shown.
type Bind struct {
	ID          ID          `json:"id"`
	Node        ID          `json:"node"` // the directory in which it is shown
	SourceDrive ID          `json:"source_drive"`
	SourceNode  ID          `json:"source_node"`
	Permissions Permissions `json:"permissions"`     // the caller's at the source
	Path        Name        `json:"path,omitempty"`  // where the directory is
	Ended       bool        `json:"ended,omitempty"` // the caller does not see the source any more: the directory stays, and is empty
}
